//! What CM's codes mean. In: a report's status code, error code and description. Out: a state, and
//! for a failure its reason. The status code decides first, then a numeric error code, then the
//! words: CM's template puts text or a number into `errorCode`, as the customer filled it in.

use crate::event::{Blames as B, Failure, FailureClass as C, State};
use crate::provider::codes::{Code, Explained, UNEXPLAINED, find, from_text};

/// A report's codes and words, as they came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Words<'a> {
    /// `status.code`.
    pub status: &'a str,
    /// `status.errorCode`: a number or text.
    pub error: &'a str,
    /// `status.errorDescription`.
    pub description: &'a str,
}

/// What a report's codes say together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The state they put the message in.
    pub state: State,
    /// Why, when it is not delivered.
    pub failure: Option<Failure>,
    /// Whether they are evidence of the recipient's withdrawal.
    pub withdrawn: bool,
}

/// Says what a report's codes mean.
pub fn outcome(words: &Words<'_>) -> Outcome {
    let state = match words.status {
        "0" => State::Sent,
        "1" | "3" => State::Failed,
        "2" | "4" => State::Delivered,
        _ => state_by_error(words),
    };
    if state != State::Failed {
        return Outcome { state, failure: None, withdrawn: false };
    }
    let failure = failure(words);
    let blocked = failure.class == C::OptedOut;
    Outcome {
        state: if blocked { State::Blocked } else { State::Failed },
        withdrawn: blocked && is_withdrawal(&failure.code),
        failure: Some(failure),
    }
}

/// What a listed error code, `28`, or a status code, `status:2`, stands for.
pub fn explain(code: &str) -> Option<Explained> {
    match code.strip_prefix("status:") {
        Some("0") => Some(Explained::state(State::Sent)),
        Some("1") => Some(Explained::failure(REJECTED.failure(code))),
        Some("2" | "4") => Some(Explained::state(State::Delivered)),
        Some("3") => Some(Explained::failure(UNEXPLAINED.failure(code))),
        Some(_) => None,
        None if code == PENDING => Some(Explained::state(State::Sent)),
        None if code == "200" => Some(Explained::state(State::Delivered)),
        None => find(ERRORS, code).map(|row| Explained::failure(row.failure(code))),
    }
}

/// The state where the status code is missing or unknown.
fn state_by_error(words: &Words<'_>) -> State {
    let heard = format!("{} {}", words.error, words.description).to_ascii_lowercase();
    match words.error {
        "200" => State::Delivered,
        PENDING => State::Sent,
        code if find(ERRORS, code).is_some() => State::Failed,
        _ if heard.contains("undeliver") || heard.contains("not deliver") => State::Failed,
        _ if heard.contains("delivered") => State::Delivered,
        _ if heard.contains("accepted") => State::Sent,
        _ if heard.contains("rejected") || heard.contains("failed") => State::Failed,
        _ => State::Unknown,
    }
}

/// The reason: a listed error code, else what the words say. The words are not quoted, since a
/// customer's template decides what they hold.
fn failure(words: &Words<'_>) -> Failure {
    let code = if is_number(words.error) { words.error } else { "" };
    if let Some(row) = find(ERRORS, code) {
        return row.failure(code);
    }
    let heard = from_text(&format!("{} {}", words.error, words.description));
    if heard.class != C::Unknown {
        return heard.failure(code);
    }
    if words.status == "1" { REJECTED.failure(code) } else { UNEXPLAINED.failure(code) }
}

/// True of the codes that say a recipient withdrew: the national register, and CM's own blacklist.
fn is_withdrawal(code: &str) -> bool {
    matches!(code, "37" | "402")
}

fn is_number(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 6
        && text.bytes().all(|b| b.is_ascii_digit())
        && !matches!(text, "0" | "200")
}

/// Not yet delivered, the network keeps trying.
const PENDING: &str = "7";

const REJECTED: Code = Code::new("", C::Unknown, B::Provider, "CM or the operator rejected the message.");

/// The standard errors of reports, and those of the send call that reports have repeated.
const ERRORS: &[Code] = &[
    Code::new("5", C::Unknown, B::Provider, "The message was not delivered; CM gives no reason."),
    Code::new("7", C::Unreachable, B::Recipient, "The recipient has no credit; the network keeps trying."),
    Code::new("8", C::Expired, B::Recipient, "The message expired at the operator."),
    Code::new("20", C::Content, B::Content, "The message cannot be delivered in this form."),
    Code::new("21", C::Unreachable, B::Recipient, "The message expired because the recipient had no credit."),
    Code::new("22", C::Unreachable, B::Recipient, "The recipient has no credit."),
    Code::new(
        "23",
        C::InvalidRecipient,
        B::Recipient,
        "The number is invalid or barred and should not be used again.",
    ),
    Code::new("24", C::Unreachable, B::Recipient, "The handset is off or out of range."),
    Code::new("25", C::ProviderError, B::Provider, "The operator's network failed for the moment."),
    Code::new("26", C::Unreachable, B::Recipient, "The handset could not take the message for the moment."),
    Code::new("27", C::InvalidRecipient, B::Recipient, "The handset cannot receive this kind of message."),
    Code::new("28", C::CarrierFiltered, B::Number, "An operator rejected the message on suspicion of spam."),
    Code::new(
        "29",
        C::CarrierFiltered,
        B::Content,
        "The content is not permitted on the network or short code.",
    ),
    Code::new("30", C::Unreachable, B::Recipient, "The recipient has reached a spending limit."),
    Code::new("31", C::Unreachable, B::Recipient, "The recipient cannot be billed or is suspended."),
    Code::new("33", C::Content, B::Recipient, "A parental lock stopped the message."),
    Code::new("34", C::Content, B::Recipient, "The recipient failed the age verification."),
    Code::new("35", C::Content, B::Recipient, "The recipient has not verified their age."),
    Code::new("36", C::ProviderError, B::Provider, "The age verification platform was not available."),
    Code::new(
        "37",
        C::OptedOut,
        B::Recipient,
        "The recipient is on a national register that bars such messages.",
    ),
    Code::new("101", C::Account, B::Account, "CM did not accept the account's product token."),
    Code::new("102", C::Account, B::Account, "The account's balance does not cover the message."),
    Code::new("103", C::Account, B::Account, "CM did not accept the account's key."),
    Code::new("201", C::ProviderError, B::Provider, "CM did not send every message of the request."),
    Code::new("202", C::Content, B::Account, "CM could not read the request."),
    Code::new("203", C::Content, B::Account, "The request's list of messages was not valid."),
    Code::new("301", C::SenderUnregistered, B::Number, "CM does not accept the sender."),
    Code::new("302", C::InvalidRecipient, B::Recipient, "The recipient's number is not valid."),
    Code::new("303", C::InvalidRecipient, B::Recipient, "The recipient's number is not valid."),
    Code::new("304", C::Content, B::Content, "The message's body is not valid."),
    Code::new("305", C::Content, B::Content, "A field of the message is not valid."),
    Code::new("401", C::CarrierFiltered, B::Number, "CM's spam filter stopped the message."),
    Code::new("402", C::OptedOut, B::Recipient, "The recipient is on CM's blacklist."),
    Code::new("403", C::Unknown, B::Provider, "CM rejected the message."),
    Code::new("500", C::ProviderError, B::Provider, "CM's platform failed."),
    Code::new("999", C::ProviderError, B::Provider, "CM failed and gives no reason."),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: &str, error: &str, description: &str) -> (State, Option<C>) {
        let outcome = outcome(&Words { status, error, description });
        (outcome.state, outcome.failure.map(|failure| failure.class))
    }

    #[test]
    fn every_listed_code_has_a_class_and_a_sentence() {
        for row in ERRORS {
            assert!(row.text.ends_with('.') && row.text.len() < 110, "{}", row.code);
            assert_eq!(said("3", row.code, "").1, Some(row.class), "{}", row.code);
            assert_eq!(ERRORS.iter().filter(|other| other.code == row.code).count(), 1);
        }
    }

    #[test]
    fn the_status_code_decides_first_then_the_number_then_the_words() {
        for (status, error, description, state, class) in [
            ("0", "", "", State::Sent, None),
            ("2", "", "Delivered", State::Delivered, None),
            ("2", "delivered", "Delivered", State::Delivered, None),
            ("2", "28", "", State::Delivered, None),
            ("4", "", "", State::Delivered, None),
            ("3", "28", "Suspected SPAM", State::Failed, Some(C::CarrierFiltered)),
            ("3", "8", "", State::Failed, Some(C::Expired)),
            ("3", "Suspected SPAM", "", State::Failed, Some(C::CarrierFiltered)),
            ("3", "", "", State::Failed, Some(C::Unknown)),
            ("1", "", "Rejected: insufficient credit", State::Failed, Some(C::Account)),
            ("1", "77", "spam filter", State::Failed, Some(C::CarrierFiltered)),
            ("3", "23", "blacklisted", State::Failed, Some(C::InvalidRecipient)),
            ("3", "37", "", State::Blocked, Some(C::OptedOut)),
            ("", "200", "", State::Delivered, None),
            ("", "7", "", State::Sent, None),
            ("9", "24", "", State::Failed, Some(C::Unreachable)),
            ("", "delivered", "", State::Delivered, None),
            ("", "Undelivered", "", State::Failed, Some(C::Unknown)),
            ("9", "", "", State::Unknown, None),
        ] {
            assert_eq!(said(status, error, description), (state, class), "{status} {error} {description}");
        }
    }

    #[test]
    fn only_registers_and_blacklists_are_evidence_of_a_withdrawal() {
        let withdrawn = |error, description| outcome(&Words { status: "1", error, description }).withdrawn;
        assert!(withdrawn("37", "") && withdrawn("402", ""));
        assert!(!withdrawn("23", "blacklisted") && !withdrawn("", "blacklisted"));
    }
}
