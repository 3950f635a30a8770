//! Signs as the providers do, written from their documentation and nothing else. A key and a
//! message go in, a header's value comes out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};

use crate::config::{self, HmacAlgorithm, HmacScheme, Secret, SharedAlgorithm};

/// Twilio's signature: base64 of an HMAC over the URL and the sorted parameters.
#[derive(Clone)]
pub(super) struct TwilioSigner {
    key: Secret,
    algorithm: SharedAlgorithm,
    /// What is said of a shared key.
    pub(super) settings: Option<String>,
}

impl TwilioSigner {
    /// A signer with the first auth token, or else the first shared key.
    pub(super) fn of(auth: &config::Auth) -> Option<Self> {
        let token = auth.auth_tokens.first().map(|token| Self::with_token(token.clone()));
        token.or_else(|| auth.shared_keys.first().map(Self::with_key))
    }

    const fn with_token(key: Secret) -> Self {
        Self { key, algorithm: SharedAlgorithm::HmacSha1, settings: None }
    }

    fn with_key(shared: &config::SharedKey) -> Self {
        let name = match shared.algorithm {
            SharedAlgorithm::HmacSha1 => "HMAC_SHA1",
            SharedAlgorithm::HmacSha256 => "HMAC_SHA256",
        };
        let settings = Some(format!("key={},algorithm={name}", shared.key));
        Self { key: shared.secret.clone(), algorithm: shared.algorithm, settings }
    }

    /// Signs a form POST to `url`; the parameters are already in the order of their names.
    pub(super) fn sign(&self, url: &str, sorted: &[(&str, &str)]) -> String {
        let parameters = sorted.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
        let parts: Vec<&[u8]> = std::iter::once(url.as_bytes()).chain(parameters).collect();
        let key = self.key.expose().as_bytes();
        STANDARD.encode(match self.algorithm {
            SharedAlgorithm::HmacSha1 => digest::<Hmac<sha1::Sha1>>(key, &parts),
            SharedAlgorithm::HmacSha256 => digest::<Hmac<sha2::Sha256>>(key, &parts),
        })
    }
}

/// The headers of CM's e-mail product: HMAC-SHA512 of an id, the time and the body.
pub(super) fn svix_headers(svix: &config::Svix, body: &[u8], millis: i64) -> Vec<(String, String)> {
    let Some(secret) = svix.secrets.first() else { return Vec::new() };
    let (id, time) = (format!("msg_{millis}"), millis.to_string());
    let parts = [id.as_bytes(), b".", time.as_bytes(), b".", body];
    let signature = STANDARD.encode(digest::<Hmac<sha2::Sha512>>(secret.expose().as_bytes(), &parts));
    let names = ["svix-id", "svix-timestamp", "svix-signature"].map(str::to_owned);
    names.into_iter().zip([id, time, signature]).collect()
}

/// Infobip's body HMAC: the headers it adds for `body`, told at `millis` since the epoch.
pub(super) fn body_headers(hmac: &config::Hmac, body: &[u8], millis: i64) -> Vec<(String, String)> {
    let Some(secret) = hmac.secrets.first() else { return Vec::new() };
    let key = secret.expose().as_bytes();
    match hmac.scheme {
        HmacScheme::Body => {
            let digest = hex::encode(keyed(hmac.algorithm, key, &[body]));
            vec![(hmac.header.clone(), format!("{}={digest}", prefix(hmac.algorithm)))]
        }
        HmacScheme::Exchange => {
            let told = millis.to_string();
            let digest = hex::encode(keyed(hmac.algorithm, key, &[told.as_bytes(), body]));
            vec![(hmac.header.clone(), digest), ("x-ib-exchange-req-timestamp".into(), told)]
        }
    }
}

/// The value of `Authorization` for basic credentials.
pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

const fn prefix(algorithm: HmacAlgorithm) -> &'static str {
    match algorithm {
        HmacAlgorithm::Md5 => "MD5",
        HmacAlgorithm::Sha1 => "SHA1",
        HmacAlgorithm::Sha224 => "SHA224",
        HmacAlgorithm::Sha256 => "SHA256",
        HmacAlgorithm::Sha384 => "SHA384",
        HmacAlgorithm::Sha512 => "SHA512",
    }
}

fn keyed(algorithm: HmacAlgorithm, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    match algorithm {
        HmacAlgorithm::Md5 => digest::<Hmac<md5::Md5>>(key, parts),
        HmacAlgorithm::Sha1 => digest::<Hmac<sha1::Sha1>>(key, parts),
        HmacAlgorithm::Sha224 => digest::<Hmac<sha2::Sha224>>(key, parts),
        HmacAlgorithm::Sha256 => digest::<Hmac<sha2::Sha256>>(key, parts),
        HmacAlgorithm::Sha384 => digest::<Hmac<sha2::Sha384>>(key, parts),
        HmacAlgorithm::Sha512 => digest::<Hmac<sha2::Sha512>>(key, parts),
    }
}

fn digest<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else { return Vec::new() };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twilios_own_vector_is_reproduced() {
        let sorted = [
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+14158675309"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
            ("To", "+18005551212"),
        ];
        let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
        assert_eq!(
            TwilioSigner::with_token(Secret::new("12345".into())).sign(url, &sorted),
            "RSOYDt4T1cUTdK1PDd93/VVr8B8="
        );
    }

    #[test]
    fn a_body_hmac_follows_rfc_4231() {
        let hmac = config::Hmac {
            header: "x-hub-signature".into(),
            algorithm: HmacAlgorithm::Sha256,
            secrets: vec![Secret::new("Jefe".into())],
            scheme: HmacScheme::Body,
        };
        let headers = body_headers(&hmac, b"what do ya want for nothing?", 0);
        let digest = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(headers, [("x-hub-signature".to_owned(), format!("SHA256={digest}"))]);
    }

    #[test]
    fn the_exchange_scheme_signs_the_time_before_the_body() {
        let body = |text: &str| keyed(HmacAlgorithm::Sha512, b"k", &[text.as_bytes()]);
        let hmac = config::Hmac {
            header: "x-ib-exchange-req-signature".into(),
            algorithm: HmacAlgorithm::Sha512,
            secrets: vec![Secret::new("k".into())],
            scheme: HmacScheme::Exchange,
        };
        let headers = body_headers(&hmac, b"{}", 1_667_951_050_990);
        assert_eq!(headers[0].1, hex::encode(body("1667951050990{}")));
        assert_eq!(headers[1].1, "1667951050990");
    }

    #[test]
    fn basic_credentials_follow_rfc_7617() {
        assert_eq!(basic("Aladdin", "open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }
}
