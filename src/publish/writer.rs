//! Waiting batches → one write, one fdatasync, all answers. The one thread that writes segments.
//!
//! A group that fails leaves no trace: the file is cut back, a new segment is begun, and the
//! offsets are given to the next group. An answer never leaves before its records are durable.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use tokio::sync::oneshot;

use super::Error;
use super::frame::{self, HEAD, RECORD_BYTES_MAX};
use super::log::Shared;
use super::segment::{HEADER, SEGMENT_BYTES, Segment};
use crate::clock::Timestamp;
use crate::event::Record;
use crate::failpoint::{self, Point};

/// A group takes no more batches once it has this many bytes.
const GROUP_BYTES: usize = 4 << 20;
/// How long batches gather while they come several at a time. To sync costs as much for one as for a
/// hundred, and whoever comes alone does not wait.
const GATHER: Duration = Duration::from_millis(2);

/// A batch that waits to be written.
#[derive(Debug)]
pub(super) struct Job {
    frames: Vec<u8>,
    /// Where in `frames` each frame ends.
    ends: Vec<usize>,
    newest: Timestamp,
    answer: oneshot::Sender<Result<(), Error>>,
}

impl Job {
    /// Lays records out as frames whose offsets are still open.
    pub(super) fn new(records: &[Record], answer: oneshot::Sender<Result<(), Error>>) -> Result<Self, Error> {
        let mut frames = Vec::with_capacity(records.iter().map(|r| r.size() + HEAD).sum());
        let mut ends = Vec::with_capacity(records.len());
        for record in records {
            let start = frames.len();
            frames.extend_from_slice(&[0; HEAD]);
            record.encode(&mut frames);
            if frames.len() - start - HEAD > RECORD_BYTES_MAX {
                return Err(Error::NotAcknowledged("an event is larger than a frame may be".into()));
            }
            ends.push(frames.len());
        }
        let newest = records.iter().map(|r| r.time).max().unwrap_or_default();
        Ok(Self { frames, ends, newest, answer })
    }

    /// Bytes it will occupy.
    pub(super) fn bytes(&self) -> usize {
        self.frames.len()
    }
}

/// What is kept, once it has been consumed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retention {
    /// For how long, by the events' own time.
    pub(super) age: Duration,
    /// How much.
    pub(super) bytes: u64,
}

/// The segment that is written to.
#[derive(Debug)]
pub(super) struct Tail {
    /// Positioned at its end.
    pub(super) file: File,
    /// Its base offset.
    pub(super) base: u64,
    /// Its length.
    pub(super) bytes: u64,
}

/// The writer: owns the tail, answers jobs until the log is dropped.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) tail: Option<Tail>,
    pub(super) retention: Retention,
}

impl Writer {
    /// Writes group after group until nobody can hand in another.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        let mut bytes = Vec::new();
        let mut alone = true;
        while let Ok(first) = jobs.recv() {
            if !alone {
                // Nobody wakes this thread: to be woken by every batch would cost more than it saves.
                std::thread::park_timeout(GATHER);
            }
            let mut group = vec![first];
            let mut size = group[0].bytes();
            while size < GROUP_BYTES
                && let Ok(job) = jobs.try_recv()
            {
                size += job.bytes();
                group.push(job);
            }
            alone = group.len() == 1;
            self.retain();
            let written = self.write(&mut group, &mut bytes);
            self.shared.queued_bytes.fetch_sub(size, Relaxed);
            self.shared.report(&written);
            for job in group {
                // Whoever has stopped waiting does not need the answer.
                drop(job.answer.send(written.clone()));
            }
        }
    }

    fn write(&mut self, group: &mut [Job], bytes: &mut Vec<u8>) -> Result<(), Error> {
        let first = self.shared.end();
        let mut offset = first;
        bytes.clear();
        for job in group.iter_mut() {
            let mut start = 0;
            for end in &job.ends {
                frame::seal(&mut job.frames[start..*end], offset);
                (start, offset) = (*end, offset + 1);
            }
            bytes.extend_from_slice(&job.frames);
        }
        if first == offset {
            return Ok(());
        }
        let newest = group.iter().map(|job| job.newest).max().unwrap_or_default();
        match self.append(bytes, first, newest) {
            Ok(tail) => {
                self.shared.advance(tail, offset, newest);
                Ok(())
            }
            Err(error) => {
                self.give_up_tail();
                let text = format!("the log could not be written ({error})");
                Err(Error::NotAcknowledged(text))
            }
        }
    }

    /// Writes and syncs; says which segment has how many bytes now.
    fn append(&mut self, bytes: &[u8], first: u64, newest: Timestamp) -> io::Result<(u64, u64)> {
        let mut tail = match self.tail.take() {
            Some(tail) if tail.bytes < SEGMENT_BYTES => tail,
            _ => self.begin(first, newest)?,
        };
        let written = failpoint::obstruct(Point::LogWrite)
            .and_then(|()| write(&mut tail.file, bytes))
            .and_then(|()| failpoint::obstruct(Point::LogSync))
            .and_then(|()| tail.file.sync_data())
            .and_then(|()| failpoint::obstruct(Point::LogSynced));
        if written.is_ok() {
            tail.bytes += bytes.len() as u64;
        }
        let now = (tail.base, tail.bytes);
        self.tail = Some(tail);
        written.map(|()| now)
    }

    fn begin(&self, base: u64, since: Timestamp) -> io::Result<Tail> {
        let file = self.shared.directory.create(base, since)?;
        self.shared.begun(base, Segment { bytes: HEADER, since: Some(since) });
        Ok(Tail { file, base, bytes: HEADER })
    }

    /// After a failure nothing is known of the file behind its durable part, nor whether a later
    /// sync would tell the truth about it: cut it back and go on in another.
    fn give_up_tail(&mut self) {
        let Some(tail) = self.tail.take() else { return };
        if let Err(error) = tail.file.set_len(tail.bytes) {
            // Harmless: readers stop at the durable part, and at the next segment's base.
            tracing::debug!(%error, "stream.cut failed");
        }
    }

    /// Deletes the oldest segments that are consumed and too old or too much.
    fn retain(&self) {
        let Retention { age, bytes } = self.retention;
        while let Some(base) = self.shared.forget_oldest(|second, newest, total| {
            self.shared.released.load(Acquire) >= second.0
                && (total > bytes || second.1.since.is_some_and(|since| since.plus(age) < newest))
        }) {
            if let Err(error) = self.shared.directory.delete(base) {
                tracing::warn!(%error, segment = base, "stream.retention cannot delete a segment");
            }
        }
    }
}

fn write(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    if failpoint::is_due(Point::LogTorn) {
        file.write_all(&bytes[..bytes.len() / 2])?;
        failpoint::kill();
    }
    file.write_all(bytes)
}
