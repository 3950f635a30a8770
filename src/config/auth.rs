//! How a connection's webhooks prove where they come from. In: the keys of `[[connection]]` that
//! say so. Out: [`Auth`]. A provider's row in [`ways`] names all it may be asked for.

use ipnet::IpNet;

use super::Secret;
use super::section::Section;
use super::value::{
    body_field, choice, fingerprint, header, long_secret, network, path_secret, secret, shared_key, text,
};
use crate::event::Provider;

/// How a webhook proves where it comes from. Every part that is configured must hold, but for
/// Twilio's two ways to sign: its webhook says which of them it used.
#[derive(Clone, Debug, Default)]
pub struct Auth {
    /// Twilio auth tokens that sign.
    pub auth_tokens: Vec<Secret>,
    /// Twilio shared keys that sign.
    pub shared_keys: Vec<SharedKey>,
    /// Secrets accepted as the URL's last segment.
    pub path_secrets: Vec<Secret>,
    /// Basic credentials.
    pub basic: Option<Basic>,
    /// A body HMAC (Infobip).
    pub hmac: Option<Hmac>,
    /// A secret in a header of one's own (Infobip).
    pub header_token: Option<HeaderToken>,
    /// A secret in the body's template (CM).
    pub body_token: Option<BodyToken>,
    /// The signature of CM's e-mail product.
    pub svix: Option<Svix>,
    /// SHA-256 of the client certificates that are let in, where Sounder ends TLS (Infobip).
    pub client_certificates: Vec<[u8; 32]>,
    /// Addresses webhooks may come from.
    pub allow_from: Vec<IpNet>,
    /// A secret could not be read: nobody is believed.
    pub is_unreadable: bool,
}

impl Auth {
    /// Every secret, for those who must keep them out of sight.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let shared = self.shared_keys.iter().map(|key| &key.secret);
        let basic = self.basic.iter().flat_map(|basic| &basic.passwords);
        let hmac = self.hmac.iter().flat_map(|hmac| &hmac.secrets);
        let header = self.header_token.iter().flat_map(|token| &token.secrets);
        let body = self.body_token.iter().flat_map(|token| &token.secrets);
        let svix = self.svix.iter().flat_map(|svix| &svix.secrets);
        let listed = self.auth_tokens.iter().chain(&self.path_secrets);
        listed.chain(shared).chain(basic).chain(hmac).chain(header).chain(body).chain(svix)
    }
}

/// A key Twilio shares with an account, and the one algorithm it may sign with: a webhook names
/// both in a header that is not signed.
#[derive(Clone, Debug)]
pub struct SharedKey {
    /// Its id, `webhooks_sharedkey_…`.
    pub key: String,
    /// The algorithm.
    pub algorithm: SharedAlgorithm,
    /// The secret.
    pub secret: Secret,
}

/// Algorithms of Twilio's shared keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are the algorithms' names")]
pub enum SharedAlgorithm {
    HmacSha1,
    HmacSha256,
}

/// Basic credentials.
#[derive(Clone, Debug)]
pub struct Basic {
    /// User name.
    pub user: String,
    /// Passwords, each accepted.
    pub passwords: Vec<Secret>,
}

/// A keyed digest of the body in a header.
#[derive(Clone, Debug)]
pub struct Hmac {
    /// Header that holds it, lower case.
    pub header: String,
    /// Digest.
    pub algorithm: HmacAlgorithm,
    /// Keys, each accepted.
    pub secrets: Vec<Secret>,
    /// What is signed.
    pub scheme: HmacScheme,
}

/// Digests Infobip offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are the digests' names")]
pub enum HmacAlgorithm {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// What an HMAC covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HmacScheme {
    /// The body.
    Body,
    /// The value of `X-Ib-Exchange-Req-Timestamp`, then the body.
    Exchange,
}

/// A secret that stands in a header as it is.
#[derive(Clone, Debug)]
pub struct HeaderToken {
    /// The header, lower case.
    pub header: String,
    /// Secrets, each accepted.
    pub secrets: Vec<Secret>,
}

/// A secret that stands in a field of the body, which is a template one writes oneself.
#[derive(Clone, Debug)]
pub struct BodyToken {
    /// The field, lower case.
    pub field: String,
    /// Secrets, each accepted.
    pub secrets: Vec<Secret>,
}

/// `svix-signature`: HMAC-SHA512 of id, timestamp and body.
#[derive(Clone, Debug)]
pub struct Svix {
    /// Keys, each accepted.
    pub secrets: Vec<Secret>,
}

/// Every key that lets somebody in.
const WAYS: [&str; 9] = [
    "auth_tokens",
    "shared_keys",
    "path_secrets",
    "basic",
    "hmac",
    "header_token",
    "body_token",
    "svix",
    "client_certificates",
];

/// Those that a provider's webhooks can take.
const fn ways(provider: Provider) -> &'static [&'static str] {
    match provider {
        Provider::Twilio => &["auth_tokens", "shared_keys", "path_secrets", "basic"],
        Provider::Infobip => &["path_secrets", "basic", "hmac", "header_token", "client_certificates"],
        Provider::Cm => &["path_secrets", "basic", "body_token", "svix"],
        Provider::Lime => &["path_secrets", "basic"],
    }
}

pub(super) fn read(table: &mut Section<'_>, whose: Option<Provider>) -> Auth {
    let written: Vec<&str> = WAYS.into_iter().filter(|key| table.is_filled(key)).collect();
    let auth = Auth {
        auth_tokens: table.each("auth_tokens", secret),
        shared_keys: table.sections("shared_keys").into_iter().filter_map(read_shared_key).collect(),
        path_secrets: table.each("path_secrets", path_secret),
        basic: table.optional("basic").and_then(read_basic),
        hmac: table.optional("hmac").and_then(read_hmac),
        header_token: table.optional("header_token").and_then(read_header_token),
        body_token: table.optional("body_token").and_then(read_body_token),
        svix: table.optional("svix").and_then(read_svix),
        client_certificates: table.each("client_certificates", fingerprint),
        allow_from: table.each("allow_from", network),
        is_unreadable: table.holds_unreadable(),
    };
    let Some(provider) = whose else { return auth };
    let foreign = written.iter().filter(|way| !ways(provider).contains(way));
    for way in foreign {
        let what = format!("is no way {provider} can authenticate its webhooks");
        table.wrong(way, &what, &format!("remove it; use {}", ways(provider).join(", ")));
    }
    // A way that was written wrongly is a mistake of its own already.
    if written.is_empty() {
        table.absent("", no_proof(&auth), remedy_for_no_proof(provider));
    }
    auth
}

const fn no_proof(auth: &Auth) -> &'static str {
    match auth.allow_from.is_empty() {
        true => "has no way to authenticate",
        false => "has no way to authenticate: allow_from alone is none, addresses are shared and spoofed",
    }
}

const fn remedy_for_no_proof(provider: Provider) -> &'static str {
    match provider {
        Provider::Twilio => "write auth_tokens = [\"env:TWILIO_AUTH_TOKEN\"], or path_secrets, or basic",
        Provider::Infobip => "write path_secrets (make one with `sounder secret new`), basic or hmac",
        Provider::Cm | Provider::Lime => "write path_secrets (make one with `sounder secret new`) or basic",
    }
}

fn read_shared_key(mut table: Section<'_>) -> Option<SharedKey> {
    let algorithms = [("hmac_sha256", SharedAlgorithm::HmacSha256), ("hmac_sha1", SharedAlgorithm::HmacSha1)];
    let remedy = "write { key = \"webhooks_sharedkey_…\", secret = \"env:NAME\" }";
    let key = table.required("key", shared_key, remedy);
    let algorithm = table.or("algorithm", choice(&algorithms), SharedAlgorithm::HmacSha256);
    let secret = table.required("secret", long_secret, remedy);
    Some(SharedKey { key: key?, algorithm, secret: secret? })
}

fn read_basic(mut table: Section<'_>) -> Option<Basic> {
    let user = table.required("user", text, "write basic = { user = \"…\", password = \"env:…\" }");
    let is_written = ["password", "passwords"].map(|key| table.is_filled(key)).contains(&true);
    let mut passwords = table.each("passwords", secret);
    passwords.extend(table.get("password", secret));
    if !is_written {
        table.absent("password", "is missing", "write password = \"env:NAME\"");
    }
    if user.as_ref().is_some_and(|user| user.contains(':')) {
        table.wrong("user", "holds a colon, which basic credentials cannot", "choose another user name");
    }
    (!passwords.is_empty()).then_some(Basic { user: user?, passwords })
}

fn read_hmac(mut table: Section<'_>) -> Option<Hmac> {
    let scheme = table.or(
        "scheme",
        choice(&[("body", HmacScheme::Body), ("exchange", HmacScheme::Exchange)]),
        HmacScheme::Body,
    );
    let default_header = match scheme {
        HmacScheme::Body => "x-hub-signature",
        HmacScheme::Exchange => "x-ib-exchange-req-signature",
    };
    let algorithms = [
        ("md5", HmacAlgorithm::Md5),
        ("sha1", HmacAlgorithm::Sha1),
        ("sha224", HmacAlgorithm::Sha224),
        ("sha256", HmacAlgorithm::Sha256),
        ("sha384", HmacAlgorithm::Sha384),
        ("sha512", HmacAlgorithm::Sha512),
    ];
    let header = table.or("header", header, default_header.to_owned());
    let algorithm = table.or("algorithm", choice(&algorithms), HmacAlgorithm::Sha256);
    let secrets = read_secrets(&mut table, Strength::Given)?;
    Some(Hmac { header, algorithm, secrets, scheme })
}

fn read_header_token(mut table: Section<'_>) -> Option<HeaderToken> {
    let header = table.or("header", header, "x-sounder-token".to_owned());
    let secrets = read_secrets(&mut table, Strength::Chosen)?;
    Some(HeaderToken { header, secrets })
}

fn read_body_token(mut table: Section<'_>) -> Option<BodyToken> {
    let field = table.or("field", body_field, "token".to_owned());
    let secrets = read_secrets(&mut table, Strength::Chosen)?;
    Some(BodyToken { field, secrets })
}

fn read_svix(mut table: Section<'_>) -> Option<Svix> {
    Some(Svix { secrets: read_secrets(&mut table, Strength::Given)? })
}

/// Who made a secret.
#[derive(Clone, Copy)]
enum Strength {
    /// The provider, as long as it likes.
    Given,
    /// The operator, who is told when it is too short.
    Chosen,
}

fn read_secrets(table: &mut Section<'_>, strength: Strength) -> Option<Vec<Secret>> {
    let is_filled = table.is_filled("secrets");
    let secrets = match strength {
        Strength::Given => table.each("secrets", secret),
        Strength::Chosen => table.each("secrets", long_secret),
    };
    if !is_filled {
        table.absent("secrets", "is missing", "write secrets = [\"env:NAME\"]");
    }
    (!secrets.is_empty()).then_some(secrets)
}
