//! Who may use the admin API: holders of a token, or, where none is configured, whoever sits at
//! this machine and uses no proxy. Pure.

use std::net::IpAddr;

use axum::http::{HeaderMap, Method, header};

use super::problem::Problem;
use crate::config::{AdminRole, AdminToken};

/// Who has been let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Who(Option<String>);

impl Who {
    /// Whoever sits at this machine.
    pub(super) const fn local() -> Self {
        Self(None)
    }

    /// Their name in what they change.
    pub(super) fn name(&self) -> &str {
        self.0.as_deref().unwrap_or("local")
    }

    /// Their name: the token's, or else the one they give.
    pub(super) fn or(&self, given: Option<String>) -> String {
        let given = given.map(|given| given.trim().chars().take(NAME_MAX).collect::<String>());
        let named = self.0.clone().or_else(|| given.filter(|given| !given.is_empty()));
        named.unwrap_or_else(|| self.name().to_owned())
    }
}

/// Longest name somebody may give, in characters.
const NAME_MAX: usize = 64;
/// Headers that show that somebody else's request was passed on.
const FORWARDED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip"];

/// Decides on a request. Reading needs `read`; anything that changes something needs `operate`.
pub(super) fn admit(tokens: &[AdminToken], method: &Method, headers: &HeaderMap) -> Result<Who, Problem> {
    let needed = match *method {
        Method::GET | Method::HEAD => AdminRole::Read,
        _ => AdminRole::Operate,
    };
    if tokens.is_empty() { local_only(headers, needed) } else { bearer(tokens, headers, needed) }
}

fn bearer(tokens: &[AdminToken], headers: &HeaderMap, needed: AdminRole) -> Result<Who, Problem> {
    let presented = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "))
        .ok_or_else(|| {
            Problem::unauthorized("send Authorization: Bearer with a token from [admin] tokens")
        })?;
    // Every token is compared, so that the time says nothing about which one was near.
    let held = tokens.iter().fold(None::<&AdminToken>, |held, candidate| {
        let better = held.is_none_or(|held| held.role < candidate.role);
        if candidate.token.matches(presented) && better { Some(candidate) } else { held }
    });
    match held {
        None => Err(Problem::unauthorized("this token is not one of [admin] tokens")),
        Some(held) if held.role < needed => Err(Problem::forbidden("this token's role may not do that")),
        Some(held) => Ok(Who(Some(held.name.clone()))),
    }
}

fn local_only(headers: &HeaderMap, needed: AdminRole) -> Result<Who, Problem> {
    if FORWARDED.iter().any(|name| headers.contains_key(*name)) {
        return Err(Problem::forbidden(
            "requests passed on by a proxy need a token: configure [admin] tokens",
        ));
    }
    // A page elsewhere can name this machine by a host name of its own (DNS rebinding); it cannot
    // make the browser send a loopback Host.
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !is_loopback(host) {
        return Err(Problem::forbidden("without [admin] tokens the Host must be a loopback address"));
    }
    let origin = headers.get(header::ORIGIN).and_then(|value| value.to_str().ok());
    let foreign = origin.is_some_and(|origin| origin.split_once("://").map(|(_, at)| at) != Some(host));
    let json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/json"));
    if needed > AdminRole::Read && (foreign || !json) {
        return Err(Problem::forbidden("changes must be same-origin application/json"));
    }
    Ok(Who::local())
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn without_tokens_only_this_machine_is_served() {
        for (pairs, served) in [
            (&[("host", "127.0.0.1:9090")][..], true),
            (&[("host", "localhost:9090")], true),
            (&[("host", "[::1]:9090")], true),
            (&[("host", "evil.example")], false),
            (&[], false),
            (&[("host", "localhost"), ("x-forwarded-for", "1.2.3.4")], false),
        ] {
            assert_eq!(admit(&[], &Method::GET, &headers(pairs)).is_ok(), served, "{pairs:?}");
        }
    }

    #[test]
    fn without_tokens_changes_must_be_same_origin_json() {
        let json = ("content-type", "application/json");
        for (pairs, served) in [
            (&[("host", "localhost:1"), json][..], true),
            (&[("host", "localhost:1"), json, ("origin", "http://localhost:1")], true),
            (&[("host", "localhost:1"), json, ("origin", "http://evil.example")], false),
            (&[("host", "localhost:1"), ("content-type", "text/plain")], false),
        ] {
            assert_eq!(admit(&[], &Method::POST, &headers(pairs)).is_ok(), served, "{pairs:?}");
        }
    }

    #[test]
    fn a_token_says_who_it_is_and_without_one_a_name_may_be_given() {
        let (named, local) = (Who(Some("ada".into())), Who::local());
        assert_eq!((named.or(Some("eve".into())), named.or(None)), ("ada".to_owned(), "ada".to_owned()));
        assert_eq!(
            (local.or(Some(" eve ".into())), local.or(Some(" ".into()))),
            ("eve".into(), "local".into())
        );
        assert_eq!(local.or(Some("x".repeat(100))).len(), NAME_MAX);
    }

    #[test]
    fn a_token_opens_what_its_role_may() {
        let token = |role, text: &str| AdminToken { name: "t".into(), role, token: Secret::new(text.into()) };
        let tokens = [token(AdminRole::Read, "reader"), token(AdminRole::Operate, "operator")];
        let with = |text: &str| headers(&[("authorization", &format!("Bearer {text}"))]);
        assert!(admit(&tokens, &Method::GET, &with("reader")).is_ok());
        assert!(admit(&tokens, &Method::POST, &with("reader")).is_err());
        assert_eq!(admit(&tokens, &Method::POST, &with("operator")), Ok(Who(Some("t".into()))));
        assert!(admit(&tokens, &Method::GET, &with("nobody")).is_err());
        assert!(admit(&tokens, &Method::GET, &headers(&[("host", "localhost")])).is_err());
    }
}
