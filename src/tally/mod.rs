//! Events → cells: each message counted once, whatever arrives in whatever order, however often.
//!
//! [`touch`] says what an event has to say about a message; a [`Store`] applies a batch of those
//! atomically and keeps everything the observer must not forget.

mod message;
mod account;
mod cell;
mod consent;
mod counter;
mod run;
mod roll;
mod route;
mod window;
mod listing;
mod touch;
mod mirror;
mod embedded;
mod redis;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::config::{self, Secret};
use crate::consume::Partition;
use crate::event::{ConnectionId, Recipient, Record};

pub use account::{Account, Aside};
pub use cell::{CellId, CellKey};
pub use consent::{Held, Word};
pub use counter::{Counter, DELAY_STEPS};
pub use message::{
    Arrival, Cohort, CohortSource, Contribution, Counted, Heard, Outcome, Placement, PlacementSource, Traces,
};
pub use mirror::Mirror;
pub use roll::{Entry, NOTICES_MAX, Notice, Notices, Roll, RollKey, RollKind, Rolls, Subject};
pub use route::{Route, RouteId};
pub use touch::{News, touch};
pub use window::{Bucket, CORRECTED_FOR, Cell, Cells, Counters, HOURS_KEPT, MINUTES_KEPT};

/// One event's news of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touch {
    /// The message: [`Identity::digest`](crate::event::Identity::digest).
    pub identity: [u8; 16],
    /// What was heard.
    pub heard: Heard,
    /// When the event was received; a message forgotten since is not counted again.
    pub received_at: Timestamp,
}

/// A batch to apply: all of it or, on an error, possibly a part, which applying it again completes.
#[derive(Clone, Debug, Default)]
pub struct Apply {
    /// The news, in order, with the partition each came from.
    pub touches: Vec<(Partition, Touch)>,
    /// Every cell the news names.
    pub cells: Vec<CellKey>,
    /// What recipients said.
    pub words: Vec<Word>,
    /// Names for the rolls.
    pub entries: Vec<Entry>,
    /// When each connection's last receipt was received.
    pub heard: BTreeMap<ConnectionId, Timestamp>,
    /// Records that carry no news of a message, by partition.
    pub aside: BTreeMap<Partition, Aside>,
    /// The stream clock: no record before this moment is still to come.
    pub clock: Timestamp,
    /// The latest moment at which any of it was received, as far as that is believed. Messages are
    /// remembered by it, since the stream clock may be far behind while the stream is read again.
    pub newest: Timestamp,
    /// Where to go on in each partition.
    pub positions: BTreeMap<Partition, u64>,
}

/// A table of documents that are kept beside the cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Incidents by id.
    Incidents,
    /// What is still to be said on Discord, by id.
    Outbox,
    /// Where each number stands in the alert policy, by number.
    Standings,
    /// Who is not to be called about what, and until when, by id.
    Silences,
    /// What people prefer to be told, by whose preference it is.
    Preferences,
    /// What of the other tables was published, by topic and key.
    Announced,
    /// Who has taken an incident on, by the incident's id, until whoever evaluates has noted it there.
    Acknowledged,
    /// Which record of each partition was taken last.
    Marks,
}

impl Table {
    /// The table's name in a store.
    const fn name(self) -> &'static str {
        match self {
            Self::Incidents => "incidents",
            Self::Outbox => "outbox",
            Self::Standings => "standings",
            Self::Silences => "silences",
            Self::Preferences => "preferences",
            Self::Announced => "announced",
            Self::Acknowledged => "acknowledged",
            Self::Marks => "marks",
        }
    }
}

/// A change of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// The table.
    pub table: Table,
    /// The document's key.
    pub key: String,
    /// The document, or `None` to delete it.
    pub value: Option<Bytes>,
}

/// Where the counting goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    /// The next record to apply, by partition; one that is missing is read from its beginning.
    pub positions: BTreeMap<Partition, u64>,
    /// The stream clock there.
    pub clock: Timestamp,
    /// What the store lost, as a sentence, if that is news.
    pub loss: Option<String>,
}

/// How far partitions have been applied.
#[derive(Clone, Debug, Default)]
pub struct Clocks {
    /// No record of the partition from before this is still to come; `None` where it is not known here.
    pub times: BTreeMap<Partition, Option<Timestamp>>,
    /// Whether these are all the partitions there are, just listed.
    pub listed: bool,
}

/// Where the state is kept. Cheap to clone; the clones are one store.
#[derive(Clone, Debug)]
pub enum Store {
    /// In a directory of this machine.
    Embedded(embedded::Embedded),
    /// In a Redis that several daemons share.
    Redis(redis::Redis),
}

/// Why the state could not be read or written.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store cannot be reached; the same call may go through later.
    #[error("failed to reach the state store: {0}")]
    Unreachable(String),
    /// The store answers, but not as it must; a person has to look.
    #[error("failed to use the state store: {0}")]
    Unusable(String),
    /// The store lost something, and the positions were moved back: [`Store::resume`] says where to.
    #[error("the state store may have lost something: its stream is read again from an earlier position")]
    Rewound,
    /// Another observer evaluates by now.
    #[error("another observer has taken the evaluation over")]
    Fenced,
}

/// Does what takes its time on a thread of its own. A panic goes on here.
///
/// # Errors
/// When the runtime is ending.
pub(crate) async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => Error::Unusable(error.to_string()),
    })
}

impl Store {
    /// Opens the state in a directory, or creates it. What is damaged there is moved aside, with a
    /// warning; the stream then fills the new one.
    ///
    /// # Errors
    /// When the directory cannot be used, another process has it open, or it was written by an
    /// incompatible version.
    pub fn embedded(dir: &Path) -> Result<Self, Error> {
        embedded::Embedded::open(dir).map(Self::Embedded)
    }

    /// Connects to the state in a Redis, or creates it there. `slots` is fixed at creation.
    ///
    /// # Errors
    /// When Redis cannot be reached, is too old, may evict keys, or holds a state with other slots.
    pub async fn redis(redis: &config::Redis, slots: u16) -> Result<Self, Error> {
        redis::Redis::connect(redis, slots).await.map(Self::Redis)
    }

    /// What the Redis at `url` says of itself, as a sentence; changes nothing there.
    ///
    /// # Errors
    /// When it does not answer, or would not keep what it is given.
    pub async fn probe_redis(url: &Secret) -> Result<String, Error> {
        redis::probe(url).await
    }

    /// Applies a batch and says what became of each record, summed.
    ///
    /// # Errors
    /// When the store did not take all of it; applying the batch again completes it.
    pub async fn apply(&self, batch: &Apply) -> Result<Account, Error> {
        match self {
            Self::Embedded(store) => store.apply(batch).await,
            Self::Redis(store) => store.apply(batch).await,
        }
    }

    /// Where to go on in each partition, as anybody may ask; empty for an empty store.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn positions(&self) -> Result<BTreeMap<Partition, u64>, Error> {
        match self {
            Self::Embedded(store) => store.positions().await,
            Self::Redis(store) => store.positions().await,
        }
    }

    /// Where to go on. Only who goes on from there may [apply](Self::apply): whenever the positions are
    /// moved back, batches are refused with [`Error::Rewound`] until this is asked again.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn resume(&self) -> Result<Resume, Error> {
        match self {
            Self::Embedded(store) => store.resume().await,
            Self::Redis(store) => store.resume().await,
        }
    }

    /// Notes how far partitions have been applied (none: somebody else may know) and returns the stream
    /// clock, the least of all there are.
    ///
    /// # Errors
    /// When the store did not take it, or the positions were moved back.
    pub async fn advance(&self, clocks: &Clocks) -> Result<Timestamp, Error> {
        match self {
            // One observer reads every partition; until it knows them all, there is no clock.
            Self::Embedded(_) => {
                let known: Option<Vec<Timestamp>> = clocks.times.values().copied().collect();
                Ok(known.unwrap_or_default().into_iter().min().unwrap_or_default())
            }
            Self::Redis(store) => store.advance(clocks).await,
        }
    }

    /// What became of every record ever applied, by partition.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn account(&self) -> Result<BTreeMap<Partition, Account>, Error> {
        match self {
            Self::Embedded(store) => store.account().await,
            Self::Redis(store) => store.account().await,
        }
    }

    /// Holds what recipients said, where nothing later is held, and returns the records of what is:
    /// whoever reads the stream's last word of each must find the later. To be called before
    /// [`Store::apply`], which moves the positions.
    ///
    /// # Errors
    /// When the store did not take it; it can be called again.
    pub async fn hold(&self, words: &[Word]) -> Result<Vec<Record>, Error> {
        match self {
            Self::Embedded(store) => store.hold(words).await,
            Self::Redis(store) => store.hold(words).await,
        }
    }

    /// What a recipient said last, in every scope it was said in.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn held(&self, recipient: &Recipient) -> Result<Vec<Held>, Error> {
        match self {
            Self::Embedded(store) => store.held(recipient).await,
            Self::Redis(store) => store.held(recipient).await,
        }
    }

    /// The stream clock: the latest moment that a batch or [`Store::expire`] brought.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn clock(&self) -> Result<Timestamp, Error> {
        match self {
            Self::Embedded(store) => store.clock().await,
            Self::Redis(store) => store.clock().await,
        }
    }

    /// Brings a mirror up to date with everything applied before this call.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn refresh(&self, mirror: &Mirror) -> Result<(), Error> {
        match self {
            Self::Embedded(store) => store.refresh(mirror).await,
            Self::Redis(store) => store.refresh(mirror).await,
        }
    }

    /// Forgets messages and buckets whose time is over at the stream clock.
    ///
    /// # Errors
    /// When the store did not take it; it can be called again.
    pub async fn expire(&self, clock: Timestamp) -> Result<(), Error> {
        match self {
            Self::Embedded(store) => store.expire(clock).await,
            Self::Redis(store) => store.expire(clock).await,
        }
    }

    /// Changes documents, all of them in one atomic step.
    ///
    /// # Errors
    /// When the store did not take it; then nothing changed, or the answer was lost on its way.
    pub async fn save(&self, puts: Vec<Put>) -> Result<(), Error> {
        match self {
            Self::Embedded(store) => store.save(puts).await,
            Self::Redis(store) => store.save(puts, None).await,
        }
    }

    /// The same, if nobody has been given a newer [lease](Self::lease) since this token.
    ///
    /// # Errors
    /// As [`Store::save`], and [`Error::Fenced`] where somebody has.
    pub async fn save_as(&self, token: u64, puts: Vec<Put>) -> Result<(), Error> {
        match self {
            Self::Embedded(store) => store.save(puts).await,
            Self::Redis(store) => store.save(puts, Some(token)).await,
        }
    }

    /// Every document of a table, by key.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn load(&self, table: Table) -> Result<BTreeMap<String, Bytes>, Error> {
        match self {
            Self::Embedded(store) => store.load(table).await,
            Self::Redis(store) => store.load(table).await,
        }
    }

    /// Takes or renews the evaluator's lease for `ttl`. The fencing token grows with every change
    /// of holder; `None` when another holds it. An embedded store has one process, which has it.
    ///
    /// # Errors
    /// When the store cannot be reached; then the lease must be taken as lost once `ttl` is over.
    pub async fn lease(&self, holder: &str, ttl: Duration) -> Result<Option<u64>, Error> {
        match self {
            Self::Embedded(_) => Ok(Some(1)),
            Self::Redis(store) => store.lease(holder, ttl).await,
        }
    }

    /// Whether the store takes batches at this moment.
    ///
    /// # Errors
    /// What is wrong, as a sentence for `/readyz`.
    pub async fn ready(&self) -> Result<(), String> {
        match self {
            Self::Embedded(store) => store.positions().await.map(drop),
            Self::Redis(store) => store.ping().await,
        }
        .map_err(|error| error.to_string())
    }

    /// Makes everything durable and lets go of the store; what is called afterwards fails.
    pub async fn close(&self) {
        match self {
            Self::Embedded(store) => store.close().await,
            // Redis holds nothing back: every answered call is done.
            Self::Redis(_) => {}
        }
    }
}
