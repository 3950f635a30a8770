//! A table being read: keys are taken one by one, and what nobody took when it is dropped is an
//! unknown key. A key that is read nowhere can therefore never be ignored in silence.

use super::document::{Entries, Item, Value};
use super::mistake::{Place, Report, Wrong, nearest};

/// What the paths of connections that have an id begin with. Each can be closed by itself.
const CONNECTION: &str = "connection.";

/// A table being read.
pub(super) struct Section<'r> {
    report: &'r Report,
    path: String,
    place: Place,
    entries: Entries,
    taken: Vec<(&'static str, Option<Place>)>,
}

/// A value being read, and whom to tell of literal secrets.
pub(super) struct Field<'f> {
    /// Where mistakes and warnings go.
    pub(super) report: &'f Report,
    /// Its key's path.
    pub(super) path: &'f str,
    /// The value.
    pub(super) value: &'f Value,
}

impl Field<'_> {
    /// The text of a string, also of a variable that happens to look like a number.
    pub(super) fn text(&self) -> Result<&str, Wrong> {
        match self.value {
            Value::String(text) | Value::Variable(_, text) => Ok(text),
            other => Err(Wrong::new(
                format!("must be a string, not {}", other.name()),
                "write the value between quotes",
            )),
        }
    }

    /// The value itself, whether a file or a variable said it.
    pub(super) fn plain(&self) -> &Value {
        match self.value {
            Value::Variable(value, _) => value,
            value => value,
        }
    }
}

impl<'r> Section<'r> {
    /// The whole document.
    pub(super) fn root(report: &'r Report, entries: Entries) -> Self {
        Self { report, path: String::new(), place: Place::Nowhere, entries, taken: Vec::new() }
    }

    fn path_of(&self, key: &str) -> String {
        match (self.path.as_str(), key) {
            ("", key) => key.to_owned(),
            (path, "") => path.to_owned(),
            (path, key) => format!("{path}.{key}"),
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Item> {
        let item = self.entries.remove(key);
        self.taken.push((key, item.as_ref().map(|item| item.place.clone())));
        item
    }

    /// True of a key that is written with anything but an empty array.
    pub(super) fn is_filled(&self, key: &str) -> bool {
        self.entries
            .get(key)
            .is_some_and(|item| !matches!(&item.value, Value::Array(items) if items.is_empty()))
    }

    /// True of a key that is there.
    pub(super) fn is_written(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Reads a key that may be missing.
    pub(super) fn get<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Field<'_>) -> Result<T, Wrong>,
    ) -> Option<T> {
        let item = self.take(key)?;
        let path = self.path_of(key);
        self.read(&path, &item, read)
    }

    /// Reads a key that has a default.
    pub(super) fn or<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Field<'_>) -> Result<T, Wrong>,
        default: T,
    ) -> T {
        self.get(key, read).unwrap_or(default)
    }

    /// Reads a key that must be there.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Field<'_>) -> Result<T, Wrong>,
        remedy: &str,
    ) -> Option<T> {
        if !self.entries.contains_key(key) {
            self.taken.push((key, None));
            self.absent(key, "is missing", remedy);
            return None;
        }
        self.get(key, read)
    }

    /// Reads every value of an array; none when it is missing.
    pub(super) fn each<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&Field<'_>) -> Result<T, Wrong>,
    ) -> Vec<T> {
        let path = self.path_of(key);
        self.items(key)
            .iter()
            .enumerate()
            .filter_map(|(index, item)| self.read(&format!("{path}[{index}]"), item, &read))
            .collect()
    }

    /// Reads every entry of a table whose keys are not ours to choose.
    pub(super) fn entries_of<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str, &Field<'_>) -> Result<T, Wrong>,
    ) -> Vec<(String, T)> {
        let path = self.path_of(key);
        let (entries, _) = self.table(key);
        entries
            .into_iter()
            .filter_map(|(name, item)| {
                let value = self.read(&format!("{path}.{name}"), &item, |field| read(&name, field))?;
                Some((name, value))
            })
            .collect()
    }

    /// The table under a key; an empty one when it is missing.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'r> {
        let (entries, place) = self.table(key);
        Section { report: self.report, path: self.path_of(key), place, entries, taken: Vec::new() }
    }

    /// The table under a key, if it is there.
    pub(super) fn optional(&mut self, key: &'static str) -> Option<Section<'r>> {
        self.entries.contains_key(key).then(|| self.section(key)).or_else(|| {
            self.taken.push((key, None));
            None
        })
    }

    /// The tables of an array of tables.
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<Section<'r>> {
        let path = self.path_of(key);
        let items = self.items(key);
        let mut sections = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let path = format!("{path}[{index}]");
            match item.value {
                Value::Table(entries) => sections.push(Section {
                    report: self.report,
                    path,
                    place: item.place,
                    entries,
                    taken: Vec::new(),
                }),
                other => {
                    let wrong = Wrong::new(
                        format!("must be a table, not {}", other.name()),
                        "write key = value pairs",
                    );
                    self.report.add(wrong.at(&item.place, &path));
                }
            }
        }
        sections
    }

    /// Uses a better name than a position for what follows: `connection.acme-twilio`.
    pub(super) fn rename(&mut self, path: String) {
        self.path = path;
    }

    /// True when a secret of this section could not be read.
    pub(super) fn holds_unreadable(&self) -> bool {
        self.report.holds_unreadable(&self.path)
    }

    /// Refuses a key of a later version, so that nobody relies on what does not happen yet.
    pub(super) fn later(&mut self, key: &'static str, instead: &str) {
        match self.take(key) {
            Some(_) => {
                self.wrong(key, "is not supported by this version yet", &format!("remove it; {instead}"))
            }
            // Nobody is to be pointed to it.
            None => self.forget(key),
        }
    }

    /// Reports a mistake at a key that was taken, or at the section when it is not there.
    pub(super) fn wrong(&self, key: &str, what: &str, remedy: &str) {
        self.report.add(Wrong::new(what, remedy).at(&self.place_of(key), &self.path_of(key)));
    }

    /// Reports that something is not there, unless an unreadable line may have said it.
    pub(super) fn absent(&self, key: &str, what: &str, remedy: &str) {
        self.report.add_absence(Wrong::new(what, remedy).at(&self.place_of(key), &self.path_of(key)));
    }

    /// Warns about a key.
    pub(super) fn warn(&self, key: &str, what: &str) {
        self.report.warn(format!("{} {what}", self.path_of(key)));
    }

    fn forget(&mut self, key: &str) {
        self.taken.retain(|(name, _)| *name != key);
    }

    fn place_of(&self, key: &str) -> Place {
        let taken = self.taken.iter().rev().find(|(name, _)| *name == key);
        taken.and_then(|(_, place)| place.clone()).unwrap_or_else(|| self.place.clone())
    }

    fn read<T>(
        &self,
        path: &str,
        item: &Item,
        read: impl FnOnce(&Field<'_>) -> Result<T, Wrong>,
    ) -> Option<T> {
        let field = Field { report: self.report, path, value: &item.value };
        match read(&field) {
            Ok(value) => return Some(value),
            Err(wrong) if wrong.is_unreadable && path.starts_with(CONNECTION) => {
                self.report.add_unreadable(wrong.at(&item.place, path));
            }
            Err(wrong) => self.report.add(wrong.at(&item.place, path)),
        }
        None
    }

    fn table(&mut self, key: &'static str) -> (Entries, Place) {
        match self.take(key) {
            None => (Entries::new(), self.place.clone()),
            Some(Item { value: Value::Table(entries), place }) => (entries, place),
            Some(Item { value, .. }) => {
                self.wrong(
                    key,
                    &format!("must be a table, not {}", value.name()),
                    &format!("write [{}] above its keys, or {key} = {{ key = value }}", self.path_of(key)),
                );
                (Entries::new(), self.place.clone())
            }
        }
    }

    fn items(&mut self, key: &'static str) -> Vec<Item> {
        match self.take(key) {
            None => Vec::new(),
            Some(Item { value: Value::Array(items), .. }) => items,
            Some(Item { value, .. }) => {
                let is_table = matches!(value, Value::Table(_));
                let path = self.path_of(key);
                let remedy =
                    if is_table { format!("write [[{path}]]") } else { format!("write {key} = […]") };
                self.wrong(key, &format!("must be an array, not {}", value.name()), &remedy);
                Vec::new()
            }
        }
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        let known: Vec<&str> = self.taken.iter().map(|(key, _)| *key).collect();
        for (key, item) in &self.entries {
            let remedy = match nearest(key, known.iter().copied()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("remove it; known here: {}", known.join(", ")),
            };
            self.report.add(Wrong::new("is not a known key", remedy).at(&item.place, &self.path_of(key)));
        }
    }
}
