//! What Twilio says. In: a proved webhook: a status callback, a reply, or a batch of Event Streams.
//! Out: its events, and the answer Twilio expects to that kind. It never takes a time from
//! `RawDlrDoneDate`, which has no zone and a minute's precision.

use http::Method;

use super::form::Form;
use super::{codes, stream};
use crate::clock::Timestamp;
use crate::event::{Action, Body, Confidence, Event, Evidence, Receipt, Scope, State};
use crate::provider::Normalized;
use crate::provider::context::{Context, Reported, Said, Will};
use crate::receive::Reply;

/// Says in events what a webhook says.
pub fn normalize(context: &Context<'_>) -> Normalized {
    let query = context.webhook.query().unwrap_or_default().as_bytes();
    let body = if *context.webhook.method() == Method::GET { query } else { context.body() };
    if body.trim_ascii_start().starts_with(b"[") || body.trim_ascii_start().starts_with(b"{") {
        return Normalized { events: stream::read(context, body), reply: Reply::Ok };
    }
    let form = Form::read(body);
    match kind(&form) {
        Kind::Status => Normalized { events: status(context, &form, query, body), reply: Reply::NoContent },
        Kind::Reply => Normalized { events: vec![reply(context, &form, body)], reply: Reply::EmptyTwiml },
        Kind::Debugger => {
            Normalized { events: vec![stream::debugger(context, &form, body)], reply: Reply::Ok }
        }
        Kind::Unknown => Normalized {
            events: vec![
                context
                    .dead_letter("neither a status callback nor a message: no MessageStatus, no Body", body),
            ],
            reply: Reply::NoContent,
        },
    }
}

/// What a form is.
enum Kind {
    Status,
    Reply,
    Debugger,
    Unknown,
}

fn kind(form: &Form<'_>) -> Kind {
    match status_word(form) {
        Some(word) if !is_inbound(word) => Kind::Status,
        Some(_) => Kind::Reply,
        None if form.has("Body") || form.has("OptOutType") => Kind::Reply,
        None if form.has("PayloadType") && form.has("Payload") => Kind::Debugger,
        None => Kind::Unknown,
    }
}

fn is_inbound(word: &str) -> bool {
    word.eq_ignore_ascii_case("received") || word.eq_ignore_ascii_case("receiving")
}

fn status_word<'f>(form: &'f Form<'_>) -> Option<&'f str> {
    form.get("MessageStatus").or_else(|| form.get("SmsStatus"))
}

fn message_id<'f>(form: &'f Form<'_>) -> Option<&'f str> {
    form.get("MessageSid").or_else(|| form.get("SmsSid")).or_else(|| form.get("SmsMessageSid"))
}

fn status(context: &Context<'_>, form: &Form<'_>, query: &[u8], item: &[u8]) -> Vec<Event> {
    let (Some(sid), Some(word)) = (message_id(form), status_word(form)) else {
        return vec![context.dead_letter("a status callback without MessageSid", item)];
    };
    let code = form.get("ErrorCode").filter(|code| *code != "0");
    let told = Told {
        id: &["status", sid, word, code.unwrap_or_default()],
        sid,
        word,
        code,
        explanation: form.get("ErrorMessage").or_else(|| form.get("ChannelStatusMessage")),
        from: form.get("From"),
        to: form.get("To"),
        service: form.get("MessagingServiceSid"),
        // Twilio has no field of the sender's own; what it adds to the callback's URL comes back signed.
        reference: Form::read(query).get("reference").map(str::to_owned),
        network: None,
        segments: form.get("NumSegments").and_then(|n| n.parse().ok()),
        occurred_at: None,
    };
    receipt(context, &told)
}

fn reply(context: &Context<'_>, form: &Form<'_>, item: &[u8]) -> Event {
    let (Some(sid), Some(from)) = (message_id(form), form.get("From")) else {
        return context.dead_letter("a message without MessageSid or From", item);
    };
    context.said(&Said {
        id: &["inbound", sid],
        message_id: Some(sid),
        from,
        to: form.get("To"),
        text: form.get("Body").unwrap_or_default(),
        flag: form.get("OptOutType").and_then(flag),
        scope: service(form.get("MessagingServiceSid")),
        occurred_at: None,
        item,
    })
}

/// What Advanced Opt-Out made of a reply.
pub(super) fn flag(word: &str) -> Option<Action> {
    match word.to_ascii_uppercase().as_str() {
        "STOP" => Some(Action::OptOut),
        "START" => Some(Action::OptIn),
        "HELP" => Some(Action::Help),
        _ => None,
    }
}

/// What an opt-out holds for when the message went through a messaging service: all its numbers.
pub(super) fn service(sid: Option<&str>) -> Option<(Scope, String)> {
    sid.map(|sid| (Scope::Service, sid.to_owned()))
}

/// Twilio's word on a message, from a callback or from Event Streams.
pub(super) struct Told<'t> {
    pub(super) id: &'t [&'t str],
    pub(super) sid: &'t str,
    pub(super) word: &'t str,
    pub(super) code: Option<&'t str>,
    pub(super) explanation: Option<&'t str>,
    pub(super) from: Option<&'t str>,
    pub(super) to: Option<&'t str>,
    pub(super) service: Option<&'t str>,
    pub(super) reference: Option<String>,
    pub(super) network: Option<String>,
    pub(super) segments: Option<u32>,
    pub(super) occurred_at: Option<Timestamp>,
}

/// The code of a message that was refused because its recipient had replied STOP.
const UNSUBSCRIBED: &str = "21610";

/// A receipt; and a withdrawal beside it where Twilio refused the message because of one.
pub(super) fn receipt(context: &Context<'_>, told: &Told<'_>) -> Vec<Event> {
    let (mut state, is_final) = codes::status(told.word).unwrap_or((State::Unknown, false));
    if state == State::Failed && told.code == Some(UNSUBSCRIBED) {
        state = State::Blocked;
    }
    let failed = matches!(state, State::Failed | State::Blocked);
    let told_so = context.receipt(Reported {
        message_id: Some(told.sid),
        reference: told.reference.clone(),
        number: context.sender(told.from),
        to: told.to,
        network: told.network.clone(),
        outcome: (state, failed.then(|| codes::failure(told.code, told.explanation))),
        provider_status: told.word.to_owned(),
        segments: told.segments,
        price: None,
        sent_at: None,
        occurred_at: told.occurred_at,
    });
    let receipt = Receipt { is_final, ..told_so };
    let withdrawal = (state == State::Blocked).then(|| withdrawal(context, told, &receipt)).flatten();
    let mut events = vec![context.event(told.id, Body::Receipt(receipt))];
    events.extend(withdrawal);
    events
}

/// The refusal of a send is evidence that its recipient had withdrawn.
fn withdrawal(context: &Context<'_>, told: &Told<'_>, receipt: &Receipt) -> Option<Event> {
    Some(context.consent(Will {
        id: &["consent", told.sid, UNSUBSCRIBED],
        action: Action::OptOut,
        evidence: Evidence::SendRejected,
        confidence: Confidence::Certain,
        keyword: None,
        scope: service(told.service),
        number: receipt.number.clone(),
        recipient: receipt.recipient.clone()?,
        message_id: Some(told.sid),
        occurred_at: told.occurred_at,
    }))
}
