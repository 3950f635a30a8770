//! What proves a webhook of CM's. CM signs no SMS webhook, but its body is a template the operator
//! writes, which can hold a token; CM's e-mail product signs in the manner of Svix. In: a webhook
//! nobody believes yet. Out: which secrets it showed. It never reads a large body for a token.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha512;
use subtle::ConstantTimeEq as _;

use super::fields::Fields;
use crate::config::{BodyToken, Connection, Secret, Svix};
use crate::provider::credentials::which;
use crate::provider::{Shown, Slot, Unproved, shown};
use crate::receive::RawWebhook;

/// The largest body a token is looked for in, in bytes: CM sends one report a request, and a
/// stranger must not have megabytes read.
const TOKEN_BODY_BYTES_MAX: usize = 64 * 1024;
/// How far `svix-timestamp` may be from the clock.
const TOLERANCE: Duration = Duration::from_secs(300);

/// Which secrets in the body or in `svix-signature` prove the webhook; none when none are configured.
///
/// # Errors
/// [`Unproved::Token`] for a missing or wrong token, [`Unproved::NoSignature`],
/// [`Unproved::WrongSignature`] and [`Unproved::Stale`] for a signature.
pub fn check(webhook: &RawWebhook, connection: &Connection, body: &[u8]) -> Result<Vec<Slot>, Unproved> {
    let auth = &connection.auth;
    let token = auth.body_token.as_ref().map_or(Ok(None), |expected| token(expected, webhook, body));
    let signed = auth.svix.as_ref().map_or(Ok(None), |svix| signed(svix, webhook, body));
    Ok([token?, signed?].into_iter().flatten().collect())
}

/// The token in a field of the body, or of the query where there is no body.
fn token(expected: &BodyToken, webhook: &RawWebhook, body: &[u8]) -> Shown {
    let fields = match body.len() {
        0 => Fields::of_query(webhook.query().unwrap_or_default().as_bytes()),
        1..=TOKEN_BODY_BYTES_MAX => Fields::of_body(body),
        _ => Fields::default(),
    };
    let presented = fields.get(&[&expected.field]).unwrap_or_default();
    shown("body", which(&expected.secrets, presented.as_bytes()), Unproved::Token)
}

/// HMAC-SHA512 over `svix-id`, `svix-timestamp` (milliseconds) and the body, joined by dots.
fn signed(svix: &Svix, webhook: &RawWebhook, body: &[u8]) -> Shown {
    let header =
        |name| webhook.only_header(name).filter(|value| !value.is_empty()).ok_or(Unproved::NoSignature);
    let (id, time, presented) = (header("svix-id")?, header("svix-timestamp")?, header("svix-signature")?);
    // A dot in either would let what is signed be cut elsewhere.
    if id.contains(&b'.') {
        return Err(Unproved::NoSignature);
    }
    let signed_at: i64 = std::str::from_utf8(time)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or(Unproved::NoSignature)?;
    let found = svix.secrets.iter().enumerate().fold(None, |found, (index, secret)| {
        let holds = signs(secret, [id, time, body], presented);
        found.or(holds.then_some(index))
    });
    let slot = shown("svix", found, Unproved::WrongSignature)?;
    let apart = webhook.received_at.millis().abs_diff(signed_at);
    if u128::from(apart) > TOLERANCE.as_millis() { Err(Unproved::Stale) } else { Ok(slot) }
}

fn signs(secret: &Secret, [id, time, body]: [&[u8]; 3], presented: &[u8]) -> bool {
    let key = secret.expose().as_bytes();
    let Ok(mut mac) = Hmac::<Sha512>::new_from_slice(key) else { return false };
    for part in [id, b".", time, b".", body] {
        mac.update(part);
    }
    let text = STANDARD.encode(mac.finalize().into_bytes());
    bool::from(text.as_bytes().ct_eq(presented)) & !key.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Provider;
    use crate::provider::vector::{Request, connection, flipped, webhook};

    fn with_token() -> Connection {
        let mut connection = connection(Provider::Cm);
        let secrets = vec![Secret::new("new".into()), Secret::new("old".into())];
        connection.auth.body_token = Some(BodyToken { field: "token".into(), secrets });
        connection
    }

    fn by_token(target: &str, body: &str) -> Result<Vec<Slot>, Unproved> {
        let request = Request { method: "POST", target, body, ..Request::default() };
        check(&webhook(None, &request), &with_token(), body.as_bytes())
    }

    #[test]
    fn a_token_is_found_wherever_the_template_has_it() {
        let slot = |index| Ok(vec![Slot { kind: "body", index }]);
        for (target, body, expected) in [
            ("/hooks/a", r#"{"messages":{"msg":{"to":"1"}},"Token":"new"}"#, slot(0)),
            ("/hooks/a", r#"{"messages":{"msg":{"to":"1","token":"old"}}}"#, slot(1)),
            ("/hooks/a", "<MESSAGES><MSG><TO>1</TO><TOKEN>old</TOKEN></MSG></MESSAGES>", slot(1)),
            ("/hooks/a", "reference=a&token=new", slot(0)),
            ("/hooks/a?reference=a&token=new", "", slot(0)),
            ("/hooks/a", r#"{"token":"other"}"#, Err(Unproved::Token)),
            ("/hooks/a", r#"{"token":""}"#, Err(Unproved::Token)),
            ("/hooks/a?token=new", r#"{"messages":{}}"#, Err(Unproved::Token)),
            ("/hooks/a", "", Err(Unproved::Token)),
            ("/hooks/a", "{", Err(Unproved::Token)),
        ] {
            assert_eq!(by_token(target, body), expected, "{target} {body}");
        }
        for token in flipped("new") {
            let body =
                format!("token={}", form_urlencoded::byte_serialize(token.as_bytes()).collect::<String>());
            assert_eq!(by_token("/hooks/a", &body), Err(Unproved::Token), "{body}");
        }
        let large = format!(r#"{{"token":"new","x":"{}"}}"#, "x".repeat(TOKEN_BODY_BYTES_MAX));
        assert_eq!(by_token("/hooks/a", &large), Err(Unproved::Token));
    }

    fn by_svix(headers: &[(&str, &str)], body: &str) -> Result<Vec<Slot>, Unproved> {
        let mut connection = connection(Provider::Cm);
        let secrets = vec![Secret::new("old".into()), Secret::new("key".into())];
        connection.auth.svix = Some(Svix { secrets });
        let request = Request {
            method: "POST",
            target: "/hooks/a",
            headers: headers.to_vec(),
            body,
            ..Request::default()
        };
        check(&webhook(None, &request), &connection, body.as_bytes())
    }

    #[test]
    fn a_signature_covers_id_time_and_body_and_grows_old() {
        // The webhooks of these tests are received at 1795428000412.
        let made = |id: &str, time: &str, body: &str| {
            let mut mac = Hmac::<Sha512>::new_from_slice(b"key").unwrap();
            mac.update(format!("{id}.{time}.{body}").as_bytes());
            STANDARD.encode(mac.finalize().into_bytes())
        };
        let now = "1795428000000";
        let signature = made("m1", now, "{}");
        let asked = |id: &str, time: &str, signature: &str, body: &str| {
            by_svix(&[("svix-id", id), ("svix-timestamp", time), ("svix-signature", signature)], body)
        };
        assert_eq!(asked("m1", now, &signature, "{}"), Ok(vec![Slot { kind: "svix", index: 1 }]));
        assert_eq!(asked("m2", now, &signature, "{}"), Err(Unproved::WrongSignature));
        assert_eq!(asked("m1", "1795428000001", &signature, "{}"), Err(Unproved::WrongSignature));
        assert_eq!(asked("m1", now, &signature, "{ }"), Err(Unproved::WrongSignature));
        for id in flipped("m1") {
            assert!(asked(&id, now, &signature, "{}").is_err(), "{id}");
        }
        for time in flipped(now) {
            assert!(asked("m1", &time, &signature, "{}").is_err(), "{time}");
        }
        for wrong in flipped(&signature) {
            assert!(asked("m1", now, &wrong, "{}").is_err(), "{wrong}");
        }
        for body in flipped("{}") {
            assert!(asked("m1", now, &signature, &body).is_err(), "{body}");
        }
        let old = "1795427700411";
        assert_eq!(asked("m1", old, &made("m1", old, "{}"), "{}"), Err(Unproved::Stale));
        let moved = made("m1.17", now, "{}");
        assert_eq!(asked("m1.17", now, &moved, "{}"), Err(Unproved::NoSignature));
        assert_eq!(asked("m1", "", &signature, "{}"), Err(Unproved::NoSignature));
        let twice = [("svix-id", "m1"), ("svix-timestamp", now), ("svix-signature", &*signature)];
        let doubled: Vec<_> = twice.iter().chain(&twice[2..]).copied().collect();
        assert_eq!(by_svix(&doubled, "{}"), Err(Unproved::NoSignature));
    }
}
