//! `[[connection]]`: a provider account's way in, and what proves that a webhook came from it.

use std::collections::BTreeSet;

use super::api::{self, Api};
use super::auth::{self, Auth};
use super::receive::{Receive, warn_of_plain_http};
use super::section::Section;
use super::value::{connection_id, provider, sender, text, timezone, url, whole};
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
    /// What references begin with, and the number whose messages bear them (CM, Lime); the longest
    /// first.
    pub reference_prefix: Vec<(String, Number)>,
    /// Requests per second; more are answered 429.
    pub rate_limit: Option<u32>,
    /// IANA name of the zone of times written without one.
    pub timezone: String,
    /// Lime: which field holds what.
    pub mapping: Mapping,
    /// The account's way to the provider's API, if it is given one.
    pub api: Option<Api>,
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

pub(super) fn read(tables: Vec<Section<'_>>, receive: &Receive) -> Declared {
    let mut declared = Declared { connections: Vec::new(), ids: BTreeSet::new() };
    for mut table in tables {
        let id = table.required("id", connection_id, "name the connection, as in id = \"acme-twilio\"");
        if let Some(id) = &id {
            table.rename(format!("connection.{id}"));
            if !declared.ids.insert(id.clone()) {
                table.wrong("id", "is the id of another connection", "give each its own: it is in its URL");
            }
        }
        declared.connections.extend(read_one(&mut table, id, receive));
    }
    declared
}

fn read_one(table: &mut Section<'_>, id: Option<ConnectionId>, receive: &Receive) -> Option<Connection> {
    let whose =
        table.required("provider", provider, "write provider = \"twilio\", \"infobip\", \"cm\" or \"lime\"");
    let auth = auth::read(table, whose);
    if receive.tls.is_none() && !auth.client_certificates.is_empty() {
        let remedy = "set receive.tls, or remove it: behind a proxy the proxy sees the certificate";
        table.wrong("client_certificates", "needs Sounder to end TLS itself", remedy);
    }
    let own_url = table.get("public_url", url);
    if let Some(own) = &own_url {
        warn_of_plain_http(table, own);
    }
    let number = table.get("number", sender);
    let reference_prefix = read_reference_prefix(table, whose);
    let rate_limit = table.get("rate_limit", whole(1..=1_000_000));
    let timezone = table.get("timezone", timezone);
    let mapping = read_mapping(table, whose);
    let api = api::read(table, whose, &auth.auth_tokens);
    let whose = whose?;
    Some(Connection {
        id: id?,
        provider: whose,
        public_url: own_url.unwrap_or_else(|| receive.public_url.clone()),
        auth,
        number,
        reference_prefix,
        rate_limit,
        timezone: timezone.unwrap_or_else(|| default_timezone(whose).to_owned()),
        mapping,
        api,
    })
}

/// CM writes local times without a zone, and CM's default is that of Breda.
fn default_timezone(provider: Provider) -> &'static str {
    match provider {
        Provider::Cm => "Europe/Amsterdam",
        Provider::Twilio | Provider::Infobip | Provider::Lime => "UTC",
    }
}

/// The longest prefix comes first: it says the most.
fn read_reference_prefix(table: &mut Section<'_>, whose: Option<Provider>) -> Vec<(String, Number)> {
    let is_written = table.is_filled("reference_prefix");
    let mut prefixes = table.entries_of("reference_prefix", |_, field| sender(field));
    prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    match whose {
        Some(Provider::Twilio | Provider::Infobip) if is_written => {
            table.wrong("reference_prefix", "is for CM and Lime, whose receipts name no sender", "remove it")
        }
        _ if prefixes.iter().any(|(prefix, _)| prefix.is_empty()) => table.wrong(
            "reference_prefix",
            "has an empty prefix, which every reference begins with",
            "name that number in number",
        ),
        _ => {}
    }
    prefixes
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
