//! A segment file → its records in order, holes included. Reads only as far as it is told is durable.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use bytes::Bytes;

use super::frame::{self, HEAD, Look};
use super::segment::HEADER;

/// Bytes read at a time.
const CHUNK: usize = 256 << 10;

/// Where a reader is in a segment; what was read and not yet handed out.
#[derive(Debug)]
pub(super) struct Cursor {
    /// Base offset of the segment.
    pub(super) base: u64,
    /// The offset handed out next.
    pub(super) given: u64,
    file: File,
    /// Where in the file the buffer ends.
    read_to: u64,
    buffer: Vec<u8>,
    at: usize,
    /// The smallest offset the next frame may have.
    next: u64,
    ahead: Option<(u64, Bytes)>,
}

impl Cursor {
    /// Starts at a segment's first frame, to hand out nothing before `given`.
    pub(super) fn open(mut file: File, base: u64, given: u64) -> io::Result<Self> {
        file.seek(SeekFrom::Start(HEADER))?;
        let given = given.max(base);
        Ok(Self { base, given, file, read_to: HEADER, buffer: Vec::new(), at: 0, next: base, ahead: None })
    }

    /// The next offset with its record's bytes, or with nothing where a frame is damaged or missing.
    /// Call it only while [`Cursor::given`] is below `until`, the end of the segment, whose first
    /// `durable` bytes may be read.
    pub(super) fn step(&mut self, durable: u64, until: u64) -> io::Result<(u64, Option<Bytes>)> {
        while self.ahead.as_ref().is_none_or(|(offset, _)| *offset < self.given) {
            self.ahead = self.frame(durable, until)?;
            if self.ahead.is_none() {
                break;
            }
        }
        let given = self.given;
        self.given += 1;
        let here = self.ahead.take_if(|(offset, _)| *offset == given);
        Ok((given, here.map(|(_, record)| record)))
    }

    /// The next valid frame, wherever behind damage it stands; none at the segment's end.
    pub(super) fn frame(&mut self, durable: u64, until: u64) -> io::Result<Option<(u64, Bytes)>> {
        loop {
            match frame::look(&self.buffer[self.at..], self.next, until) {
                Look::Valid(found) => {
                    let end = self.at + found.bytes;
                    let record = Bytes::copy_from_slice(&self.buffer[self.at + HEAD..end]);
                    self.at = end;
                    self.next = found.offset + 1;
                    return Ok(Some((found.offset, record)));
                }
                Look::Short(bytes) if self.fill(bytes, durable)? => {}
                Look::Short(_) if self.at == self.buffer.len() => return Ok(None),
                // Not a frame, or one that claims to go on beyond the end: the next may start at
                // any byte from here.
                Look::Short(_) | Look::Damaged => self.at += 1,
            }
        }
    }

    /// Where in the file the last frame ended.
    pub(super) fn position(&self) -> u64 {
        self.read_to - (self.buffer.len() - self.at) as u64
    }

    /// Reads on until the buffer holds `bytes` from here; false if the segment ends before.
    fn fill(&mut self, bytes: usize, durable: u64) -> io::Result<bool> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let wanted = bytes.max(CHUNK) - self.buffer.len().min(bytes);
        let allowed = durable.saturating_sub(self.read_to).min(wanted as u64);
        let read = (&self.file).take(allowed).read_to_end(&mut self.buffer)?;
        self.read_to += read as u64;
        Ok(self.buffer.len() >= bytes)
    }
}
