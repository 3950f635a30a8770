//! `[privacy]`: what is shown of people, and the key that hides them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::mistake::Report;
use super::section::Section;
use super::value::{choice, long_secret};
use super::{DeadLetters, InboundText, Privacy, RecipientKey, Recipients, Secret, StreamKind};

/// What the key is called in the data directory.
const KEY_FILE: &str = "privacy.key";

/// Whether a missing key may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrivacyKey {
    /// The daemon keeps it in the data directory, and makes it once.
    Keep,
    /// Looking at a configuration leaves no trace: a key of this process stands in for a missing one.
    LeaveAlone,
}

/// Where the recipients' key comes from, once everything else is right.
pub(super) enum Wanted {
    Nothing,
    Given(Secret),
    Kept,
}

pub(super) struct Meant {
    pub(super) privacy: Privacy,
    pub(super) key: Wanted,
}

pub(super) fn read(mut section: Section<'_>, stream: &StreamKind) -> Meant {
    let is_hash = section.or("recipients", choice(&[("clear", false), ("hash", true)]), true);
    let is_written = section.is_filled("key");
    let key = section.get("key", long_secret);
    let texts = [("drop", InboundText::Drop), ("keep", InboundText::Keep)];
    let letters = [("body", DeadLetters::Body), ("digest", DeadLetters::Digest)];
    let is_shared = matches!(stream, StreamKind::Kafka(_));
    if is_hash && is_shared && !is_written {
        section.absent(
            "key",
            "is missing",
            "with kafka every receiver must hash alike: write key = \"env:SOUNDER_PRIVACY_KEY\", made with `sounder secret new`",
        );
    }
    let privacy = Privacy {
        recipients: Recipients::Clear,
        inbound_text: section.or("inbound_text", choice(&texts), InboundText::Drop),
        dead_letters: section.or("dead_letters", choice(&letters), DeadLetters::Body),
    };
    let key = match (is_hash, key) {
        (false, _) => Wanted::Nothing,
        (true, Some(key)) => Wanted::Given(key),
        (true, None) => Wanted::Kept,
    };
    Meant { privacy, key }
}

impl Meant {
    /// Puts the key in. Nothing is made while the configuration has mistakes.
    pub(super) fn settle(self, mode: PrivacyKey, dir: &Path, report: &Report) -> Privacy {
        let recipients = match self.key {
            Wanted::Nothing => Recipients::Clear,
            Wanted::Given(key) => Recipients::Hash(RecipientKey::new(&key)),
            Wanted::Kept => Recipients::Hash(RecipientKey::new(&match mode {
                PrivacyKey::Keep if report.is_clean() => privacy_key(dir).unwrap_or_else(|error| {
                    report.add(unkept(dir, &error));
                    fresh()
                }),
                PrivacyKey::LeaveAlone | PrivacyKey::Keep => {
                    kept(&dir.join(KEY_FILE)).unwrap_or_else(|_| fresh())
                }
            })),
        };
        Privacy { recipients, ..self.privacy }
    }
}

fn unkept(dir: &Path, error: &io::Error) -> super::mistake::Mistake {
    let path = dir.join(KEY_FILE);
    super::mistake::Wrong::new(
        format!("cannot be kept in {}: {}", path.display(), error.kind()),
        format!("make {} writable, choose another stream.dir, or write key = \"env:NAME\"", dir.display()),
    )
    .at(&super::Place::Nowhere, "privacy.key")
}

/// The key that recipients are hashed with, kept in the data directory for its owner's eyes; made
/// at the first call. Two processes that start at once end with the same key.
///
/// # Errors
/// When the directory or the file cannot be read or written, or the file holds no key.
pub fn privacy_key(dir: &Path) -> io::Result<Secret> {
    let path = dir.join(KEY_FILE);
    match kept(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(dir, &path),
        outcome => outcome,
    }
}

/// Writes aside, syncs, then links: whoever reads sees a whole key or none, and the first wins.
fn make(dir: &Path, path: &PathBuf) -> io::Result<Secret> {
    std::fs::create_dir_all(dir)?;
    // A temporary file is made with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    writeln!(file, "{}", fresh().expose())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => return Err(error.error),
        Ok(_) | Err(_) => {}
    }
    std::fs::File::open(dir)?.sync_all()?;
    kept(path)
}

fn kept(path: &Path) -> io::Result<Secret> {
    let text = std::fs::read_to_string(path)?;
    match text.trim_end() {
        "" => Err(io::Error::new(io::ErrorKind::InvalidData, "holds no key")),
        key => Ok(Secret::new(key.to_owned())),
    }
}

fn fresh() -> Secret {
    Secret::random()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("data");
        let first = privacy_key(&below).unwrap();
        assert_eq!(privacy_key(&below).unwrap().expose(), first.expose());
        let mode = std::fs::metadata(below.join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!((mode & 0o777, first.expose().len()), (0o600, 43));
    }

    #[test]
    fn an_empty_key_file_is_not_a_key() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(KEY_FILE), "\n").unwrap();
        assert!(privacy_key(dir.path()).is_err());
    }
}
