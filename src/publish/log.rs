//! The embedded stream: records → checksummed segment files, and back in one order.
//!
//! One ordered log holds every topic; a record's offset is its number, from 0. What is appended is
//! fsynced before it is answered or read. Opening never refuses damaged frames: it skips to the next
//! valid one and hands out a hole for each offset that was lost.

use std::collections::BTreeMap;
use std::io::{Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::Error;
use super::cursor::Cursor;
use super::frame;
use super::segment::{Directory, HEADER, SEGMENT_BYTES, Segment};
use super::writer::{Job, Retention, Tail, Writer};
use crate::clock::Timestamp;
use crate::event::Record;

/// Batches that may wait for the writer.
const QUEUE_BATCHES: usize = 4096;
/// Bytes that may wait for the writer.
const QUEUE_BYTES: usize = 64 << 20;
/// Readers whose places are remembered.
const CURSORS: usize = 4;
/// One reading returns no more once it has this many bytes.
const READ_BYTES: usize = 4 << 20;

/// The embedded stream. Cheap to clone; the directory is unlocked when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Log(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    jobs: Option<SyncSender<Job>>,
    writer: Option<JoinHandle<()>>,
}

/// What the writer and the readers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) directory: Directory,
    pub(super) released: AtomicU64,
    pub(super) queued_bytes: AtomicUsize,
    durable: Mutex<Durable>,
    ends: watch::Sender<u64>,
    cursors: Mutex<Vec<Cursor>>,
    holes: AtomicU64,
    trouble: Mutex<Option<String>>,
}

/// What of the log is durable.
#[derive(Debug, Default)]
struct Durable {
    segments: BTreeMap<u64, Segment>,
    end: u64,
    newest: Timestamp,
}

impl Log {
    /// Opens the log in a directory of its own, which is made where it is missing.
    ///
    /// # Errors
    /// When the directory cannot be written, is in use, or holds another version's segments.
    pub fn open(dir: &Path, retention: Duration, retention_bytes: u64) -> Result<Self, Error> {
        let directory = Directory::open(dir)?;
        let (durable, tail) = recover(&directory)?;
        let shared = Arc::new(Shared {
            directory,
            released: AtomicU64::new(0),
            queued_bytes: AtomicUsize::new(0),
            ends: watch::Sender::new(durable.end),
            durable: Mutex::new(durable),
            cursors: Mutex::default(),
            holes: AtomicU64::new(0),
            trouble: Mutex::default(),
        });
        let (jobs, waiting) = sync_channel(QUEUE_BATCHES);
        let retention = Retention { age: retention, bytes: retention_bytes };
        let writer = Writer { shared: Arc::clone(&shared), tail, retention };
        let writer = std::thread::Builder::new()
            .name("log-writer".into())
            .spawn(move || writer.run(&waiting))
            .map_err(|error| Error::Unusable(format!("the writer's thread did not start ({error})")))?;
        Ok(Self(Arc::new(Inner { shared, jobs: Some(jobs), writer: Some(writer) })))
    }

    /// Appends records in one piece, in order. The future may be dropped; the records are then
    /// written all the same, unless they could not be queued.
    ///
    /// # Errors
    /// When the queue is full or the disk does not take them; then none of them is in the log.
    pub async fn append(&self, records: &[Record]) -> Result<(), Error> {
        let (answer, answered) = oneshot::channel();
        let job = Job::new(records, answer)?;
        let bytes = job.bytes();
        let queued = &self.0.shared.queued_bytes;
        if queued.fetch_add(bytes, Relaxed) > QUEUE_BYTES {
            queued.fetch_sub(bytes, Relaxed);
            return Err(Error::Full);
        }
        if self.0.jobs.as_ref().is_none_or(|jobs| jobs.try_send(job).is_err()) {
            queued.fetch_sub(bytes, Relaxed);
            return Err(Error::Full);
        }
        answered.await.unwrap_or_else(|_| Err(Error::NotAcknowledged("the log's writer has stopped".into())))
    }

    /// Up to `max` durable records from an offset on, each with its offset; `None` where a frame is
    /// damaged. Starts at [`Log::start`] when the offset is older. Blocks on the disk.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn read(&self, from: u64, max: usize) -> Result<Vec<(u64, Option<Record>)>, Error> {
        let shared = &self.0.shared;
        let mut taken = Vec::new();
        let (mut bytes, mut cursor) = (0, shared.take_cursor(from));
        while taken.len() < max && bytes < READ_BYTES {
            let from = cursor.as_ref().map_or(from, |c| c.given);
            let Some((base, durable, until)) = shared.segment_of(from) else { break };
            let here = match cursor.take() {
                Some(here) if here.base == base => here,
                _ => shared
                    .directory
                    .read(base)
                    .and_then(|f| Cursor::open(f, base, from))
                    .map_err(unreadable)?,
            };
            let here = cursor.insert(here);
            let (offset, record) = here.step(durable, until).map_err(unreadable)?;
            bytes += record.as_ref().map_or(0, bytes::Bytes::len);
            let record = record.and_then(Record::decode);
            shared.holes.fetch_add(u64::from(record.is_none()), Relaxed);
            taken.push((offset, record));
        }
        shared.keep_cursor(cursor);
        Ok(taken)
    }

    /// The offset the next record will get: every one before it is durable.
    pub fn end(&self) -> u64 {
        self.0.shared.end()
    }

    /// The oldest offset there is; equal to [`Log::end`] for an empty log.
    pub fn start(&self) -> u64 {
        let durable = self.0.shared.durable();
        durable.segments.keys().next().copied().unwrap_or(durable.end)
    }

    /// The bytes of the segments that hold this offset and what comes after it.
    pub(super) fn bytes_from(&self, position: u64) -> u64 {
        let durable = self.0.shared.durable();
        if position >= durable.end {
            return 0;
        }
        let base = durable.segments.range(..=position).next_back().map_or(position, |(base, _)| *base);
        durable.segments.range(base..).map(|(_, segment)| segment.bytes).sum()
    }

    /// Waits until a record of this offset is durable.
    pub async fn wait_beyond(&self, offset: u64) {
        let mut ends = self.0.shared.ends.subscribe();
        // The sender lives as long as this log, so there is always an answer.
        drop(ends.wait_for(|end| *end > offset).await);
    }

    /// Tells that nothing before this offset will be read again: retention may delete it.
    pub fn release(&self, position: u64) {
        self.0.shared.released.fetch_max(position, Release);
    }

    /// Offsets read since opening whose frames were damaged or held no record.
    pub fn holes(&self) -> u64 {
        self.0.shared.holes.load(Relaxed)
    }

    /// Whether the last write went through.
    ///
    /// # Errors
    /// The sentence that says why not.
    pub fn ready(&self) -> Result<(), String> {
        if self.0.writer.as_ref().is_none_or(JoinHandle::is_finished) {
            return Err("the log's writer has stopped; restart Sounder".into());
        }
        match &*self.0.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(trouble) => Err(trouble.clone()),
            None => Ok(()),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Without a sender the writer ends when it has written what waits.
        self.jobs = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("stream.writer panicked");
        }
    }
}

impl Shared {
    fn durable(&self) -> MutexGuard<'_, Durable> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The offset the next record will get.
    pub(super) fn end(&self) -> u64 {
        self.durable().end
    }

    /// Notes a new segment.
    pub(super) fn begun(&self, base: u64, segment: Segment) {
        self.durable().segments.insert(base, segment);
    }

    /// Notes that a segment has grown, and wakes who waits for records.
    pub(super) fn advance(&self, (base, bytes): (u64, u64), end: u64, newest: Timestamp) {
        let mut durable = self.durable();
        if let Some(segment) = durable.segments.get_mut(&base) {
            segment.bytes = bytes;
        }
        durable.end = end;
        durable.newest = durable.newest.max(newest);
        drop(durable);
        self.ends.send_replace(end);
    }

    /// Forgets the oldest segment and names it, if there is a second and `may` says so, given the
    /// second, the time of the newest record and the bytes of all.
    pub(super) fn forget_oldest(&self, may: impl Fn((u64, Segment), Timestamp, u64) -> bool) -> Option<u64> {
        let mut durable = self.durable();
        let mut oldest = durable.segments.iter();
        let (first, second) = (*oldest.next()?.0, oldest.next()?);
        let total = durable.segments.values().map(|segment| segment.bytes).sum();
        if !may((*second.0, *second.1), durable.newest, total) {
            return None;
        }
        durable.segments.remove(&first);
        Some(first)
    }

    /// Keeps what the last write came to, for `ready`, and logs a change of it.
    pub(super) fn report(&self, written: &Result<(), Error>) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match (written, trouble.is_some()) {
            (Ok(()), true) => tracing::info!("stream.write works again"),
            (Err(error), false) => tracing::error!(%error, "stream.write fails: events are refused"),
            (Ok(()), false) | (Err(_), true) => {}
        }
        *trouble = written.as_ref().err().map(ToString::to_string);
    }

    /// The segment an offset stands in: its base, its durable bytes, and the offset behind it.
    fn segment_of(&self, offset: u64) -> Option<(u64, u64, u64)> {
        let durable = self.durable();
        if offset >= durable.end {
            return None;
        }
        let within = durable.segments.range(..=offset).next_back();
        let (base, segment) = within.or_else(|| durable.segments.first_key_value())?;
        let behind = durable.segments.range(base + 1..).next().map_or(durable.end, |(next, _)| *next);
        Some((*base, segment.bytes, behind))
    }

    fn take_cursor(&self, from: u64) -> Option<Cursor> {
        let mut cursors = self.cursors.lock().unwrap_or_else(PoisonError::into_inner);
        let place = cursors.iter().position(|cursor| cursor.given == from)?;
        Some(cursors.remove(place))
    }

    fn keep_cursor(&self, cursor: Option<Cursor>) {
        let mut cursors = self.cursors.lock().unwrap_or_else(PoisonError::into_inner);
        cursors.extend(cursor);
        if cursors.len() > CURSORS {
            cursors.remove(0);
        }
    }
}

fn unreadable(error: std::io::Error) -> Error {
    Error::Unusable(format!("a segment cannot be read ({error}); check the disk under `stream.dir`"))
}

/// Finds out how far the log goes, and cuts a torn tail off its last segment.
fn recover(directory: &Directory) -> Result<(Durable, Option<Tail>), Error> {
    let mut segments = directory.segments()?;
    let Some((&base, &last)) = segments.last_key_value() else {
        return Ok((Durable::default(), None));
    };
    let mut cursor = directory.read(base).and_then(|f| Cursor::open(f, base, base)).map_err(unreadable)?;
    let (mut end, mut valid_to, mut newest) = (base, HEADER, last.since.unwrap_or_default());
    while let Some((offset, record)) = cursor.frame(last.bytes, base + SEGMENT_BYTES).map_err(unreadable)? {
        (end, valid_to) = (offset + 1, cursor.position());
        newest = Record::decode(record).map_or(newest, |record| newest.max(record.time));
    }
    let torn = last.bytes.saturating_sub(valid_to);
    segments.insert(base, Segment { bytes: valid_to, ..last });
    if last.since.is_none() || last.bytes < HEADER {
        return Ok((Durable { segments, end, newest }, None));
    }
    let lost = frame::traces(&behind(directory, base, valid_to).map_err(unreadable)?);
    if torn > 0 {
        tracing::warn!(bytes = torn, records = lost, "stream.open cut off an unfinished or damaged tail");
    }
    let fresh = if lost > 0 {
        // Their offsets are not given out again, also when the cut has removed every trace of them: the
        // name of the next segment is what remembers.
        end += lost;
        segments.insert(end, Segment { bytes: HEADER, since: Some(newest) });
        let file = directory.create(end, newest).map_err(unreadable)?;
        Some(Tail { file, base: end, bytes: HEADER })
    } else {
        None
    };
    let cut = cut(directory, base, valid_to).map_err(unreadable)?;
    Ok((Durable { segments, end, newest }, fresh.or(Some(cut))))
}

/// What stands in a segment behind its valid part.
fn behind(directory: &Directory, base: u64, valid_to: u64) -> std::io::Result<Vec<u8>> {
    let mut rest = Vec::new();
    let mut file = directory.read(base)?;
    file.seek(SeekFrom::Start(valid_to))?;
    std::io::Read::read_to_end(&mut file, &mut rest)?;
    Ok(rest)
}

/// Cuts a segment to its valid part and opens it for more.
fn cut(directory: &Directory, base: u64, valid_to: u64) -> std::io::Result<Tail> {
    let mut file = directory.append(base)?;
    if file.metadata()?.len() > valid_to {
        file.set_len(valid_to)?;
        file.sync_all()?;
    }
    file.seek(SeekFrom::Start(valid_to))?;
    Ok(Tail { file, base, bytes: valid_to })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Topic;

    const DAY: Duration = Duration::from_secs(86_400);

    fn records(range: std::ops::Range<u64>) -> Vec<Record> {
        let record = |n: u64| Record {
            topic: Topic::Receipts,
            key: n.to_string(),
            id: n.to_string(),
            source: "/connections/a".into(),
            time: Timestamp::from_seconds(n.cast_signed()),
            traceparent: None,
            value: bytes::Bytes::from_static(b"{}"),
        };
        range.map(record).collect()
    }

    #[tokio::test]
    async fn a_full_disk_refuses_and_the_log_goes_on_when_there_is_room_again() {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(dir.path(), DAY, u64::MAX).unwrap();
        let first = dir.path().join(format!("{:020}.log", 0));
        std::os::unix::fs::symlink("/dev/full", &first).unwrap();
        let error = log.append(&records(0..2)).await.unwrap_err();
        assert!(matches!(error, Error::NotAcknowledged(_)), "{error}");
        assert!(log.ready().is_err() && log.end() == 0);
        std::fs::remove_file(&first).unwrap();
        log.append(&records(0..2)).await.unwrap();
        assert_eq!((log.ready(), log.end(), log.read(0, 9).unwrap().len()), (Ok(()), 2, 2));
    }

    #[tokio::test]
    async fn a_log_of_another_version_is_refused_with_what_to_do_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(dir.path(), DAY, u64::MAX).unwrap();
        log.append(&records(0..2)).await.unwrap();
        drop(log);
        let first = dir.path().join(format!("{:020}.log", 0));
        let mut written = std::fs::read(&first).unwrap();
        written[11] = 9;
        let sum = crc32c::crc32c(&written[..28]).to_be_bytes();
        written[28..32].copy_from_slice(&sum);
        std::fs::write(&first, &written).unwrap();
        let told = Log::open(dir.path(), DAY, u64::MAX).unwrap_err().to_string();
        assert!(
            told.contains("format version 9") && told.contains("start the version that wrote it"),
            "{told}"
        );
        assert_eq!(std::fs::read(&first).unwrap(), written);
    }

    #[test]
    fn a_directory_that_cannot_be_is_refused_with_what_to_do() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Log::open(&file.path().join("data"), DAY, u64::MAX).unwrap_err().to_string();
        assert!(error.contains("stream.dir"), "{error}");
    }

    #[tokio::test]
    async fn reading_goes_on_where_it_stopped_and_can_start_anywhere() {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(dir.path(), DAY, u64::MAX).unwrap();
        let mut read = Vec::new();
        for n in 0..10 {
            log.append(&records(n * 10..n * 10 + 10)).await.unwrap();
            read.extend(log.read(read.len() as u64, 7).unwrap());
        }
        let offsets: Vec<_> = read.iter().map(|(offset, _)| *offset).collect();
        assert_eq!(offsets, (0..70).collect::<Vec<_>>());
        assert!(read.iter().all(|(offset, r)| r.as_ref().unwrap().id == offset.to_string()));
        assert_eq!(log.read(95, 100).unwrap().len(), 5);
        assert_eq!(log.read(100, 100).unwrap(), []);
    }
}
