//! What Infobip signs. In: a webhook nobody believes yet. Out: which configured secret proves it.
//! It must never believe a webhook without the configured header, nor take what was signed under
//! one scheme for something signed under the other.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};

use crate::config::{Connection, HmacAlgorithm, HmacScheme, Secret};
use crate::provider::{Slot, Unproved};
use crate::receive::RawWebhook;

/// The header whose value the exchange scheme signs before the body.
const EXCHANGE_TIMESTAMP: &str = "x-ib-exchange-req-timestamp";
/// Longest digest in bytes, as base64 or hex: no header is decoded that is longer.
const SIGNATURE_BYTES_MAX: usize = 160;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Which configured secret made the signature; none when this connection's webhooks bear none.
///
/// # Errors
/// [`Unproved::NoSignature`] when the header is missing, doubled or unreadable,
/// [`Unproved::WrongSignature`] when no configured secret made it.
pub fn check(webhook: &RawWebhook, connection: &Connection, body: &[u8]) -> Result<Vec<Slot>, Unproved> {
    let Some(hmac) = &connection.auth.hmac else { return Ok(Vec::new()) };
    let header = webhook.only_header(&hmac.header).ok_or(Unproved::NoSignature)?;
    let presented = signature(header, hmac.algorithm)?;
    let timestamp = match hmac.scheme {
        HmacScheme::Exchange => Some(exchange_timestamp(webhook)?),
        HmacScheme::Body => None,
    };
    // A body that begins with digits is a timestamp and a body that were signed by the exchange
    // scheme, presented as one: no webhook of Infobip's is such a document.
    let replayed = timestamp.is_none() && body.first().is_some_and(u8::is_ascii_digit);
    if replayed {
        return Err(Unproved::WrongSignature);
    }
    let parts = [timestamp.unwrap_or_default(), body];
    signer(&hmac.secrets, &Claim { algorithm: hmac.algorithm, parts, presented: &presented })
        .map(|index| vec![Slot { kind: "hmac", index }])
        .ok_or(Unproved::WrongSignature)
}

/// A digest somebody presents for some bytes.
struct Claim<'a> {
    algorithm: HmacAlgorithm,
    parts: [&'a [u8]; 2],
    presented: &'a [u8],
}

/// The first secret that makes the claim true, after trying every one.
fn signer(secrets: &[Secret], claim: &Claim<'_>) -> Option<usize> {
    secrets.iter().enumerate().fold(None, |found, (index, secret)| {
        let made = holds(claim, secret.expose().as_bytes());
        found.or(made.then_some(index))
    })
}

fn holds(claim: &Claim<'_>, key: &[u8]) -> bool {
    match claim.algorithm {
        HmacAlgorithm::Md5 => made_by::<Hmac<Md5>>(claim, key),
        HmacAlgorithm::Sha1 => made_by::<Hmac<Sha1>>(claim, key),
        HmacAlgorithm::Sha224 => made_by::<Hmac<Sha224>>(claim, key),
        HmacAlgorithm::Sha256 => made_by::<Hmac<Sha256>>(claim, key),
        HmacAlgorithm::Sha384 => made_by::<Hmac<Sha384>>(claim, key),
        HmacAlgorithm::Sha512 => made_by::<Hmac<Sha512>>(claim, key),
    }
}

/// Compares in constant time. An empty key proves nothing: anybody has it.
fn made_by<M: Mac + KeyInit>(claim: &Claim<'_>, key: &[u8]) -> bool {
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else { return false };
    for part in claim.parts {
        mac.update(part);
    }
    mac.verify_slice(claim.presented).is_ok() & !key.is_empty()
}

/// The timestamp as signed: digits and nothing else, or the border to the body could be moved.
fn exchange_timestamp(webhook: &RawWebhook) -> Result<&[u8], Unproved> {
    webhook
        .only_header(EXCHANGE_TIMESTAMP)
        .filter(|value| (1..=20).contains(&value.len()) && value.iter().all(u8::is_ascii_digit))
        .ok_or(Unproved::NoSignature)
}

/// The digest in a header: hex of either case or base64, with or without `<algorithm>=` before it.
fn signature(header: &[u8], algorithm: HmacAlgorithm) -> Result<Vec<u8>, Unproved> {
    let text = std::str::from_utf8(header).map_err(|_| Unproved::NoSignature)?.trim();
    if text.len() > SIGNATURE_BYTES_MAX {
        return Err(Unproved::NoSignature);
    }
    let text = match text.split_once('=').and_then(|(name, rest)| Some((named(name)?, rest))) {
        Some((name, rest)) if name == algorithm => rest.trim(),
        Some(_) => return Err(Unproved::WrongSignature),
        None => text,
    };
    if text.len() == 2 * length(algorithm)
        && let Ok(digest) = hex::decode(text)
    {
        return Ok(digest);
    }
    BASE64.decode(text).ok().filter(|digest| digest.len() == length(algorithm)).ok_or(Unproved::NoSignature)
}

/// The algorithm a prefix names: `SHA256`, `sha-256`, `HMAC_SHA_256`.
fn named(prefix: &str) -> Option<HmacAlgorithm> {
    let name: String =
        prefix.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    match name.strip_prefix("hmac").unwrap_or(&name) {
        "md5" => Some(HmacAlgorithm::Md5),
        "sha1" => Some(HmacAlgorithm::Sha1),
        "sha224" => Some(HmacAlgorithm::Sha224),
        "sha256" => Some(HmacAlgorithm::Sha256),
        "sha384" => Some(HmacAlgorithm::Sha384),
        "sha512" => Some(HmacAlgorithm::Sha512),
        _ => None,
    }
}

/// Bytes of a digest.
const fn length(algorithm: HmacAlgorithm) -> usize {
    match algorithm {
        HmacAlgorithm::Md5 => 16,
        HmacAlgorithm::Sha1 => 20,
        HmacAlgorithm::Sha224 => 28,
        HmacAlgorithm::Sha256 => 32,
        HmacAlgorithm::Sha384 => 48,
        HmacAlgorithm::Sha512 => 64,
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD as PADDED, STANDARD_NO_PAD};

    use super::*;
    use crate::config::Hmac as Configured;
    use crate::event::Provider;
    use crate::provider::vector::{Request, connection, flipped, webhook};

    const BODY: &str = r#"{"results":[]}"#;
    const TIMESTAMP: &str = "1667951050990";
    const ALGORITHMS: [(HmacAlgorithm, &str); 6] = [
        (HmacAlgorithm::Md5, "MD5"),
        (HmacAlgorithm::Sha1, "sha1"),
        (HmacAlgorithm::Sha224, "sha-224"),
        (HmacAlgorithm::Sha256, "SHA256"),
        (HmacAlgorithm::Sha384, "hmac_sha_384"),
        (HmacAlgorithm::Sha512, "Sha512"),
    ];

    fn digest(algorithm: HmacAlgorithm, key: &str, text: &str) -> Vec<u8> {
        fn made<M: Mac + KeyInit>(key: &str, text: &str) -> Vec<u8> {
            let mut mac = <M as KeyInit>::new_from_slice(key.as_bytes()).unwrap();
            mac.update(text.as_bytes());
            mac.finalize().into_bytes().to_vec()
        }
        match algorithm {
            HmacAlgorithm::Md5 => made::<Hmac<Md5>>(key, text),
            HmacAlgorithm::Sha1 => made::<Hmac<Sha1>>(key, text),
            HmacAlgorithm::Sha224 => made::<Hmac<Sha224>>(key, text),
            HmacAlgorithm::Sha256 => made::<Hmac<Sha256>>(key, text),
            HmacAlgorithm::Sha384 => made::<Hmac<Sha384>>(key, text),
            HmacAlgorithm::Sha512 => made::<Hmac<Sha512>>(key, text),
        }
    }

    fn held(configured: Configured, headers: Vec<(&str, &str)>, body: &str) -> Result<Vec<Slot>, Unproved> {
        let mut connection = connection(Provider::Infobip);
        connection.auth.hmac = Some(configured);
        let request = Request { method: "POST", target: "/hooks/acme-infobip", segment: None, headers, body };
        let raw = webhook(Some(connection.clone()), &request);
        check(&raw, &connection, body.as_bytes())
    }

    fn configured(algorithm: HmacAlgorithm, scheme: HmacScheme, secrets: &[&str]) -> Configured {
        let secrets = secrets.iter().map(|text| Secret::new((*text).to_owned())).collect();
        Configured { header: "x-hub-signature".into(), algorithm, secrets, scheme }
    }

    #[test]
    fn the_digest_is_the_published_one() {
        // RFC 4231, test case 2, and RFC 2202, test case 2.
        let text = "what do ya want for nothing?";
        for (algorithm, hex) in [
            (HmacAlgorithm::Sha256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (HmacAlgorithm::Sha224, "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44"),
            (HmacAlgorithm::Sha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (HmacAlgorithm::Md5, "750c783e6ab0b503eaa86e310a5db738"),
        ] {
            let found = held(
                configured(algorithm, HmacScheme::Body, &["Jefe"]),
                vec![("X-Hub-Signature", hex)],
                text,
            );
            assert_eq!(found, Ok(vec![Slot { kind: "hmac", index: 0 }]), "{algorithm:?}");
        }
    }

    #[test]
    fn every_digest_is_read_in_every_form_with_and_without_its_name() {
        for (algorithm, name) in ALGORITHMS {
            let digest = digest(algorithm, "k", BODY);
            let hex = hex::encode(&digest);
            let forms = [hex.to_uppercase(), hex, PADDED.encode(&digest), STANDARD_NO_PAD.encode(&digest)];
            for form in forms {
                for written in [form.clone(), format!("{name}={form}"), format!(" {name}= {form} ")] {
                    let configured = configured(algorithm, HmacScheme::Body, &["old", "k"]);
                    let found = held(configured, vec![("x-hub-signature", &written)], BODY);
                    assert_eq!(found, Ok(vec![Slot { kind: "hmac", index: 1 }]), "{written}");
                }
            }
        }
    }

    #[test]
    fn any_flipped_bit_is_refused() {
        let stamped = format!("{TIMESTAMP}{BODY}");
        for (scheme, text) in [(HmacScheme::Body, BODY), (HmacScheme::Exchange, &*stamped)] {
            let right = digest(HmacAlgorithm::Sha256, "k", text);
            let of = |digest: &[u8], time: &str, body: &str| {
                let configured = configured(HmacAlgorithm::Sha256, scheme, &["k"]);
                let digest = hex::encode(digest);
                let headers = vec![("x-hub-signature", &*digest), ("x-ib-exchange-req-timestamp", time)];
                held(configured, headers, body)
            };
            assert!(of(&right, TIMESTAMP, BODY).is_ok());
            for bit in 0..256 {
                let mut wrong = right.clone();
                wrong[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(of(&wrong, TIMESTAMP, BODY), Err(Unproved::WrongSignature));
            }
            for body in flipped(BODY) {
                assert_eq!(of(&right, TIMESTAMP, &body), Err(Unproved::WrongSignature), "{body}");
            }
            for time in flipped(TIMESTAMP) {
                assert_eq!(of(&right, &time, BODY).is_err(), scheme == HmacScheme::Exchange, "{time}");
            }
        }
    }

    #[test]
    fn a_header_that_cannot_be_a_digest_is_none() {
        let short = hex::encode(&digest(HmacAlgorithm::Sha256, "k", BODY)[..31]);
        for written in ["", "sha256=", "zz", &short, &"a".repeat(5000), "é"] {
            let configured = configured(HmacAlgorithm::Sha256, HmacScheme::Body, &["k"]);
            let found = held(configured, vec![("x-hub-signature", written)], BODY);
            assert_eq!(found, Err(Unproved::NoSignature), "{written}");
        }
    }

    #[test]
    fn an_empty_secret_proves_nothing() {
        let written = hex::encode(digest(HmacAlgorithm::Sha256, "", BODY));
        let configured = configured(HmacAlgorithm::Sha256, HmacScheme::Body, &[""]);
        assert_eq!(
            held(configured, vec![("x-hub-signature", &written)], BODY),
            Err(Unproved::WrongSignature)
        );
    }

    #[test]
    fn neither_scheme_takes_what_the_other_signed() {
        let exchange = || configured(HmacAlgorithm::Sha256, HmacScheme::Exchange, &["k"]);
        let stamped = format!("{TIMESTAMP}{BODY}");
        let [by_body, by_exchange] =
            [BODY, &stamped].map(|text| hex::encode(digest(HmacAlgorithm::Sha256, "k", text)));
        let time = "x-ib-exchange-req-timestamp";
        let signed = |written| vec![("x-hub-signature", written), (time, TIMESTAMP)];
        assert_eq!(held(exchange(), signed(&by_exchange), BODY), Ok(vec![Slot { kind: "hmac", index: 0 }]));
        assert_eq!(held(exchange(), signed(&by_body), BODY), Err(Unproved::WrongSignature));
        // The border moved into the timestamp, and the stamped body presented as a body.
        let moved = vec![("x-hub-signature", &*by_body), (time, "{")];
        assert_eq!(held(exchange(), moved, &BODY[1..]), Err(Unproved::NoSignature));
        let body = configured(HmacAlgorithm::Sha256, HmacScheme::Body, &["k"]);
        assert_eq!(
            held(body, vec![("x-hub-signature", &by_exchange)], &stamped),
            Err(Unproved::WrongSignature)
        );
    }

    #[test]
    fn a_connection_without_hmac_has_nothing_signed() {
        let connection = connection(Provider::Infobip);
        let raw =
            webhook(Some(connection.clone()), &Request { method: "POST", target: "/", ..Request::default() });
        assert_eq!(check(&raw, &connection, b""), Ok(Vec::new()));
    }
}
