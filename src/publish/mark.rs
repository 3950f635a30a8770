//! How far a spool is drained ↔ a small checksummed file. Never wrong: a damaged one is no mark.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use super::Error;

const MAGIC: [u8; 8] = *b"SNDRMARK";
const VERSION: u64 = 1;
const BYTES: usize = 52;

/// How far a lane of the spool is drained, and what became of what was before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// The offset drained next: the sum of the others.
    pub(super) position: u64,
    /// Events that were handed to the stream.
    pub(super) drained: u64,
    /// Events whose frames were damaged.
    pub(super) corrupt: u64,
    /// Events that the stream will never take.
    pub(super) set_aside: u64,
}

impl Mark {
    /// Everything before `position` was drained, as far as anybody knows.
    pub(super) const fn at(position: u64) -> Self {
        Self { position, drained: position, corrupt: 0, set_aside: 0 }
    }

    /// Writes it, durably, in place of the one before.
    pub(super) fn save(self, file: &Path) -> io::Result<()> {
        let fresh = file.with_extension("new");
        let mut writing = File::create(&fresh)?;
        writing.write_all(&self.bytes())?;
        writing.sync_all()?;
        fs::rename(&fresh, file)
    }

    /// Reads it; none where there is none or it is damaged, and then more is drained again.
    pub(super) fn load(file: &Path) -> Result<Option<Self>, Error> {
        let bytes = match fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(Error::Unusable(format!("{} cannot be read ({error})", file.display())));
            }
        };
        match Self::parse(&bytes) {
            Some((VERSION, mark)) => Ok(Some(mark)),
            Some((version, _)) => Err(Error::Unusable(format!(
                "{} has format version {version} and this Sounder writes {VERSION}; \
                 start the version that wrote it until the spool is empty",
                file.display()
            ))),
            None => Ok(None),
        }
    }

    fn bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend_from_slice(&MAGIC);
        for field in [VERSION, self.position, self.drained, self.corrupt, self.set_aside] {
            bytes.extend_from_slice(&field.to_be_bytes());
        }
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_be_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<(u64, Self)> {
        let (fields, sum) = bytes.split_last_chunk::<4>()?;
        if fields.len() + 4 != BYTES || crc32c::crc32c(fields) != u32::from_be_bytes(*sum) {
            return None;
        }
        let (words, _) = fields.strip_prefix(&MAGIC)?.as_chunks::<8>();
        let &[version, position, drained, corrupt, set_aside] = words else { return None };
        let of = u64::from_be_bytes;
        let mark = Self {
            position: of(position),
            drained: of(drained),
            corrupt: of(corrupt),
            set_aside: of(set_aside),
        };
        Some((of(version), mark))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_a_damaged_one_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mark");
        assert_eq!(Mark::load(&file).unwrap(), None);
        let mark = Mark { position: 9, drained: 6, corrupt: 2, set_aside: 1 };
        mark.save(&file).unwrap();
        assert_eq!(Mark::load(&file).unwrap(), Some(mark));
        let whole = fs::read(&file).unwrap();
        assert_eq!(whole.len(), BYTES);
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Mark::parse(&flipped), None, "bit {bit}");
        }
        for cut in 0..whole.len() {
            assert_eq!(Mark::parse(&whole[..cut]), None);
        }
    }

    #[test]
    fn a_mark_of_another_version_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("mark");
        let mut bytes = Mark::at(3).bytes();
        bytes[15] = 2;
        bytes.truncate(BYTES - 4);
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_be_bytes());
        fs::write(&file, bytes).unwrap();
        let refused = Mark::load(&file).unwrap_err().to_string();
        assert!(refused.contains("start the version that wrote it"), "{refused}");
    }
}
