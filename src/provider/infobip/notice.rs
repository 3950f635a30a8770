//! Registration events: what becomes of brands, campaigns and requests for numbers. In: an item of
//! the `REGISTRATION` channel. Out: feedback with one plain sentence. It never decides whether a
//! number may send; it only says what Infobip said.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::item::{Item, Text, read};
use crate::event::{Body, Event, Feedback, FeedbackKind, Number, Severity};
use crate::provider::Context;

/// Longest explanation that is quoted.
const REASON_MAX: usize = 300;

/// The facts of a notice, under every name they have in its kinds.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content<'a> {
    #[serde(borrow, default)]
    tcr_id: Text<'a>,
    #[serde(borrow, default)]
    campaign_id: Text<'a>,
    #[serde(borrow, default)]
    brand_id: Text<'a>,
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    campaign_status: Text<'a>,
    #[serde(borrow, default)]
    campaign_network_status: Text<'a>,
    #[serde(borrow, default)]
    brand_status: Text<'a>,
    #[serde(borrow, default)]
    brand_vetting_status: Text<'a>,
    #[serde(borrow, default)]
    status: Text<'a>,
    #[serde(borrow, default)]
    campaign_network: Text<'a>,
    #[serde(borrow, default)]
    note: Text<'a>,
    #[serde(borrow, default)]
    number: Text<'a>,
    #[serde(borrow, default)]
    numbers: Option<&'a RawValue>,
    #[serde(borrow, default)]
    rejection_reasons: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Listed<'a> {
    #[serde(borrow, default)]
    number: Text<'a>,
}

impl Content<'_> {
    fn subject(&self) -> Option<&str> {
        [&self.tcr_id, &self.campaign_id, &self.brand_id, &self.id].into_iter().find_map(|text| text.some())
    }

    fn status(&self) -> Option<&str> {
        [
            &self.campaign_status,
            &self.campaign_network_status,
            &self.brand_vetting_status,
            &self.brand_status,
            &self.status,
        ]
        .into_iter()
        .find_map(|text| text.some())
    }

    /// The number it is about, when it is about one.
    fn number(&self) -> Option<Number> {
        let listed: Vec<Listed<'_>> = self.numbers.and_then(read).unwrap_or_default();
        let text = match listed.as_slice() {
            [only] => only.number.some(),
            _ => self.number.some(),
        };
        text.and_then(Number::parse)
    }

    fn reason(&self) -> Option<String> {
        let reasons = self.rejection_reasons.and_then(read::<Value>).map(|value| words(&value));
        reasons.filter(|text| !text.is_empty()).or_else(|| self.note.some().map(str::to_owned))
    }
}

/// True of the events of the registration channel.
pub(super) fn is_registration(event: &str) -> bool {
    ["BRAND_", "CAMPAIGN_", "RESOURCE_REQUEST_", "AI_CAMPAIGN_"]
        .iter()
        .any(|prefix| event.starts_with(prefix))
}

/// Says in an event what a notice says; `None` when it has no content.
pub(super) fn event(context: &Context<'_>, item: &Item<'_>) -> Option<Event> {
    let name = item.event.some()?;
    let content: Content<'_> = item.content.and_then(read)?;
    let status = content.status().unwrap_or_default();
    let subject = content.subject();
    let (kind, severity) = gravity(name, status);
    let id = [
        "registration",
        name,
        subject.unwrap_or_default(),
        status,
        content.campaign_network.as_str(),
        item.received_at.as_str(),
    ];
    let feedback = Feedback {
        provider: context.connection().provider,
        connection: context.connection().id.clone(),
        kind,
        severity,
        number: content.number(),
        subject: subject.map(|text| bounded(text, 64)),
        provider_event: bounded(name, 64),
        code: None,
        text: sentence(name, &content),
        occurred_at: item.received_at.moment(),
        received_at: context.received_at(),
    };
    Some(context.event(&id, Body::Feedback(feedback)))
}

/// How grave a status is: what stops sending, what somebody must repair, and the rest.
fn gravity(event: &str, status: &str) -> (FeedbackKind, Severity) {
    match status.to_ascii_uppercase().as_str() {
        "SUSPENDED" | "BLOCKED" | "DEREGISTERED" | "DEACTIVATED" => {
            (FeedbackKind::Suspension, Severity::Suspension)
        }
        "REJECTED"
        | "REJECTED_EXTERNALLY"
        | "FAILURE"
        | "FAILED"
        | "CANCELED"
        | "CANCELLED"
        | "EXPIRED"
        | "PAUSED"
        | "ON_HOLD" => (FeedbackKind::Registration, Severity::Warning),
        _ if event.ends_with("_REMINDER") => (FeedbackKind::Registration, Severity::Warning),
        _ => (FeedbackKind::Registration, Severity::Info),
    }
}

fn sentence(event: &str, content: &Content<'_>) -> String {
    let noun = match event.split('_').next() {
        Some("BRAND") => "The brand",
        Some("RESOURCE") => "The request for numbers",
        _ => "The campaign",
    };
    let mut text = noun.to_owned();
    if let Some(subject) = content.subject() {
        text = format!("{text} {}", bounded(subject, 64));
    }
    if let Some(network) = content.campaign_network.some() {
        text = format!("{text} at {}", bounded(network, 64));
    }
    text = match content.status() {
        Some(status) => format!("{text} is now {}", bounded(status, 64).to_lowercase().replace('_', " ")),
        None => format!("{text} has news ({})", bounded(event, 64).to_lowercase().replace('_', " ")),
    };
    match content.reason() {
        Some(reason) => format!("{text}: {}.", bounded(&reason, REASON_MAX).trim_end_matches('.')),
        None => format!("{text}."),
    }
}

/// Reasons are a text, a list of texts or a list of objects with texts.
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().take(5).map(words).collect::<Vec<_>>().join("; "),
        Value::Object(fields) => {
            fields.values().filter_map(Value::as_str).take(5).collect::<Vec<_>>().join(" ")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => String::new(),
    }
}

fn bounded(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stops_sending_is_graver_than_what_somebody_must_repair() {
        for (event, status, severity) in [
            ("CAMPAIGN_STATUS_UPDATE", "SUSPENDED", Severity::Suspension),
            ("CAMPAIGN_NETWORK_STATUS_UPDATE", "blocked", Severity::Suspension),
            ("CAMPAIGN_STATUS_UPDATE", "REJECTED", Severity::Warning),
            ("BRAND_STATUS_UPDATE", "FAILURE", Severity::Warning),
            ("RESOURCE_REQUEST_REMINDER", "", Severity::Warning),
            ("CAMPAIGN_NETWORK_STATUS_UPDATE", "ACTIVE", Severity::Info),
            ("BRAND_VET_UPDATE", "PENDING_2FA", Severity::Info),
        ] {
            assert_eq!(gravity(event, status).1, severity, "{event} {status}");
        }
    }

    #[test]
    fn a_notice_is_about_a_number_only_when_it_names_one() {
        let number = |json: &str| serde_json::from_str::<Content<'_>>(json).unwrap().number();
        assert_eq!(number(r#"{"numbers":[{"number":"+38591234567"}]}"#), Number::parse("+38591234567"));
        assert_eq!(number(r#"{"number":"18005550100"}"#), Number::parse("+18005550100"));
        assert_eq!(number(r#"{"numbers":[{"number":"+38591234567"},{"number":"+38591234568"}]}"#), None);
    }

    #[test]
    fn a_sentence_is_bounded_and_one_line() {
        let json = format!(
            r#"{{"tcrId":"C1","campaignStatus":"REJECTED","rejectionReasons":"a\nb{}"}}"#,
            "x".repeat(900)
        );
        let text = sentence("CAMPAIGN_STATUS_UPDATE", &serde_json::from_str(&json).unwrap());
        assert!(text.starts_with("The campaign C1 is now rejected: abxxx") && text.len() < 400, "{text}");
        let bare = sentence("BRAND_VET_UPDATE", &Content::default());
        assert_eq!(bare, "The brand has news (brand vet update).");
    }
}
