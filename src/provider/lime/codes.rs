//! What Lime's words mean. In: a receipt's status and error. Out: a state, and for a failure its
//! reason. Lime documents neither; these are the words of SMPP and of its like, read without regard
//! to case.

use crate::event::{Blames as B, Failure, FailureClass as C, State};
use crate::provider::codes::{Code, Explained, UNEXPLAINED, from_text};

/// Says what a status and an error mean together.
pub fn outcome(status: &str, error: &str) -> (State, Option<Failure>) {
    let word = status.trim().to_ascii_lowercase();
    let state = state(&word);
    if state != State::Failed {
        return (state, None);
    }
    let failure = failure(&word, error);
    let state = if failure.class == C::OptedOut { State::Blocked } else { State::Failed };
    (state, Some(failure))
}

/// What a word of a status stands for, if it is one of failure or of success.
pub fn explain(word: &str) -> Option<Explained> {
    let word = word.trim().to_ascii_lowercase();
    match state(&word) {
        State::Unknown => None,
        State::Failed => find(&word).map(|row| Explained::failure(row.failure(""))),
        state => Some(Explained::state(state)),
    }
}

fn state(word: &str) -> State {
    match word {
        "delivered" | "delivrd" | "success" => State::Delivered,
        "accepted" | "acceptd" | "queued" => State::Accepted,
        "sent" | "enroute" | "buffered" | "submitted" => State::Sent,
        "deleted" | "canceled" | "cancelled" => State::Canceled,
        _ if find(word).is_some() => State::Failed,
        _ => State::Unknown,
    }
}

/// The error's words say more than the status where they say anything; `000` is no error.
fn failure(word: &str, error: &str) -> Failure {
    let error = error.trim();
    let code = if error.bytes().all(|b| b == b'0') { "" } else { error };
    let code = if code.len() <= 32 { code } else { "" };
    let by_error = from_text(error);
    match find(word) {
        _ if by_error.class != C::Unknown => by_error.failure(code),
        Some(row) => row.failure(code),
        None => UNEXPLAINED.failure(code),
    }
}

fn find(word: &str) -> Option<&'static Code> {
    crate::provider::codes::find(STATUSES, word)
}

const NOT_DELIVERED: &str = "The message was not delivered; Lime gives no reason.";
const NOT_ACCEPTED: &str = "An operator rejected the message.";

/// The words of failure.
const STATUSES: &[Code] = &[
    Code::new("failed", C::Unknown, B::Provider, NOT_DELIVERED),
    Code::new("undelivered", C::Unknown, B::Provider, NOT_DELIVERED),
    Code::new("undeliv", C::Unknown, B::Provider, NOT_DELIVERED),
    Code::new("undeliverable", C::Unknown, B::Provider, NOT_DELIVERED),
    Code::new("error", C::ProviderError, B::Provider, "Lime failed to send the message."),
    Code::new("rejectd", C::Unknown, B::Provider, NOT_ACCEPTED),
    Code::new("rejected", C::Unknown, B::Provider, NOT_ACCEPTED),
    Code::new(
        "blocked",
        C::CarrierFiltered,
        B::Provider,
        "An operator blocked the message without saying why.",
    ),
    Code::new("expired", C::Expired, B::Recipient, "The message was not delivered within its validity."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_failure_has_a_sentence_and_fails() {
        for row in STATUSES {
            assert!(row.text.ends_with('.'), "{}", row.code);
            let (state, failure) = outcome(&row.code.to_uppercase(), "000");
            assert_eq!(
                (state, failure.map(|f| (f.class, f.code))),
                (State::Failed, Some((row.class, String::new())))
            );
        }
    }

    #[test]
    fn words_are_read_in_any_case() {
        for (status, error, state, class) in [
            ("DELIVRD", "000", State::Delivered, None),
            ("Success", "", State::Delivered, None),
            ("ENROUTE", "", State::Sent, None),
            ("ACCEPTD", "", State::Accepted, None),
            ("DELETED", "", State::Canceled, None),
            ("REJECTD", "spam", State::Failed, Some(C::CarrierFiltered)),
            ("failed", "user opted out", State::Blocked, Some(C::OptedOut)),
            ("EXPIRED", "0", State::Failed, Some(C::Expired)),
            ("whatever", "12", State::Unknown, None),
        ] {
            let (got, failure) = outcome(status, error);
            assert_eq!((got, failure.map(|f| f.class)), (state, class), "{status} {error}");
        }
    }
}
