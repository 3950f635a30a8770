//! A keyword misspelt, disguised, repeated or said politely, and nothing else: `STPO`, `st0p`,
//! `s.t.o.p`, `STOOOOP`, `stop stop`, `stop please`. In: the words of a whole message. Out: what it
//! asks for. It never takes a word that means itself for a slip.

use super::friends::{is_friend, is_nearer};
use super::plain::letter;
use super::sets::{AFFIXES, OBJECTS, POLITE, SAID_OF_MESSAGES, STRONG, VARIANTS, WORDS, Word};
use super::slip::{self, LETTERS_MAX};
use super::{Heard, Listed, Meaning};
use crate::event::Confidence::{self, Certain, Likely};
use crate::event::{Action, Evidence};

/// Longest message that can be nothing but a keyword and politeness, in bytes.
const WORDS_MAX: usize = 400;
/// Fewest letters that a slip may leave: fewer are near everything.
const LETTERS_MIN: usize = 3;

/// Most letters that are near a keyword: the longest has fourteen, and three more are forgiven.
const NEAR_MAX: usize = 17;

/// What is asked for, by which listed word, how surely.
type Asked<'k> = (Action, &'k str, Confidence);

/// What a message means that is a disguised keyword.
pub(super) fn variant<'k>(listed: &Listed<'k>, words: &str) -> Option<Meaning<'k>> {
    if words.len() > WORDS_MAX {
        return None;
    }
    let (kept, none) = (impolite(words, |word| word == "ME"), impolite(words, |_| false));
    let mut cores = vec![words, kept.as_str(), none.as_str()];
    cores.dedup();
    let asked = cores.iter().filter(|core| !core.is_empty()).find_map(|core| asked(listed, words, core));
    asked.map(meaning)
}

/// A keyword and what it is said of: “unsubscribe from all messages”. It may be said of anything.
pub(super) fn with_object<'k>(listed: &Listed<'k>, words: &str) -> Option<Meaning<'k>> {
    let mut said = words.split(' ').filter(|word| !POLITE.holds(word));
    let keyword = said.next().filter(|word| SAID_OF_MESSAGES.contains(word))?;
    let is_said_of =
        said.next().is_some_and(|word| OBJECTS.holds(word)) && said.all(|word| OBJECTS.holds(word));
    let (action, keyword, _) = listed.word(keyword).filter(|_| is_said_of)?;
    Some(meaning((action, keyword, Likely)))
}

fn meaning((action, keyword, confidence): Asked<'_>) -> Meaning<'_> {
    Meaning::of(action, Heard { evidence: Evidence::Variant, keyword, confidence })
}

/// What `core` asks for, of a message of `words`.
fn asked<'k>(listed: &Listed<'k>, words: &str, core: &str) -> Option<Asked<'k>> {
    // “Yes please” answers many questions.
    let answers = |action, confidence| action == Action::OptIn && confidence == Likely;
    let politely = listed.word(core).filter(|(action, _, sure)| core != words && !answers(*action, *sure));
    politely
        .or_else(|| known_slip(listed, core))
        .or_else(|| repeated(listed, core))
        .or_else(|| disguised(listed, core))
        .or_else(|| misspelt(listed, core))
}

/// A listed misspelling, and what the word means that it is one of.
fn known_slip<'k>(listed: &Listed<'k>, core: &str) -> Option<Asked<'k>> {
    let &(_, keyword, confidence) = VARIANTS.iter().find(|(known, ..)| *known == core)?;
    listed.word(keyword).map(|(action, keyword, _)| (action, keyword, confidence))
}

/// The words without those of politeness, but for those to be kept.
fn impolite(words: &str, keep: impl Fn(&str) -> bool) -> String {
    // In `u n s u b` no letter is a word.
    let are_letters = words.split(' ').filter(|word| word.len() == 1).nth(1).is_some();
    let is_kept = |word: &&str| keep(word) || are_letters && word.len() == 1 || !POLITE.holds(word);
    let mut kept = String::with_capacity(words.len());
    for word in words.trim_end_matches(" A U B").split(' ').filter(is_kept) {
        kept.push_str(if kept.is_empty() { "" } else { " " });
        kept.push_str(word);
    }
    kept
}

/// Keywords and slips of keywords only, all of which ask for the same: `STOP STOP`, `stop unsubscribe`.
fn repeated<'k>(listed: &Listed<'k>, core: &str) -> Option<Asked<'k>> {
    core.contains(' ').then_some(())?;
    let certain = |word: &str| listed.word(word).filter(|(.., sure)| *sure == Certain);
    let mut said = core
        .split(' ')
        .map(|word| certain(word).or_else(|| known_slip(listed, word)).or_else(|| misspelt(listed, word)));
    let (action, keyword, first) = said.next()??;
    said.try_fold(first, |sure, other| match other {
        Some((also, _, Certain)) if also == action => Some(sure),
        Some((also, _, Likely)) if also == action => Some(Likely),
        Some(_) | None => None,
    })
    .map(|sure| (action, keyword, sure))
}

/// A keyword spaced out, drawn out, written with digits, glued to others or to politeness.
fn disguised<'k>(listed: &Listed<'k>, core: &str) -> Option<Asked<'k>> {
    let letters = letters_of(core).filter(|_| !is_friend(core))?;
    let numbered = core.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ');
    let is_one = !core.contains(' ');
    let mask = slip::letters(letters.as_bytes());
    let is_strong = |word: &&str| {
        *word == numbered
            || (slip::letters(word.as_bytes()) & !mask) == 0
                && letters.contains(*word)
                && (letters.split(*word).all(str::is_empty) || is_one && is_glued(&letters, word))
    };
    if let Some(word) = STRONG.iter().find(|word| is_strong(word) && listed.word(word).is_some()) {
        return Some((Action::OptOut, word, Certain));
    }
    // Whether it is heard is asked last: that takes a search of its own.
    let is_it = |word: &&Word| {
        word.letters == mask
            && word.confidence == Certain
            && word.size >= LETTERS_MIN
            && undoubled(&word.joined()).eq(undoubled(&letters))
            && listed.word(word.text).is_some()
    };
    WORDS.iter().find(is_it).map(|word| (word.action, word.text, Certain))
}

/// The letters that are meant, all together, where they may be one word.
fn letters_of(core: &str) -> Option<String> {
    let letters: String = core.chars().filter(|c| *c != ' ').map(letter).take(LETTERS_MAX + 1).collect();
    (LETTERS_MIN..=LETTERS_MAX).contains(&letters.len()).then_some(letters)
}

/// True of a keyword with politeness or an object written on to it: `stoptexting`, `plsstop`.
fn is_glued(letters: &str, keyword: &str) -> bool {
    let Some((before, mut after)) = letters.split_once(keyword) else { return false };
    while let Some(rest) = AFFIXES.iter().find_map(|affix| after.strip_prefix(affix)) {
        after = rest;
    }
    let is_polite = before.is_empty() || POLITE.holds(before);
    after.is_empty() && is_polite && letters.len() > keyword.len()
}

/// Letters drawn out, once.
fn undoubled(letters: &str) -> impl Iterator<Item = char> {
    let mut last = None;
    letters.chars().filter(move |c| last.replace(*c) != Some(*c))
}

/// One word that is a keyword but for a slip or some: the longer the keyword, the more are forgiven.
fn misspelt<'k>(listed: &Listed<'k>, core: &str) -> Option<Asked<'k>> {
    let written = letters_of(core).filter(|letters| !is_friend(letters))?;
    let drawn_in = shortened(&written, 1);
    if drawn_in.len() > NEAR_MAX || !may_be_one(listed, core) {
        return None;
    }
    // Two words that seem one are no time for generosity.
    let most = if core.contains(' ') { 1 } else { usize::MAX };
    let drawn_out = |short: String| {
        let is_new = short.len() < written.len() && short.len() >= LETTERS_MIN && !is_friend(&short);
        is_new.then(|| nearest(listed, &short, most)).flatten()
    };
    nearest(listed, &written, most)
        .or_else(|| drawn_out(drawn_in))
        .or_else(|| drawn_out(shortened(&written, 2)))
}

/// Letters that stand three times or more, so many times.
fn shortened(letters: &str, times: usize) -> String {
    let letters: Vec<char> = letters.chars().collect();
    let runs = letters.chunk_by(|one, next| one == next);
    runs.flat_map(|run| &run[..if run.len() > 2 { times } else { run.len() }]).collect()
}

/// True of one word, whole, spaced out, or cut in two where it is long: “I quit” is two words, and no
/// slip of “quit”.
fn may_be_one(listed: &Listed<'_>, core: &str) -> bool {
    let (mut parts, mut longer, mut letters) = (0, 0, 0);
    for part in core.split(' ') {
        let is_word =
            || is_friend(part) || listed.word(part).is_some() || part.bytes().all(|b| b.is_ascii_digit());
        if core.len() > part.len() && is_word() {
            return false;
        }
        (parts, longer, letters) = (parts + 1, longer + usize::from(part.len() > 1), letters + part.len());
    }
    parts == 1 || parts > 2 && longer <= 1 || letters >= 6
}

/// Slips that are forgiven a keyword of so many letters. Few letters leave many words in reach.
const fn forgiven(letters: usize) -> usize {
    match letters {
        0..=3 => 0,
        4..=7 => 1,
        8..=9 => 2,
        _ => 3,
    }
}

/// The keyword that takes the fewest edits. Between an end and anything else it is an end, but only
/// likely.
fn nearest<'k>(listed: &Listed<'k>, written: &str, most: usize) -> Option<Asked<'k>> {
    // What is no letter here is one slip, however many bytes it has.
    let typed: Vec<u8> = written.chars().map(|c| if c.is_ascii() { c as u8 } else { b'?' }).collect();
    let mask = slip::letters(&typed);
    let mut found: Option<(usize, &Word, bool)> = None;
    for word in WORDS {
        let most = found.map_or(most, |(edits, ..)| edits).min(forgiven(word.size));
        if forgiven(word.size) == 0
            || typed.len().abs_diff(word.size) > most
            || !slip::may_be_near(mask, word.letters, most)
        {
            continue;
        }
        let Some(edits) = slip::edits(&typed, word.joined().as_bytes(), most) else { continue };
        if listed.word(word.text).is_none() {
            continue;
        }
        found = match found {
            Some((least, other, torn)) if least == edits => {
                let is_other = other.action != word.action;
                let chosen = if is_other && word.action == Action::OptOut { word } else { other };
                Some((edits, chosen, torn || is_other))
            }
            Some(_) | None => Some((edits, word, false)),
        };
    }
    let (edits, word, torn) = found?;
    if edits > 1 && is_nearer(&typed, edits) {
        return None;
    }
    let by_finger = || STRONG.contains(&word.text) && slip::is_of_fingers(&typed, word.joined().as_bytes());
    let is_sure = !torn && word.confidence == Certain && word.action != Action::OptIn;
    let confidence = if is_sure && (word.size > 5 || by_finger()) { Certain } else { Likely };
    Some((word.action, word.text, confidence))
}
