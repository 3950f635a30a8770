//! What a request's target names: `/hooks/{connection}[/{path_secret}]`, or nothing of ours. Pure.

/// A target under `/hooks/`, its parts as they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hook<'a> {
    /// The connection's id; not known to exist.
    pub(super) connection: &'a str,
    /// What follows it, still percent-encoded.
    pub(super) path_secret: Option<&'a str>,
}

/// Reads a path; `None` is a 404. Anything under `/hooks/` is a hook, so that what does not exist
/// there looks like what does not verify.
pub(super) fn hook(path: &str) -> Option<Hook<'_>> {
    let rest = path.strip_prefix("/hooks/")?;
    Some(match rest.split_once('/') {
        None => Hook { connection: rest, path_secret: None },
        Some((connection, secret)) => Hook { connection, path_secret: Some(secret) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hooks_are_ours() {
        let named = |connection, path_secret| Some(Hook { connection, path_secret });
        for (path, expected) in [
            ("/hooks/acme", named("acme", None)),
            ("/hooks/acme/s3cret", named("acme", Some("s3cret"))),
            ("/hooks/acme/a/b", named("acme", Some("a/b"))),
            ("/hooks/", named("", None)),
            ("/hooks", None),
            ("/", None),
            ("//hooks/acme", None),
        ] {
            assert_eq!(hook(path), expected, "{path}");
        }
    }
}
