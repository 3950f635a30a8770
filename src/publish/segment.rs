//! A directory → its segment files, locked, listed and created. Reads and writes no frames.
//!
//! A segment is named after the offset of its first record and starts with a header `{magic,
//! version u32, base u64, since i64, crc32c u32}`; `since` is the time of its first record.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Error;
use crate::clock::Timestamp;

/// Bytes before the first frame.
pub(super) const HEADER: u64 = 32;
/// A segment this long, in bytes, is followed by another.
pub(super) const SEGMENT_BYTES: u64 = 64 << 20;

const MAGIC: [u8; 8] = *b"SNDRLOG\0";
const VERSION: u32 = 1;

/// What is known of a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    /// Bytes of it that are durable, header included.
    pub(super) bytes: u64,
    /// Time of its first record; none if its header is damaged.
    pub(super) since: Option<Timestamp>,
}

/// How often a lock that is held is looked at again, and how long after each time.
const LOCK_LOOKS: u32 = 20;
const LOCK_LOOK_EVERY: Duration = Duration::from_millis(25);

/// A locked directory of segments.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Held, never read: the lock goes with it.
    _lock: File,
}

/// Tries a lock again for half a second: a process that is just ending may still hold it, or a child of
/// this one that has not become another program yet.
#[expect(clippy::disallowed_methods, reason = "at the start, where the directory is in use")]
fn patiently(mut lock: impl FnMut() -> Result<(), TryLockError>) -> Result<(), TryLockError> {
    for _ in 0..LOCK_LOOKS {
        match lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_LOOK_EVERY),
            done => return done,
        }
    }
    lock()
}

impl Directory {
    /// Makes the directory where it is missing, and locks it.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let failed = |error: io::Error| {
            Error::Unusable(format!(
                "{} cannot be written ({error}); give `stream.dir` a directory this user may write to",
                path.display()
            ))
        };
        fs::create_dir_all(path).map_err(failed)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("lock"))
            .map_err(failed)?;
        match patiently(|| lock.try_lock()) {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::Unusable(format!(
                "{} is in use by another process; stop it, or give this one its own `stream.dir`",
                path.display()
            ))),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Every segment by its base offset.
    ///
    /// A damaged header is no reason to refuse: its base is in the name and the frames stand for
    /// themselves. A whole header of another version is.
    pub(super) fn segments(&self) -> Result<BTreeMap<u64, Segment>, Error> {
        let failed = |error| Error::Unusable(format!("{} cannot be read ({error})", self.path.display()));
        let mut segments = BTreeMap::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Some(base) = base_of(&entry.file_name().to_string_lossy()) else { continue };
            let bytes = entry.metadata().map_err(failed)?.len();
            let mut header = Vec::new();
            let mut file = File::open(entry.path()).map_err(failed)?.take(HEADER);
            file.read_to_end(&mut header).map_err(failed)?;
            let since = match read_header(&header) {
                Header::Known(since) => Some(since),
                Header::Damaged => None,
                Header::Foreign(version) => {
                    return Err(Error::Unusable(format!(
                        "{} has format version {version} and this Sounder writes {VERSION}; \
                         start the version that wrote it",
                        entry.path().display()
                    )));
                }
            };
            segments.insert(base, Segment { bytes, since });
        }
        Ok(segments)
    }

    /// Starts a segment, durably: the file, its header and its name in the directory.
    pub(super) fn create(&self, base: u64, since: Timestamp) -> io::Result<File> {
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(self.file(base))?;
        // What a failure leaves behind holds no frames, which opening understands, and the next
        // attempt overwrites it.
        file.write_all(&write_header(base, since))?;
        file.sync_all()?;
        File::open(&self.path)?.sync_all()?;
        Ok(file)
    }

    /// Opens a segment to be read.
    pub(super) fn read(&self, base: u64) -> io::Result<File> {
        File::open(self.file(base))
    }

    /// Opens a segment to be appended to.
    pub(super) fn append(&self, base: u64) -> io::Result<File> {
        OpenOptions::new().write(true).open(self.file(base))
    }

    /// Deletes a segment.
    pub(super) fn delete(&self, base: u64) -> io::Result<()> {
        fs::remove_file(self.file(base))
    }

    fn file(&self, base: u64) -> PathBuf {
        self.path.join(format!("{base:020}.log"))
    }
}

fn base_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}

fn write_header(base: u64, since: Timestamp) -> Vec<u8> {
    let mut header = Vec::with_capacity(32);
    header.extend_from_slice(&MAGIC);
    header.extend_from_slice(&VERSION.to_be_bytes());
    header.extend_from_slice(&base.to_be_bytes());
    header.extend_from_slice(&since.millis().to_be_bytes());
    header.extend_from_slice(&crc32c::crc32c(&header).to_be_bytes());
    header
}

#[derive(Debug, PartialEq, Eq)]
enum Header {
    Known(Timestamp),
    Damaged,
    Foreign(u32),
}

fn read_header(header: &[u8]) -> Header {
    let Some((fields, sum)) = header.split_last_chunk::<4>() else { return Header::Damaged };
    let intact = fields.starts_with(&MAGIC) && crc32c::crc32c(fields) == u32::from_be_bytes(*sum);
    let (Some(version), Some(since)) = (fields.get(8..12), fields.last_chunk::<8>()) else {
        return Header::Damaged;
    };
    let version = version.iter().fold(0, |all, byte| all << 8 | u32::from(*byte));
    match (intact, version) {
        (false, _) => Header::Damaged,
        (true, VERSION) => Header::Known(Timestamp::from_millis(i64::from_be_bytes(*since))),
        (true, other) => Header::Foreign(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_known_damaged_or_foreign() {
        let since = Timestamp::from_millis(1_764_000_000_412);
        let header = write_header(42, since);
        assert_eq!(header.len() as u64, HEADER);
        assert_eq!(read_header(&header), Header::Known(since));
        for bit in 0..header.len() * 8 {
            let mut flipped = header.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read_header(&flipped), Header::Damaged, "bit {bit}");
        }
        let mut foreign = header;
        foreign[11] = 9;
        let sum = crc32c::crc32c(&foreign[..28]).to_be_bytes();
        foreign[28..].copy_from_slice(&sum);
        assert_eq!(read_header(&foreign), Header::Foreign(9));
    }

    #[test]
    fn only_segments_are_taken_for_segments() {
        assert_eq!(base_of("00000000000000000042.log"), Some(42));
        assert_eq!(base_of("42.log"), None);
        assert_eq!(base_of("lock"), None);
    }
}
