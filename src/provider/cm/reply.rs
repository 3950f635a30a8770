//! Replies. In: a JSON document of the current or the legacy form. Out: consent or inbound, or why
//! it is neither. It never takes a copy of a sent message, or another channel's message, for a reply
//! to an SMS.

use serde_json::Value;

use super::fields::{at, text};
use crate::clock::Timestamp;
use crate::event::{Event, Recipient};
use crate::provider::Context;
use crate::provider::context::Said;

/// A webhook that is no reply to an SMS, and why.
#[derive(Debug)]
pub(super) struct NoReply {
    /// Why.
    pub(super) reason: &'static str,
    /// A secret of CM's own inside it, that must not be kept.
    pub(super) secret: Option<String>,
}

impl NoReply {
    const fn because(reason: &'static str) -> Self {
        Self { reason, secret: None }
    }
}

/// Says in an event what a reply says.
pub(super) fn event(context: &Context<'_>, document: &Value, item: &[u8]) -> Result<Event, NoReply> {
    if ["webhooktoken", "customGrouping", "skill"].iter().any(|key| at(document, key).is_some()) {
        let secret = Some(text(at(document, "webhooktoken"))).filter(|token| !token.is_empty());
        return Err(NoReply { reason: "a copy of a sent message, which counts for nothing here", secret });
    }
    let channel = text(at(document, "channel"));
    if !channel.is_empty() && !channel.eq_ignore_ascii_case("SMS") {
        return Err(NoReply::because("not SMS"));
    }
    let (from, to) = (party(at(document, "from")), party(at(document, "to")));
    let message = at(document, "message").map(|message| at(message, "text"));
    let Some(written) = message.or_else(|| at(document, "body").map(Some)).filter(|_| !from.is_empty())
    else {
        return Err(NoReply::because("not understood: neither a status report nor a reply"));
    };
    Ok(said(context, document, &[&from, &to, &text(written)], item))
}

/// CM gives replies no id, so who, to whom, when and what stand for one. The legacy form says no
/// time either; there the hour stands for it, so that CM's retries mostly count once and somebody's
/// second STOP, months later, still counts.
fn said(context: &Context<'_>, document: &Value, parts: &[&str; 3], item: &[u8]) -> Event {
    let [from, to, written] = *parts;
    let (reference, time) = (text(at(document, "reference")), text(at(document, "timeUtc")));
    let hour =
        if time.is_empty() { (context.received_at().minute() / 60).to_string() } else { String::new() };
    let person = context.recipient(from).map(|(recipient, _)| recipient);
    let person = person.as_ref().map(Recipient::as_str).unwrap_or_default();
    context.said(&Said {
        id: &["reply", &reference, person, to, &time, &hour, written],
        message_id: None,
        from,
        to: Some(to),
        text: written,
        flag: None,
        scope: None,
        occurred_at: utc(&time),
        item,
    })
}

/// `{"number": …}` of the current form, or the number itself.
fn party(value: Option<&Value>) -> String {
    text(value.and_then(|value| at(value, "number")).or(value))
}

/// `timeUtc` is UTC and says so in its name only.
fn utc(text: &str) -> Option<Timestamp> {
    text.parse().or_else(|_| format!("{text}Z").parse()).ok()
}
