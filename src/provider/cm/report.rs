//! Status reports. In: a report's fields. Out: a receipt, and where CM refused a send because its
//! recipient is on a register, that withdrawal. CM names neither a message id nor the sender: the
//! reference is the message's identity, the sender is the URL's or the connection's.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::codes::{self, Words};
use super::fields::Fields;
use crate::clock::Timestamp;
use crate::event::{Action, Body, Confidence, Event, Evidence, Receipt, Recipient};
use crate::provider::Context;
use crate::provider::context::{Reported, Will};

/// Longest reference that is kept; CM allows 32 characters.
const REFERENCE_MAX: usize = 128;
/// Longest operator and status that is kept.
const WORD_MAX: usize = 64;

/// True of fields that are a status report's.
pub(super) fn is_report(fields: &Fields) -> bool {
    fields.get(&["code", "statuscode"]).is_some() || fields.get(&["errorcode", "errordescription"]).is_some()
}

/// Says in events what a report says; `None` without a reference. `sender` is the number in the URL.
pub(super) fn events(context: &Context<'_>, report: &Fields, sender: Option<&str>) -> Option<Vec<Event>> {
    let reference = report.get(&["reference"]).filter(|text| text.len() <= REFERENCE_MAX)?;
    let words = Words {
        status: report.get(&["code", "statuscode"]).unwrap_or_default(),
        error: report.get(&["errorcode"]).unwrap_or_default(),
        description: report.get(&["errordescription"]).unwrap_or_default(),
    };
    let outcome = codes::outcome(&words);
    let withdrawn = outcome.withdrawn;
    let receipt = receipt(context, report, (reference, sender, &words, outcome));
    let recipient = receipt.recipient.as_ref().map(Recipient::as_str).unwrap_or_default();
    let received = report.get(&["received"]).unwrap_or_default();
    // The recipient stands here as it is published: an id must not let its number be guessed.
    let id = ["receipt", reference, recipient, words.status, words.error, received];
    let consent = withdrawn.then(|| withdrawal(context, &receipt, reference)).flatten();
    let mut events = vec![context.event(&id, Body::Receipt(receipt.clone()))];
    events.extend(consent);
    Some(events)
}

type Said<'a> = (&'a str, Option<&'a str>, &'a Words<'a>, codes::Outcome);

fn receipt(context: &Context<'_>, report: &Fields, said: Said<'_>) -> Receipt {
    let (reference, sender, words, outcome) = said;
    let moment = |name: &str| local(context, report.get(&[name])?);
    let status = [words.status, words.error, words.description].into_iter().find(|word| !word.is_empty());
    context.receipt(Reported {
        message_id: None,
        reference: Some(reference.to_owned()),
        number: context.sender_by(sender, reference),
        to: report.get(&["to"]),
        network: report.get(&["operator"]).map(bounded),
        outcome: (outcome.state, outcome.failure),
        provider_status: bounded(status.unwrap_or_default()),
        segments: None,
        price: None,
        sent_at: moment("sent"),
        occurred_at: moment("received"),
    })
}

fn withdrawal(context: &Context<'_>, receipt: &Receipt, reference: &str) -> Option<Event> {
    let recipient = receipt.recipient.clone()?;
    let id = ["send_rejected", reference, recipient.as_str()];
    Some(context.consent(Will {
        id: &id,
        action: Action::OptOut,
        evidence: Evidence::SendRejected,
        confidence: Confidence::Certain,
        keyword: None,
        scope: None,
        number: receipt.number.clone(),
        recipient: recipient.clone(),
        message_id: None,
        occurred_at: receipt.occurred_at,
    }))
}

/// The moment of a time written without a zone: the connection's. Where a clock was set back it is
/// the earlier one, where one was set forward the hour that is missing is added.
fn local(context: &Context<'_>, text: &str) -> Option<Timestamp> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment);
    }
    let written: DateTime = text.parse().ok()?;
    let zone = TimeZone::get(&context.connection().timezone).ok()?;
    Some(Timestamp::from_millis(zone.to_timestamp(written).ok()?.as_millisecond()))
}

fn bounded(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(WORD_MAX).collect()
}
