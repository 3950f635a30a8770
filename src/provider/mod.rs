//! One folder a provider: what it signs ([`verify`]) and what it says ([`normalize`]). Pure: no
//! clock, no I/O, no counter.

pub mod api;
pub mod cm;
pub mod codes;
pub mod context;
pub mod country;
pub mod credentials;
pub mod infobip;
pub mod keyword;
pub mod lime;
pub mod twilio;

#[cfg(test)]
mod vector;

use std::fmt;

use crate::config::Connection;
use crate::event::{Event, Provider};
use crate::receive::{RawWebhook, Reply, Verified};
use crate::registry::Registry;

pub use codes::Explained;
pub use context::Context;

/// Why a webhook is not believed. The label of `verify_failures_total`, never shown to the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproved {
    /// The URL names no connection.
    #[error("unknown connection")]
    UnknownConnection,
    /// The URL's path secret is missing or wrong.
    #[error("wrong path secret")]
    PathSecret,
    /// The signature is missing, doubled or unreadable.
    #[error("no signature")]
    NoSignature,
    /// The signature is not the one the configured secrets make.
    #[error("wrong signature")]
    WrongSignature,
    /// Basic credentials are missing or wrong.
    #[error("wrong credentials")]
    Credentials,
    /// The address is not one of `allow_from`.
    #[error("address not allowed")]
    Address,
    /// The token in a header or in the body is missing or wrong.
    #[error("wrong token")]
    Token,
    /// The client certificate is missing or another.
    #[error("wrong client certificate")]
    Certificate,
    /// The signature's time is too far from now.
    #[error("signed at another time")]
    Stale,
    /// The connection has no way to authenticate; configuration refuses this.
    #[error("no authentication configured")]
    NothingConfigured,
    /// The connection's secrets could not be read: whoever calls may be genuine.
    #[error("secrets could not be read")]
    Unreadable,
}

impl Unproved {
    /// The label in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::UnknownConnection => "unknown_connection",
            Self::PathSecret => "path_secret",
            Self::NoSignature => "no_signature",
            Self::WrongSignature => "wrong_signature",
            Self::Credentials => "credentials",
            Self::Address => "address",
            Self::Token => "token",
            Self::Certificate => "certificate",
            Self::Stale => "stale",
            Self::NothingConfigured => "nothing_configured",
            Self::Unreadable => "secrets_unreadable",
        }
    }
}

/// A configured secret that a webhook was proved with, for `secret_uses_total`. Written `token:1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// `path`, `basic`, `header`, `certificate`, `token`, `shared`, `hmac`, `body` or `svix`.
    pub kind: &'static str,
    /// Its place in the configuration, from 0.
    pub index: usize,
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.index)
    }
}

/// What a check that is configured comes to; `None` of one that is not.
pub(crate) type Shown = Result<Option<Slot>, Unproved>;

/// What one of several secrets of a kind makes of what was presented.
pub(crate) fn shown(kind: &'static str, found: Option<usize>, wrong: Unproved) -> Shown {
    found.map(|index| Some(Slot { kind, index })).ok_or(wrong)
}

/// Which of the configured secrets a webhook was proved with; never none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// One for each way that is configured.
    pub slots: Vec<Slot>,
}

/// A proved webhook and what proved it.
#[derive(Debug)]
pub struct Proved {
    /// The webhook.
    pub webhook: Verified,
    /// What proved it.
    pub proof: Proof,
}

/// What a proved webhook says, and what its provider must be answered once that is durable.
#[derive(Debug)]
pub struct Normalized {
    /// The events, in the order in which they were told; never empty.
    pub events: Vec<Event>,
    /// The 2xx this provider needs for this kind of webhook.
    pub reply: Reply,
}

/// Proves who sent a webhook. An unknown connection costs the same work as a known one.
///
/// # Errors
/// The first check that does not hold.
pub fn verify(webhook: RawWebhook) -> Result<Proved, Unproved> {
    let mut slots = Vec::new();
    let webhook = webhook.prove(
        |webhook, connection, body| {
            slots = check(webhook, connection, body)?;
            Ok(())
        },
        |webhook, body| {
            twilio::signature::spend(webhook, body);
            Unproved::UnknownConnection
        },
    )?;
    Ok(Proved { webhook, proof: Proof { slots } })
}

/// Holds a webhook against everything its connection has configured. An address by itself proves
/// nothing: anybody behind the same proxy has it.
fn check(webhook: &RawWebhook, connection: &Connection, body: &[u8]) -> Result<Vec<Slot>, Unproved> {
    let auth = &connection.auth;
    if auth.is_unreadable {
        return Err(Unproved::Unreadable);
    }
    let address = credentials::address(webhook.remote, auth);
    let path = credentials::path_secret(webhook, auth);
    let basic = credentials::basic(webhook, auth);
    let header = credentials::header_token(webhook, auth);
    let certificate = credentials::client_certificate(webhook, auth);
    let signed = match connection.provider {
        Provider::Twilio => twilio::signature::check(webhook, connection, body),
        Provider::Infobip => infobip::signature::check(webhook, connection, body),
        Provider::Cm => cm::signature::check(webhook, connection, body),
        Provider::Lime => lime::signature::check(webhook, connection, body),
    };
    // Everything is checked before anything is said, so that time does not tell what was wrong.
    address?;
    let mut slots: Vec<Slot> = [path?, basic?, header?, certificate?].into_iter().flatten().collect();
    slots.extend(signed?);
    if slots.is_empty() { Err(Unproved::NothingConfigured) } else { Ok(slots) }
}

/// What a provider's status or error code stands for, as its receipts carry it; `None` of one that
/// its tables do not have.
pub fn explain(provider: Provider, code: &str) -> Option<Explained> {
    match provider {
        Provider::Twilio => twilio::codes::explain(code),
        Provider::Infobip => infobip::codes::explain(code),
        Provider::Cm => cm::codes::explain(code),
        Provider::Lime => lime::codes::explain(code),
    }
}

/// Says in events what a proved webhook says. What cannot be read becomes a dead letter.
pub fn normalize(webhook: &Verified, registry: &Registry) -> Normalized {
    let context = Context::new(webhook, registry);
    match webhook.connection().provider {
        Provider::Twilio => twilio::payload::normalize(&context),
        Provider::Infobip => infobip::payload::normalize(&context),
        Provider::Cm => cm::payload::normalize(&context),
        Provider::Lime => lime::payload::normalize(&context),
    }
}
