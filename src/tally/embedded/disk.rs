//! The engine's directory: opened, checked, moved aside where it is damaged; and how facts are
//! written there.
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | `meta` | a name | format, stream clock; per partition: position, account |
//! | `cells` | cell id | the cell's key as JSON |
//! | `minutes`, `hours` | time, cell id | counters that are not zero |
//! | `rolls` | roll, nought, name | since when, and the notice |
//! | `heard` | connection | when its last receipt was received |
//! | `consents` | recipient, nought, scope | what they said last, with its order |
//! | `documents` | table, `/`, key | the document |
//! | `day-N` | 16 bytes of the message's digest | what was heard of it |
//!
//! Must never decide anything about messages.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::consume::Partition;
use crate::event::Topic;
use crate::tally::{Account, Bucket, CellId, Counter, Counters, Error};

/// What stands in `meta` under `format`.
const FORMAT: &[u8] = b"2";
/// Bytes of each keyspace that are held in memory before they are written to a table.
const MEMTABLE_BYTES: u64 = 16 << 20;
/// Bytes of journal after which keyspaces that are seldom written are flushed too.
const JOURNAL_BYTES: u64 = 128 << 20;
/// Bytes of tables' blocks that are held in memory.
const CACHE_BYTES: u64 = 16 << 20;
/// What the names of the generations' keyspaces start with.
const GENERATION: &str = "day-";

/// The open engine.
pub(super) struct Disk {
    pub(super) db: Database,
    pub(super) meta: Keyspace,
    pub(super) cells: Keyspace,
    pub(super) minutes: Keyspace,
    pub(super) hours: Keyspace,
    pub(super) rolls: Keyspace,
    pub(super) heard: Keyspace,
    pub(super) consents: Keyspace,
    pub(super) documents: Keyspace,
    /// Message states by day.
    pub(super) generations: BTreeMap<u32, Keyspace>,
    /// Where a damaged directory was moved to when this one was made in its place.
    pub(super) moved_to: Option<PathBuf>,
}

impl Disk {
    /// Opens the directory, or a new one in its place when it is damaged.
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        match Self::open_as_is(dir) {
            Ok(disk) => Ok(disk),
            Err(Refusal::Told(error)) => Err(error),
            Err(Refusal::Damaged(why)) => {
                let aside = move_aside(dir)?;
                tracing::warn!(
                    state.dir = %dir.display(), state.moved_to = %aside.display(), %why,
                    "the state is damaged and was moved aside: cells are counted again from the stream, \
                     and incidents come back from it"
                );
                let fresh = Self::open_as_is(dir).map_err(|refusal| match refusal {
                    Refusal::Told(error) => error,
                    Refusal::Damaged(why) => Error::Unusable(why),
                })?;
                Ok(Self { moved_to: Some(aside), ..fresh })
            }
        }
    }

    fn open_as_is(dir: &Path) -> Result<Self, Refusal> {
        std::fs::create_dir_all(dir).map_err(|error| refusal(dir, fjall::Error::Io(error)))?;
        // The engine asserts some of what it reads back; a broken assertion is damage, too.
        let opened = catch_unwind(AssertUnwindSafe(|| Self::keyspaces(dir)));
        let disk = opened
            .map_err(|_| Refusal::Damaged("the engine broke off while it opened it".into()))?
            .map_err(|error| refusal(dir, error))?;
        disk.check_format(dir)?;
        Ok(disk)
    }

    fn keyspaces(dir: &Path) -> fjall::Result<Self> {
        let db = Database::builder(dir)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            .worker_threads(2)
            .open()?;
        let named = |name: &str| db.keyspace(name, options);
        let mut generations = BTreeMap::new();
        for name in db.list_keyspace_names() {
            if let Some(day) = name.strip_prefix(GENERATION).and_then(|day| day.parse().ok()) {
                generations.insert(day, named(&name)?);
            }
        }
        Ok(Self {
            meta: named("meta")?,
            cells: named("cells")?,
            minutes: named("minutes")?,
            hours: named("hours")?,
            rolls: named("rolls")?,
            heard: named("heard")?,
            consents: named("consents")?,
            documents: named("documents")?,
            generations,
            moved_to: None,
            db,
        })
    }

    fn check_format(&self, dir: &Path) -> Result<(), Refusal> {
        let read = self.meta.get("format").map_err(|error| refusal(dir, error))?;
        match read {
            None => self.meta.insert("format", FORMAT).map_err(|error| refusal(dir, error)),
            Some(format) if *format == *FORMAT => Ok(()),
            Some(format) => Err(Refusal::Told(Error::Unusable(format!(
                "{} holds format {} and this version of Sounder reads format {}; \
                 move it away, and the stream fills a new one, or run the version that wrote it",
                dir.display(),
                String::from_utf8_lossy(&format),
                String::from_utf8_lossy(FORMAT),
            )))),
        }
    }

    /// The keyspace of a day's generation, created with the day's first message, or a newer one:
    /// what is written goes where it is found first and kept longest.
    pub(super) fn generation(&mut self, day: u32) -> Result<Keyspace, Error> {
        if let Some((_, keyspace)) = self.generations.range(day..).next_back() {
            return Ok(keyspace.clone());
        }
        let keyspace = self.db.keyspace(&format!("{GENERATION}{day}"), options).map_err(unusable)?;
        self.generations.insert(day, keyspace.clone());
        Ok(keyspace)
    }

    /// Where a bucket is kept.
    pub(super) fn bucket(&self, cell: CellId, bucket: Bucket) -> (&Keyspace, [u8; 10]) {
        match bucket {
            Bucket::Minute(at) => (&self.minutes, bucket_key(at, cell)),
            Bucket::Hour(at) => (&self.hours, bucket_key(at, cell)),
        }
    }

    /// Makes everything that was written durable.
    pub(super) fn sync(&self) -> Result<(), Error> {
        self.db.persist(PersistMode::SyncAll).map_err(unusable)
    }
}

enum Refusal {
    /// The directory can be made anew.
    Damaged(String),
    /// A person has to do something.
    Told(Error),
}

/// Sorts what the engine says about a directory it does not open.
fn refusal(dir: &Path, error: fjall::Error) -> Refusal {
    use fjall::Error as E;
    let told = |what: String| Refusal::Told(Error::Unusable(what));
    match error {
        E::Locked => told(format!(
            "{} is in use by another process; only one Sounder can use an embedded state",
            dir.display()
        )),
        E::Io(io) | E::Storage(fjall::LsmError::Io(io)) => match io.kind() {
            // Files that end too early or are missing inside are damage; the rest is the machine's.
            ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::NotFound => {
                Refusal::Damaged(io.to_string())
            }
            _ => told(format!("{} cannot be used: {io}", dir.display())),
        },
        E::InvalidVersion(Some(_)) => told(format!(
            "{} was written by an incompatible version of the storage engine; \
             move it away, and the stream fills a new one, or run the version that wrote it",
            dir.display()
        )),
        other => Refusal::Damaged(other.to_string()),
    }
}

fn move_aside(dir: &Path) -> Result<PathBuf, Error> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let free = (1..=1000_u32)
        .map(|n| dir.with_file_name(format!("{name}.broken-{n}")))
        .find(|candidate| !candidate.exists())
        .ok_or_else(|| Error::Unusable(format!("remove some of {}.broken-*", dir.display())))?;
    std::fs::rename(dir, &free).map_err(|error| {
        Error::Unusable(format!("{} is damaged and cannot be moved aside: {error}", dir.display()))
    })?;
    Ok(free)
}

fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES)
}

/// Once it is open, every error of the engine needs a look; the stream still has everything.
#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
pub(super) fn unusable(error: fjall::Error) -> Error {
    Error::Unusable(error.to_string())
}

fn bucket_key(at: u32, cell: CellId) -> [u8; 10] {
    let mut key = [0; 10];
    key[..4].copy_from_slice(&at.to_be_bytes());
    key[4..].copy_from_slice(&cell_key(cell));
    key
}

/// Reads the key of a bucket.
pub(super) fn read_bucket_key(key: &[u8]) -> Option<(u32, CellId)> {
    let (at, cell) = key.split_first_chunk::<4>()?;
    let cell = cell.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    (key.len() == 10).then(|| (u32::from_be_bytes(*at), CellId::from_value(cell)))
}

/// The six bytes of a cell's id.
pub(super) fn cell_key(cell: CellId) -> [u8; 6] {
    let mut key = [0; 6];
    key.copy_from_slice(&cell.value().to_be_bytes()[2..]);
    key
}

/// Counters as they are written: for each that is not zero its index and its count.
pub(super) fn write_counters(counters: &Counters) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(40);
    for (index, count) in counters.iter().filter(|(_, count)| *count != 0) {
        bytes.push(u8::try_from(index).unwrap_or(u8::MAX));
        bytes.extend_from_slice(&count.to_be_bytes());
    }
    bytes
}

/// Reads what [`write_counters`] wrote.
pub(super) fn read_counters(bytes: &[u8]) -> Counters {
    let mut counters = Counters::default();
    let (entries, _) = bytes.as_chunks::<9>();
    for [index, count @ ..] in entries {
        if let Some(counter) = Counter::from_index(*index) {
            counters.add(counter, i64::from_be_bytes(*count));
        }
    }
    counters
}

/// The name of a partition's fact in `meta`.
pub(super) fn partition_key(fact: u8, partition: Partition) -> [u8; 6] {
    let [a, b, c, d] = partition.index.to_be_bytes();
    [fact, partition.topic.number(), a, b, c, d]
}

/// Reads the name of a partition's fact in `meta`.
pub(super) fn read_partition_key(key: &[u8]) -> Option<(u8, Partition)> {
    let [fact, topic, index @ ..] = key.first_chunk::<6>().filter(|_| key.len() == 6)?;
    let topic = Topic::from_number(*topic)?;
    Some((*fact, Partition { topic, index: i32::from_be_bytes(*index) }))
}

/// An account as it is written: its lines in order.
pub(super) fn write_account(account: &Account) -> Vec<u8> {
    [account.applied, account.duplicate, account.late, account.dead, account.not_counted]
        .into_iter()
        .flat_map(u64::to_be_bytes)
        .collect()
}

/// Reads what [`write_account`] wrote.
pub(super) fn read_account(bytes: &[u8]) -> Account {
    let line = |n: usize| bytes.as_chunks::<8>().0.get(n).map_or(0, |line| u64::from_be_bytes(*line));
    let (applied, duplicate, late) = (line(0), line(1), line(2));
    Account { applied, duplicate, late, dead: line(3), not_counted: line(4), corrected: 0 }
}
