//! What is wrong with a configuration: where, what, and what to do about it. Never quotes a secret.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// A line of the configuration file, from 1.
    Line(usize),
    /// An environment variable.
    Environment(String),
    /// Nowhere: it is missing, or concerns the file as a whole.
    Nowhere,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Mistake {
    /// Where it was written.
    pub place: Place,
    /// The key's path, `receive.listen`; empty for a mistake of syntax.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Line(line) => write!(f, "line {line}: ")?,
            Place::Environment(name) => write!(f, "environment {name}: ")?,
            Place::Nowhere => {}
        }
        if !self.key.is_empty() {
            write!(f, "{} ", self.key)?;
        }
        write!(f, "{}\n    {}", self.what, self.remedy)
    }
}

/// Everything that is wrong with a configuration, in the order of its lines; never empty.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Mistakes {
    /// The file, as it was named.
    pub file: String,
    /// The mistakes.
    pub mistakes: Vec<Mistake>,
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mistakes.len() {
            1 => write!(f, "{} has a mistake", self.file)?,
            count => write!(f, "{} has {count} mistakes", self.file)?,
        }
        self.mistakes.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl std::error::Error for Mistakes {}

/// What is wrong with one value, before it is known where it stands.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) what: String,
    pub(super) remedy: String,
    /// What is written is right, but what it points to is not there.
    pub(super) is_unreadable: bool,
}

impl Wrong {
    pub(super) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into(), is_unreadable: false }
    }

    /// A secret that is not where it should be.
    pub(super) fn unreadable(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { is_unreadable: true, ..Self::new(what, remedy) }
    }

    pub(super) fn at(self, place: &Place, key: &str) -> Mistake {
        Mistake { place: place.clone(), key: key.to_owned(), what: self.what, remedy: self.remedy }
    }
}

/// Collects mistakes and warnings while a configuration is read, and knows the environment that
/// `env:NAME` secrets come from.
#[derive(Default)]
pub(super) struct Report {
    mistakes: RefCell<Vec<Mistake>>,
    /// Secrets that connections can be closed without.
    unreadable: RefCell<Vec<Mistake>>,
    warnings: RefCell<Vec<String>>,
    environment: BTreeMap<String, String>,
    is_broken: bool,
}

impl Report {
    /// Starts with the mistakes of syntax. What follows from them is not reported: a key may be
    /// missing only because its line could not be read.
    pub(super) fn new(syntax: Vec<Mistake>, environment: BTreeMap<String, String>) -> Self {
        Self { is_broken: !syntax.is_empty(), mistakes: syntax.into(), environment, ..Self::default() }
    }

    pub(super) fn add(&self, mistake: Mistake) {
        let mut mistakes = self.mistakes.borrow_mut();
        let follows = |known: &Mistake| known.key.is_empty() && known.place == mistake.place;
        if !mistakes.iter().any(follows) {
            mistakes.push(mistake);
        }
    }

    /// Reports a secret that is not where it should be.
    pub(super) fn add_unreadable(&self, mistake: Mistake) {
        self.unreadable.borrow_mut().push(mistake);
    }

    /// True when a secret under this path could not be read.
    pub(super) fn holds_unreadable(&self, path: &str) -> bool {
        let under =
            |mistake: &Mistake| mistake.key.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
        self.unreadable.borrow().iter().any(under)
    }

    /// Reports what is wrong only because something else is absent.
    pub(super) fn add_absence(&self, mistake: Mistake) {
        if !self.is_broken {
            self.add(mistake);
        }
    }

    pub(super) fn warn(&self, sentence: String) {
        self.warnings.borrow_mut().push(sentence);
    }

    pub(super) fn variable(&self, name: &str) -> Option<&String> {
        self.environment.get(name)
    }

    pub(super) fn is_clean(&self) -> bool {
        self.mistakes.borrow().is_empty()
    }

    /// The warnings and the unreadable secrets, or every mistake in the order of lines.
    pub(super) fn close(self, file: &str) -> Result<(Vec<String>, Vec<Mistake>), Mistakes> {
        let (mut mistakes, unreadable) = (self.mistakes.into_inner(), self.unreadable.into_inner());
        if mistakes.is_empty() {
            return Ok((self.warnings.into_inner(), unreadable));
        }
        mistakes.extend(unreadable);
        mistakes.sort();
        mistakes.dedup();
        Err(Mistakes { file: file.to_owned(), mistakes })
    }
}

/// “did you mean” with the nearest of `known`, if one is near.
pub(super) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (distance(written, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Letters to add, drop, replace or swap with their neighbour to make one word the other.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().take(64).collect(), other.chars().collect());
    let mut rows = vec![(0..=other.len()).collect::<Vec<usize>>()];
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let mut least = (rows[i][j] + usize::from(a != b)).min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(rows[i - 1][j - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_a_far_one_is_not_offered() {
        let known = ["listen", "public_url", "settle"];
        assert_eq!(nearest("lisetn", known), Some("listen"));
        assert_eq!(nearest("publicurl", known), Some("public_url"));
        assert_eq!(nearest("zebra", known), None);
    }
}
