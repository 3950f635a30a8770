//! What a reply means. In: its text, and the words that are listened for. Out: an opt-out, an opt-in,
//! a call for help, or only a reply. A whole message that is a keyword is certain; a misspelling is
//! certain where it is nothing else; a sentence is never more than likely. A quotation or a
//! reaction (“Liked “STOP””) says nothing.

mod plain;
mod slip;
mod sets;
mod phrases;
mod friends;
mod variant;
mod phrase;
#[cfg(test)]
mod generated;

use crate::config::{Keywords, Language};
use crate::event::Confidence::{self, Certain, Likely};
use crate::event::{Action, Evidence};

/// What a reply means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning<'k> {
    /// No more messages.
    OptOut(Heard<'k>),
    /// Messages again.
    OptIn(Heard<'k>),
    /// Information.
    Help(Heard<'k>),
    /// Only a reply.
    Reply,
}

/// What was heard in a reply, and how well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard<'k> {
    /// A keyword, a misspelling of one, or a sentence.
    pub evidence: Evidence,
    /// The listed word or phrase, never the reply's own text.
    pub keyword: &'k str,
    /// How sure it is.
    pub confidence: Confidence,
}

impl<'k> Meaning<'k> {
    /// The meaning of an action.
    const fn of(action: Action, heard: Heard<'k>) -> Self {
        match action {
            Action::OptOut => Self::OptOut(heard),
            Action::OptIn => Self::OptIn(heard),
            Action::Help => Self::Help(heard),
        }
    }

    /// What it asks for, and what was heard; nothing of a reply.
    pub const fn asks(self) -> Option<(Action, Heard<'k>)> {
        match self {
            Self::OptOut(heard) => Some((Action::OptOut, heard)),
            Self::OptIn(heard) => Some((Action::OptIn, heard)),
            Self::Help(heard) => Some((Action::Help, heard)),
            Self::Reply => None,
        }
    }

    /// The same, no surer than this.
    const fn at_most(self, most: Confidence) -> Self {
        match (self.asks(), most) {
            (Some((action, heard)), Likely) => Self::of(action, Heard { confidence: Likely, ..heard }),
            _ => self,
        }
    }
}

/// Characters of a reply that are looked at: ten concatenated SMS.
const TEXT_MAX: usize = 1600;

/// Says what a reply means.
pub fn classify<'k>(text: &str, keywords: &'k Keywords) -> Meaning<'k> {
    let text = plain::plain(text, TEXT_MAX);
    let said = text.lines().filter(|line| !line.trim_start().starts_with('>')).collect::<Vec<_>>().join("\n");
    // A hyphen behind a space parts clauses: “Stop - Maria”.
    let said = said.replace(" -", " –");
    if phrase::is_reaction(&said) {
        return Meaning::Reply;
    }
    let listed = Listed(keywords);
    // “Cancel?” asks for something, but perhaps not for that.
    let most = if said.contains('?') { Likely } else { Certain };
    let words = plain::words(&said);
    if listed.is_ignored(&words) {
        return Meaning::Reply;
    }
    let whole = listed.word(&words).map(|(action, keyword, confidence)| {
        Meaning::of(action, Heard { evidence: Evidence::Keyword, keyword, confidence })
    });
    let heard = whole
        .or_else(|| variant::variant(&listed, &words))
        .or_else(|| phrase::signed(&listed, &said))
        .or_else(|| phrase::phrase(&listed, &said))
        .or_else(|| variant::with_object(&listed, &words));
    heard.map_or(Meaning::Reply, |meaning| meaning.at_most(most))
}

/// The words that are listened for.
struct Listed<'k>(&'k Keywords);

impl<'k> Listed<'k> {
    fn speaks(&self, language: Language) -> bool {
        self.0.languages.contains(&language)
    }

    /// Whether these words are configured to mean nothing, whatever they are near.
    fn is_ignored(&self, words: &str) -> bool {
        own(&self.0.ignore, words).is_some()
    }

    /// What a whole message of these words asks for.
    fn word(&self, words: &str) -> Option<(Action, &'k str, Confidence)> {
        if words.is_empty() || self.is_ignored(words) {
            return None;
        }
        let own = |list| own(list, words);
        let configured = [
            (Action::OptOut, &self.0.opt_out),
            (Action::OptIn, &self.0.opt_in),
            (Action::Help, &self.0.help),
        ];
        let configured =
            configured.into_iter().find_map(|(action, list)| Some((action, own(list)?, Certain)));
        configured.or_else(|| {
            let known = sets::WORDS.iter().find(|word| word.text == words && self.speaks(word.language))?;
            Some((known.action, known.text, known.confidence))
        })
    }
}

/// The configured word that is these.
fn own<'k>(list: &'k [String], words: &str) -> Option<&'k str> {
    list.iter().map(String::as_str).find(|written| plain::heard(written) == words)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGES: &str = include_str!("../../../tests/vectors/optout/messages.tsv");

    fn told(meaning: Meaning<'_>) -> String {
        let words = |action: &str, heard: Heard<'_>| {
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
                let found = told(classify(&unescaped(message), &Keywords::default()));
                (found != label).then(|| format!("{message:?}: {found} instead of {label}"))
            })
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    /// What came of a labelled half: messages classified and how many of them rightly, by layer.
    #[derive(Default)]
    struct Score {
        certain: (usize, usize),
        likely: (usize, usize),
        exact: (usize, usize),
        variant: (usize, usize),
        phrase: (usize, usize),
        wrong: Vec<String>,
    }

    impl Score {
        fn of(corpus: &str) -> Self {
            let (mut score, keywords) = (Self::default(), Keywords::default());
            for line in corpus.lines().filter(|line| !line.starts_with('#')) {
                let (label, message) = line.split_once('\t').unwrap();
                let found = classify(&unescaped(message), &keywords);
                score.add(label, found.asks(), format!("{message:?} is {label}: {}", told(found)));
            }
            score
        }

        fn add(&mut self, label: &str, found: Option<(Action, Heard<'_>)>, line: String) {
            let (expected, layer) = label.split_once(' ').unwrap_or((label, ""));
            let is_right = found.is_some_and(|(action, _)| action.name() == expected);
            let of_layer = match layer {
                "exact" => Some(&mut self.exact),
                "variant" => Some(&mut self.variant),
                "phrase" => Some(&mut self.phrase),
                _ => None,
            };
            if let Some((heard, all)) = of_layer {
                *heard += usize::from(is_right);
                *all += 1;
            }
            // Whoever complains wants an end too; and of an ambiguous reply either reading does.
            let neutral = ["ambiguous", "complaint"].contains(&expected);
            if let Some((_, heard)) = found
                && !(neutral && heard.confidence == Likely || expected == "ambiguous")
            {
                let (right, all) =
                    if heard.confidence == Certain { &mut self.certain } else { &mut self.likely };
                *right += usize::from(is_right);
                *all += 1;
            }
            if !is_right && (found.is_some() && !neutral || !layer.is_empty()) {
                self.wrong.push(line);
            }
        }

        fn row(&self, name: &str) -> String {
            let share = |(part, all): (usize, usize)| {
                format!("{:.1} % ({part} of {all})", 100.0 * part as f64 / all as f64)
            };
            let [certain, likely, exact, variant, phrase] =
                [self.certain, self.likely, self.exact, self.variant, self.phrase].map(share);
            format!("| {name} | {certain} | {likely} | {exact} | {variant} | {phrase} |")
        }
    }

    #[test]
    fn the_corpus_is_heard_as_well_as_the_documentation_says() {
        let tuned = Score::of(include_str!("../../../tests/vectors/optout/corpus.tsv"));
        let held_out = Score::of(include_str!("../../../tests/vectors/optout/held_out.tsv"));
        assert_eq!(tuned.certain.0, tuned.certain.1, "{:#?}", tuned.wrong);
        for (least, (part, all)) in [(0.95, tuned.likely), (0.99, tuned.exact), (0.99, tuned.variant)] {
            assert!(part as f64 >= least * all as f64, "{part} of {all}: {:#?}", tuned.wrong);
        }
        let later = Score::of(include_str!("../../../tests/vectors/optout/held_out_later.tsv"));
        let documentation = include_str!("../../../docs/opt-outs.md");
        let rows = [tuned.row("tuned on"), held_out.row("set aside"), later.row("set aside later")];
        for row in rows.iter() {
            assert!(documentation.contains(row.as_str()), "docs/opt-outs.md must say:\n{}", rows.join("\n"));
        }
    }

    #[test]
    fn words_are_added_and_taken_away_by_the_configuration() {
        let keywords = Keywords {
            languages: vec![Language::English],
            opt_out: vec!["Klaar!".into()],
            ignore: vec!["END".into()],
            ..Keywords::default()
        };
        for (text, expected) in [
            ("klaar", "opt_out keyword certain Klaar!"),
            ("klaar please", "opt_out variant certain Klaar!"),
            ("End", "reply - - -"),
            ("BAJA", "reply - - -"),
            ("stop", "opt_out keyword certain STOP"),
        ] {
            assert_eq!(told(classify(text, &keywords)), expected, "{text}");
        }
        // German “stopp” is near, but what is configured to mean nothing means nothing.
        let deaf = Keywords { ignore: vec!["stop".into()], ..Keywords::default() };
        assert_eq!(classify("Stop!", &deaf), Meaning::Reply);
        let silent = Keywords { languages: Vec::new(), ..Keywords::default() };
        for text in ["stop", "s.t.o.p", "stop stop", "stooop", "stop 22", "stpo", "STOP. Sent from my phone"]
        {
            assert_eq!(classify(text, &silent), Meaning::Reply, "{text}");
        }
    }

    #[test]
    fn a_long_reply_is_looked_at_only_so_far() {
        let text = "é".repeat(2_000_000);
        assert_eq!(classify(&text, &Keywords::default()), Meaning::Reply);
    }
}
