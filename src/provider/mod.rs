//! One folder a provider: what it signs ([`verify`]) and what it says ([`normalize`]). Pure: no
//! clock, no I/O, no counter.

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

use crate::config::Connection;
use crate::event::{Event, Provider};
use crate::receive::{RawWebhook, Reply, Verified};
use crate::registry::Registry;

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
    /// The connection has no way to authenticate; configuration refuses this.
    #[error("no authentication configured")]
    NothingConfigured,
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
            Self::NothingConfigured => "nothing_configured",
        }
    }
}

/// Which of the configured secrets a webhook was proved with, for `secret_uses_total`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// `path:0`, `token:1`, `hmac:0`, `basic:0`.
    pub slots: Vec<String>,
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
fn check(webhook: &RawWebhook, connection: &Connection, body: &[u8]) -> Result<Vec<String>, Unproved> {
    let address = credentials::address(webhook.remote, &connection.auth);
    let path = credentials::path_secret(webhook, &connection.auth);
    let basic = credentials::basic(webhook, &connection.auth);
    let (kind, signed) = match connection.provider {
        Provider::Twilio => ("token", twilio::signature::check(webhook, connection, body)),
        Provider::Infobip => ("hmac", infobip::signature::check(webhook, connection, body)),
        Provider::Cm => ("hmac", cm::signature::check(webhook, connection, body)),
        Provider::Lime => ("hmac", lime::signature::check(webhook, connection, body)),
    };
    // Everything is checked before anything is said, so that time does not tell what was wrong.
    address?;
    let shown = [("path", path?), ("basic", basic?), (kind, signed?)];
    let slots: Vec<String> =
        shown.into_iter().filter_map(|(kind, index)| Some(format!("{kind}:{}", index?))).collect();
    if slots.is_empty() { Err(Unproved::NothingConfigured) } else { Ok(slots) }
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
