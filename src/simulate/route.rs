//! Where one connection's webhooks go and how they are proved. A configured connection goes in;
//! requests come out, ready to be sent.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::Full;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::signer::{self, TwilioSigner};
use crate::clock::Timestamp;
use crate::config::{self, Connection, Mapping};
use crate::event::{ConnectionId, Number, Provider};

/// What a path segment may hold unencoded (RFC 3986, unreserved).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A request as it is sent.
pub type Prepared = Request<Full<Bytes>>;

/// One connection, seen by its provider.
#[derive(Clone)]
pub struct Route {
    /// Its id.
    pub connection: ConnectionId,
    /// Whose it is.
    pub provider: Provider,
    /// The number configured for receipts that name none.
    pub number: Option<Number>,
    /// Zone of times written without one.
    pub(super) zone: jiff::tz::TimeZone,
    /// Lime's field names.
    pub(super) mapping: Mapping,
    signed_url: String,
    uri: Uri,
    headers: HeaderMap,
    twilio: Option<TwilioSigner>,
    auth: config::Auth,
}

/// Whether a webhook is to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Honesty {
    /// Proved as configured.
    Genuine,
    /// With every proof spoilt.
    Forged,
}

/// A body and what it is.
pub(super) enum Body<'a> {
    /// Form parameters in the order of their names.
    Form(&'a [(&'a str, &'a str)]),
    /// JSON text.
    Json(String),
}

impl Route {
    /// The way to `connection` of a Sounder whose receiver answers at `target`, which is
    /// `http://host:port` and possibly a path.
    ///
    /// # Errors
    /// A `target` that makes no URL.
    pub fn new(connection: &Connection, target: &str) -> Result<Self, http::Error> {
        let secret = connection.auth.path_secrets.first().map(config::Secret::expose);
        let path = path(connection.id.as_str(), secret);
        let uri = Uri::try_from(format!("{}{path}", target.trim_end_matches('/')))?;
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static("sounder-simulate"));
        if let Some(authority) = uri.authority() {
            headers.insert(http::header::HOST, HeaderValue::from_str(authority.as_str())?);
        }
        if let Some(basic) = &connection.auth.basic
            && let Some(password) = basic.passwords.first()
        {
            let value = signer::basic(&basic.user, password.expose());
            headers.insert(AUTHORIZATION, HeaderValue::from_str(&value)?);
        }
        if let Some(token) = &connection.auth.header_token
            && let Some(secret) = token.secrets.first()
        {
            headers.insert(HeaderName::try_from(&token.header)?, HeaderValue::from_str(secret.expose())?);
        }
        Ok(Self {
            connection: connection.id.clone(),
            provider: connection.provider,
            number: connection.number.clone(),
            zone: jiff::tz::TimeZone::get(&connection.timezone).unwrap_or(jiff::tz::TimeZone::UTC),
            mapping: connection.mapping.clone(),
            signed_url: format!("{}{path}", connection.public_url.trim_end_matches('/')),
            uri: origin_form(&uri)?,
            headers,
            twilio: TwilioSigner::of(&connection.auth),
            auth: connection.auth.clone(),
        })
    }

    /// The request that carries `body`.
    pub(super) fn request(&self, body: Body<'_>, honesty: Honesty, now: Timestamp) -> Prepared {
        let mut headers = self.headers.clone();
        let (bytes, content_type) = match body {
            Body::Form(sorted) => {
                self.sign_form(sorted, &mut headers);
                (encode(sorted), "application/x-www-form-urlencoded")
            }
            Body::Json(text) => (self.with_token(text, honesty).into_bytes(), "application/json"),
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.sign_body(&bytes, now, &mut headers);
        let mut uri = self.uri.clone();
        if honesty == Honesty::Forged {
            uri = self.spoil(&mut headers, uri);
        }
        let mut request = Request::new(Full::new(Bytes::from(bytes)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        request
    }

    fn sign_form(&self, sorted: &[(&str, &str)], headers: &mut HeaderMap) {
        let Some(signer) = &self.twilio else { return };
        if let Ok(value) = HeaderValue::from_str(&signer.sign(&self.signed_url, sorted)) {
            headers.insert("x-twilio-signature", value);
        }
        if let Some(Ok(value)) = signer.settings.as_deref().map(HeaderValue::from_str) {
            headers.insert("x-twilio-webhooks-signature-settings", value);
        }
    }

    /// A JSON object with the token of the template, or a forger's guess of it.
    fn with_token(&self, text: String, honesty: Honesty) -> String {
        let Some(token) = &self.auth.body_token else { return text };
        let secret = token.secrets.first().map_or("", config::Secret::expose);
        let written = if honesty == Honesty::Forged { "forged" } else { secret };
        let field = serde_json::json!({ &token.field: written }).to_string();
        match text.strip_prefix('{') {
            Some("}") => field,
            Some(rest) => format!("{},{rest}", field.trim_end_matches('}')),
            None => text,
        }
    }

    fn sign_body(&self, bytes: &[u8], now: Timestamp, headers: &mut HeaderMap) {
        let hmac = self.auth.hmac.iter().flat_map(|hmac| signer::body_headers(hmac, bytes, now.millis()));
        let svix = self.auth.svix.iter().flat_map(|svix| signer::svix_headers(svix, bytes, now.millis()));
        for (name, value) in hmac.chain(svix) {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(&value)) {
                headers.insert(name, value);
            }
        }
    }

    /// Spoils every proof there is, keeping the form of each: a forger knows what one looks like.
    fn spoil(&self, headers: &mut HeaderMap, uri: Uri) -> Uri {
        let auth = &self.auth;
        let own = [
            auth.hmac.as_ref().map(|hmac| hmac.header.as_str()),
            auth.header_token.as_ref().map(|token| token.header.as_str()),
        ];
        for (name, value) in headers.iter_mut() {
            let known = ["x-twilio-signature", "svix-signature"].contains(&name.as_str());
            let proof = known || name == AUTHORIZATION || own.contains(&Some(name.as_str()));
            if proof && let Ok(spoilt) = HeaderValue::from_bytes(&spoilt(value.as_bytes())) {
                *value = spoilt;
            }
        }
        // Behind a wrong signature the right path secret must not help, nor the other way round.
        let mut segments: Vec<&str> = uri.path().split('/').collect();
        let hooks = segments.iter().position(|segment| *segment == "hooks").unwrap_or(0);
        if segments.len() > hooks + 2 {
            segments.truncate(hooks + 2);
            segments.push("forged");
        }
        Uri::try_from(segments.join("/")).unwrap_or(uri)
    }
}

/// What the provider calls, below the receiver's address.
fn path(id: &str, secret: Option<&str>) -> String {
    match secret {
        Some(secret) => format!("/hooks/{id}/{}", utf8_percent_encode(secret, SEGMENT)),
        None => format!("/hooks/{id}"),
    }
}

/// The request target of HTTP/1.1 to an origin server: path and query alone.
fn origin_form(uri: &Uri) -> Result<Uri, http::Error> {
    Ok(Uri::try_from(uri.path_and_query().map_or("/", |target| target.as_str()))?)
}

fn encode(parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut form = form_urlencoded::Serializer::new(String::with_capacity(384));
    form.extend_pairs(parameters);
    form.finish().into_bytes()
}

/// Changes one character near the end, before any padding.
fn spoilt(proof: &[u8]) -> Vec<u8> {
    let mut spoilt = proof.to_vec();
    if let Some(byte) = spoilt.iter_mut().rev().find(|byte| **byte != b'=') {
        *byte = if *byte == b'a' { b'b' } else { b'a' };
    }
    // The last character of base64 may hold unused bits; spoil an earlier one too.
    if let Some(byte) = spoilt.iter_mut().rev().nth(8) {
        *byte = if *byte == b'a' { b'b' } else { b'a' };
    }
    spoilt
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::scene;

    fn route(provider: Provider) -> Route {
        let config = scene::config(std::path::Path::new("unused"), 7);
        let connection = config.connections.iter().find(|c| c.provider == provider).unwrap();
        Route::new(connection, "http://127.0.0.1:8080").unwrap()
    }

    #[test]
    fn the_url_that_is_signed_is_the_public_one() {
        let route = route(Provider::Twilio);
        assert!(route.signed_url.ends_with("/hooks/acme-twilio"));
        assert_eq!(route.uri.path(), "/hooks/acme-twilio");
        let request = route.request(Body::Form(&[("A", "b c")]), Honesty::Genuine, Timestamp::default());
        let expected = route.twilio.as_ref().unwrap().sign(&route.signed_url, &[("A", "b c")]);
        assert_eq!(request.headers()["x-twilio-signature"], expected.as_str());
    }

    #[test]
    fn a_forgery_differs_in_every_proof() {
        for (provider, proofs) in [
            (Provider::Twilio, ["x-twilio-signature"].as_slice()),
            (Provider::Infobip, &["x-hub-signature"]),
            (Provider::Cm, &[]),
            (Provider::Lime, &["authorization"]),
        ] {
            let route = route(provider);
            let make = |honesty| route.request(Body::Form(&[("a", "b")]), honesty, Timestamp::default());
            let (genuine, forged) = (make(Honesty::Genuine), make(Honesty::Forged));
            for proof in proofs {
                let (true_one, spoilt) = (&genuine.headers()[*proof], &forged.headers()[*proof]);
                assert!(true_one != spoilt && true_one.len() == spoilt.len(), "{provider} {proof}");
            }
            let secret_in_path = matches!(provider, Provider::Cm | Provider::Lime);
            assert_eq!(genuine.uri() != forged.uri(), secret_in_path, "{provider}");
        }
    }

    #[test]
    fn path_secrets_are_encoded() {
        assert_eq!(path("a", Some("x/y z")), "/hooks/a/x%2Fy%20z");
    }
}
