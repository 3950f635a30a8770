//! What Twilio signs (`X-Twilio-Signature`): HMAC-SHA1 under the account's auth token, or an HMAC
//! under a shared key, of the URL it called, followed in a form by the sorted, distinct, decoded
//! parameters. In: a webhook nobody believes yet. Out: which token or key signed it. It never
//! re-serialises a URL, never stops at the first token that fits, and takes no algorithm that is
//! not configured.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::header::CONTENT_TYPE;
use http::{HeaderName, Method};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::form::{self, PARAMETERS};
use crate::config::{Basic, Connection, Secret, SharedAlgorithm, SharedKey};
use crate::provider::{Slot, Unproved};
use crate::receive::RawWebhook;

/// Characters of the longest signature, 32 bytes, in base64.
const SIGNATURE_LENGTH_MAX: usize = 44;

/// The query parameter that holds the digest of a body that is no form.
const BODY_DIGEST: &[u8] = b"bodySHA256";

/// `key=…,algorithm=…`: there when a shared key signed. It is not signed itself.
static SETTINGS: HeaderName = HeaderName::from_static("x-twilio-webhooks-signature-settings");

/// The header that holds the signature.
static SIGNATURE: HeaderName = HeaderName::from_static("x-twilio-signature");

/// Which auth token or shared key signed a webhook; none when the connection has none.
///
/// # Errors
/// [`Unproved::NoSignature`] when it is missing or doubled, or leaves the body uncovered;
/// [`Unproved::WrongSignature`] for one that no configured token or key makes.
pub fn check(webhook: &RawWebhook, connection: &Connection, body: &[u8]) -> Result<Vec<Slot>, Unproved> {
    let auth = &connection.auth;
    if auth.auth_tokens.is_empty() && auth.shared_keys.is_empty() {
        return Ok(Vec::new());
    }
    let presented = webhook.only_header(&SIGNATURE);
    let signed = signed(webhook, body);
    let claim = Claim {
        public_url: &connection.public_url,
        basic: auth.basic.as_ref(),
        signed: signed.as_deref().unwrap_or_default(),
        // An absent signature is compared too: its absence must not take less time than a wrong one.
        presented: presented.unwrap_or_default(),
    };
    let found = match settings(webhook)? {
        Some(named) if !auth.shared_keys.is_empty() => claim.key(&auth.shared_keys, &named),
        _ => claim.token(&auth.auth_tokens),
    };
    match (presented, signed.is_some(), found) {
        (Some(_), true, Some(slot)) => Ok(vec![slot]),
        (Some(_), true, None) => Err(Unproved::WrongSignature),
        _ => Err(Unproved::NoSignature),
    }
}

/// Does the work of [`check`] for a webhook whose connection does not exist.
pub fn spend(webhook: &RawWebhook, body: &[u8]) {
    let signed = signed(webhook, body).unwrap_or_default();
    let presented = webhook.only_header(&SIGNATURE).unwrap_or_default();
    let claim = Claim { public_url: "https://nobody.invalid", basic: None, signed: &signed, presented };
    std::hint::black_box(claim.token(&[Secret::new("nobody's token".into())]));
}

/// What a webhook says of the shared key that signed it.
struct Named<'w> {
    key: &'w str,
    algorithm: &'w str,
}

/// The key and the algorithm a webhook names, each once; `None` of one signed with an auth token.
fn settings(webhook: &RawWebhook) -> Result<Option<Named<'_>>, Unproved> {
    if !webhook.headers.contains_key(&SETTINGS) {
        return Ok(None);
    }
    let text = webhook.only_header(&SETTINGS).and_then(|value| std::str::from_utf8(value).ok());
    let (mut key, mut algorithm) = (None, None);
    for part in text.ok_or(Unproved::NoSignature)?.split(',') {
        let (name, value) = part.split_once('=').ok_or(Unproved::NoSignature)?;
        let place = match name.trim() {
            "key" => &mut key,
            "algorithm" => &mut algorithm,
            _ => continue,
        };
        if place.replace(value.trim()).is_some() {
            return Err(Unproved::NoSignature);
        }
    }
    key.zip(algorithm).map(|(key, algorithm)| Some(Named { key, algorithm })).ok_or(Unproved::NoSignature)
}

/// A signature somebody presents for a webhook.
struct Claim<'a> {
    public_url: &'a str,
    basic: Option<&'a Basic>,
    signed: &'a [u8],
    presented: &'a [u8],
}

impl Claim<'_> {
    /// The first auth token whose signature is the presented one, after trying every token.
    fn token(&self, tokens: &[Secret]) -> Option<Slot> {
        tokens.iter().enumerate().fold(None, |found, (index, token)| {
            let holds = self.holds::<Hmac<Sha1>>(token);
            found.or(holds.then_some(Slot { kind: "token", index }))
        })
    }

    /// The first shared key of that name and algorithm whose signature is the presented one, after
    /// trying every one.
    fn key(&self, keys: &[SharedKey], named: &Named<'_>) -> Option<Slot> {
        keys.iter().enumerate().fold(None, |found, (index, key)| {
            let (name, holds) = match key.algorithm {
                SharedAlgorithm::HmacSha1 => ("HMAC_SHA1", self.holds::<Hmac<Sha1>>(&key.secret)),
                SharedAlgorithm::HmacSha256 => ("HMAC_SHA256", self.holds::<Hmac<Sha256>>(&key.secret)),
            };
            let is_named = key.key == named.key && named.algorithm.eq_ignore_ascii_case(name);
            found.or((is_named & holds).then_some(Slot { kind: "shared", index }))
        })
    }

    /// Whether a secret signs the webhook under one of the origins. Stopping at the one that fits
    /// tells the holder of a right signature which URL Twilio called, and nobody anything else.
    fn holds<M: Mac + KeyInit + Clone>(&self, secret: &Secret) -> bool {
        let key = secret.expose().as_bytes();
        let Ok(keyed) = <M as KeyInit>::new_from_slice(key) else { return false };
        // An empty key proves nothing: anybody has it.
        !key.is_empty()
            && origins(self.public_url, self.basic).any(|origin| {
                let mut mac = keyed.clone();
                origin.iter().for_each(|part| mac.update(part.as_bytes()));
                mac.update(self.signed);
                let mut text = [0; SIGNATURE_LENGTH_MAX];
                let written = STANDARD.encode_slice(mac.finalize().into_bytes(), &mut text);
                // The text is compared, not the bytes: base64 has more than one spelling of some bytes.
                written.is_ok_and(|length| bool::from(text[..length].ct_eq(self.presented)))
            })
    }
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
    let mut parameters = Vec::with_capacity(PARAMETERS);
    parameters.extend(form::pairs(body));
    parameters.sort_unstable();
    parameters.dedup();
    for (name, value) in &parameters {
        text.extend_from_slice(name);
        text.extend_from_slice(value);
    }
}

fn is_form(webhook: &RawWebhook) -> bool {
    let kind = webhook.only_header(CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(|&b| b == b';').next().unwrap_or_default().trim_ascii();
    kind.eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
}

/// Every way Twilio is known to write the part of the URL before the target: with and without the
/// port, with and without the credentials it was given in the URL. The likeliest comes first. In
/// parts, which need not be put together to be signed.
fn origins<'a>(public_url: &'a str, basic: Option<&'a Basic>) -> impl Iterator<Item = Origin<'a>> {
    let (scheme, rest) = public_url.split_once("://").unwrap_or(("https", public_url));
    let (authority, prefix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (userinfo, host) =
        authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    let (bare, port) = without_port(host);
    let port = port.unwrap_or(if scheme.eq_ignore_ascii_case("http") { "80" } else { "443" });
    let userinfo = userinfo.map(|user| [user, "", "", "@"]);
    let passwords = basic.into_iter().flat_map(|basic| basic.passwords.iter().map(move |word| (basic, word)));
    let credentials = passwords.map(|(basic, word)| Some([basic.user.as_str(), ":", word.expose(), "@"]));
    let users = [Some([""; 4]), userinfo].into_iter().chain(credentials);
    users.flatten().flat_map(move |[user, colon, password, at]| {
        [["", ""], [":", port]]
            .map(|[before, port]| [scheme, "://", user, colon, password, at, bare, before, port, prefix])
    })
}

/// Scheme, credentials, host, port, path, with what stands between them.
type Origin<'a> = [&'a str; 10];

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

    const TOKEN: Slot = Slot { kind: "token", index: 0 };
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

    fn verdict(target: &str, signature: &str, body: &str) -> Result<Vec<Slot>, Unproved> {
        let headers = vec![("content-type", FORM), ("x-twilio-signature", signature)];
        let request = Request { method: "POST", target, segment: None, headers, body };
        check(&webhook(None, &request), &twilio(), body.as_bytes())
    }

    #[test]
    fn the_origin_is_tried_in_every_form_twilio_writes() {
        let basic = Basic { user: "u".into(), passwords: vec![Secret::new("p".into())] };
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
            let written: Vec<String> = origins(url, basic).map(|origin| origin.concat()).collect();
            assert_eq!(written, expected, "{url}");
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
        assert_eq!(verdict("/hooks/a", &signature, "a=b"), Ok(vec![TOKEN]));
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

    fn shared(settings: &[&str], signature: &str) -> Result<Vec<Slot>, Unproved> {
        let mut connection = twilio();
        let key = |key: &str, algorithm| SharedKey {
            key: key.into(),
            algorithm,
            secret: Secret::new("a shared secret".into()),
        };
        connection.auth.shared_keys =
            vec![key("k1", SharedAlgorithm::HmacSha1), key("k2", SharedAlgorithm::HmacSha256)];
        let mut headers = vec![("content-type", FORM), ("x-twilio-signature", signature)];
        headers.extend(settings.iter().map(|value| (SETTINGS.as_str(), *value)));
        let request = Request { method: "POST", target: "/hooks/a", segment: None, headers, body: "a=b" };
        check(&webhook(None, &request), &connection, b"a=b")
    }

    #[test]
    fn a_shared_key_signs_with_its_own_algorithm_and_no_other() {
        fn made<M: Mac + KeyInit>() -> String {
            let mut mac = <M as KeyInit>::new_from_slice(b"a shared secret").unwrap();
            mac.update(b"https://hooks.example.com/hooks/aab");
            STANDARD.encode(mac.finalize().into_bytes())
        }
        let (sha1, sha256) = (made::<Hmac<Sha1>>(), made::<Hmac<Sha256>>());
        let slot = |index| Ok(vec![Slot { kind: "shared", index }]);
        let wrong = || Err(Unproved::WrongSignature);
        let none = || Err(Unproved::NoSignature);
        let by_token = signature("https://hooks.example.com/hooks/a", "ab");
        for (settings, signature, expected) in [
            (["key=k2,algorithm=HMAC_SHA256"].as_slice(), &sha256, slot(1)),
            (&["algorithm=hmac_sha256, key=k2, version=1"], &sha256, slot(1)),
            (&["key=k1,algorithm=HMAC_SHA1"], &sha1, slot(0)),
            (&["key=k2,algorithm=HMAC_SHA1"], &sha1, wrong()),
            (&["key=k1,algorithm=HMAC_SHA256"], &sha256, wrong()),
            (&["key=k3,algorithm=HMAC_SHA256"], &sha256, wrong()),
            (&["key=k2,algorithm=HMAC_SHA256"], &by_token, wrong()),
            (&["key=k2"], &sha256, none()),
            (&["key=k2,key=k2,algorithm=HMAC_SHA256"], &sha256, none()),
            (&["key=k2,algorithm=HMAC_SHA256"; 2], &sha256, none()),
            (&["nonsense"], &sha256, none()),
            (&[], &sha256, wrong()),
            (&[], &by_token, Ok(vec![TOKEN])),
        ] {
            assert_eq!(shared(settings, signature), expected, "{settings:?}");
        }
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
            prop_assert_eq!(verdict(&target, &signature, &body), Ok(vec![TOKEN]));

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
