//! `POST /api/v1/sends`: what somebody sent, in; a `sends.v1` event each, durable, out. A send says
//! which number and list a receipt belongs to that names neither, and what to expect receipts for.
//! All of a request's sends are taken or none.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::json;

use super::api::Answer;
use super::problem::Problem;
use super::{Shared, View};
use crate::clock::Timestamp;
use crate::config::Connection;
use crate::event::{Body, ConnectionId, Event, EventId, ListId, Number, Provider, Recipient, Send, e164};
use crate::registry::Registry;

/// Most sends of one request.
pub(super) const SENDS_MAX: usize = 10_000;
/// Most mistakes that are told at once.
const MISTAKES_MAX: usize = 20;
/// Longest id that is kept, in bytes.
const ID_BYTES_MAX: usize = 128;
/// How far a send may lie in the future: clocks differ.
const AHEAD_MAX: Duration = Duration::from_secs(300);

/// A send as it is registered.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Registered {
    provider: Option<Provider>,
    connection: String,
    message_id: Option<String>,
    reference: Option<String>,
    number: String,
    list: Option<String>,
    recipient: Option<String>,
    sent_at: Option<Timestamp>,
}

/// `POST /api/v1/sends`
pub(super) async fn post(State(view): State<Shared>, body: Bytes) -> Answer {
    let (registry, now) = (view.rails.registry.load_full(), view.rails.clock.now());
    let events = told(&registry, &body, now)?;
    publish(&view, &events).await?;
    Ok(Json(json!({ "registered": events.len() })).into_response())
}

/// The sends that a body registers, all of them or none.
pub(super) fn told(registry: &Registry, body: &[u8], now: Timestamp) -> Result<Vec<Event>, Problem> {
    let sends: Vec<Registered> = serde_json::from_slice(body).map_err(|error| {
        Problem::bad_request(format!(
            "send a JSON array of {{provider, connection, message_id or reference, number, list, recipient, sent_at}}: {}",
            place(&error)
        ))
    })?;
    if sends.len() > SENDS_MAX {
        return Err(Problem::unprocessable(format!("at most {SENDS_MAX} sends a request; split it")));
    }
    read(registry, sends, now)
}

/// Where JSON is wrong, without what it says: that may be somebody's number.
fn place(error: &serde_json::Error) -> String {
    format!("line {}, column {} is not that", error.line(), error.column())
}

/// Makes events durable before anybody is told that they are.
pub(super) async fn publish(view: &View, events: &[Event]) -> Result<(), Problem> {
    let publisher = view.publisher.as_ref().ok_or_else(|| {
        Problem::unavailable("this process only observes; ask one that runs with --role receive or all")
    })?;
    match publisher.publish(events, None).await {
        Ok(_durable) => Ok(()),
        Err(error) => Err(Problem::unavailable(format!("{error}; try again, nothing is counted twice"))),
    }
}

/// Every send as an event, or every mistake.
fn read(registry: &Registry, sends: Vec<Registered>, now: Timestamp) -> Result<Vec<Event>, Problem> {
    let (mut events, mut mistakes) = (Vec::with_capacity(sends.len()), Vec::new());
    for (index, send) in sends.into_iter().enumerate() {
        match event(registry, send, now) {
            Ok(event) => events.push(event),
            Err(mistake) => mistakes.push(format!("[{index}] {mistake}")),
        }
    }
    if mistakes.is_empty() {
        return Ok(events);
    }
    let more = mistakes.len().saturating_sub(MISTAKES_MAX);
    mistakes.truncate(MISTAKES_MAX);
    if more > 0 {
        mistakes.push(format!("and {more} more"));
    }
    Err(Problem::unprocessable(format!("nothing was registered: {}", mistakes.join("; "))))
}

fn event(registry: &Registry, send: Registered, now: Timestamp) -> Result<Event, String> {
    let connection = connection(registry, &send.connection)?;
    if send.provider.is_some_and(|provider| provider != connection.provider) {
        return Err(format!("connection {} is of {}", connection.id, connection.provider));
    }
    let (message_id, reference) = ids(connection.provider, send.message_id, send.reference)?;
    let number = Number::parse(&send.number).ok_or("number is no sending number: give it as +18005550100")?;
    let list = match send.list {
        Some(id) => Some(known_list(registry, &id)?),
        None => registry.list_of(&number).cloned(),
    };
    let recipient = send.recipient.as_deref().map(|text| recipient(registry, text)).transpose()?;
    if reference.is_some() && recipient.is_none() {
        return Err("recipient is missing: a reference may stand for several people's messages".into());
    }
    let sent_at = send.sent_at.unwrap_or(now);
    if sent_at > now.plus(AHEAD_MAX) {
        return Err("sent_at lies in the future".into());
    }
    let send = Send {
        provider: connection.provider,
        connection: connection.id.clone(),
        message_id,
        reference,
        number,
        list,
        recipient,
        sent_at,
        received_at: now,
    };
    Ok(Event { id: id(&send), body: Body::Send(send) })
}

/// A send told twice is the same news.
fn id(send: &Send) -> EventId {
    let (list, at) = (send.list.as_ref().map_or("", ListId::as_str), send.sent_at.to_string());
    EventId::of(&send.connection, &["send", send.identity().as_str(), send.number.as_str(), list, &at])
}

pub(super) fn connection<'r>(registry: &'r Registry, id: &str) -> Result<&'r Connection, String> {
    let known = ConnectionId::parse(id).and_then(|id| registry.connection(id.as_str()));
    known.map(AsRef::as_ref).ok_or_else(|| "connection is none that is configured".to_owned())
}

/// The id that the provider's receipts will carry; any other would never meet them.
fn ids(
    provider: Provider,
    message_id: Option<String>,
    reference: Option<String>,
) -> Result<(Option<String>, Option<String>), String> {
    let fits = |id: &String| !id.is_empty() && id.len() <= ID_BYTES_MAX;
    let needs = |what: &str| {
        Err(format!("{provider}'s receipts carry {what}: give that, of at most {ID_BYTES_MAX} bytes"))
    };
    match provider {
        Provider::Twilio | Provider::Infobip => match message_id.filter(fits) {
            Some(id) => Ok((Some(id), None)),
            None => needs("message_id"),
        },
        Provider::Cm | Provider::Lime => match reference.filter(fits) {
            Some(reference) => Ok((None, Some(reference))),
            None => needs("reference"),
        },
    }
}

fn known_list(registry: &Registry, id: &str) -> Result<ListId, String> {
    let known = ListId::parse(id).filter(|id| registry.list(id).is_some());
    known.ok_or_else(|| "list is none that is configured".to_owned())
}

/// A recipient as receipts will name it. What is written is not repeated: it is somebody's number.
fn recipient(registry: &Registry, text: &str) -> Result<Recipient, String> {
    let number = e164(text).ok_or("recipient is no telephone number: give it as +15005550001")?;
    Ok(registry.privacy.publish(&number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, load};

    fn registry() -> Registry {
        let text = r#"
            [privacy]
            recipients = "clear"
            [[connection]]
            id = "t"
            provider = "twilio"
            auth_tokens = ["t"]
            [[connection]]
            id = "c"
            provider = "cm"
            path_secrets = ["0123456789abcdef"]
            [[list]]
            id = "promo"
            numbers = ["+18005550100"]
        "#;
        Registry::new(&load(&Source::of(text)).unwrap())
    }

    fn told(json: &str) -> Result<Vec<Event>, String> {
        let sends = serde_json::from_str(json).unwrap();
        read(&registry(), sends, Timestamp::from_seconds(1_000_000)).map_err(|problem| problem.to_string())
    }

    #[test]
    fn a_send_meets_the_receipts_of_its_message() {
        let events = told(
            r#"[{"connection":"t","message_id":"SM1","number":"18005550100","recipient":"0014155550101"},
                {"provider":"cm","connection":"c","reference":"r","number":"71441","recipient":"+14155550101",
                 "sent_at":"1970-01-12T00:00:00Z"}]"#,
        )
        .unwrap();
        let sends: Vec<&Send> = events
            .iter()
            .map(|event| match &event.body {
                Body::Send(send) => send,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(sends[0].identity().as_str(), "t:SM1");
        assert!(sends[1].identity().as_str().starts_with("c:r:"));
        assert_eq!(sends[0].list.as_ref().map(ListId::as_str), Some("promo"));
        assert_eq!(sends[0].recipient.as_ref().map(Recipient::as_str), Some("+14155550101"));
        assert_eq!((sends[0].sent_at.seconds(), sends[1].sent_at.seconds()), (1_000_000, 950_400));
    }

    #[test]
    fn every_mistake_is_told_by_its_place_and_nobodys_number_is() {
        let base = r#"{"connection":"t","message_id":"SM1","number":"+18005550100"}"#;
        for (from, to, told_so) in [
            ("\"t\"", "\"x\"", "none that is configured"),
            ("message_id", "reference", "carry message_id"),
            ("SM1", "", "carry message_id"),
            ("\"t\"", "\"c\"", "carry reference"),
            ("\"t\",\"message_id\"", "\"c\",\"reference\"", "recipient is missing"),
            ("\"t\"", "\"t\",\"provider\":\"lime\"", "is of twilio"),
            ("\"t\"", "\"t\",\"list\":\"nope\"", "list is none"),
            ("\"t\"", "\"t\",\"recipient\":\"4155\"", "recipient is no telephone number"),
            ("+18005550100", "1", "number is no sending number"),
            ("\"t\"", "\"t\",\"sent_at\":\"1970-02-01T00:00:00Z\"", "future"),
        ] {
            let wrong = base.replacen(from, to, 1);
            let mistake = told(&format!("[{base},{wrong}]")).unwrap_err();
            assert!(mistake.contains("[1]") && mistake.contains(told_so), "{wrong}: {mistake}");
            assert!(!mistake.contains("4155"), "{mistake}");
        }
        let many = vec!["{\"connection\":\"x\",\"number\":\"1\"}"; 30].join(",");
        assert!(told(&format!("[{many}]")).unwrap_err().ends_with("and 10 more"));
    }
}
