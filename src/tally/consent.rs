//! What a recipient said last, by each scope it was said in: the later moment wins, so that order
//! does not matter. Pure.
//!
//! The stream keeps, of each scope and recipient, what was written last; where that is not what was
//! said last, whoever applies it writes the newer again.

use bytes::Bytes;
use serde::Deserialize;

use crate::clock::Timestamp;
use crate::event::{Action, Consent, Record, Topic};

/// Digits of the millisecond that an order begins with.
const MILLIS_DIGITS: usize = 15;

/// A recipient's word, as it is held against other words of the same scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Who said it, as events carry it.
    pub(super) recipient: String,
    /// What it holds for: `number:+18005550100`.
    pub(super) scope: String,
    /// Later words have greater ones: millisecond, 1 for an opt-out, the event's id.
    pub(super) order: String,
    /// The event as the stream holds it.
    pub(super) json: Bytes,
}

/// A word that is held, with the event it was told in.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// What was said.
    pub consent: Consent,
    /// When, as it is compared with others.
    pub at: Timestamp,
}

#[derive(Deserialize)]
struct Said {
    action: Action,
    occurred_at: Option<Timestamp>,
}

impl Word {
    /// The word of a record of consent; none where it is not one, or nobody wanted anything.
    pub fn of(record: &Record) -> Option<Self> {
        let said: Said =
            (record.topic == Topic::Consent).then(|| serde_json::from_slice(&record.value).ok())??;
        let rank = match said.action {
            Action::OptOut => 1,
            Action::OptIn => 0,
            Action::Help => return None,
        };
        let (scope, recipient) = record.key.rsplit_once('|')?;
        let at = said.occurred_at.unwrap_or(record.time).min(record.time).millis().max(0);
        Some(Self {
            recipient: recipient.to_owned(),
            scope: scope.to_owned(),
            // At the same moment an opt-out wins: it must not be lost.
            order: format!("{at:0MILLIS_DIGITS$}{rank}{}", record.id),
            json: record.value.clone(),
        })
    }

    /// As a store holds it.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        [self.order.as_bytes(), b" ", &self.json].concat()
    }

    /// The order of what a store holds.
    pub(super) fn order_of(held: &[u8]) -> &[u8] {
        held.split(|byte| *byte == b' ').next().unwrap_or_default()
    }
}

impl Held {
    /// Reads what [`Word::to_bytes`] wrote.
    pub(super) fn read(held: &[u8]) -> Option<Self> {
        let order = std::str::from_utf8(Word::order_of(held)).ok()?;
        let at = Timestamp::from_millis(order.get(..MILLIS_DIGITS)?.parse().ok()?);
        Some(Self { consent: serde_json::from_slice(held.get(order.len() + 1..)?).ok()?, at })
    }
}

/// The record that tells of what a store holds once more, with the id it always had.
pub(super) fn record(held: &[u8]) -> Option<Record> {
    let order = std::str::from_utf8(Word::order_of(held)).ok()?;
    let json = held.get(order.len() + 1..)?;
    let consent: Consent = serde_json::from_slice(json).ok()?;
    Some(Record {
        topic: Topic::Consent,
        key: format!("{}:{}|{}", consent.scope.name(), consent.scope_id, consent.recipient),
        id: order.get(MILLIS_DIGITS + 1..)?.to_owned(),
        source: format!("/connections/{}", consent.connection),
        time: consent.received_at,
        traceparent: None,
        value: Bytes::copy_from_slice(json),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{
        Body, Confidence, ConnectionId, Event, EventId, Evidence, Number, Provider, Recipient, Scope,
    };

    fn said(action: Action, second: i64) -> Record {
        let connection = ConnectionId::parse("acme").unwrap();
        let consent = Consent {
            provider: Provider::Twilio,
            connection: connection.clone(),
            action,
            evidence: Evidence::Keyword,
            confidence: Confidence::Certain,
            keyword: Some("STOP".into()),
            scope: Scope::Number,
            scope_id: "+18005550100".into(),
            number: Number::parse("+18005550100"),
            list: None,
            recipient: Recipient::published("h:1".into()),
            message_id: None,
            occurred_at: Some(Timestamp::from_seconds(second)),
            received_at: Timestamp::from_seconds(1_000),
        };
        Event { id: EventId::of(&connection, &["x"]), body: Body::Consent(consent) }.record(None)
    }

    #[test]
    fn the_later_word_is_greater_and_at_one_moment_the_opt_out() {
        let order = |action, second| Word::of(&said(action, second)).unwrap().order;
        let ascending = [
            order(Action::OptOut, 9),
            order(Action::OptIn, 100),
            order(Action::OptOut, 100),
            order(Action::OptIn, 101),
        ];
        assert!(ascending.is_sorted_by(|a, b| a < b && a.len() == b.len()), "{ascending:?}");
        assert_eq!(order(Action::OptOut, 2_000)[..16], order(Action::OptOut, 1_000)[..16], "the future");
        assert_eq!(Word::of(&said(Action::Help, 1)), None);
    }

    #[test]
    fn what_is_held_is_told_again_as_it_was() {
        let told = said(Action::OptOut, 7);
        let word = Word::of(&told).unwrap();
        assert_eq!((word.scope.as_str(), word.recipient.as_str()), ("number:+18005550100", "h:1"));
        assert_eq!(record(&word.to_bytes()), Some(told));
        assert_eq!(Held::read(&word.to_bytes()).unwrap().at, Timestamp::from_seconds(7));
    }
}
