//! `[[connection]]`: a provider account's way in, and what proves that a webhook came from it.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::Secret;
use super::receive::warn_of_plain_http;
use super::section::Section;
use super::value::{
    choice, connection_id, header, network, path_secret, provider, secret, sender, text, timezone, url, whole,
};
use crate::event::{ConnectionId, Number, Provider};

/// One provider account's way in: `[[connection]]`.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its id, as in the webhook's URL.
    pub id: ConnectionId,
    /// Whose webhooks it takes.
    pub provider: Provider,
    /// What this provider calls, without a trailing slash and without `/hooks/…`.
    pub public_url: String,
    /// How a webhook proves where it comes from; everything configured must hold.
    pub auth: Auth,
    /// The sending number, where receipts name none (CM, Lime).
    pub number: Option<Number>,
    /// Requests per second; more are answered 429.
    pub rate_limit: Option<u32>,
    /// IANA name of the zone of times written without one.
    pub timezone: String,
    /// Lime: which field holds what.
    pub mapping: Mapping,
}

/// How a webhook proves where it comes from. Every part that is configured must hold.
#[derive(Clone, Debug, Default)]
pub struct Auth {
    /// Twilio auth tokens that sign.
    pub auth_tokens: Vec<Secret>,
    /// Secrets accepted as the URL's last segment.
    pub path_secrets: Vec<Secret>,
    /// Basic credentials.
    pub basic: Option<Basic>,
    /// A body HMAC (Infobip).
    pub hmac: Option<Hmac>,
    /// Addresses webhooks may come from.
    pub allow_from: Vec<IpNet>,
}

/// Basic credentials.
#[derive(Clone, Debug)]
pub struct Basic {
    /// User name.
    pub user: String,
    /// Password.
    pub password: Secret,
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

/// Lime: the field that holds each fact of a delivery receipt.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are named after what they map")]
pub struct Mapping {
    pub message_id: String,
    pub recipient: String,
    pub sender: String,
    pub status: String,
    pub error: String,
}

impl Default for Mapping {
    fn default() -> Self {
        Self {
            message_id: "message_id".into(),
            recipient: "mobile".into(),
            sender: "sender".into(),
            status: "status".into(),
            error: "error".into(),
        }
    }
}

/// The connections, and the ids of all that are declared, wrongly declared ones too: a leg to one
/// of those is not a second mistake.
pub(super) struct Declared {
    pub(super) connections: Vec<Connection>,
    pub(super) ids: BTreeSet<ConnectionId>,
}

pub(super) fn read(tables: Vec<Section<'_>>, public_url: &str) -> Declared {
    let mut declared = Declared { connections: Vec::new(), ids: BTreeSet::new() };
    for mut table in tables {
        let id = table.required("id", connection_id, "name the connection, as in id = \"acme-twilio\"");
        if let Some(id) = &id {
            table.rename(format!("connection.{id}"));
            if !declared.ids.insert(id.clone()) {
                table.wrong("id", "is the id of another connection", "give each its own: it is in its URL");
            }
        }
        declared.connections.extend(read_one(&mut table, id, public_url));
    }
    declared
}

fn read_one(table: &mut Section<'_>, id: Option<ConnectionId>, public_url: &str) -> Option<Connection> {
    let whose =
        table.required("provider", provider, "write provider = \"twilio\", \"infobip\", \"cm\" or \"lime\"");
    let auth = read_auth(table, whose);
    let own_url = table.get("public_url", url);
    if let Some(own) = &own_url {
        warn_of_plain_http(table, own);
    }
    let number = table.get("number", sender);
    let rate_limit = table.get("rate_limit", whole(1..=1_000_000));
    let timezone = table.get("timezone", timezone);
    let mapping = read_mapping(table, whose);
    refuse_later(table);
    let whose = whose?;
    Some(Connection {
        id: id?,
        provider: whose,
        public_url: own_url.unwrap_or_else(|| public_url.to_owned()),
        auth,
        number,
        rate_limit,
        timezone: timezone.unwrap_or_else(|| default_timezone(whose).to_owned()),
        mapping,
    })
}

/// CM writes local times without a zone, and CM's default is that of Breda.
fn default_timezone(provider: Provider) -> &'static str {
    match provider {
        Provider::Cm => "Europe/Amsterdam",
        Provider::Twilio | Provider::Infobip | Provider::Lime => "UTC",
    }
}

fn refuse_later(table: &mut Section<'_>) {
    // Not having checked a header would be an open door, not a missing comfort.
    table.later("header_token", "use path_secrets or basic, which are checked");
    table.later("reference_prefix", "name the sending number in number, with one connection a number");
    let nobody_calls = "Sounder does not call the provider's API yet";
    for key in ["account_sid", "user", "api_id"] {
        table.idle(key, text, nobody_calls);
    }
    for key in ["api_key", "product_token"] {
        table.idle(key, secret, nobody_calls);
    }
    table.idle("api_url", url, nobody_calls);
}

fn read_auth(table: &mut Section<'_>, whose: Option<Provider>) -> Auth {
    let is_written = ["auth_tokens", "path_secrets", "basic", "hmac"].map(|key| table.is_filled(key));
    let auth = Auth {
        auth_tokens: table.each("auth_tokens", secret),
        path_secrets: table.each("path_secrets", path_secret),
        basic: table.optional("basic").and_then(read_basic),
        hmac: table.optional("hmac").and_then(read_hmac),
        allow_from: table.each("allow_from", network),
    };
    match whose {
        Some(Provider::Infobip | Provider::Cm | Provider::Lime) if is_written[0] => {
            table.wrong(
                "auth_tokens",
                "is Twilio's way to sign",
                "remove it; use path_secrets, or hmac for Infobip",
            );
        }
        Some(Provider::Twilio | Provider::Cm | Provider::Lime) if is_written[3] => {
            table.wrong(
                "hmac",
                "is Infobip's way to sign",
                "remove it; use auth_tokens for Twilio, else path_secrets",
            );
        }
        // A way that was written wrongly is a mistake of its own already.
        Some(provider) if !is_written.contains(&true) => {
            table.absent("", &no_proof(&auth), remedy_for_no_proof(provider));
        }
        _ => {}
    }
    auth
}

fn no_proof(auth: &Auth) -> String {
    match auth.allow_from.is_empty() {
        true => "has no way to authenticate".to_owned(),
        false => "has no way to authenticate: allow_from alone is none, addresses are shared and spoofed"
            .to_owned(),
    }
}

fn remedy_for_no_proof(provider: Provider) -> &'static str {
    match provider {
        Provider::Twilio => "write auth_tokens = [\"env:TWILIO_AUTH_TOKEN\"], or path_secrets, or basic",
        Provider::Infobip => "write path_secrets (make one with `sounder secret new`), basic or hmac",
        Provider::Cm | Provider::Lime => "write path_secrets (make one with `sounder secret new`) or basic",
    }
}

fn read_basic(mut table: Section<'_>) -> Option<Basic> {
    let user = table.required("user", text, "write basic = { user = \"…\", password = \"env:…\" }");
    let password = table.required("password", secret, "write password = \"env:NAME\"");
    if user.as_ref().is_some_and(|user| user.contains(':')) {
        table.wrong("user", "holds a colon, which basic credentials cannot", "choose another user name");
    }
    Some(Basic { user: user?, password: password? })
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
    let is_filled = table.is_filled("secrets");
    let hmac = Hmac {
        header: table.or("header", header, default_header.to_owned()),
        algorithm: table.or("algorithm", choice(&algorithms), HmacAlgorithm::Sha256),
        secrets: table.each("secrets", secret),
        scheme,
    };
    if !is_filled {
        table.absent("secrets", "is missing", "write secrets = [\"env:NAME\"]");
    }
    (!hmac.secrets.is_empty()).then_some(hmac)
}

fn read_mapping(table: &mut Section<'_>, whose: Option<Provider>) -> Mapping {
    let default = Mapping::default();
    let Some(mut own) = table.optional("mapping") else { return default };
    if whose.is_some_and(|provider| provider != Provider::Lime) {
        table.wrong("mapping", "is for Lime, whose fields are not public", "remove it");
    }
    Mapping {
        message_id: own.or("message_id", text, default.message_id),
        recipient: own.or("recipient", text, default.recipient),
        sender: own.or("sender", text, default.sender),
        status: own.or("status", text, default.status),
        error: own.or("error", text, default.error),
    }
}
