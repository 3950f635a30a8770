//! `POST /api/v1/feedback`: a complaint or a carrier's notice that came by e-mail or ticket, in; a
//! `feedback.v1` event, durable, out: the same as if the provider had pushed it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::json;

use super::Shared;
use super::api::Answer;
use super::problem::Problem;
use super::sends::{connection, publish};
use crate::clock::Timestamp;
use crate::event::{Body, Event, EventId, Feedback, FeedbackKind, Number, Severity};
use crate::registry::Registry;

/// Longest text that is kept, in characters.
const TEXT_MAX: usize = 500;
/// Longest subject or code that is kept, in characters.
const WORD_MAX: usize = 128;

/// A notice as it is told.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    connection: String,
    kind: FeedbackKind,
    severity: Option<Severity>,
    number: Option<String>,
    subject: Option<String>,
    code: Option<String>,
    text: String,
    occurred_at: Option<Timestamp>,
}

/// `POST /api/v1/feedback`
pub(super) async fn post(State(view): State<Shared>, body: Bytes) -> Answer {
    let event = told(&view.rails.registry.load(), &body, view.rails.clock.now())?;
    let id = event.id.as_str().to_owned();
    publish(&view, &[event]).await?;
    Ok(Json(json!({ "id": id })).into_response())
}

/// The feedback that a body tells.
pub(super) fn told(registry: &Registry, body: &[u8], now: Timestamp) -> Result<Event, Problem> {
    let told: Told = serde_json::from_slice(body).map_err(|error| {
        Problem::bad_request(format!(
            "send {{connection, kind, severity, number, subject, code, text, occurred_at}}, of which connection, \
             kind and text are needed: line {}, column {} is not that",
            error.line(),
            error.column()
        ))
    })?;
    event(registry, told, now).map_err(Problem::unprocessable)
}

fn event(registry: &Registry, told: Told, now: Timestamp) -> Result<Event, String> {
    let connection = connection(registry, &told.connection)?;
    let number = match &told.number {
        Some(text) => {
            Some(Number::parse(text).ok_or("number is no sending number: give it as +18005550100")?)
        }
        None => None,
    };
    let within = |text: &str, max: usize| (1..=max).contains(&text.trim().chars().count());
    if !within(&told.text, TEXT_MAX) {
        return Err(format!("text must hold 1 to {TEXT_MAX} characters, without a recipient's number"));
    }
    if [&told.subject, &told.code].into_iter().flatten().any(|word| !within(word, WORD_MAX)) {
        return Err(format!("subject and code must hold 1 to {WORD_MAX} characters"));
    }
    let feedback = Feedback {
        provider: connection.provider,
        connection: connection.id.clone(),
        kind: told.kind,
        severity: told.severity.unwrap_or_else(|| severity(told.kind)),
        number,
        subject: told.subject,
        provider_event: "reported by hand".to_owned(),
        code: told.code,
        text: told.text.trim().to_owned(),
        occurred_at: told.occurred_at,
        received_at: now,
    };
    Ok(Event { id: id(&feedback), body: Body::Feedback(feedback) })
}

/// How grave a notice is of which nobody says more.
const fn severity(kind: FeedbackKind) -> Severity {
    match kind {
        FeedbackKind::Complaint => Severity::Complaint,
        FeedbackKind::CarrierWarning | FeedbackKind::Account => Severity::Warning,
        FeedbackKind::Registration => Severity::Info,
        FeedbackKind::Suspension => Severity::Suspension,
    }
}

/// A notice told twice is the same news; without a time of its own, within a minute.
fn id(feedback: &Feedback) -> EventId {
    let at = match feedback.occurred_at {
        Some(at) => at.to_string(),
        None => feedback.received_at.minute().to_string(),
    };
    let number = feedback.number.as_ref().map_or("", Number::as_str);
    let subject = feedback.subject.as_deref().unwrap_or_default();
    EventId::of(
        &feedback.connection,
        &["feedback", feedback.kind.name(), number, subject, &feedback.text, &at],
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, load};

    fn told(json: &str) -> Result<Feedback, String> {
        let text = "[[connection]]\nid = \"t\"\nprovider = \"twilio\"\nauth_tokens = [\"t\"]\n\
                    [privacy]\nrecipients = \"clear\"";
        let registry = Registry::new(&load(&Source::of(text)).unwrap());
        let told = serde_json::from_str(json).unwrap();
        event(&registry, told, Timestamp::from_seconds(1_000_000)).map(|event| match event.body {
            Body::Feedback(feedback) => feedback,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn a_notice_gets_the_weight_of_its_kind_unless_it_says_more() {
        let complaint = r#"{"connection":"t","kind":"complaint","number":"18005550100","text":" One. "}"#;
        let feedback = told(complaint).unwrap();
        assert_eq!((feedback.severity, feedback.text.as_str()), (Severity::Complaint, "One."));
        assert_eq!(feedback.number.map(|number| number.to_string()).as_deref(), Some("+18005550100"));
        let graver = complaint.replace("\"text\"", "\"severity\":\"violation\",\"text\"");
        assert_eq!(told(&graver).unwrap().severity, Severity::Violation);
    }

    #[test]
    fn what_cannot_be_is_told_in_a_sentence() {
        for (json, said) in [
            (r#"{"connection":"x","kind":"complaint","text":"a"}"#, "none that is configured"),
            (r#"{"connection":"t","kind":"complaint","text":" "}"#, "text must hold"),
            (r#"{"connection":"t","kind":"complaint","text":"a","number":"1"}"#, "no sending number"),
            (r#"{"connection":"t","kind":"complaint","text":"a","code":""}"#, "subject and code"),
        ] {
            assert!(told(json).unwrap_err().contains(said), "{json}");
        }
    }
}
