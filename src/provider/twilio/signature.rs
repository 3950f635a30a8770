//! What Twilio signs (`X-Twilio-Signature`): HMAC-SHA1, under the account's auth token, of the URL it
//! called, followed in a form by the sorted, distinct, decoded parameters. In: a webhook nobody
//! believes yet. Out: which token signed it. It never re-serialises a URL, and never stops at the
//! first token that fits.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Method;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::form;
use crate::config::{Basic, Connection, Secret};
use crate::provider::Unproved;
use crate::receive::RawWebhook;

/// Characters of 20 bytes in base64.
const SIGNATURE_LENGTH: usize = 28;

/// The query parameter that holds the digest of a body that is no form.
const BODY_DIGEST: &[u8] = b"bodySHA256";

/// Which auth token signed a webhook; `None` when the connection has none.
///
/// # Errors
/// [`Unproved::NoSignature`] when it is missing or doubled, or leaves the body uncovered;
/// [`Unproved::WrongSignature`] for one that no configured token makes.
pub fn check(webhook: &RawWebhook, connection: &Connection, body: &[u8]) -> Result<Option<usize>, Unproved> {
    let tokens = &connection.auth.auth_tokens;
    if tokens.is_empty() {
        return Ok(None);
    }
    let presented = webhook.only_header("x-twilio-signature");
    let signed = signed(webhook, body);
    let origins = || origins(&connection.public_url, connection.auth.basic.as_ref());
    // An absent signature is compared too: its absence must not take less time than a wrong one.
    let found = which(tokens, origins, signed.as_deref().unwrap_or_default(), presented.unwrap_or_default());
    match (presented, signed, found) {
        (Some(_), Some(_), Some(index)) => Ok(Some(index)),
        (Some(_), Some(_), None) => Err(Unproved::WrongSignature),
        _ => Err(Unproved::NoSignature),
    }
}

/// Does the work of [`check`] for a webhook whose connection does not exist.
pub fn spend(webhook: &RawWebhook, body: &[u8]) {
    let signed = signed(webhook, body).unwrap_or_default();
    let origins = || origins("https://nobody.invalid", None);
    let presented = webhook.only_header("x-twilio-signature").unwrap_or_default();
    std::hint::black_box(which(&[Secret::new("nobody's token".into())], origins, &signed, presented));
}

/// The first token whose signature is the presented one, after trying every token.
fn which<O: Iterator<Item = String>>(
    tokens: &[Secret],
    origins: impl Fn() -> O,
    signed: &[u8],
    presented: &[u8],
) -> Option<usize> {
    let usable = tokens.iter().enumerate().filter(|(_, token)| !token.expose().is_empty());
    usable.fold(None, |found, (index, token)| {
        let matches = signs(token, origins(), signed, presented);
        found.or(matches.then_some(index))
    })
}

/// Whether a token signs the webhook under one of the origins. Stopping at the one that fits tells
/// the holder of a right signature which URL Twilio called, and nobody anything else.
fn signs(token: &Secret, mut origins: impl Iterator<Item = String>, signed: &[u8], presented: &[u8]) -> bool {
    let Ok(keyed) = Hmac::<Sha1>::new_from_slice(token.expose().as_bytes()) else { return false };
    origins.any(|origin| {
        let mut mac = keyed.clone();
        mac.update(origin.as_bytes());
        mac.update(signed);
        let mut text = [0; SIGNATURE_LENGTH];
        let written = STANDARD.encode_slice(mac.finalize().into_bytes(), &mut text);
        // The text is compared, not the bytes: base64 has more than one spelling of some bytes.
        written.is_ok() & bool::from(text.ct_eq(presented))
    })
}

/// What is signed after the origin: the raw target, then what stands for the body. `None` when
/// the signature could not cover the body.
fn signed(webhook: &RawWebhook, body: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(webhook.target.len() + body.len());
    text.extend_from_slice(webhook.target.as_bytes());
    let mut digests = form::pairs(webhook.query().unwrap_or_default().as_bytes())
        .filter_map(|(name, value)| (*name == *BODY_DIGEST).then_some(value));
    // A digest decides before the content type does: that header is not signed, so a JSON webhook
    // must not pass as a form without parameters.
    match (digests.next(), digests.next()) {
        (Some(digest), None) => {
            let computed = hex::encode(Sha256::digest(body));
            bool::from(computed.as_bytes().ct_eq(&digest)).then_some(text)
        }
        (Some(_), Some(_)) => None,
        (None, _) if body.is_empty() => Some(text),
        (None, _) if webhook.method == Method::POST && is_form(webhook) => {
            append_parameters(&mut text, body);
            Some(text)
        }
        (None, _) => None,
    }
}

fn append_parameters(text: &mut Vec<u8>, body: &[u8]) {
    let mut parameters = Vec::with_capacity(24);
    parameters.extend(form::pairs(body));
    parameters.sort_unstable();
    parameters.dedup();
    for (name, value) in &parameters {
        text.extend_from_slice(name);
        text.extend_from_slice(value);
    }
}

fn is_form(webhook: &RawWebhook) -> bool {
    let kind = webhook.only_header("content-type").unwrap_or_default();
    let kind = kind.split(|&b| b == b';').next().unwrap_or_default().trim_ascii();
    kind.eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

/// Every way Twilio is known to write the part of the URL before the target: with and without the
/// port, with and without the credentials it was given in the URL. The likeliest comes first, and
/// the others are not written unless they are asked for.
fn origins<'a>(public_url: &'a str, basic: Option<&'a Basic>) -> impl Iterator<Item = String> + 'a {
    let (scheme, rest) = public_url.split_once("://").unwrap_or(("https", public_url));
    let (authority, prefix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (userinfo, host) =
        authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    let (bare, port) = without_port(host);
    let port = port.unwrap_or(if scheme.eq_ignore_ascii_case("http") { "80" } else { "443" });
    let userinfo = userinfo.map(|user| format!("{user}@"));
    let credentials = move || basic.map(|basic| format!("{}:{}@", basic.user, basic.password.expose()));
    let users = [Some(String::new()), userinfo].into_iter().chain(std::iter::once_with(credentials));
    users.flatten().flat_map(move |user| {
        [false, true].into_iter().map(move |with_port| match with_port {
            false => format!("{scheme}://{user}{bare}{prefix}"),
            true => format!("{scheme}://{user}{bare}:{port}{prefix}"),
        })
    })
}

/// A host without its port, and the port. The colons of an IPv6 address stand in brackets.
fn without_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((bare, port)) if !port.contains(']') => (bare, Some(port)),
        _ => (host, None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::Provider;
    use crate::provider::vector::{Request, connection, webhook};

    const FORM: &str = "application/x-www-form-urlencoded";

    fn twilio() -> Connection {
        let mut connection = connection(Provider::Twilio);
        connection.auth.auth_tokens.push(Secret::new("12345".into()));
        connection
    }

    fn signature(url: &str, parameters: &str) -> String {
        let mut mac = Hmac::<Sha1>::new_from_slice(b"12345").unwrap();
        mac.update(url.as_bytes());
        mac.update(parameters.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    }

    fn verdict(target: &str, signature: &str, body: &str) -> Result<Option<usize>, Unproved> {
        let headers = vec![("content-type", FORM), ("x-twilio-signature", signature)];
        let request = Request { method: "POST", target, segment: None, headers, body };
        check(&webhook(None, &request), &twilio(), body.as_bytes())
    }

    #[test]
    fn the_origin_is_tried_in_every_form_twilio_writes() {
        let basic = Basic { user: "u".into(), password: Secret::new("p".into()) };
        for (url, basic, expected) in [
            ("https://h.example", None, vec!["https://h.example", "https://h.example:443"]),
            ("http://h.example", None, vec!["http://h.example", "http://h.example:80"]),
            ("https://h.example:8443/in", None, vec!["https://h.example/in", "https://h.example:8443/in"]),
            ("https://[::1]", None, vec!["https://[::1]", "https://[::1]:443"]),
            ("https://[::1]:99", None, vec!["https://[::1]", "https://[::1]:99"]),
            (
                "https://h.example",
                Some(&basic),
                vec![
                    "https://h.example",
                    "https://h.example:443",
                    "https://u:p@h.example",
                    "https://u:p@h.example:443",
                ],
            ),
            (
                "https://a:b@h.example",
                None,
                vec![
                    "https://h.example",
                    "https://h.example:443",
                    "https://a:b@h.example",
                    "https://a:b@h.example:443",
                ],
            ),
        ] {
            assert_eq!(origins(url, basic).collect::<Vec<_>>(), expected, "{url}");
        }
    }

    #[test]
    fn a_form_that_is_not_called_one_is_not_covered() {
        let signature = signature("https://hooks.example.com/hooks/a", "ab");
        for kind in ["text/plain", "multipart/form-data; boundary=x", "application/json"] {
            let headers = vec![("content-type", kind), ("x-twilio-signature", &*signature)];
            let request = Request { method: "POST", target: "/hooks/a", segment: None, headers, body: "a=b" };
            assert_eq!(check(&webhook(None, &request), &twilio(), b"a=b"), Err(Unproved::NoSignature));
        }
        assert_eq!(verdict("/hooks/a", &signature, "a=b"), Ok(Some(0)));
    }

    #[test]
    fn an_empty_token_signs_nothing() {
        let mut connection = twilio();
        connection.auth.auth_tokens = vec![Secret::new(String::new())];
        let mut mac = Hmac::<Sha1>::new_from_slice(b"").unwrap();
        mac.update(b"https://hooks.example.com/hooks/a");
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let headers = vec![("x-twilio-signature", &*signature)];
        let request = Request { method: "POST", target: "/hooks/a", headers, ..Request::default() };
        assert_eq!(check(&webhook(None, &request), &connection, b""), Err(Unproved::WrongSignature));
    }

    /// True where a flip only changed the case of a hex digit of an escape, which says the same.
    fn says_the_same(before: &str, after: &str) -> bool {
        let read = |text: &str| {
            let mut pairs: Vec<_> = form::pairs(text.as_bytes())
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect();
            pairs.sort();
            pairs
        };
        read(before) == read(after)
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_refused(
            query in "[a-z]{1,5}=[a-zA-Z0-9]{0,8}",
            values in proptest::collection::vec("[ -~é]{0,12}", 1..6),
            place in any::<prop::sample::Index>(),
            bit in 0_u8..7,
        ) {
            let target = format!("/hooks/acme?{query}");
            let mut form = form_urlencoded::Serializer::new(String::new());
            let mut signed = String::new();
            for (index, value) in values.iter().enumerate() {
                form.append_pair(&format!("P{index}"), value);
                signed.push_str(&format!("P{index}{value}"));
            }
            let body = form.finish();
            let signature = signature(&format!("https://hooks.example.com{target}"), &signed);
            prop_assert_eq!(verdict(&target, &signature, &body), Ok(Some(0)));

            let mut all = format!("{target}\n{signature}\n{body}").into_bytes();
            let at = place.index(all.len());
            prop_assume!(all[at] != b'\n');
            all[at] ^= 1 << bit;
            // What cannot stand in a header or a request line never gets this far.
            prop_assume!(all[at] > b' ' && all[at] < 0x7f);
            let flipped = String::from_utf8(all).unwrap();
            let mut parts = flipped.splitn(3, '\n');
            let (target2, signature2, body2) =
                (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
            prop_assume!(body == body2 || !says_the_same(&body, body2));
            prop_assert!(verdict(target2, signature2, body2).is_err());
        }
    }
}
