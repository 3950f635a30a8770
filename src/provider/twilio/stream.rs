//! What Twilio's Event Streams and its Debugger say. In: a JSON array of CloudEvents. Out: receipts
//! with Twilio's own times, replies, and notices of registrations and errors. One item that cannot
//! be read costs only itself.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::form::Form;
use super::{codes, payload};
use crate::clock::Timestamp;
use crate::event::{Body, Event, Feedback, FeedbackKind, Number, Severity};
use crate::provider::context::{Context, Said};

/// One event in CloudEvents' JSON form. `datacontenttype` is not read: Twilio's own examples hold a time in it.
#[derive(Deserialize)]
struct CloudEvent {
    #[serde(rename = "type")]
    kind: String,
    id: String,
    time: Option<Value>,
    data: Map<String, Value>,
}

impl CloudEvent {
    /// A field of the data, under its name in whatever case; messages write `messageSid`,
    /// registrations `campaignsid`, error logs `error_code`.
    fn field(&self, name: &str) -> Option<&Value> {
        self.data.get(name).or_else(|| {
            self.data.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        })
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.field(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// A code, which Twilio writes as a number or as text; zero is none.
    fn code(&self, names: &[&str]) -> Option<String> {
        let code = names.iter().find_map(|name| self.field(name)).and_then(written)?;
        (code != "0").then_some(code)
    }

    fn occurred_at(&self) -> Option<Timestamp> {
        self.field("timestamp").and_then(moment).or_else(|| self.time.as_ref().and_then(moment))
    }
}

/// Reads a batch item by item; an object alone is a batch of one.
pub(super) fn read(context: &Context<'_>, body: &[u8]) -> Vec<Event> {
    let one = body.trim_ascii_start().starts_with(b"{");
    let items: Vec<&RawValue> = match if one {
        serde_json::from_slice(body).map(|item| vec![item])
    } else {
        serde_json::from_slice(body)
    } {
        Ok(items) => items,
        Err(error) => {
            let reason = format!(
                "not the JSON array of Event Streams (line {}, column {})",
                error.line(),
                error.column()
            );
            return vec![context.dead_letter(reason, body)];
        }
    };
    if items.is_empty() {
        return vec![context.dead_letter("an empty batch of Event Streams", body)];
    }
    items.into_iter().flat_map(|item| one_event(context, item.get().as_bytes())).collect()
}

fn one_event(context: &Context<'_>, item: &[u8]) -> Vec<Event> {
    let Ok(event) = serde_json::from_slice::<CloudEvent>(item) else {
        return vec![context.dead_letter("not a CloudEvent: type, id or data is missing", item)];
    };
    let kind = event.kind.as_str();
    if kind == "com.twilio.messaging.inbound-message.received" {
        vec![reply(context, &event, item)]
    } else if let Some(happened) = kind.strip_prefix("com.twilio.messaging.message.") {
        status(context, &event, happened, item)
    } else if let Some(happened) = kind.strip_prefix("com.twilio.messaging.compliance.") {
        vec![registration(context, &event, happened)]
    } else if kind.starts_with("com.twilio.error-logs.") {
        vec![logged(context, &event)]
    } else {
        vec![context.dead_letter("an event type of Event Streams that is not read", item)]
    }
}

fn status(context: &Context<'_>, event: &CloudEvent, happened: &str, item: &[u8]) -> Vec<Event> {
    let Some(sid) = event.text("messageSid") else {
        return vec![context.dead_letter("a message event without messageSid", item)];
    };
    let code = event.code(&["errorCode"]);
    payload::receipt(
        context,
        &payload::Told {
            id: &["cloudevent", &event.id],
            sid,
            word: event.text("messageStatus").unwrap_or(happened),
            code: code.as_deref(),
            explanation: event.text("errorMessage"),
            from: event.text("from"),
            to: event.text("to"),
            service: event.text("messagingServiceSid"),
            reference: None,
            network: network(event),
            segments: event.field("numberOfSegments").and_then(written).and_then(|n| n.parse().ok()),
            occurred_at: event.occurred_at(),
        },
    )
}

fn network(event: &CloudEvent) -> Option<String> {
    let mcc = event.field("mcc").and_then(written)?;
    Some(mcc + &event.field("mnc").and_then(written).unwrap_or_default())
}

fn reply(context: &Context<'_>, event: &CloudEvent, item: &[u8]) -> Event {
    let (Some(sid), Some(from)) = (event.text("messageSid"), event.text("from")) else {
        return context.dead_letter("an inbound message event without messageSid or from", item);
    };
    context.said(&Said {
        id: &["cloudevent", &event.id],
        message_id: Some(sid),
        from,
        to: event.text("to"),
        text: event.text("body").unwrap_or_default(),
        flag: event.text("optOutType").and_then(payload::flag),
        scope: payload::service(event.text("messagingServiceSid")),
        occurred_at: event.occurred_at(),
        item,
    })
}

/// A brand, campaign, number or toll-free verification moved: `campaign-registration.campaign-approved`.
fn registration(context: &Context<'_>, event: &CloudEvent, happened: &str) -> Event {
    let status =
        ["campaignregistrationstatus", "brandstatus", "verificationstatus", "registrationstatus", "status"]
            .into_iter()
            .find_map(|name| event.text(name));
    let words = format!("{happened} {}", status.unwrap_or_default()).to_ascii_lowercase();
    let severity = severity(&words);
    let kind =
        if severity == Severity::Suspension { FeedbackKind::Suspension } else { FeedbackKind::Registration };
    let (what, then) = happened.split_once('.').unwrap_or((happened, ""));
    let then = status.unwrap_or(then);
    let subject =
        ["campaignsid", "brandsid", "tollfreeverificationsid", "phonenumbersid", "messagingservicesid"]
            .into_iter()
            .find_map(|name| event.text(name));
    notice(
        context,
        event,
        Notice {
            kind,
            severity,
            subject: subject.map(str::to_owned),
            code: event.code(&["errorcode"]).filter(|_| severity != Severity::Info),
            text: format!("Twilio reports on the {}: {}.", plain(what), plain(then)),
        },
    )
}

fn severity(words: &str) -> Severity {
    const STOPPED: [&str; 2] = ["suspend", "blocked"];
    const REFUSED: [&str; 6] = ["reject", "fail", "deregist", "denied", "expired", "unverified"];
    let any = |list: &[&str]| list.iter().any(|word| words.contains(word));
    if any(&STOPPED) {
        Severity::Suspension
    } else if any(&REFUSED) {
        Severity::Warning
    } else {
        Severity::Info
    }
}

/// An entry of the error log: most often a limit that is nearly reached, or a campaign that is not.
fn logged(context: &Context<'_>, event: &CloudEvent) -> Event {
    let code = event.code(&["error_code", "errorCode"]);
    let (kind, severity) = error_kind(code.as_deref());
    notice(
        context,
        event,
        Notice {
            kind,
            severity,
            subject: event.text("correlation_sid").or_else(|| event.text("resource_sid")).map(str::to_owned),
            text: codes::failure(code.as_deref(), None).text,
            code,
        },
    )
}

/// What an error's code makes of a log entry.
fn error_kind(code: Option<&str>) -> (FeedbackKind, Severity) {
    use crate::event::FailureClass::{Account, CarrierFiltered, SenderUnregistered, Throttled};
    if code == Some(codes::CAMPAIGN_SUSPENDED) {
        return (FeedbackKind::Suspension, Severity::Suspension);
    }
    match codes::failure(code, None).class {
        SenderUnregistered => (FeedbackKind::Registration, Severity::Warning),
        Account => (FeedbackKind::Account, Severity::Warning),
        Throttled | CarrierFiltered => (FeedbackKind::CarrierWarning, Severity::Warning),
        _ => (FeedbackKind::Account, Severity::Info),
    }
}

/// The Debugger's webhook: a form whose `Payload` is JSON.
pub(super) fn debugger(context: &Context<'_>, form: &Form<'_>, item: &[u8]) -> Event {
    let data = form.get("Payload").and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok());
    let (Some(data), Some(sid)) = (data, form.get("Sid")) else {
        return context.dead_letter("a Debugger event without Sid or readable Payload", item);
    };
    let time = form.get("Timestamp").map(|text| Value::String(text.to_owned()));
    logged(context, &CloudEvent { kind: "debugger".into(), id: sid.to_owned(), time, data })
}

/// What a notice says, before the context adds what it knows.
struct Notice {
    kind: FeedbackKind,
    severity: Severity,
    subject: Option<String>,
    code: Option<String>,
    text: String,
}

fn notice(context: &Context<'_>, event: &CloudEvent, notice: Notice) -> Event {
    let feedback = Feedback {
        provider: context.connection().provider,
        connection: context.connection().id.clone(),
        kind: notice.kind,
        severity: notice.severity,
        number: event.text("phonenumber").or_else(|| event.text("from")).and_then(Number::parse),
        subject: notice.subject,
        provider_event: event.kind.clone(),
        code: notice.code,
        text: notice.text,
        occurred_at: event.occurred_at(),
        received_at: context.received_at(),
    };
    context.event(&["cloudevent", &event.id], Body::Feedback(feedback))
}

/// A provider's word for people: `campaign-approved` → `campaign approved`.
fn plain(word: &str) -> String {
    word.to_ascii_lowercase().replace(['-', '_', '.'], " ")
}

/// A number or a text as text.
fn written(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// RFC 3339, or milliseconds since the epoch.
fn moment(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(millis) => millis.as_i64().map(Timestamp::from_millis),
        _ => None,
    }
}
