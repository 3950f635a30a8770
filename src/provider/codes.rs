//! What providers' failure codes mean. In: a provider's table and the code it reported. Out: a
//! failure in our words, and whose it is. It never guesses a class that the code does not give
//! while the table knows the code.

use crate::event::{Blames, Failure, FailureClass, State};

/// What a code of a provider's tables stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The state it puts a message in.
    pub state: State,
    /// Why, when it is a failure.
    pub failure: Option<Failure>,
}

impl Explained {
    /// A state that needs no reason.
    pub const fn state(state: State) -> Self {
        Self { state, failure: None }
    }

    /// A failure; a message to somebody who has opted out is blocked.
    pub fn failure(failure: Failure) -> Self {
        let state = if failure.class == FailureClass::OptedOut { State::Blocked } else { State::Failed };
        Self { state, failure: Some(failure) }
    }
}

/// One row of a provider's table of codes.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    /// The code as the provider writes it.
    pub code: &'static str,
    /// What kind of failure it is.
    pub class: FailureClass,
    /// Whose it is.
    pub blames: Blames,
    /// One plain sentence, fit for a person.
    pub text: &'static str,
}

impl Code {
    /// A row, short enough that a table of them reads as one.
    pub const fn new(code: &'static str, class: FailureClass, blames: Blames, text: &'static str) -> Self {
        Self { code, class, blames, text }
    }

    /// The failure a row describes, under the code as the provider wrote it.
    pub fn failure(&self, code: &str) -> Failure {
        Failure { class: self.class, code: code.to_owned(), text: self.text.to_owned(), blames: self.blames }
    }
}

/// The failure `code` stands for in a table, or `fallback` under that code.
pub fn failure(table: &[Code], code: &str, fallback: &Code) -> Failure {
    find(table, code).unwrap_or(fallback).failure(code)
}

/// The row of a code, in a table that need not be sorted (they have a hundred rows).
pub fn find<'t>(table: &'t [Code], code: &str) -> Option<&'t Code> {
    table.iter().find(|row| row.code == code)
}

/// A class from a provider's words, where it gave no code that is known.
pub fn from_text(text: &str) -> Code {
    const RULES: [(&[&str], FailureClass, Blames, &str); 9] = [
        (
            &["blacklist", "opt out", "opt-out", "optout", "opted out", "unsubscribed"],
            FailureClass::OptedOut,
            Blames::Recipient,
            "The recipient has opted out.",
        ),
        (
            &["spam", "filter"],
            FailureClass::CarrierFiltered,
            Blames::Number,
            "An operator or the provider filtered the message.",
        ),
        (
            &["credit", "quota", "balance"],
            FailureClass::Account,
            Blames::Account,
            "The account has no credit or quota left.",
        ),
        (
            &["not registered", "unregistered", "campaign"],
            FailureClass::SenderUnregistered,
            Blames::Number,
            "The sender is not registered.",
        ),
        (
            &["throttl", "rate limit", "too many"],
            FailureClass::Throttled,
            Blames::Number,
            "Messages were sent faster than a limit allows.",
        ),
        (
            &["expired", "validity"],
            FailureClass::Expired,
            Blames::Recipient,
            "The message was not delivered within its validity.",
        ),
        (
            &["unreachable", "absent", "switched off"],
            FailureClass::Unreachable,
            Blames::Recipient,
            "The handset could not be reached.",
        ),
        (
            &["unknown subscriber", "unknown number", "unknown destination", "unknown recipient", "invalid"],
            FailureClass::InvalidRecipient,
            Blames::Recipient,
            "The number does not exist or cannot receive messages.",
        ),
        (
            &["too long", "content", "encoding"],
            FailureClass::Content,
            Blames::Content,
            "The message's content was not accepted.",
        ),
    ];
    let text = text.to_ascii_lowercase();
    RULES
        .iter()
        .find(|(words, ..)| words.iter().any(|word| text.contains(word)))
        .map_or(UNEXPLAINED, |&(_, class, blames, text)| Code::new("", class, blames, text))
}

/// What is said where nothing is known.
pub const UNEXPLAINED: Code =
    Code::new("", FailureClass::Unknown, Blames::Provider, "The provider gave no reason that is known.");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Provider;
    use crate::provider::explain;

    #[test]
    fn every_documented_code_is_in_its_table_with_a_sentence() {
        for provider in Provider::ALL {
            let path = format!("{}/tests/vectors/{provider}/codes.txt", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(path).unwrap();
            let codes: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
            let missing: Vec<&&str> = codes.iter().filter(|code| explain(provider, code).is_none()).collect();
            assert!(missing.is_empty() && codes.len() > 10, "{provider}: {missing:?}");
            for code in codes {
                let explained = explain(provider, code).unwrap();
                assert_ne!(explained.state, State::Unknown, "{provider} {code}");
                let is_failure = matches!(explained.state, State::Failed | State::Blocked);
                assert_eq!(explained.failure.is_some(), is_failure, "{provider} {code}");
                let text = explained.failure.map_or_else(|| "None.".to_owned(), |failure| failure.text);
                assert!(text.ends_with('.') && text.len() < 110, "{provider} {code}: {text}");
            }
            for code in ["", "nonsense", "-1", "999999", "status:999", "status:9:5"] {
                assert_eq!(explain(provider, code), None, "{provider} {code}");
            }
        }
    }

    #[test]
    fn words_give_a_class_where_no_code_does() {
        for (text, class) in [
            ("Rejected as SPAM", FailureClass::CarrierFiltered),
            ("Recipient is blacklisted", FailureClass::OptedOut),
            ("user opted out", FailureClass::OptedOut),
            ("Insufficient credit", FailureClass::Account),
            ("Invalid destination", FailureClass::InvalidRecipient),
            ("Unknown subscriber", FailureClass::InvalidRecipient),
            ("unknown error", FailureClass::Unknown),
            ("Message expired", FailureClass::Expired),
            ("", FailureClass::Unknown),
        ] {
            assert_eq!(from_text(text).class, class, "{text}");
        }
    }
}
