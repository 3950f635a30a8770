//! A sentence that asks for an end, and is not a quotation of one. Never more than likely.

use super::phrases::{INSTRUCTIONS, NEGATIONS, PHRASES, REACTIONS, SIGNATURES};
use super::plain::{letter, words};
use super::sets::STRONG;
use super::slip;
use super::variant::variant;
use super::{Heard, Listed, Meaning};
use crate::event::Confidence::{Certain, Likely};
use crate::event::Evidence;

/// What divides clauses.
const DIVIDERS: [char; 11] = ['.', ',', '!', '?', ';', ':', '…', '–', '(', ')', '|'];
/// How far before a phrase a negation reaches, in words.
const NEGATION_REACH: usize = 4;
/// Longest clause that may be nothing but a keyword, in bytes, and how many clauses are looked at.
const ALONE_MAX: usize = 24;
const CLAUSES_MAX: usize = 6;

/// A keyword, and then a telephone's signature.
pub(super) fn signed<'k>(listed: &Listed<'k>, said: &str) -> Option<Meaning<'k>> {
    let said = said.trim();
    let is_signature = |at: &usize| {
        // A divider may have more than one byte.
        let line = said[*at..].trim_start_matches(is_divider).lines().next().map(words).unwrap_or_default();
        SIGNATURES.iter().any(|signature| line.starts_with(signature))
    };
    let lines = said.match_indices('\n').map(|(at, _)| at);
    let at = said.find(is_divider).into_iter().chain(lines).find(is_signature)?;
    let (action, heard) = alone(listed, &said[..at])?.asks()?;
    Some(Meaning::of(action, Heard { evidence: Evidence::Variant, ..heard }))
}

/// What a clause means that is a keyword and nothing else.
fn alone<'k>(listed: &Listed<'k>, clause: &str) -> Option<Meaning<'k>> {
    let clause = words(clause);
    if clause.is_empty() || clause.len() > ALONE_MAX {
        return None;
    }
    let whole = listed.word(&clause).map(|(action, keyword, confidence)| {
        Meaning::of(action, Heard { evidence: Evidence::Keyword, keyword, confidence })
    });
    whole.or_else(|| variant(listed, &clause))
}

fn is_divider(c: char) -> bool {
    c == '\n' || DIVIDERS.contains(&c)
}

/// A phrase in one of the clauses outside quotation marks, or a strong keyword that is a clause of its
/// own: “Hi John, stop.”, “STOP, I never signed up”.
pub(super) fn phrase<'k>(listed: &Listed<'k>, said: &str) -> Option<Meaning<'k>> {
    let unquoted = without_quotations(said);
    let whole = Clause::of(&unquoted);
    if INSTRUCTIONS.iter().any(|part| whole.before(part).is_some()) {
        return None;
    }
    let likely = |keyword| Meaning::OptOut(Heard { evidence: Evidence::Phrase, keyword, confidence: Likely });
    let clauses: Vec<Clause> = unquoted.split(&DIVIDERS).map(Clause::of).collect();
    let spoken = PHRASES.iter().filter(|(language, _)| listed.speaks(*language));
    let phrase = spoken.flat_map(|(_, phrases)| phrases.iter().copied()).find(|phrase| {
        clauses.iter().any(|clause| clause.before(phrase).is_some_and(|before| !is_negated(before)))
    });
    phrase.or_else(|| clause_of_its_own(listed, &unquoted)).map(likely)
}

/// The strong keyword that one of the first clauses is.
fn clause_of_its_own<'k>(listed: &Listed<'k>, said: &str) -> Option<&'k str> {
    let strong = |clause| match alone(listed, clause)? {
        Meaning::OptOut(heard) if heard.confidence == Certain => Some(heard.keyword),
        _ => None,
    };
    let keyword =
        said.split(is_divider).take(CLAUSES_MAX).filter(|clause| may_be_strong(clause)).find_map(strong)?;
    STRONG.contains(&keyword).then_some(keyword)
}

/// True of few words with the letters of a strong keyword, but for one: most clauses have not.
fn may_be_strong(clause: &str) -> bool {
    let clause = clause.trim();
    if clause.len() > ALONE_MAX {
        return false;
    }
    let letters = clause.chars().map(letter).fold(0, |all, c| all | slip::letters(&[c as u8]));
    STRONG.iter().any(|word| (slip::letters(word.as_bytes()) & !letters).count_ones() <= 1)
}

fn is_negated(before: &str) -> bool {
    before.split_whitespace().rev().take(NEGATION_REACH).any(|word| NEGATIONS.contains(&word))
}

/// The words of a clause. Hundreds of phrases are looked for in each, so it is known where words
/// begin, and with which letters.
struct Clause {
    /// With a space behind every word.
    text: String,
    starts: Vec<usize>,
    /// A bit of 64 for each first two bytes.
    initials: u64,
}

impl Clause {
    fn of(said: &str) -> Self {
        let mut text = words(said);
        text.push(' ');
        let spaces = text.match_indices(' ').map(|(at, _)| at + 1);
        let starts: Vec<usize> = std::iter::once(0).chain(spaces).filter(|at| *at < text.len()).collect();
        let initials = starts.iter().fold(0, |all, at| all | Self::initial(&text[*at..]));
        Self { text, starts, initials }
    }

    fn initial(word: &str) -> u64 {
        match word.as_bytes() {
            [first, second, ..] => 1 << ((u32::from(*first) + 7 * u32::from(*second)) & 63),
            _ => 0,
        }
    }

    /// What stands before `phrase`, where that stands here as whole words.
    fn before(&self, phrase: &str) -> Option<&str> {
        if self.initials & Self::initial(phrase) == 0 {
            return None;
        }
        let is_here =
            |at: &&usize| self.text[**at..].strip_prefix(phrase).is_some_and(|rest| rest.starts_with(' '));
        self.starts.iter().find(is_here).map(|at| &self.text[..*at])
    }
}

/// True of what a telephone writes when somebody reacts to a message: it quotes that message.
pub(super) fn is_reaction(said: &str) -> bool {
    let said = said.trim();
    let quotes = said.contains('"');
    let opens = |opening: &&&str| said.strip_prefix(**opening).is_some_and(|rest| rest.starts_with(' '));
    let reacts = quotes && REACTIONS.iter().any(|opening| opens(&opening));
    // Android: `👍 to “STOP”`, `👍 “STOP”`.
    let answers = quotes && said.chars().next().is_some_and(|c| !c.is_ascii() && !c.is_alphanumeric());
    reacts || answers || said.starts_with("REACTED ")
}

fn without_quotations(said: &str) -> String {
    let parts: Vec<&str> = said.split('"').collect();
    let wholly = parts.len() == 3 && parts[0].trim().is_empty() && parts[2].trim().is_empty();
    if wholly { said.to_owned() } else { parts.into_iter().step_by(2).collect::<Vec<_>>().join(" ") }
}
