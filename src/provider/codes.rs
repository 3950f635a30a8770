//! What providers' failure codes mean. In: a provider's table and the code it reported. Out: a
//! failure in our words, and whose it is. It never guesses a class that the code does not give
//! while the table knows the code.

use crate::event::{Blames, Failure, FailureClass};

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
