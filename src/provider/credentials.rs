//! What every provider can be asked to show: an address, a path secret, basic credentials. In: an
//! unproved webhook. Out: which secret it showed. It never says which part of a secret was wrong,
//! and never compares one with a shortcut.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use subtle::ConstantTimeEq as _;

use super::{Shown, Unproved, shown};
use crate::config::{Auth, Secret};
use crate::receive::RawWebhook;

/// Refuses addresses that are not in `allow_from`, when there is such a list.
///
/// # Errors
/// [`Unproved::Address`].
pub fn address(remote: IpAddr, auth: &Auth) -> Result<(), Unproved> {
    let remote = remote.to_canonical();
    let allowed = auth.allow_from.is_empty() || auth.allow_from.iter().any(|net| net.contains(&remote));
    if allowed { Ok(()) } else { Err(Unproved::Address) }
}

/// Which path secret the URL ends in; `None` when the connection has none.
///
/// # Errors
/// [`Unproved::PathSecret`] for a missing, wrong or uncalled-for one.
pub fn path_secret(webhook: &RawWebhook, auth: &Auth) -> Shown {
    let Some(segment) = &webhook.path_secret else {
        return if auth.path_secrets.is_empty() { Ok(None) } else { Err(Unproved::PathSecret) };
    };
    let presented: Vec<u8> = percent_decode_str(segment).collect();
    shown("path", which(&auth.path_secrets, &presented), Unproved::PathSecret)
}

/// Which password of the basic credentials the request showed; `None` when none are configured.
///
/// # Errors
/// [`Unproved::Credentials`] for missing, doubled, unreadable or wrong ones.
pub fn basic(webhook: &RawWebhook, auth: &Auth) -> Shown {
    let Some(expected) = &auth.basic else { return Ok(None) };
    let presented =
        webhook.only_header("authorization").and_then(credentials).ok_or(Unproved::Credentials)?;
    let colon = presented.iter().position(|&b| b == b':').ok_or(Unproved::Credentials)?;
    let user = expected.user.as_bytes().ct_eq(&presented[..colon]);
    let password = which(&expected.passwords, &presented[colon + 1..]);
    // Both are compared before either is believed, so that time says nothing of which was wrong.
    shown("basic", password.filter(|_| bool::from(user)), Unproved::Credentials)
}

/// Which secret the configured header holds; `None` when none is configured.
///
/// # Errors
/// [`Unproved::Token`] for a missing, doubled or wrong one.
pub fn header_token(webhook: &RawWebhook, auth: &Auth) -> Shown {
    let Some(expected) = &auth.header_token else { return Ok(None) };
    let presented = webhook.only_header(&expected.header).unwrap_or_default();
    shown("header", which(&expected.secrets, presented), Unproved::Token)
}

/// Which client certificate the sender holds; `None` when none is asked for. A digest is no secret.
///
/// # Errors
/// [`Unproved::Certificate`] for another one, or none.
pub fn client_certificate(webhook: &RawWebhook, auth: &Auth) -> Shown {
    if auth.client_certificates.is_empty() {
        return Ok(None);
    }
    let presented = webhook.client_certificate.as_ref();
    let found = auth.client_certificates.iter().position(|known| Some(known) == presented);
    shown("certificate", found, Unproved::Certificate)
}

/// The first secret equal to what was presented, after comparing with every one.
pub fn which(secrets: &[Secret], presented: &[u8]) -> Option<usize> {
    secrets.iter().enumerate().fold(None, |found, (index, secret)| {
        let matches = !secret.expose().is_empty() & secret.matches(presented);
        found.or(matches.then_some(index))
    })
}

fn credentials(header: &[u8]) -> Option<Vec<u8>> {
    let (scheme, rest) = header.split_at_checked(6)?;
    let encoded = scheme.eq_ignore_ascii_case(b"basic ").then(|| rest.trim_ascii())?;
    STANDARD.decode(encoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Basic, HeaderToken};
    use crate::event::Provider;
    use crate::provider::Slot;
    use crate::provider::vector::{Request, connection, flipped, webhook};

    fn asked(headers: Vec<(&str, &str)>) -> RawWebhook {
        let request = Request { method: "POST", target: "/hooks/a", headers, ..Request::default() };
        webhook(Some(connection(Provider::Cm)), &request)
    }

    #[test]
    fn basic_credentials_hold_whole_or_not_at_all() {
        let basic_auth =
            Basic { user: "u".into(), passwords: vec![Secret::new("p:w".into()), Secret::new("q".into())] };
        let auth = Auth { basic: Some(basic_auth), ..Auth::default() };
        let encoded = |text: &str| format!("Basic {}", STANDARD.encode(text));
        for (shown, expected) in [
            (encoded("u:p:w"), Ok(Some(Slot { kind: "basic", index: 0 }))),
            (encoded("u:q"), Ok(Some(Slot { kind: "basic", index: 1 }))),
            (encoded("u:p:w").replace("Basic", "basic"), Ok(Some(Slot { kind: "basic", index: 0 }))),
            (encoded("u:p"), Err(Unproved::Credentials)),
            (encoded("v:p:w"), Err(Unproved::Credentials)),
            (encoded("up:w"), Err(Unproved::Credentials)),
            (encoded("nothing"), Err(Unproved::Credentials)),
            (encoded("u:p:w").replace("Basic", "Bearer"), Err(Unproved::Credentials)),
            ("Basic".into(), Err(Unproved::Credentials)),
            ("Basic %%%".into(), Err(Unproved::Credentials)),
        ] {
            assert_eq!(basic(&asked(vec![("authorization", &shown)]), &auth), expected, "{shown}");
        }
        let right = encoded("u:p:w");
        let doubled = asked(vec![("authorization", &right), ("authorization", &right)]);
        assert_eq!(basic(&doubled, &auth), Err(Unproved::Credentials));
        assert_eq!(basic(&asked(Vec::new()), &auth), Err(Unproved::Credentials));
        assert_eq!(basic(&doubled, &Auth::default()), Ok(None));
    }

    #[test]
    fn any_flipped_bit_of_a_secret_is_refused() {
        const RIGHT: &str = "0123456789abcdef";
        let secrets = || vec![Secret::new(RIGHT.into())];
        let auth = Auth {
            path_secrets: secrets(),
            basic: Some(Basic { user: "u".into(), passwords: secrets() }),
            header_token: Some(HeaderToken { header: "x-token".into(), secrets: secrets() }),
            ..Auth::default()
        };
        let found = |secret: &str, user: &str| {
            let credentials = format!("Basic {}", STANDARD.encode(format!("{user}:{secret}")));
            let escaped = percent_encoding::utf8_percent_encode(secret, percent_encoding::NON_ALPHANUMERIC);
            let escaped = escaped.to_string();
            let headers = vec![("authorization", &*credentials), ("x-token", secret)];
            let target = "/hooks/a/s";
            let request =
                Request { method: "POST", target, segment: Some(&escaped), headers, ..Request::default() };
            let webhook = webhook(None, &request);
            [path_secret(&webhook, &auth), basic(&webhook, &auth), header_token(&webhook, &auth)]
        };
        assert!(found(RIGHT, "u").iter().all(Result::is_ok));
        for secret in flipped(RIGHT) {
            assert!(found(&secret, "u").iter().all(Result::is_err), "{secret}");
        }
        for user in flipped("u") {
            assert_eq!(found(RIGHT, &user)[1], Err(Unproved::Credentials), "{user}");
        }
    }

    #[test]
    fn an_address_written_as_ipv6_is_the_same_address() {
        let auth = Auth { allow_from: vec!["10.0.0.0/8".parse().unwrap()], ..Auth::default() };
        for (remote, expected) in [
            ("10.1.2.3", Ok(())),
            ("::ffff:10.1.2.3", Ok(())),
            ("11.1.2.3", Err(Unproved::Address)),
            ("::1", Err(Unproved::Address)),
        ] {
            assert_eq!(address(remote.parse().unwrap(), &auth), expected, "{remote}");
        }
    }

    #[test]
    fn an_empty_secret_is_never_shown() {
        let secrets = [Secret::new(String::new()), Secret::new("a".into()), Secret::new("a".into())];
        assert_eq!(which(&secrets, b""), None);
        assert_eq!(which(&secrets, b"a"), Some(1));
    }
}
