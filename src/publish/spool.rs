//! Records that the stream did not take in time → fsynced segment files, and back, oldest first.
//!
//! Two lanes, so that opt-outs come first; both are logs of the embedded stream's kind, each with a
//! mark that says how far it is drained. What was drained and not yet marked is drained again.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::mark::Mark;
use super::{Error, Log};
use crate::clock::Timestamp;
use crate::event::{Record, Topic};

/// How much is kept of what the stream will never take, in bytes; the oldest beyond are deleted, a
/// segment at a time.
const ASIDE_BYTES_MAX: u64 = 256 << 20;
/// How long it is kept, by the events' own time.
const ASIDE_FOR: Duration = Duration::from_secs(30 * 86_400);
/// The lanes' directories, in the order they are drained.
const LANES: [&str; 2] = ["consent", "other"];

/// A locked directory of records that wait for the stream.
#[derive(Debug)]
pub struct Spool {
    lanes: Vec<Lane>,
    /// What the stream will never take; kept for a person to look at.
    aside: Log,
    bytes: AtomicU64,
    bytes_max: u64,
}

#[derive(Debug)]
struct Lane {
    log: Log,
    file: PathBuf,
    mark: Mutex<Mark>,
}

/// Records of one lane, to be handed to the stream and then settled.
#[derive(Debug)]
pub(super) struct Portion {
    lane: usize,
    /// Where it began and where it ends.
    from: u64,
    until: u64,
    /// Those that could be read.
    pub(super) records: Vec<Record>,
}

/// What became of every event ever spooled here:
/// spooled = drained + in the spool + corrupt + set aside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are the account's lines")]
pub struct SpoolAccount {
    pub spooled: u64,
    pub drained: u64,
    pub in_spool: u64,
    pub corrupt: u64,
    pub set_aside: u64,
    /// Bytes that wait, near enough.
    pub bytes: u64,
}

impl SpoolAccount {
    /// Adds all of `other`.
    pub const fn merge(&mut self, other: &Self) {
        self.spooled += other.spooled;
        self.drained += other.drained;
        self.in_spool += other.in_spool;
        self.corrupt += other.corrupt;
        self.set_aside += other.set_aside;
        self.bytes += other.bytes;
    }

    /// What is missing from or too much in the account; 0, always.
    pub const fn imbalance(&self) -> u64 {
        self.spooled.abs_diff(self.drained + self.in_spool + self.corrupt + self.set_aside)
    }
}

impl Spool {
    /// Opens the spool in a directory of its own, with what an earlier process left in it.
    ///
    /// # Errors
    /// When the directory cannot be written, is in use, or was written by another version.
    pub fn open(dir: &Path, bytes_max: u64) -> Result<Self, Error> {
        let lanes: Vec<_> = LANES.iter().map(|name| Lane::open(&dir.join(name))).collect::<Result<_, _>>()?;
        let aside = Log::open(&dir.join("set_aside"), ASIDE_FOR, ASIDE_BYTES_MAX)?;
        aside.release(u64::MAX);
        let bytes = AtomicU64::new(lanes.iter().map(|lane| lane.log.bytes_from(lane.mark().position)).sum());
        let spool = Self { lanes, aside, bytes, bytes_max };
        match spool.events() {
            0 => {}
            events => tracing::info!(events, "stream.spool holds events of an earlier process"),
        }
        Ok(spool)
    }

    /// Makes records durable here; when this returns they are fsynced.
    pub(super) async fn append(&self, records: Vec<Record>) -> Result<(), Error> {
        let size = records.iter().map(Record::size).sum::<usize>() as u64;
        if self.bytes.fetch_add(size, Relaxed).saturating_add(size) > self.bytes_max {
            self.shrink(size);
            return Err(Error::Full);
        }
        let (consent, other): (Vec<_>, Vec<_>) =
            records.into_iter().partition(|record| record.topic == Topic::Consent);
        for (lane, records) in self.lanes.iter().zip([consent, other]) {
            if records.is_empty() {
                continue;
            }
            if let Err(error) = lane.log.append(&records).await {
                self.shrink(size);
                return Err(error);
            }
        }
        Ok(())
    }

    /// The oldest records that wait, of the first lane that has any. Blocks on the disk.
    pub(super) fn take(&self, max: usize) -> Result<Option<Portion>, Error> {
        for (number, lane) in self.lanes.iter().enumerate() {
            let from = lane.mark().position;
            let taken = lane.log.read(from, max)?;
            let Some((last, _)) = taken.last() else { continue };
            let until = last + 1;
            let records = taken.into_iter().filter_map(|(_, record)| record).collect();
            return Ok(Some(Portion { lane: number, from, until, records }));
        }
        Ok(None)
    }

    /// Notes, durably, that a portion was handed to the stream, but for those that it never takes;
    /// what the portion lacks was corrupt. Blocks on the disk.
    pub(super) fn settle(&self, portion: &Portion, set_aside: u64) {
        let Some(lane) = self.lanes.get(portion.lane) else { return };
        let readable = portion.records.len() as u64;
        let corrupt = (portion.until - portion.from).saturating_sub(readable);
        if corrupt > 0 {
            tracing::error!(events = corrupt, "stream.spool holds damaged events; they are skipped");
        }
        let mut mark = lane.mark();
        mark.position = portion.until;
        mark.drained += readable.saturating_sub(set_aside);
        mark.corrupt += corrupt;
        mark.set_aside += set_aside;
        let now = *mark;
        drop(mark);
        match now.save(&lane.file) {
            Ok(()) => lane.log.release(now.position),
            // Then a later process drains again what this one has drained, which does no harm.
            Err(error) => tracing::warn!(%error, "stream.spool cannot note how far it is drained"),
        }
        self.shrink(portion.records.iter().map(Record::size).sum::<usize>() as u64);
        if self.events() == 0 {
            // What damage or an earlier process made of the sum ends here.
            self.bytes.store(0, Relaxed);
        }
    }

    /// Deletes the segments that are drained.
    pub(super) async fn tidy(&self) {
        for lane in &self.lanes {
            // The writer does before each group, also before an empty one.
            drop(lane.log.append(&[]).await);
        }
    }

    /// Keeps records that the stream will never take.
    pub(super) async fn set_aside(&self, records: &[Record]) -> Result<(), Error> {
        self.aside.append(records).await
    }

    /// Waits until there is something to drain, at most as long as told.
    pub(super) async fn wait(&self, patience: Duration) {
        let waiting = self.lanes.iter().map(|lane| {
            let position = lane.mark().position;
            Box::pin(lane.log.wait_beyond(position))
        });
        let any = async {
            let mut waiting: Vec<_> = waiting.collect();
            std::future::poll_fn(|context| {
                let ready = waiting.iter_mut().any(|one| one.as_mut().poll(context).is_ready());
                if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            })
            .await;
        };
        drop(timeout(patience, any).await);
    }

    /// Events that wait.
    pub(super) fn events(&self) -> u64 {
        self.account().in_spool
    }

    /// The account as it stands.
    pub fn account(&self) -> SpoolAccount {
        let mut sum = SpoolAccount { bytes: self.bytes.load(Relaxed), ..SpoolAccount::default() };
        for lane in &self.lanes {
            let mark = lane.mark();
            let end = lane.log.end();
            sum.spooled += end;
            sum.in_spool += end.saturating_sub(mark.position);
            sum.drained += mark.drained;
            sum.corrupt += mark.corrupt;
            sum.set_aside += mark.set_aside;
        }
        sum
    }

    /// When the oldest record that waits was received, as far as it can be read. Blocks on the disk.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        let first = |lane: &Lane| {
            let (_, record) = lane.log.read(lane.mark().position, 1).ok()?.into_iter().next()?;
            record.map(|record| record.time)
        };
        self.lanes.iter().filter_map(first).min()
    }

    /// Whether it takes records.
    pub(super) fn ready(&self) -> Result<(), String> {
        if self.bytes.load(Relaxed) >= self.bytes_max {
            return Err("the spool is full; raise `stream.spool_bytes_max` or bring Kafka back".into());
        }
        self.lanes.iter().try_for_each(|lane| lane.log.ready())
    }

    fn shrink(&self, size: u64) {
        let less = |bytes: u64| Some(bytes.saturating_sub(size));
        // It never says no.
        let _was = self.bytes.fetch_update(Relaxed, Relaxed, less);
    }
}

impl Lane {
    fn open(dir: &Path) -> Result<Self, Error> {
        // What is drained is of no more use.
        let log = Log::open(dir, Duration::ZERO, 0)?;
        let file = dir.join("mark");
        let known = Mark::load(&file)?;
        let mut mark = known.unwrap_or_else(|| Mark::at(log.start()));
        let (start, end) = (log.start(), log.end());
        if mark.position > end {
            tracing::error!(
                mark.position,
                end,
                "stream.spool is shorter than it was drained; it begins anew"
            );
            mark = Mark::at(end);
            // At once: what comes next stands before the mark on the disk, and would never be drained.
            mark.save(&file).map_err(|error| {
                Error::Unusable(format!("{} cannot be written ({error})", file.display()))
            })?;
        } else if mark.position < start {
            tracing::error!(
                events = start - mark.position,
                "stream.spool lacks segments that were not drained"
            );
            mark.corrupt += start - mark.position;
            mark.position = start;
        }
        Ok(Self { log, file, mark: Mutex::new(mark) })
    }

    fn mark(&self) -> MutexGuard<'_, Mark> {
        self.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn record(topic: Topic, id: &str) -> Record {
        Record {
            topic,
            key: "k".into(),
            id: id.into(),
            source: "/connections/a".into(),
            time: Timestamp::from_seconds(1),
            traceparent: None,
            value: bytes::Bytes::from_static(b"{}"),
        }
    }

    fn receipts(ids: std::ops::Range<usize>) -> Vec<Record> {
        ids.map(|n| record(Topic::Receipts, &n.to_string())).collect()
    }

    /// Drains everything and says what was there, in order.
    fn drained(spool: &Spool) -> Vec<String> {
        let mut ids = Vec::new();
        while let Some(portion) = spool.take(3).unwrap() {
            ids.extend(portion.records.iter().map(|record| record.id.clone()));
            spool.settle(&portion, 0);
        }
        ids
    }

    #[tokio::test]
    async fn opt_outs_come_first_and_what_is_drained_stays_drained() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path(), u64::MAX).unwrap();
        let mut mixed = receipts(0..4);
        mixed.insert(2, record(Topic::Consent, "stop"));
        spool.append(mixed).await.unwrap();
        let first = spool.take(9).unwrap().unwrap();
        assert_eq!(first.records[0].id, "stop");
        spool.settle(&first, 0);
        let taken = spool.take(2).unwrap().unwrap();
        drop((taken, spool));

        let spool = Spool::open(dir.path(), u64::MAX).unwrap();
        let account = spool.account();
        assert_eq!((account.spooled, account.drained, account.in_spool), (5, 1, 4));
        assert_eq!(drained(&spool), ["0", "1", "2", "3"], "what was not settled comes again");
        let account = SpoolAccount { spooled: 5, drained: 5, ..SpoolAccount::default() };
        assert_eq!((spool.account(), account.imbalance()), (account, 0));
    }

    #[tokio::test]
    async fn a_full_spool_takes_nothing_and_takes_more_once_it_is_drained() {
        let dir = tempfile::tempdir().unwrap();
        let size = receipts(0..10).iter().map(Record::size).sum::<usize>() as u64;
        let spool = Spool::open(dir.path(), size).unwrap();
        spool.append(receipts(0..10)).await.unwrap();
        assert!(spool.ready().is_err());
        assert_eq!(spool.append(receipts(10..11)).await, Err(Error::Full));
        assert_eq!(drained(&spool).len(), 10);
        spool.append(receipts(10..11)).await.unwrap();
        assert!(spool.ready().is_ok());
    }

    #[tokio::test]
    async fn a_flipped_bit_and_a_torn_tail_cost_their_own_events_which_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let segment = dir.path().join("other").join(format!("{:020}.log", 0));
        let spool = Spool::open(dir.path(), u64::MAX).unwrap();
        spool.append(receipts(0..6)).await.unwrap();
        drop(spool);
        let whole = std::fs::read(&segment).unwrap();
        let last = 32 + (whole.len() - 32) / 6 * 5;
        for bit in (32 * 8..whole.len() * 8).step_by(7) {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes.extend_from_slice(&[0, 0, 0, 9, 1]);
            std::fs::write(&segment, bytes).unwrap();
            std::fs::remove_file(dir.path().join("other/mark")).ok();
            let spool = Spool::open(dir.path(), u64::MAX).unwrap();
            assert_eq!(drained(&spool).len(), 5, "bit {bit}");
            let account = spool.account();
            assert_eq!((account.in_spool, account.imbalance()), (0, 0), "bit {bit}");
            // The last one's length is all that tells it from a record that was never finished.
            let is_length = (last..last + 4).contains(&(bit / 8));
            assert!(account.corrupt == 1 || is_length && account.spooled == 5, "bit {bit}");
        }
    }

    #[tokio::test]
    async fn a_damaged_mark_means_that_all_is_drained_again_and_one_beyond_the_end_nothing_lost_later() {
        let dir = tempfile::tempdir().unwrap();
        let (lane, mark) = (dir.path().join("other"), dir.path().join("other/mark"));
        let spool = Spool::open(dir.path(), u64::MAX).unwrap();
        spool.append(receipts(0..3)).await.unwrap();
        assert_eq!(drained(&spool).len(), 3);
        drop(spool);
        let kept = std::fs::read(&mark).unwrap();
        std::fs::write(&mark, b"no mark").unwrap();
        let spool = Spool::open(dir.path(), u64::MAX).unwrap();
        assert_eq!((drained(&spool).len(), spool.account().imbalance()), (3, 0));
        drop(spool);

        std::fs::remove_file(lane.join(format!("{:020}.log", 0))).unwrap();
        std::fs::write(&mark, kept).unwrap();
        let spool = Spool::open(dir.path(), u64::MAX).unwrap();
        spool.append(receipts(3..5)).await.unwrap();
        assert_eq!((drained(&spool), spool.account().imbalance()), (vec!["3".to_owned(), "4".into()], 0));
    }

    #[tokio::test]
    async fn what_is_set_aside_is_let_go_of_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path(), u64::MAX).unwrap();
        let first = dir.path().join("set_aside").join(format!("{:020}.log", 0));
        let large = |days: u64| Record {
            value: vec![b' '; 1 << 20].into(),
            time: Timestamp::from_seconds(1).plus(Duration::from_secs(days * 86_400)),
            ..record(Topic::Receipts, "x")
        };
        for _ in 0..9 {
            spool.set_aside(&vec![large(0); 8]).await.unwrap();
        }
        spool.set_aside(&[large(29)]).await.unwrap();
        spool.set_aside(&[large(30)]).await.unwrap();
        assert!(first.exists());
        for _ in 0..2 {
            spool.set_aside(&[large(60)]).await.unwrap();
        }
        assert!(!first.exists());
    }

    #[test]
    fn a_spool_is_one_process() {
        let dir = tempfile::tempdir().unwrap();
        let _held = Spool::open(dir.path(), 1).unwrap();
        let refused = Spool::open(dir.path(), 1).unwrap_err().to_string();
        assert!(refused.contains("in use by another process"), "{refused}");
    }
}
