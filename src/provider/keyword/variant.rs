//! A keyword misspelt, disguised, repeated or said politely, and nothing else: `STPO`, `st0p`,
//! `s.t.o.p`, `STOOOOP`, `stop stop`, `stop please`.

use super::plain::letter;
use super::sets::{OTHERS, POLITE, STRONG, VARIANTS, WORDS, Word};
use super::{Heard, Listed, Meaning};
use crate::event::Confidence::{self, Certain, Likely};
use crate::event::{Action, Evidence};

/// Longest message that can be a disguise, in letters.
const LETTERS_MAX: usize = 32;

/// What a message means that is a disguised keyword.
pub(super) fn variant<'k>(listed: &Listed<'k>, words: &str) -> Option<Meaning<'k>> {
    let mut cores = vec![words.to_owned(), impolite(words, |word| word == "ME"), impolite(words, |_| false)];
    cores.dedup();
    cores.iter().filter(|core| !core.is_empty()).find_map(|core| core_variant(listed, words, core))
}

fn core_variant<'k>(listed: &Listed<'k>, words: &str, core: &str) -> Option<Meaning<'k>> {
    // “Yes please” answers many questions.
    let answers = |action, confidence| action == Action::OptIn && confidence == Likely;
    let politely = listed.word(core).filter(|(action, _, sure)| core != words && !answers(*action, *sure));
    if let Some((action, keyword, confidence)) = politely.or_else(|| slip(listed, core)) {
        return meaning(action, keyword, confidence);
    }
    repeated(listed, core).or_else(|| disguised(listed, core)).or_else(|| misspelt(listed, core))
}

fn meaning<'k>(action: Action, keyword: &'k str, confidence: Confidence) -> Option<Meaning<'k>> {
    Some(Meaning::of(action, Heard { evidence: Evidence::Variant, keyword, confidence }))
}

/// A listed misspelling, and what the word means that it is one of.
fn slip<'k>(listed: &Listed<'k>, core: &str) -> Option<(Action, &'k str, Confidence)> {
    let &(_, keyword, confidence) = VARIANTS.iter().find(|(known, ..)| *known == core)?;
    listed.word(keyword).map(|(action, keyword, _)| (action, keyword, confidence))
}

/// The words without those of politeness, but for those to be kept.
fn impolite(words: &str, keep: impl Fn(&str) -> bool) -> String {
    let words = words.replace(" A U B", " AUB");
    let kept: Vec<&str> = words.split(' ').filter(|word| keep(word) || !POLITE.contains(word)).collect();
    kept.join(" ")
}

/// Keywords only, all of which ask for the same: `STOP STOP`, `stop unsubscribe`.
fn repeated<'k>(listed: &Listed<'k>, core: &str) -> Option<Meaning<'k>> {
    let certain = |word: &str| listed.word(word).filter(|(.., sure)| *sure == Certain);
    let mut said = core.split(' ').map(|word| certain(word).or_else(|| slip(listed, word)));
    let (action, keyword, _) = said.next()??;
    let all = said.all(|other| other.is_some_and(|(also, ..)| also == action));
    all.then(|| meaning(action, keyword, Certain)).flatten()
}

/// A keyword spaced out, drawn out, written with digits, or several times without a space.
fn disguised<'k>(listed: &Listed<'k>, core: &str) -> Option<Meaning<'k>> {
    let letters: String = core.chars().filter(|c| *c != ' ').map(letter).collect();
    if letters.len() > LETTERS_MAX || OTHERS.contains(&core) {
        return None;
    }
    let numbered = core.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ');
    let strong = STRONG.iter().copied().filter(|word| listed.word(word).is_some());
    let mut said = strong.filter(|word| *word == numbered || letters.replace(word, "").is_empty());
    if let Some(keyword) = said.next() {
        return meaning(Action::OptOut, keyword, Certain);
    }
    let is_it = |text: &str| text.len() >= 3 && (text == letters || undoubled(text).eq(undoubled(&letters)));
    let word = certain_word(listed, |word| is_it(word.text))?;
    meaning(word.action, word.text, Certain)
}

/// The first single word that is so, is certain, and is heard. Whether it is heard is asked last: that
/// takes a search of its own.
fn certain_word(listed: &Listed<'_>, is_so: impl Fn(&Word) -> bool) -> Option<&'static Word> {
    let single = |word: &Word| word.confidence == Certain && !word.text.contains(' ');
    WORDS.iter().find(|word| is_so(word) && single(word) && listed.word(word.text).is_some())
}

/// Letters drawn out, once.
fn undoubled(letters: &str) -> impl Iterator<Item = char> {
    let mut last = None;
    letters.chars().filter(move |c| last.replace(*c) != Some(*c))
}

/// One word that is a keyword but for a slip or two: the longer the keyword, the more are forgiven.
/// It begins as the keyword does: “subscribe” is no slip of “unsubscribe”.
fn misspelt<'k>(listed: &Listed<'k>, core: &str) -> Option<Meaning<'k>> {
    if OTHERS.contains(&core) || core.len() > LETTERS_MAX || core.contains(' ') && core.len() < 6 {
        return None;
    }
    let written: String = core.chars().filter(|c| *c != ' ').map(letter).collect();
    let near = |word: &Word| {
        let forgiven = match word.text.len() {
            // Few letters leave many words in reach.
            0..=5 if !STRONG.contains(&word.text) => return false,
            0..=7 => 1,
            8..=9 => 2,
            _ => 3,
        };
        written.chars().next() == word.text.chars().next()
            && written.len().abs_diff(word.text.len()) <= forgiven
            && slips(&written, word.text) <= forgiven
    };
    let found = certain_word(listed, |word| word.action == Action::OptOut && near(word))?;
    let confidence = if found.text.len() <= 5 { Likely } else { Certain };
    meaning(Action::OptOut, found.text, confidence)
}

/// Letters to add, drop, replace or swap with their neighbour to make one word the other.
fn slips(one: &str, other: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, _) => j,
                (_, 0) => i,
                _ => {
                    let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let least = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                    let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                    if swapped { least.min(rows[i - 2][j - 2] + 1) } else { least }
                }
            };
        }
    }
    rows[a.len()][b.len()]
}
