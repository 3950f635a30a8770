//! `[keywords]`: what replies mean as whole messages, beside the words that are built in.

use super::section::Section;
use super::value::{choice, keyword};

/// Which words are heard in replies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keywords {
    /// The languages whose built-in words and phrases are heard.
    pub languages: Vec<Language>,
    /// More words that withdraw, for certain.
    pub opt_out: Vec<String>,
    /// More words that return, for certain.
    pub opt_in: Vec<String>,
    /// More words that ask for help.
    pub help: Vec<String>,
    /// Words that mean nothing here, built in or not.
    pub ignore: Vec<String>,
}

/// A language with built-in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are the languages' names")]
pub enum Language {
    English,
    French,
    Spanish,
    German,
    Dutch,
    Portuguese,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 6] =
        [Self::English, Self::French, Self::Spanish, Self::German, Self::Dutch, Self::Portuguese];

    /// Its ISO 639-1 code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::French => "fr",
            Self::Spanish => "es",
            Self::German => "de",
            Self::Dutch => "nl",
            Self::Portuguese => "pt",
        }
    }
}

impl Default for Keywords {
    fn default() -> Self {
        let none = Vec::new;
        Self {
            languages: Language::ALL.to_vec(),
            opt_out: none(),
            opt_in: none(),
            help: none(),
            ignore: none(),
        }
    }
}

pub(super) fn read(mut section: Section<'_>) -> Keywords {
    let default = Keywords::default();
    let codes = Language::ALL.map(|language| (language.code(), language));
    let is_written = section.is_written("languages");
    let languages = section.each("languages", choice(&codes));
    Keywords {
        languages: if is_written { languages } else { default.languages },
        opt_out: section.each("opt_out", keyword),
        opt_in: section.each("opt_in", keyword),
        help: section.each("help", keyword),
        ignore: section.each("ignore", keyword),
    }
}
