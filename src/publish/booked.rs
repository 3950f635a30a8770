//! Events → the stream, within a deadline and on the books: what was offered and what became
//! durable is in the ledger and the metrics, whoever publishes.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::{Durable, Error, Publisher};
use crate::clock::Clock;
use crate::event::Event;
use crate::ledger::{Ledger, Published, Sink};
use crate::metrics::Metrics;

/// A publisher that keeps the books. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Booked {
    /// The stream.
    pub publisher: Publisher,
    /// The account.
    pub ledger: Arc<Ledger>,
    /// The metrics.
    pub metrics: Metrics,
    /// The daemon's clock.
    pub clock: Clock,
    /// The longest that anybody waits for events to be durable.
    pub answer_deadline: Duration,
}

impl Booked {
    /// Makes events durable, all of them, or says why not (some may be durable all the same).
    ///
    /// # Errors
    /// When the stream does not acknowledge every event within the deadline.
    pub async fn publish(&self, events: &[Event], trace: Option<&str>) -> Result<Durable, Error> {
        let records: Vec<_> = events.iter().map(|event| event.record(trace)).collect();
        let started = self.clock.ticks();
        let result = timeout(self.answer_deadline, self.publisher.publish(records))
            .await
            .unwrap_or_else(|_| Err(Error::NotAcknowledged("the answer's deadline passed".into())));
        let (durable, spooled) = result.as_ref().map_or((0, 0), |durable| (durable.records, durable.spooled));
        let sink = self.publisher.sink();
        let published = Published { sink, durable, spooled };
        self.ledger.published(events.iter().map(Event::connection), published);
        self.metrics.publish.with_label_values(&[sink.name()]).inc_by((durable - spooled) as u64);
        if spooled > 0 {
            self.metrics.publish.with_label_values(&[Sink::Spool.name()]).inc_by(spooled as u64);
        }
        self.metrics.publish_duration.observe(self.clock.ticks().saturating_sub(started).as_secs_f64());
        result
    }
}
