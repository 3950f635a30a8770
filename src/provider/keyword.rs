//! What a reply means. In: its text. Out: an opt-out, an opt-in, a call for help, or only a reply.
//! A whole message that is a keyword is certain; a misspelling is certain where it is nothing else;
//! a sentence is never more than likely. A quotation or a reaction (“Liked “STOP””) says nothing.

use crate::event::Confidence::{self, Certain, Likely};
use crate::event::Evidence;

/// What a reply means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// No more messages.
    OptOut(Heard),
    /// Messages again.
    OptIn(Heard),
    /// Information.
    Help(Heard),
    /// Only a reply.
    Reply,
}

/// What was heard in a reply, and how well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// A keyword, a misspelling of one, or a sentence.
    pub evidence: Evidence,
    /// The listed word or phrase, never the reply's own text.
    pub keyword: &'static str,
    /// How sure it is.
    pub confidence: Confidence,
}

/// Whole messages that withdraw (CTIA, 47 CFR 64.1200(a)(10), and what providers act on).
const OPT_OUT: &[(&str, Confidence)] = &[
    ("STOP", Certain),
    ("STOPALL", Certain),
    ("STOP ALL", Certain),
    ("UNSUBSCRIBE", Certain),
    ("UNSUB", Certain),
    ("CANCEL", Certain),
    ("END", Certain),
    ("QUIT", Certain),
    ("REVOKE", Certain),
    ("OPTOUT", Certain),
    ("OPT OUT", Certain),
    ("REMOVE", Certain),
    ("REMOVE ME", Certain),
    ("ARRET", Certain),
    ("BLOCK", Likely),
    ("WRONG", Likely),
    ("TD", Likely),
];

/// Whole messages that return. A bare YES answers many questions.
const OPT_IN: &[(&str, Confidence)] =
    &[("START", Certain), ("UNSTOP", Certain), ("NONARRET", Certain), ("YES", Likely)];

/// Whole messages that ask for help.
const HELP: &[(&str, Confidence)] = &[("HELP", Certain), ("INFO", Certain)];

/// Misspellings; those that are words of their own are only likely.
const VARIANTS: &[(&str, &str, Confidence)] = &[
    ("STPO", "STOP", Certain),
    ("STORP", "STOP", Certain),
    ("STP", "STOP", Certain),
    ("SOTP", "STOP", Certain),
    ("TSOP", "STOP", Certain),
    ("STOPO", "STOP", Certain),
    ("STOPS", "STOP", Certain),
    ("STOPT", "STOP", Certain),
    ("STOPE", "STOP", Certain),
    ("STOPIT", "STOP", Certain),
    ("STOPL", "STOP", Certain),
    ("STOO", "STOP", Certain),
    ("STIP", "STOP", Certain),
    ("STAOP", "STOP", Certain),
    ("STOIP", "STOP", Certain),
    ("STROP", "STOP", Likely),
    ("STOD", "STOP", Likely),
    ("SROP", "STOP", Certain),
    ("DTOP", "STOP", Certain),
    ("ZTOP", "STOP", Certain),
    ("STOOP", "STOP", Likely),
    ("ATOP", "STOP", Likely),
    ("STEP", "STOP", Likely),
    ("TOP", "STOP", Likely),
    ("STOPALLL", "STOPALL", Certain),
    ("UNSUBCRIBE", "UNSUBSCRIBE", Certain),
    ("UNSUBSCIBE", "UNSUBSCRIBE", Certain),
    ("UNSUSCRIBE", "UNSUBSCRIBE", Certain),
    ("UNSUBSRIBE", "UNSUBSCRIBE", Certain),
    ("UNSUBSCRIB", "UNSUBSCRIBE", Certain),
    ("UNSUBSCRIPE", "UNSUBSCRIBE", Certain),
    ("UNSUBSCRIBED", "UNSUBSCRIBE", Certain),
    ("UNSCRIBE", "UNSUBSCRIBE", Certain),
    ("UNSUBSCRIBE ME", "UNSUBSCRIBE", Certain),
    ("UNSUBSCRIBE PLEASE", "UNSUBSCRIBE", Certain),
    ("PLEASE UNSUBSCRIBE", "UNSUBSCRIBE", Certain),
    ("CANCLE", "CANCEL", Certain),
    ("CANCELL", "CANCEL", Certain),
    ("CANSEL", "CANCEL", Certain),
    ("QIUT", "QUIT", Certain),
    ("OPPT OUT", "OPT OUT", Certain),
    ("OPT ME OUT", "OPT OUT", Certain),
    ("PLEASE OPT OUT", "OPT OUT", Certain),
    ("OUT OPT", "OPT OUT", Likely),
    ("STOP PLEASE", "STOP", Certain),
    ("PLEASE STOP", "STOP", Certain),
    ("PLS STOP", "STOP", Certain),
    ("STOP NOW", "STOP", Certain),
    ("STOP THANKS", "STOP", Certain),
    ("STOP IT", "STOP", Likely),
    ("STOP THIS", "STOP", Likely),
    ("PLEASE REMOVE ME", "REMOVE ME", Certain),
    ("REMOVE ME PLEASE", "REMOVE ME", Certain),
    ("STOPP", "STOP", Certain),
    ("REMOVE MY NUMBER", "REMOVE ME", Certain),
];

/// Word sequences that ask for an end wherever they stand in a message.
const PHRASES: &[&str] = &[
    "STOP TEXTING",
    "STOP TEXT",
    "STOP MESSAGING",
    "STOP MESSAGES",
    "STOP SENDING",
    "STOP CONTACTING",
    "STOP BOTHERING",
    "STOP SPAMMING",
    "STOP HARASSING",
    "STOP THESE",
    "STOP THE TEXTS",
    "STOP ALL TEXTS",
    "STOP ALL MESSAGES",
    "DO NOT TEXT",
    "DONT TEXT",
    "DO NOT CONTACT",
    "DONT CONTACT ME",
    "DO NOT MESSAGE",
    "DONT MESSAGE ME",
    "DO NOT SEND ME",
    "DONT SEND ME",
    "NO MORE TEXTS",
    "NO MORE MESSAGES",
    "QUIT TEXTING",
    "QUIT SENDING",
    "NEVER TEXT ME",
    "WHY ARE YOU TEXTING",
    "WHY DO YOU KEEP TEXTING",
    "REMOVE ME",
    "REMOVE MY NUMBER",
    "REMOVE THIS NUMBER",
    "DELETE MY NUMBER",
    "LOSE MY NUMBER",
    "TAKE ME OFF",
    "TAKE MY NUMBER OFF",
    "GET ME OFF",
    "UNSUBSCRIBE",
    "OPT OUT",
    "OPT ME OUT",
    "LEAVE ME ALONE",
    "WRONG NUMBER",
    "WRONG PERSON",
    "NOT INTERESTED",
];

/// Words that turn the phrase after them round: “don't stop texting”.
const NEGATIONS: &[&str] = &["DONT", "NOT", "NEVER", "DIDNT", "CANT", "WONT", "WITHOUT"];

/// Parts of a sender's own instructions: a reply with one quotes or mocks them.
const INSTRUCTIONS: &[&str] = &[
    "REPLY STOP",
    "TEXT STOP TO",
    "STOP TO OPT OUT",
    "STOP TO UNSUBSCRIBE",
    "STOP TO END",
    "STOP TO STOP",
    "STOP TO CANCEL",
    "STOP 2 END",
    "STOP TO QUIT",
];

/// Openings of the texts phones make of a reaction to a message.
const REACTIONS: &[&str] = &[
    "LIKED",
    "LOVED",
    "DISLIKED",
    "LAUGHED AT",
    "EMPHASIZED",
    "EMPHASISED",
    "QUESTIONED",
    "REACTED",
    "REMOVED A",
    "REMOVED AN",
];

/// Says what a reply means.
pub fn classify(text: &str) -> Meaning {
    let text: String = text.chars().take(TEXT_MAX).filter_map(plain).collect();
    let said = text.lines().filter(|line| !line.trim_start().starts_with('>')).collect::<Vec<_>>().join(" ");
    if is_reaction(&said) {
        return Meaning::Reply;
    }
    // “Cancel?” asks for something, but perhaps not for that.
    let most = if said.contains('?') { Likely } else { Certain };
    let words = words(&said);
    whole(&words, most).or_else(|| variant(&words, most)).or_else(|| phrase(&said)).unwrap_or(Meaning::Reply)
}

/// Characters of a reply that are looked at: ten concatenated SMS.
const TEXT_MAX: usize = 1600;

/// The message is a keyword and nothing else.
fn whole(words: &str, most: Confidence) -> Option<Meaning> {
    let heard = |table: &[(&'static str, Confidence)]| {
        let (keyword, confidence) = *table.iter().find(|(keyword, _)| *keyword == words)?;
        Some(Heard { evidence: Evidence::Keyword, keyword, confidence: weaker(confidence, most) })
    };
    heard(OPT_OUT)
        .map(Meaning::OptOut)
        .or_else(|| heard(OPT_IN).map(Meaning::OptIn))
        .or_else(|| heard(HELP).map(Meaning::Help))
}

/// The message is a keyword misspelt or disguised: `STPO`, `st0p`, `s.t.o.p`, `STOOOOP`, `stop stop`.
fn variant(words: &str, most: Confidence) -> Option<Meaning> {
    let heard = |keyword, confidence| {
        let confidence = weaker(confidence, most);
        Some(Meaning::OptOut(Heard { evidence: Evidence::Variant, keyword, confidence }))
    };
    if let Some(&(_, keyword, confidence)) = VARIANTS.iter().find(|(variant, ..)| *variant == words) {
        return heard(keyword, confidence);
    }
    if !words.is_empty() && words.split(' ').all(|word| word == "STOP") {
        return heard("STOP", Certain);
    }
    let mut letters: String = words.chars().filter(|c| *c != ' ').map(letter).collect();
    if letters.len() > 2 * "UNSUBSCRIBE".len() {
        return None;
    }
    let spelt = |letters: &str| SPELT.iter().copied().find(|keyword| *keyword == letters);
    if let Some(keyword) = spelt(&letters) {
        return heard(keyword, Certain);
    }
    let mut last = None;
    letters.retain(|c| last.replace(c) != Some(c));
    spelt(&letters).and_then(|keyword| heard(keyword, Certain))
}

fn weaker(confidence: Confidence, most: Confidence) -> Confidence {
    if most == Likely { Likely } else { confidence }
}

/// Keywords that stay themselves when spaced out, disguised with digits or drawn out.
const SPELT: &[&str] = &["STOP", "UNSUBSCRIBE", "CANCEL", "OPTOUT", "UNSUB"];

fn letter(c: char) -> char {
    match c {
        '0' => 'O',
        '1' => 'I',
        '3' => 'E',
        '5' | '$' => 'S',
        other => other,
    }
}

/// The message holds a sentence that asks for an end, and is not a quotation of one.
fn phrase(said: &str) -> Option<Meaning> {
    let text = format!(" {} ", words(&without_quotations(said)));
    if INSTRUCTIONS.iter().any(|part| holds(&text, part).is_some()) {
        return None;
    }
    let keyword = PHRASES.iter().copied().find(|phrase| {
        holds(&text, phrase).is_some_and(|at| {
            let before = text[..at].trim_end().rsplit(' ').next().unwrap_or_default();
            !NEGATIONS.contains(&before)
        })
    })?;
    Some(Meaning::OptOut(Heard { evidence: Evidence::Phrase, keyword, confidence: Likely }))
}

/// Where `phrase` stands in `text` as whole words. `text` begins and ends with a space.
fn holds(text: &str, phrase: &str) -> Option<usize> {
    text.match_indices(phrase)
        .map(|(at, _)| at)
        .find(|&at| text[..at].ends_with(' ') && text[at + phrase.len()..].starts_with(' '))
}

fn is_reaction(said: &str) -> bool {
    let said = said.trim();
    let quotes = said.contains('"');
    let reaction = REACTIONS.iter().any(|opening| {
        said.strip_prefix(opening)
            .is_some_and(|rest| rest.starts_with(' ') && (quotes || *opening == "REACTED"))
    });
    // Android: `👍 to “STOP”`.
    let answers =
        said.contains(" TO \"") && said.chars().next().is_some_and(|c| !c.is_alphanumeric() && c != '"');
    reaction || answers
}

fn without_quotations(said: &str) -> String {
    let parts: Vec<&str> = said.split('"').collect();
    let wholly = parts.len() == 3 && parts[0].trim().is_empty() && parts[2].trim().is_empty();
    if wholly { said.to_owned() } else { parts.into_iter().step_by(2).collect::<Vec<_>>().join(" ") }
}

/// Letters and digits in words with one space between them; apostrophes join, the rest divides.
fn words(said: &str) -> String {
    let mut words = String::with_capacity(said.len());
    for c in said.chars().filter(|c| *c != '\'') {
        if c.is_alphanumeric() || c == '$' {
            words.push(c);
        } else if !words.ends_with(' ') && !words.is_empty() {
            words.push(' ');
        }
    }
    words.truncate(words.trim_end().len());
    words
}

/// One character, upper case and in its plainest form: full-width as ASCII, accents of É and Ê
/// dropped, every quotation mark `"`, every apostrophe `'`; nothing for what takes no space.
fn plain(c: char) -> Option<char> {
    Some(match c {
        '\u{ad}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}'
        | '\u{feff}' => {
            return None;
        }
        '\u{fe00}'..='\u{fe0f}' => return None,
        '\u{ff01}'..='\u{ff5e}' => {
            let ascii = u32::from(c) - 0xfee0;
            char::from_u32(ascii)?.to_ascii_uppercase()
        }
        '“' | '”' | '„' | '‟' | '«' | '»' => '"',
        '‘' | '’' | '‛' | '`' | '´' => '\'',
        'é' | 'è' | 'ê' | 'É' | 'È' | 'Ê' => 'E',
        other => other.to_uppercase().next()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGES: &str = include_str!("../../tests/vectors/optout/messages.tsv");

    fn told(meaning: Meaning) -> String {
        let words = |action: &str, heard: Heard| {
            format!("{action} {} {} {}", heard.evidence.name(), heard.confidence.name(), heard.keyword)
        };
        match meaning {
            Meaning::OptOut(heard) => words("opt_out", heard),
            Meaning::OptIn(heard) => words("opt_in", heard),
            Meaning::Help(heard) => words("help", heard),
            Meaning::Reply => "reply - - -".into(),
        }
    }

    fn unescaped(text: &str) -> String {
        let mut parts = text.split("\\u{");
        let mut plain = parts.next().unwrap().to_owned();
        for part in parts {
            let (number, rest) = part.split_once('}').unwrap();
            plain.push(char::from_u32(u32::from_str_radix(number, 16).unwrap()).unwrap());
            plain.push_str(rest);
        }
        plain.replace("\\n", "\n")
    }

    #[test]
    fn every_labelled_message_is_heard_as_labelled() {
        let messages: Vec<(&str, &str)> = MESSAGES
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_once('\t').unwrap())
            .collect();
        assert!(messages.len() >= 120, "only {}", messages.len());
        let wrong: Vec<String> = messages
            .into_iter()
            .filter_map(|(label, message)| {
                let found = told(classify(&unescaped(message)));
                (found != label).then(|| format!("{message:?}: {found} instead of {label}"))
            })
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn a_long_reply_is_looked_at_only_so_far() {
        let text = "é".repeat(2_000_000);
        assert_eq!(classify(&text), Meaning::Reply);
    }
}
