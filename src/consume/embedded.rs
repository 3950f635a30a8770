//! The embedded log → batches, from the store's position on.

use std::collections::BTreeMap;

use super::{Batch, Error, Partition, Taken};
use crate::clock::Timestamp;
use crate::publish::Log;

/// Takes from the embedded stream.
#[derive(Debug)]
pub struct EmbeddedConsumer {
    log: Log,
    position: u64,
    last: Option<Timestamp>,
}

impl EmbeddedConsumer {
    pub(super) fn new(log: Log, position: u64) -> Self {
        let mut consumer = Self { log, position, last: None };
        consumer.go_to(position);
        consumer
    }

    /// Goes on from another position.
    pub(super) fn go_to(&mut self, position: u64) {
        let end = self.log.end();
        if position > end {
            // The log lost its tail, or was deleted, and gives these offsets out again. Taking them
            // again is harmless, since what was counted is not counted twice; passing over is not.
            tracing::warn!(position, end, "consume.embedded the log ends before the store's position");
        }
        (self.position, self.last) = (position.min(end), None);
    }

    /// Goes back to a position, or to the oldest record there is.
    pub(super) fn go_back(&mut self, positions: &BTreeMap<Partition, u64>) {
        let position = positions.get(&Partition::EMBEDDED).copied();
        self.go_to(position.unwrap_or_else(|| self.log.start()));
    }

    pub(super) async fn next(&mut self, max: usize) -> Result<Batch, Error> {
        loop {
            self.log.wait_beyond(self.position).await;
            let (log, from) = (self.log.clone(), self.position);
            let read = tokio::task::spawn_blocking(move || log.read(from, max.max(1))).await;
            let read = read
                .map_err(|error| Error::Unusable(error.to_string()))?
                .map_err(|error| Error::Unusable(error.to_string()))?;
            let Some((last, _)) = read.last() else { continue };
            // Nothing is awaited from here on: either the batch is handed out, or nothing moved.
            self.position = last + 1;
            self.last = read.iter().rev().find_map(|(_, r)| r.as_ref().map(|r| r.time)).or(self.last);
            let partition = Partition::EMBEDDED;
            let records =
                read.into_iter().map(|(offset, record)| Taken { partition, offset, record }).collect();
            return Ok(Batch { records, caught_up: self.caught_up() });
        }
    }

    pub(super) fn commit(&self, positions: &BTreeMap<Partition, u64>) {
        if let Some(position) = positions.get(&Partition::EMBEDDED) {
            self.log.release(*position);
        }
    }

    pub(super) fn ends(&self) -> BTreeMap<Partition, u64> {
        BTreeMap::from([(Partition::EMBEDDED, self.log.end())])
    }

    pub(super) fn clocks(&self, now: Timestamp) -> BTreeMap<Partition, Option<Timestamp>> {
        let clock = if self.caught_up() { Some(now) } else { self.last };
        BTreeMap::from([(Partition::EMBEDDED, clock)])
    }

    pub(super) fn caught_up(&self) -> bool {
        self.position >= self.log.end()
    }
}
