//! TOML and environment overrides in, one tree of values out, each knowing where it was written.
//! Reads nothing but what it is handed.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Mistake, Place, Wrong};

/// What stands before the environment variables that override a key.
const PREFIX: &str = "SOUNDER__";

/// A table's entries.
pub(super) type Entries = BTreeMap<String, Item>;

/// A value and where it was written.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) value: Value,
    pub(super) place: Place,
}

/// A value as written.
#[derive(Clone)]
pub(super) enum Value {
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Array(Vec<Item>),
    Table(Entries),
    Datetime,
    /// A variable's value that reads as a number or the like, with its text, in case a string is wanted.
    Variable(Box<Value>, String),
}

impl Value {
    /// What it is called in a sentence.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Boolean(_) => "true or false",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
            Self::Datetime => "a date",
            Self::Variable(value, _) => value.name(),
        }
    }
}

/// Reads TOML as far as it can be read, with every mistake of syntax, at most one a line.
pub(super) fn parse(text: &str) -> (Entries, Vec<Mistake>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let lines = Lines::of(text);
    let mut mistakes: Vec<Mistake> = Vec::new();
    for error in errors {
        let place = error.span().map_or(Place::Nowhere, |span| lines.place(&span));
        if mistakes.iter().all(|known| known.place != place) {
            let wrong = Wrong::new(format!("is not TOML: {}", error.message()), "correct this line");
            mistakes.push(wrong.at(&place, ""));
        }
    }
    (lines.entries(table.into_inner()), mistakes)
}

/// Lays `SOUNDER__SECTION__KEY` variables over what the file says.
pub(super) fn override_with(entries: &mut Entries, environment: &BTreeMap<String, String>) -> Vec<Mistake> {
    let overrides =
        environment.iter().filter_map(|(name, text)| Some((name, name.strip_prefix(PREFIX)?, text)));
    overrides
        .filter_map(|(name, path, text)| {
            let place = Place::Environment(name.clone());
            let path = path.to_lowercase();
            let item = Item { value: variable(text, &place), place: place.clone() };
            set(entries, &path.split("__").collect::<Vec<_>>(), item).err().map(|wrong| wrong.at(&place, ""))
        })
        .collect()
}

fn set(entries: &mut Entries, path: &[&str], item: Item) -> Result<(), Wrong> {
    let (key, rest) = match path {
        [] => return Ok(()),
        ["", ..] => {
            return Err(Wrong::new(
                "names no key",
                "write SOUNDER__SECTION__KEY, as in SOUNDER__RECEIVE__LISTEN",
            ));
        }
        [key] => {
            entries.insert((*key).to_owned(), item);
            return Ok(());
        }
        [key, rest @ ..] => (*key, rest),
    };
    let empty = || Item { value: Value::Table(Entries::new()), place: item.place.clone() };
    match &mut entries.entry(key.to_owned()).or_insert_with(empty).value {
        Value::Table(table) => set(table, rest, item),
        _ => Err(Wrong::new(
            format!("reaches into {key}, which is no section"),
            format!("give {key} as a whole, in TOML, or change the file"),
        )),
    }
}

/// A variable's value: TOML where it reads as TOML, else the text itself.
fn variable(text: &str, place: &Place) -> Value {
    match DeValue::parse(text) {
        Err(_) => Value::String(text.to_owned()),
        Ok(parsed) => match Lines::all(place.clone()).value(parsed.into_inner()) {
            value @ (Value::String(_) | Value::Array(_) | Value::Table(_)) => value,
            other => Value::Variable(Box::new(other), text.to_owned()),
        },
    }
}

/// Tells lines from offsets.
struct Lines {
    starts: Vec<usize>,
    everywhere: Option<Place>,
}

impl Lines {
    fn of(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { starts: std::iter::once(0).chain(ends).collect(), everywhere: None }
    }

    fn all(place: Place) -> Self {
        Self { starts: Vec::new(), everywhere: Some(place) }
    }

    fn place(&self, span: &Range<usize>) -> Place {
        let line = self.starts.partition_point(|start| *start <= span.start);
        self.everywhere.clone().unwrap_or(Place::Line(line))
    }

    /// An entry's place is its key's: a table's own span begins at its header only.
    fn entries(&self, table: DeTable<'_>) -> Entries {
        let entry = |(key, value): (Spanned<_>, Spanned<DeValue<'_>>)| {
            let place = self.place(&key.span());
            let key: std::borrow::Cow<'_, str> = key.into_inner();
            (key.into_owned(), Item { place, value: self.value(value.into_inner()) })
        };
        table.into_iter().map(entry).collect()
    }

    fn value(&self, value: DeValue<'_>) -> Value {
        match value {
            DeValue::String(text) => Value::String(text.into_owned()),
            DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
                .map_or(Value::Float(f64::INFINITY), Value::Integer),
            DeValue::Float(digits) => Value::Float(digits.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(value) => Value::Boolean(value),
            DeValue::Datetime(_) => Value::Datetime,
            DeValue::Array(items) => Value::Array(
                items
                    .iter()
                    .map(|item| Item {
                        place: self.place(&item.span()),
                        value: self.value(item.get_ref().clone()),
                    })
                    .collect(),
            ),
            DeValue::Table(table) => Value::Table(self.entries(table)),
        }
    }
}
