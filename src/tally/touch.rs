//! A record of the stream in, what it says about a message out. Pure: no store, no clock.
//!
//! Must never decide whether something counts twice; that is the store's.

use std::collections::HashMap;

use serde::Deserialize;

use crate::clock::Timestamp;
use crate::consume::Batch;
use crate::event::{ConnectionId, FailureClass, Identity, ListId, Number, Provider, Record, State, Topic};
use crate::registry::Registry;

use super::cell::{CellId, CellKey};
use super::consent::Word;
use super::listing;
use super::message::{Arrival, Cohort, CohortSource, Heard, Outcome, Placement, PlacementSource, Traces};
use super::roll::Entry;
use super::route::Route;
use super::window::CORRECTED_FOR;
use super::{Apply, Touch};

/// What a record has to say about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// This, and the cell it names.
    Touch {
        /// The news itself.
        touch: Touch,
        /// The cell that [`Heard::placement`] stands for.
        cell: CellKey,
    },
    /// Nothing of a message, but names for the rolls.
    Listed(Vec<Entry>),
    /// Nothing: replies and the rest are not counted.
    NotCounted,
    /// Nothing anybody can read.
    Dead,
}

/// The fields of a receipt that are counted by; the rest of the JSON is skipped unread.
#[derive(Deserialize)]
struct ReceiptSays {
    provider: Provider,
    connection: ConnectionId,
    number: Option<Number>,
    list: Option<ListId>,
    state: State,
    failure: Option<FailureSays>,
    country: Option<String>,
    network: Option<String>,
    sent_at: Option<Timestamp>,
    occurred_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct FailureSays {
    class: FailureClass,
}

/// The fields of a registered send that are counted by.
#[derive(Deserialize)]
struct SendSays {
    connection: ConnectionId,
    number: Number,
    list: Option<ListId>,
    sent_at: Timestamp,
}

/// Says what a record has to say about a message. Its key is the message's identity, its time the
/// moment it was received; only the rest is read from its JSON.
pub fn touch(record: &Record, registry: &Registry) -> News {
    match record.topic {
        Topic::Receipts => serde_json::from_slice::<ReceiptSays>(&record.value)
            .map_or(News::Dead, |says| of_receipt(record, says, registry)),
        Topic::Sends => {
            serde_json::from_slice::<SendSays>(&record.value).map_or(News::Dead, |says| of_send(record, says))
        }
        Topic::Consent => listing::of_consent(record).map_or(News::Dead, News::Listed),
        Topic::Feedback => listing::of_feedback(record).map_or(News::Dead, News::Listed),
        Topic::Inbound | Topic::Incidents | Topic::Numbers | Topic::Receivers | Topic::DeadLetter => {
            News::NotCounted
        }
    }
}

fn of_receipt(record: &Record, says: ReceiptSays, registry: &Registry) -> News {
    let source = placement_source(&says, registry);
    let cell = CellKey {
        // A list is known by its number; without one the message is its connection's.
        list: says.list.filter(|_| says.number.is_some()),
        number: says.number,
        connection: says.connection,
    };
    let cohort = match says.sent_at {
        // A message was sent before its receipt came in, whatever the provider's clock says.
        Some(at) => Cohort::new(CohortSource::ProviderSent, at.min(record.time)),
        None => Cohort::new(CohortSource::ReceivedAt, record.time),
    };
    let outcome = Outcome::new(says.state, says.failure.map(|failure| failure.class), says.occurred_at);
    let arrived = says.occurred_at.unwrap_or(record.time).min(record.time);
    let heard = Heard {
        traces: Traces::of(says.state),
        arrival: if says.state == State::Delivered { Arrival::at(arrived) } else { Arrival::NEVER },
        route: Route::new(says.country, says.network).id(),
        ..Heard::new(outcome, cohort, Placement::new(source, cell.id()))
    };
    news(record, heard, cell)
}

fn of_send(record: &Record, says: SendSays) -> News {
    // A send may be registered ahead of its time, but not so far that its message is forgotten
    // before its first receipt.
    let planned = says.sent_at <= record.time.plus(CORRECTED_FOR);
    let sent_at = if planned { says.sent_at } else { record.time };
    let cohort = Cohort::new(CohortSource::RegisteredSend, sent_at);
    let cell = CellKey { number: Some(says.number), connection: says.connection, list: says.list };
    let placement = Placement::new(PlacementSource::RegisteredSend, cell.id());
    news(record, Heard::new(Outcome::SILENT, cohort, placement), cell)
}

fn news(record: &Record, heard: Heard, cell: CellKey) -> News {
    let identity = Identity::digest_of_key(&record.key);
    News::Touch { touch: Touch { identity, heard, received_at: record.time }, cell }
}

/// A receipt does not say where its number came from. CM's and Lime's name none themselves, so one
/// that is the connection's configured number came from there, and any better source may move it.
fn placement_source(says: &ReceiptSays, registry: &Registry) -> PlacementSource {
    let Some(number) = &says.number else { return PlacementSource::Unattributed };
    let borrowed = match says.provider {
        Provider::Cm | Provider::Lime => registry
            .connection(says.connection.as_str())
            .is_some_and(|connection| connection.number.as_ref() == Some(number)),
        Provider::Twilio | Provider::Infobip => false,
    };
    if borrowed { PlacementSource::Connection } else { PlacementSource::Receipt }
}

impl Apply {
    /// Everything a batch of the stream has to say, at the stream clock `clock`.
    pub fn of(batch: &Batch, clock: Timestamp, registry: &Registry) -> Self {
        let mut apply = Self { clock, ..Self::default() };
        let mut cells: HashMap<CellId, CellKey> = HashMap::new();
        apply.touches.reserve(batch.records.len());
        for taken in &batch.records {
            let next = apply.positions.entry(taken.partition).or_default();
            *next = (*next).max(taken.offset + 1);
            match taken.record.as_ref().map_or(News::Dead, |record| touch(record, registry)) {
                News::Touch { touch, cell } => {
                    if taken.record.as_ref().is_some_and(|record| record.topic == Topic::Receipts) {
                        apply.hear(&cell.connection, touch.received_at);
                    }
                    cells.entry(touch.heard.placement.cell()).or_insert(cell);
                    apply.touches.push((taken.partition, touch));
                }
                News::Listed(entries) => {
                    apply.words.extend(taken.record.as_ref().and_then(Word::of));
                    apply.entries.extend(entries);
                    apply.aside.entry(taken.partition).or_default().not_counted += 1;
                }
                News::NotCounted => apply.aside.entry(taken.partition).or_default().not_counted += 1,
                News::Dead => apply.aside.entry(taken.partition).or_default().dead += 1,
            }
        }
        apply.cells = cells.into_values().collect();
        apply
    }

    /// Notes that a receipt of a connection was received.
    fn hear(&mut self, connection: &ConnectionId, at: Timestamp) {
        match self.heard.get_mut(connection) {
            Some(latest) => *latest = at.max(*latest),
            None => drop(self.heard.insert(connection.clone(), at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Body, Event, EventId, Send};

    const RECEIVED: Timestamp = Timestamp::from_seconds(1_764_000_000);

    fn send(sent_at: Timestamp) -> Send {
        Send {
            provider: Provider::Twilio,
            connection: ConnectionId::parse("acme").unwrap(),
            message_id: Some("SM1".into()),
            reference: None,
            number: Number::parse("+18005550100").unwrap(),
            list: ListId::parse("spring"),
            recipient: None,
            sent_at,
            received_at: RECEIVED,
        }
    }

    fn told(send: &Send) -> (Touch, CellKey) {
        let event = Event { id: EventId::of(&send.connection, &["x"]), body: Body::Send(send.clone()) };
        let record = event.record(None);
        let says = serde_json::from_slice::<SendSays>(&record.value).unwrap();
        match of_send(&record, says) {
            News::Touch { touch, cell } => (touch, cell),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_send_names_its_message_its_time_and_its_cell() {
        let at = RECEIVED.minus(std::time::Duration::from_secs(90));
        let (touch, cell) = told(&send(at));
        assert_eq!(touch.identity, send(at).identity().digest());
        assert_eq!(touch.received_at, RECEIVED);
        assert_eq!(touch.heard.outcome, Outcome::SILENT);
        assert_eq!(touch.heard.cohort, Cohort::new(CohortSource::RegisteredSend, at));
        assert_eq!(touch.heard.placement, Placement::new(PlacementSource::RegisteredSend, cell.id()));
        assert_eq!(cell.list, ListId::parse("spring"));
    }

    #[test]
    fn a_send_may_be_planned_but_not_for_a_time_when_it_is_forgotten() {
        let minute = |at| told(&send(at)).0.heard.cohort.minute();
        let planned = RECEIVED.plus(CORRECTED_FOR);
        assert_eq!(minute(planned), planned.minute());
        assert_eq!(minute(planned.plus(CORRECTED_FOR)), RECEIVED.minute());
    }
}
