//! Where a configuration comes from: a file's text and the environment, as values.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::Place;
use super::PrivacyKey;
use super::mistake::{Mistakes, Wrong};

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "sounder.toml";
/// The largest configuration file, in bytes: 100,000 numbers fit.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// A configuration as written.
#[derive(Clone)]
pub struct Source {
    /// What to call it in messages.
    pub name: String,
    /// TOML.
    pub text: String,
    /// The environment: `SOUNDER__SECTION__KEY` overrides, and what `env:NAME` secrets name.
    pub environment: BTreeMap<String, String>,
    /// Whether a missing privacy key may be made.
    pub privacy_key: PrivacyKey,
}

/// Text and environment may hold secrets.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Source {
    /// TOML without an environment, for tests and the demo.
    pub fn of(text: impl Into<String>) -> Self {
        Self {
            name: "configuration".to_owned(),
            text: text.into(),
            environment: BTreeMap::new(),
            privacy_key: PrivacyKey::LeaveAlone,
        }
    }

    /// The file that was named, or `sounder.toml` in the working directory if there is one, or
    /// nothing at all; with the process's environment.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn find(file: Option<&Path>, privacy_key: PrivacyKey) -> Result<Self, Mistakes> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        let (name, text) = match read(path) {
            Ok(text) => (path.display().to_string(), text),
            Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                ("the built-in configuration".to_owned(), String::new())
            }
            Err(error) => {
                let wrong =
                    Wrong::new(format!("cannot be read: {error}"), "name a readable TOML file with --config");
                let name = path.display().to_string();
                return Err(Mistakes { file: name, mistakes: vec![wrong.at(&Place::Nowhere, "")] });
            }
        };
        Ok(Self { name, text, environment: environment(), privacy_key })
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    if std::fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, "it is larger than 64 MiB"));
    }
    std::fs::read_to_string(path)
}

/// The environment, less what is not text. The one place that reads it.
#[expect(clippy::disallowed_methods, reason = "everything else is handed what it needs of the environment")]
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
