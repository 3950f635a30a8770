//! librdkafka's reports → one answer per batch, and what is known of the brokers.
//!
//! A batch is answered when its last record is reported on, by a count-down all its records share;
//! a future per record would cost three times as much.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::statistics::Statistics;
use tokio::sync::{Notify, oneshot};

use super::Error;
use super::forsaken::{Brokers, Heard, TICKS};

/// After so many statistics without another refusal only a new attempt can tell: whoever reads
/// `/readyz` may have taken the webhooks away, and without them nothing would ever be delivered.
const REFUSAL_TICKS: u32 = 60;

/// Records that are answered together.
pub(super) struct Batch {
    left: AtomicUsize,
    /// How each of them stands.
    fates: Box<[AtomicU8]>,
    /// Where those are counted that are acknowledged though they were given up.
    ghosts: Arc<AtomicU64>,
    outcome: Mutex<Outcome>,
}

/// How a record stands: it is waited for,
const AWAITED: u8 = 0;
/// it is acknowledged,
const ACKNOWLEDGED: u8 = 1;
/// or nobody waits for it any more.
const GIVEN_UP: u8 = 2;

/// A record of a batch, which librdkafka hands back with its report.
pub(super) struct Place {
    pub(super) batch: Arc<Batch>,
    pub(super) nth: usize,
}

/// What of a batch is not acknowledged.
#[derive(Debug)]
pub(super) struct Left {
    /// Why, of the last one that was reported on.
    pub(super) error: Error,
    /// The places of all of them.
    pub(super) places: Vec<usize>,
    /// The places of those among them that will never be.
    pub(super) refused: Vec<usize>,
}

struct Outcome {
    failed: Option<Error>,
    refused: Vec<usize>,
    answer: Option<oneshot::Sender<Result<(), Error>>>,
}

impl Batch {
    /// A batch of this many records, and its answer. Those that are acknowledged though they were
    /// given up are counted in `ghosts`.
    pub(super) fn of(
        records: usize,
        ghosts: Arc<AtomicU64>,
    ) -> (Arc<Self>, oneshot::Receiver<Result<(), Error>>) {
        let (answer, answered) = oneshot::channel();
        let outcome = Mutex::new(Outcome { failed: None, refused: Vec::new(), answer: Some(answer) });
        let fates = std::iter::repeat_with(AtomicU8::default).take(records).collect();
        (Arc::new(Self { left: AtomicUsize::new(records), fates, ghosts, outcome }), answered)
    }

    /// Takes note of a record's report.
    pub(super) fn report(&self, nth: usize, failed: Option<Error>) {
        if let Some(error) = failed {
            let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
            if matches!(error, Error::Refused(_)) {
                outcome.refused.push(nth);
            }
            outcome.failed = Some(error);
        } else if self.fates.get(nth).map(|fate| fate.swap(ACKNOWLEDGED, Ordering::AcqRel)) == Some(GIVEN_UP)
        {
            self.ghosts.fetch_add(1, Ordering::Relaxed);
        }
        if self.left.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        let result = outcome.failed.take().map_or(Ok(()), Err);
        if let Some(answer) = outcome.answer.take() {
            // Whoever has stopped waiting does not need the answer.
            drop(answer.send(result));
        }
    }
}

impl Batch {
    /// Gives up what is not acknowledged by now.
    pub(super) fn left(&self, error: Error) -> Left {
        let gives_up = |fate: &AtomicU8| {
            let was = fate.compare_exchange(AWAITED, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire);
            was != Err(ACKNOWLEDGED)
        };
        let given_up = |(nth, fate): (usize, &AtomicU8)| gives_up(fate).then_some(nth);
        let places = self.fates.iter().enumerate().filter_map(given_up).collect();
        let refused = self.outcome.lock().unwrap_or_else(PoisonError::into_inner).refused.clone();
        Left { error, places, refused }
    }
}

/// What a refused record calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// The queue is full: the provider is told to come back.
    Full,
    /// This record will never go through; others will.
    Poison,
    /// The same record may go through later: the provider comes back with it.
    Transient,
    /// This producer will never send again; a new one will.
    Fatal,
}

/// Sorts a refusal of one record. Everything but `Full` is answered 503: a poison record too, since
/// its provider must not be told it is kept, but only it suffers.
pub(super) fn sort(code: Code) -> Sort {
    match code {
        // The local queue is full: brokers are slower than providers.
        Code::QueueFull => Sort::Full,
        // The record itself breaks a limit of the topic or is malformed.
        Code::MessageSizeTooLarge
        | Code::InvalidMessage
        | Code::InvalidMessageSize
        | Code::InvalidRecord
        | Code::InvalidTimestamp => Sort::Poison,
        // The idempotent producer lost count of its sequence, or was fenced: librdkafka refuses
        // every later record with `Fatal`, for good.
        Code::Fatal
        | Code::OutOfOrderSequenceNumber
        | Code::InvalidProducerEpoch
        | Code::UnknownProducerId
        | Code::ProducerFenced
        | Code::Fenced => Sort::Fatal,
        // Brokers, leaders, replicas, the network, rights that may be granted: all may change.
        _ => Sort::Transient,
    }
}

/// What the callbacks of a producer know.
#[derive(Default)]
pub(super) struct Reports {
    /// This producer will never send again.
    broken: AtomicBool,
    /// Whoever replaces it, and looks what is wrong when it is refused.
    keeper: Arc<Notify>,
    /// A record was acknowledged since the last refusal.
    delivered: AtomicBool,
    known: Mutex<Known>,
    /// What librdkafka said last about a connection.
    heard: Mutex<Option<Told>>,
    /// Values that must not be shown.
    secrets: Vec<String>,
}

#[derive(Default)]
struct Known {
    brokers: Brokers,
    /// A broker was connected when last heard of.
    up: bool,
    trouble: Option<Trouble>,
}

/// Why no broker takes records.
struct Trouble {
    text: String,
    end: End,
}

/// What was said about a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The broker does not take us as we are; a person has to see to it.
    Refusal(String),
    /// What may pass.
    Trouble(String),
}

impl Told {
    fn of(code: Option<Code>, reason: String) -> Self {
        match code {
            Some(Code::Authentication | Code::SaslAuthenticationFailed) => Self::Refusal(reason),
            // A balancer with nobody behind it ends connections in the middle of a handshake, too.
            Some(Code::SSL) if !reason.contains("Disconnected") => Self::Refusal(reason),
            _ => Self::Trouble(reason),
        }
    }

    fn into_text(self) -> String {
        match self {
            Self::Refusal(text) | Self::Trouble(text) => text,
        }
    }
}

/// What ends a trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// A broker's being connected.
    Connection,
    /// Records' being acknowledged again: a connected broker refuses them, because it has too few
    /// in-sync replicas, say. So many statistics were without a refusal.
    Delivery(u32),
}

impl Reports {
    /// What a producer knows at its start, with what troubled the one before it.
    pub(super) fn new(secrets: Vec<String>, keeper: Arc<Notify>, trouble: Option<String>) -> Self {
        let trouble = trouble.map(|text| Trouble { text, end: End::Connection });
        let known = Mutex::new(Known { trouble, ..Known::default() });
        Self { secrets, keeper, known, ..Self::default() }
    }

    /// Whether this producer will never send again.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Why no broker takes records, if none does.
    pub(super) fn trouble(&self) -> Option<String> {
        self.known().trouble.as_ref().map(|trouble| trouble.text.clone())
    }

    /// Whether no broker is connected, as far as was heard lately.
    pub(super) fn is_away(&self) -> bool {
        self.known().trouble.as_ref().is_some_and(|trouble| trouble.end == End::Connection)
    }

    /// What librdkafka said last about a connection: more to the point than a time-out.
    pub(super) fn heard(&self) -> Option<Told> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes note of a refusal and puts it in words.
    pub(super) fn refused(&self, code: Code) -> Error {
        match sort(code) {
            Sort::Full => Error::Full,
            Sort::Poison => Error::Refused(format!("kafka takes no such event ({code})")),
            Sort::Transient => {
                self.delivered.store(false, Ordering::Release);
                let mut known = self.known();
                let end = if known.up { End::Delivery(0) } else { End::Connection };
                known.suffer(format!("kafka does not acknowledge events ({code})"), end);
                if known.up {
                    self.keeper.notify_one();
                }
                Error::NotAcknowledged(format!("kafka did not acknowledge an event ({code})"))
            }
            Sort::Fatal => {
                self.is_to_be_replaced();
                Error::NotAcknowledged(format!("the producer has to be renewed ({code})"))
            }
        }
    }

    /// Nothing more is to be expected of this producer.
    pub(super) fn is_to_be_replaced(&self) {
        self.broken.store(true, Ordering::Release);
        self.keeper.notify_one();
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn suffer(&mut self, text: String, end: End) {
        if self.trouble.is_none() {
            tracing::warn!(trouble = %text, "stream.kafka does not take events");
        }
        self.trouble = Some(Trouble { text, end });
    }

    /// Takes note of statistics; `delivered` tells of a record acknowledged since the last refusal.
    fn hear(&mut self, statistics: &Statistics, delivered: &AtomicBool) -> Heard {
        // An address a producer was configured with may be all it needs while nothing is published.
        let heard = self.brokers.hear(statistics, |broker| broker.source != "logical");
        self.up = heard == Heard::Up;
        let connection = self.trouble.as_ref().is_some_and(|trouble| trouble.end == End::Connection);
        if matches!(heard, Heard::Away | Heard::Forsaken) && !connection {
            self.suffer("no broker is connected".into(), End::Connection);
        }
        let Some(trouble) = &mut self.trouble else { return heard };
        let over = match &mut trouble.end {
            End::Connection => self.up,
            End::Delivery(quiet) => {
                *quiet += 1;
                // With one partition's leader away, others' acknowledgements come in between.
                *quiet >= REFUSAL_TICKS || (*quiet >= TICKS && delivered.load(Ordering::Acquire))
            }
        };
        if over {
            self.trouble = None;
            tracing::info!("stream.kafka takes events again");
        }
        heard
    }
}

impl ClientContext for Reports {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, message = super::scrub(message, &self.secrets), "librdkafka");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let reason = super::scrub(reason, &self.secrets);
        match error.rdkafka_error_code() {
            Some(Code::Fatal) => self.is_to_be_replaced(),
            Some(Code::AllBrokersDown) => {
                let text = self.heard().map_or(reason, Told::into_text);
                self.known().suffer(text, End::Connection);
            }
            // One broker of several, or a connection that is being made again.
            code => {
                tracing::debug!(reason, "librdkafka.error");
                let told = Told::of(code, reason);
                *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
            }
        }
    }

    fn stats(&self, statistics: Statistics) {
        let heard = self.known().hear(&statistics, &self.delivered);
        // Told until it is done.
        if heard == Heard::Forsaken || self.is_broken() {
            self.is_to_be_replaced();
        }
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Place>;

    fn delivery(&self, result: &DeliveryResult<'_>, place: Box<Place>) {
        let outcome = match result {
            Ok(_) => {
                self.delivered.store(true, Ordering::Release);
                None
            }
            Err((error, _)) => Some(self.refused(error.rdkafka_error_code().unwrap_or(Code::Fail))),
        };
        place.batch.report(place.nth, outcome);
    }
}

impl fmt::Debug for Reports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reports").field("broken", &self.broken).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::forsaken::statistics;
    use super::*;

    #[test]
    fn a_batch_is_answered_once_all_its_records_are_reported_on() {
        let ghosts = Arc::<AtomicU64>::default();
        let (batch, mut answered) = Batch::of(3, Arc::clone(&ghosts));
        batch.report(2, None);
        batch.report(1, Some(Error::Refused("it is too large".into())));
        assert!(answered.try_recv().is_err());
        let left = batch.left(Error::Full);
        assert_eq!((left.places, left.refused), (vec![0, 1], vec![1]), "as when nobody waits longer");
        assert_eq!(ghosts.load(Ordering::Relaxed), 0);
        batch.report(0, None);
        assert_eq!(ghosts.load(Ordering::Relaxed), 1, "it was given up, and stands in the stream");
        assert!(matches!(answered.try_recv().unwrap(), Err(Error::Refused(_))));
        assert_eq!(batch.left(Error::Full).places, [1]);
    }

    #[test]
    fn a_fatal_refusal_asks_for_a_new_producer_and_a_poison_one_does_not() {
        let reports = Reports::default();
        assert!(matches!(reports.refused(Code::MessageSizeTooLarge), Error::Refused(_)));
        assert_eq!(reports.refused(Code::QueueFull), Error::Full);
        assert!(!reports.is_broken() && reports.trouble().is_none());
        reports.refused(Code::OutOfOrderSequenceNumber);
        assert!(reports.is_broken());
        reports.refused(Code::MessageTimedOut);
        assert!(reports.trouble().is_some());
    }

    const UP: &[(&str, &str, i64)] = &[("learned", "UP", 1)];

    fn hears(reports: &Reports, brokers: &[(&str, &str, i64)], times: u32) -> bool {
        (0..times).for_each(|_| reports.stats(statistics(brokers)));
        reports.trouble().is_none()
    }

    #[test]
    fn a_connected_brokers_refusals_are_over_when_records_are_acknowledged_again() {
        let reports = Reports::default();
        assert!(hears(&reports, UP, 1));
        for _ in 0..3 {
            reports.refused(Code::NotEnoughReplicas);
            assert!(!hears(&reports, UP, TICKS + 1), "being connected says nothing of replicas");
        }
        reports.delivered.store(true, Ordering::Release);
        assert!(hears(&reports, UP, 1));
        reports.refused(Code::NotEnoughReplicas);
        assert!(!hears(&reports, UP, REFUSAL_TICKS - 1));
        assert!(hears(&reports, UP, 1), "only webhooks can tell");
    }

    #[test]
    fn no_broker_connected_is_said_until_one_is() {
        let reports = Reports::default();
        let connecting: &[_] = &[("learned", "CONNECT", 1)];
        assert!(hears(&reports, connecting, TICKS - 1));
        assert!(!hears(&reports, connecting, 1));
        assert!(hears(&reports, UP, 1));
        reports.refused(Code::MessageTimedOut);
        assert!(!hears(&reports, connecting, TICKS));
        assert!(hears(&reports, UP, 1), "it was the connection after all");
        assert!(!reports.is_broken());
    }

    #[tokio::test]
    async fn a_forsaken_producer_asks_to_be_replaced_and_hands_its_trouble_on() {
        let keeper = Arc::new(Notify::new());
        let reports = Reports::new(Vec::new(), Arc::clone(&keeper), None);
        assert!(!hears(&reports, &[], TICKS));
        assert!(reports.is_broken());
        keeper.notified().await;
        let next = Reports::new(Vec::new(), keeper, reports.trouble());
        assert!(next.trouble().is_some() && !next.is_broken());
        assert!(hears(&next, UP, 1));
    }
}
