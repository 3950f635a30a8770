//! Delivery reports. In: an item with a status. Out: a receipt, and where a send was refused because
//! its recipient had withdrawn, that withdrawal. It never takes a positive group name at its word:
//! the status id decides.

use super::codes::{self, Numbers, Outcome};
use super::item::{Coded, Cost, Item};
use crate::event::{Action, Body, Confidence, Event, Evidence, Price, Receipt, State};
use crate::provider::Context;
use crate::provider::context::{Reported, Will};

/// Longest provider's word that is kept.
const WORD_MAX: usize = 64;
/// Longest reference that is kept; longer callback data is a document, not a reference.
const REFERENCE_MAX: usize = 128;

/// Says in events what a report says; `None` without a message id.
pub(super) fn events(context: &Context<'_>, item: &Item<'_>, status: &Coded<'_>) -> Option<Vec<Event>> {
    let message_id = item.message_id.some()?;
    let error = item.error();
    let error_group = error.and_then(|error| error.group_id.number());
    let outcome = codes::outcome(&Numbers {
        status_group: status.group_id.number().unwrap_or(u32::MAX),
        status: status.id.number().unwrap_or(u32::MAX),
        error_group: error_group.unwrap_or(u32::MAX),
        error: error.and_then(|error| error.id.some()).unwrap_or_default(),
    })
    .unwrap_or(Outcome { state: State::Unknown, failure: None, withdrawn: false });
    let withdrawn = outcome.withdrawn;
    let receipt = receipt(context, item, (message_id, word(status), outcome));
    let consent = withdrawn.then(|| withdrawal(context, &receipt)).flatten();
    let id = ["receipt", message_id, status.id.as_str(), item.done_at.as_str()];
    let mut events = Vec::with_capacity(1 + usize::from(consent.is_some()));
    events.push(context.event(&id, Body::Receipt(receipt)));
    events.extend(consent);
    Some(events)
}

fn receipt(context: &Context<'_>, item: &Item<'_>, said: (&str, String, Outcome)) -> Receipt {
    let (message_id, provider_status, outcome) = said;
    context.receipt(Reported {
        message_id: Some(message_id),
        reference: item.callback_data.some().filter(|text| is_reference(text)).map(str::to_owned),
        number: context.sender(Some(item.from())),
        to: Some(item.to()),
        network: item.mcc_mnc.some().filter(|text| is_network(text)).map(str::to_owned),
        outcome: (outcome.state, outcome.failure),
        provider_status,
        segments: item.segments(),
        price: item.price().and_then(price),
        sent_at: item.sent_at.moment(),
        occurred_at: item.done_at.moment(),
    })
}

/// The refusal of a send is evidence that its recipient withdrew, once per message.
fn withdrawal(context: &Context<'_>, receipt: &Receipt) -> Option<Event> {
    Some(context.consent(Will {
        id: &["send_rejected", receipt.message_id.as_deref()?],
        action: Action::OptOut,
        evidence: Evidence::SendRejected,
        confidence: Confidence::Certain,
        keyword: None,
        scope: None,
        number: receipt.number.clone(),
        recipient: receipt.recipient.clone()?,
        message_id: receipt.message_id.as_deref(),
        occurred_at: receipt.occurred_at,
    }))
}

/// Infobip's own word for the status: its name, else its group's, else its id.
fn word(status: &Coded<'_>) -> String {
    let word = [&status.name, &status.group_name, &status.id].into_iter().find_map(|text| text.some());
    let word = word.unwrap_or_default();
    let end = word.char_indices().nth(WORD_MAX).map_or(word.len(), |(at, _)| at);
    word[..end].to_owned()
}

fn price(cost: &Cost<'_>) -> Option<Price> {
    let amount: f64 = cost.price_per_message.some()?.parse().ok()?;
    let currency = cost.currency.some().filter(|text| text.len() == 3)?.to_owned();
    amount.is_finite().then_some(Price { amount, currency })
}

/// Callback data that looks like a reference, not like a document about somebody.
fn is_reference(text: &str) -> bool {
    text.len() <= REFERENCE_MAX && text.bytes().all(|b| b.is_ascii_graphic() && !b"{}\"@".contains(&b))
}

/// A mobile country code and network code; the word `null` has been seen here.
fn is_network(text: &str) -> bool {
    (4..=7).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}
