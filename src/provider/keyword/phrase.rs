//! A sentence that asks for an end, and is not a quotation of one. Never more than likely.

use super::plain::words;
use super::sets::{INSTRUCTIONS, NEGATIONS, PHRASES, REACTIONS, SIGNATURES, STRONG};
use super::{Heard, Listed, Meaning};
use crate::event::Confidence::{self, Certain, Likely};
use crate::event::{Action, Evidence};

/// What divides clauses.
const DIVIDERS: [char; 7] = ['.', ',', '!', '?', ';', ':', '…'];
/// How far before a phrase a negation reaches, in words.
const NEGATION_REACH: usize = 4;

/// A keyword, and then something else: a telephone's signature, or why.
pub(super) fn opening<'k>(listed: &Listed<'k>, said: &str) -> Option<Meaning<'k>> {
    let said = said.trim();
    let (head, rest) = said.split_at(said.find(|c| c == '\n' || DIVIDERS.contains(&c))?);
    let head = words(head);
    let (action, keyword, _) = listed.word(&head).filter(|(.., confidence)| *confidence == Certain)?;
    let rest = words(rest);
    let confidence =
        if SIGNATURES.iter().any(|signature| rest.starts_with(signature)) { Certain } else { Likely };
    let means =
        |evidence, confidence: Confidence| Some(Meaning::of(action, Heard { evidence, keyword, confidence }));
    match (action, confidence) {
        (_, Certain) => means(Evidence::Variant, Certain),
        (Action::OptOut, Likely) if STRONG.contains(&keyword) => means(Evidence::Phrase, Likely),
        _ => None,
    }
}

/// A phrase in one of the clauses outside quotation marks.
pub(super) fn phrase<'k>(listed: &Listed<'k>, said: &str) -> Option<Meaning<'k>> {
    let unquoted = without_quotations(said);
    let whole = Clause::of(&unquoted);
    if INSTRUCTIONS.iter().any(|part| whole.before(part).is_some()) {
        return None;
    }
    let clauses: Vec<Clause> = unquoted.split(DIVIDERS).map(Clause::of).collect();
    let spoken = PHRASES.iter().filter(|(language, _)| listed.speaks(*language));
    let keyword = spoken.flat_map(|(_, phrases)| phrases.iter().copied()).find(|phrase| {
        clauses.iter().any(|clause| clause.before(phrase).is_some_and(|before| !is_negated(before)))
    })?;
    let heard = Heard { evidence: Evidence::Phrase, keyword, confidence: Likely };
    Some(Meaning::OptOut(heard))
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
    /// A bit for each first byte, by its last five bits.
    initials: u32,
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

    fn initial(word: &str) -> u32 {
        1 << (word.as_bytes().first().copied().unwrap_or_default() & 31)
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
