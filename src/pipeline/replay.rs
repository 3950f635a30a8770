//! The stream as it stands → cells once more, in a store of their own: take, apply, move on.
//!
//! Records come oldest first, so the stream clock is the time of what was applied last, and what the
//! store holds in the end depends on the stream alone. Must never touch the live state.

use crate::clock::Timestamp;
use crate::consume::{self, APPLIED, Archive, Batch};
use crate::registry::Registry;
use crate::tally::{self, Account, Apply, Store};

/// Records applied at once.
const BATCH_RECORDS: usize = 2_000;

/// What is replayed, and into what.
#[derive(Debug)]
pub struct Replay<'a> {
    /// The stream.
    pub archive: &'a Archive,
    /// An empty state.
    pub store: &'a Store,
    /// Connections' numbers.
    pub registry: &'a Registry,
    /// Records received before are passed over.
    pub from: Option<Timestamp>,
    /// Records received later are passed over.
    pub to: Option<Timestamp>,
}

/// What a replay came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// What became of the records.
    pub account: Account,
    /// The stream clock at the end.
    pub clock: Timestamp,
}

/// Why a replay ended early.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The stream cannot be read.
    #[error(transparent)]
    Stream(#[from] consume::Error),
    /// The store does not take it.
    #[error(transparent)]
    State(#[from] tally::Error),
}

impl Replay<'_> {
    /// Replays, and tells `progress` of each batch how much has been applied so far.
    ///
    /// # Errors
    /// When the stream cannot be read, or the store does not take it.
    pub async fn run(&self, mut progress: impl FnMut(&Replayed)) -> Result<Replayed, ReplayError> {
        let mut scan = self.archive.scan(&APPLIED, self.from);
        let mut done = Replayed::default();
        while let Some(batch) = scan.next(BATCH_RECORDS).await? {
            let (apply, newest) = self.plan(batch, done.clock);
            self.store.hold(&apply.words).await?;
            done.account.merge(&self.store.apply(&apply).await?);
            if newest.minute() / 60 > done.clock.minute() / 60 {
                self.store.expire(newest).await?;
            }
            done.clock = done.clock.max(newest);
            progress(&done);
        }
        self.store.expire(done.clock).await?;
        Ok(done)
    }

    /// What a batch has to say, and the time of its newest record.
    fn plan(&self, mut batch: Batch, clock: Timestamp) -> (Apply, Timestamp) {
        // Where records are passed over at the end, nobody may go on behind them.
        let positions = match self.to {
            Some(_) => None,
            None => Some(Apply::of(&batch, clock, self.registry).positions),
        };
        batch.records.retain(|taken| {
            let time = taken.record.as_ref().map(|record| record.time);
            time.is_none_or(|time| {
                self.from.is_none_or(|from| time >= from) && self.to.is_none_or(|to| time <= to)
            })
        });
        let times = batch.records.iter().filter_map(|taken| Some(taken.record.as_ref()?.time));
        let newest = times.max().unwrap_or(clock);
        let mut apply = Apply::of(&batch, clock, self.registry);
        apply.newest = newest;
        apply.positions = positions.unwrap_or_default();
        (apply, newest)
    }
}
