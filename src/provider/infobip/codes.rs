//! What Infobip's codes mean: 33 status ids by group, and the general error ids. In: the numbers a
//! report carries. Out: a state, and for a failure its row. An id that is not listed says no more
//! than its group does.
//!
//! Blocks that an operator does not explain (a content filter or the recipient's own wish) are
//! `carrier_filtered` and blame the provider's side, never the number. Infobip's own fraud
//! protection (Signals) and flooding filters are no carrier's judgement either.

use crate::event::{Blames as B, Failure, FailureClass as C, State};
use crate::provider::codes::{Code, Explained, find};

/// What a status id says.
#[derive(Clone, Copy, Debug)]
struct Status {
    /// The status group: 0 accepted, 1 pending, 2 undeliverable, 3 delivered, 4 expired, 5 rejected.
    group: u32,
    /// The status id.
    id: u32,
    /// The state it puts the message in.
    state: State,
    /// Why, when that is a failure; an error id may say it better.
    failure: Option<Code>,
}

impl Status {
    const fn on_the_way(group: u32, id: u32, state: State) -> Self {
        Self { group, id, state, failure: None }
    }

    const fn failed(group: u32, id: u32, class: C, blames: B, text: &'static str) -> Self {
        let state = if matches!(class, C::OptedOut) { State::Blocked } else { State::Failed };
        Self { group, id, state, failure: Some(Code::new("", class, blames, text)) }
    }

    /// The status of an id in its group; an id that is not listed says what its group says.
    fn of(group: u32, id: u32) -> Option<&'static Self> {
        STATUSES
            .iter()
            .find(|status| status.id == id && status.group == group)
            .or_else(|| STATUSES.iter().find(|status| status.id == id && group > 5))
            .or_else(|| GROUPS.iter().find(|status| status.group == group))
    }
}

/// The numbers of a report's `status` and `error`, as they came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbers<'a> {
    /// `status.groupId`.
    pub status_group: u32,
    /// `status.id`.
    pub status: u32,
    /// `error.groupId`.
    pub error_group: u32,
    /// `error.id`; empty when the report has none.
    pub error: &'a str,
}

/// What a report's numbers say together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The state they put the message in.
    pub state: State,
    /// Why, when it is not delivered. Its code is the error id, or `status:14` where only the status
    /// says it, since the two count on their own.
    pub failure: Option<Failure>,
    /// Whether they are evidence of the recipient's withdrawal.
    pub withdrawn: bool,
}

/// Says what a report's numbers mean; `None` when neither the status nor its group is known.
/// The status decides whether a message failed, the error why.
pub fn outcome(numbers: &Numbers<'_>) -> Option<Outcome> {
    let status = Status::of(numbers.status_group, numbers.status)?;
    let Some(told) = &status.failure else {
        return Some(Outcome { state: status.state, failure: None, withdrawn: false });
    };
    let by_status = || told.failure(&format!("status:{}", numbers.status));
    let failure = match error(numbers.error) {
        Some(row) if status.state != State::Blocked || row.class == C::OptedOut => row.failure(numbers.error),
        None if told.class == C::Unknown => {
            error_group(numbers).map_or_else(by_status, |row| row.failure(numbers.error))
        }
        _ => by_status(),
    };
    let state = if failure.class == C::OptedOut { State::Blocked } else { status.state };
    let withdrawn = state == State::Blocked && is_withdrawal(&failure.code);
    Some(Outcome { state, failure: Some(failure), withdrawn })
}

/// What a listed error id, `603`, or a listed status, `status:14` or with its group `status:5:14`, stands for.
pub fn explain(code: &str) -> Option<Explained> {
    let Some(status) = code.strip_prefix("status:") else {
        return error(code).map(|row| Explained::failure(row.failure(code)));
    };
    let mut numbers = status.rsplit(':').map(|number| number.parse().ok());
    let (id, group) = (numbers.next()??, numbers.next());
    let status =
        STATUSES.iter().find(|known| known.id == id && group.is_none_or(|g| g == Some(known.group)))?;
    let failure = status.failure.as_ref().map(|row| Explained::failure(row.failure(code)));
    Some(failure.unwrap_or_else(|| Explained::state(status.state)))
}

/// The row of a listed error id; 0 is no error.
fn error(code: &str) -> Option<&'static Code> {
    find(ERRORS, code)
}

/// What an error that is not listed says by its group.
const fn error_group(numbers: &Numbers<'_>) -> Option<&'static Code> {
    match (numbers.error_group, numbers.error.as_bytes()) {
        (_, b"" | b"0") => None,
        (1, _) => Some(&HANDSET_ERROR),
        (2, _) => Some(&USER_ERROR),
        (3, _) => Some(&OPERATOR_ERROR),
        _ => None,
    }
}

/// True of the codes that say a recipient withdrew: evidence for an opt-out. (2049, a SIM on an
/// operator's blocklist, blocks the message too but is nobody's wish.)
fn is_withdrawal(code: &str) -> bool {
    matches!(code, "status:10" | "status:14" | "603" | "573" | "2050" | "2052")
}

const NO_SUCH_NUMBER: &str = "The number does not exist or is not in service.";
const CANNOT_RECEIVE: &str = "The number cannot receive messages: a landline, or a handset without SMS.";
const ABSENT: &str = "The handset could not be reached for the moment.";
const BARRED: &str = "The recipient's line is barred, suspended or not provisioned for SMS.";
const NO_CREDIT: &str = "The recipient has no prepaid credit left.";
const OPERATOR: &str = "The operator's network failed to deliver the message.";
const SIGNALLING: &str = "The networks on the way failed to agree on delivering the message.";
const BLOCKLISTED: &str =
    "The recipient is on a blocklist of the account, of an operator or of a do-not-disturb register.";
const FORM: &str = "The message is not in a form that can be sent.";
const ACCOUNT: &str = "The account is not allowed or not set up to send this.";
const FILTERED: &str = "An operator blocked the message without saying why.";
const SPAM: &str = "An operator rejected the message as spam.";
const SIGNALS: &str = "Infobip's fraud protection (Signals) blocked the message.";
const EXPIRED: &str = "The message was not delivered within its validity.";
const FLOODING: &str = "Infobip's flooding filter stopped too many like messages to one recipient.";
const CREDITS: &str = "The account's balance does not cover the message.";

/// Statuses that are not listed, by group.
const GROUPS: [Status; 6] = [
    Status::on_the_way(0, 0, State::Accepted),
    Status::on_the_way(1, 0, State::Accepted),
    Status::failed(2, 0, C::Unknown, B::Provider, "The message could not be delivered."),
    Status::on_the_way(3, 0, State::Delivered),
    Status::failed(4, 0, C::Expired, B::Recipient, EXPIRED),
    Status::failed(5, 0, C::Unknown, B::Provider, "Infobip rejected the message."),
];

const HANDSET_ERROR: Code =
    Code::new("", C::Unreachable, B::Recipient, "The handset did not take the message.");
const USER_ERROR: Code =
    Code::new("", C::Unknown, B::Account, "Infobip blames the request and gives no known reason.");
const OPERATOR_ERROR: Code = Code::new("", C::ProviderError, B::Provider, OPERATOR);

/// The listed statuses. `DELIVERED_TO_OPERATOR` (2) stands in group 3 and is yet only handed on; 87
/// stands in two groups; 96 to 99 are voice's.
#[rustfmt::skip]
const STATUSES: &[Status] = &[
    Status::on_the_way(1, 3, State::Sent),
    Status::on_the_way(1, 7, State::Sent),
    Status::on_the_way(1, 26, State::Accepted),
    Status::failed(2, 4, C::CarrierFiltered, B::Provider, FILTERED),
    Status::failed(2, 9, C::Unknown, B::Provider, "The message was sent and not delivered."),
    Status::failed(2, 31, C::ProviderError, B::Provider, "The message was not sent on to an operator."),
    Status::failed(2, 96, C::Unreachable, B::Recipient, "Nobody answered the call."),
    Status::failed(2, 97, C::Unreachable, B::Recipient, "The line was busy."),
    Status::on_the_way(2, 98, State::Canceled),
    Status::on_the_way(3, 2, State::Sent),
    Status::on_the_way(3, 5, State::Delivered),
    Status::failed(4, 15, C::Expired, B::Recipient, EXPIRED),
    Status::failed(4, 29, C::Expired, B::Provider, "No word came back from the operator before the message expired."),
    Status::failed(4, 87, C::ProviderError, B::Provider, SIGNALS),
    Status::failed(5, 6, C::ProviderError, B::Provider, "The destination network is not covered."),
    Status::failed(5, 8, C::InvalidRecipient, B::Recipient, "The number has no valid prefix or length."),
    Status::failed(5, 10, C::OptedOut, B::Recipient, "The recipient is on a do-not-disturb register."),
    Status::failed(5, 11, C::SenderUnregistered, B::Number, "The sender is not registered."),
    Status::failed(5, 12, C::Account, B::Account, CREDITS),
    Status::failed(5, 13, C::CarrierFiltered, B::Number, "The sender is on a blocklist of the account."),
    Status::failed(5, 14, C::OptedOut, B::Recipient, BLOCKLISTED),
    Status::failed(5, 17, C::Account, B::Account, "The account's prepaid package has expired."),
    Status::failed(5, 18, C::Account, B::Account, "A trial account may only write to registered numbers."),
    Status::failed(5, 19, C::Account, B::Account, "The account has no route to the destination."),
    Status::failed(5, 20, C::Throttled, B::Account, FLOODING),
    Status::failed(5, 21, C::ProviderError, B::Provider, "Infobip's platform failed; the message can be sent again."),
    Status::failed(5, 23, C::Content, B::Content, "A message with this id was sent before."),
    Status::failed(5, 24, C::Content, B::Content, "The message's user data header is malformed."),
    Status::failed(5, 25, C::Content, B::Content, "The text is longer than can be sent."),
    Status::failed(5, 51, C::Content, B::Content, "The request names no recipient."),
    Status::failed(5, 52, C::InvalidRecipient, B::Recipient, NO_SUCH_NUMBER),
    Status::failed(5, 87, C::ProviderError, B::Provider, SIGNALS),
    Status::failed(5, 99, C::Unknown, B::Provider, "The call was rejected."),
    Status::failed(5, 100, C::ProviderError, B::Provider, "Infobip's platform rejected the message."),
];

/// The listed error ids. 4102 stands in two groups and means the same in both.
#[rustfmt::skip]
const ERRORS: &[Code] = &[
    Code::new("1", C::InvalidRecipient, B::Recipient, NO_SUCH_NUMBER),
    Code::new("2", C::ProviderError, B::Provider, OPERATOR),
    Code::new("5", C::InvalidRecipient, B::Recipient, NO_SUCH_NUMBER),
    Code::new("6", C::Unreachable, B::Recipient, "The handset is off or out of range."),
    Code::new("7", C::Unreachable, B::Recipient, BARRED),
    Code::new("8", C::Unreachable, B::Recipient, BARRED),
    Code::new("9", C::Unreachable, B::Recipient, BARRED),
    Code::new("10", C::ProviderError, B::Provider, OPERATOR),
    Code::new("11", C::Unreachable, B::Recipient, BARRED),
    Code::new("12", C::Unreachable, B::Recipient, BARRED),
    Code::new("13", C::Unreachable, B::Recipient, BARRED),
    Code::new("15", C::ProviderError, B::Provider, OPERATOR),
    Code::new("20", C::ProviderError, B::Provider, OPERATOR),
    Code::new("21", C::InvalidRecipient, B::Recipient, CANNOT_RECEIVE),
    Code::new("24", C::Unreachable, B::Recipient, "The handset has no radio connection."),
    Code::new("27", C::Unreachable, B::Recipient, "The handset is off or out of range."),
    Code::new("31", C::Unreachable, B::Recipient, "The handset is busy with another message."),
    Code::new("32", C::ProviderError, B::Provider, OPERATOR),
    Code::new("33", C::Unreachable, B::Recipient, "The operator already keeps too many messages waiting for the handset."),
    Code::new("34", C::ProviderError, B::Provider, OPERATOR),
    Code::new("35", C::ProviderError, B::Provider, OPERATOR),
    Code::new("36", C::ProviderError, B::Provider, OPERATOR),
    Code::new("51", C::ProviderError, B::Provider, OPERATOR),
    Code::new("71", C::Content, B::Content, "The text is in an alphabet that the operator does not know."),
    Code::new("255", C::ProviderError, B::Provider, OPERATOR),
    Code::new("256", C::Unreachable, B::Recipient, "The memory of the handset is full."),
    Code::new("257", C::ProviderError, B::Provider, OPERATOR),
    Code::new("258", C::InvalidRecipient, B::Recipient, CANNOT_RECEIVE),
    Code::new("259", C::ProviderError, B::Provider, OPERATOR),
    Code::new("260", C::ProviderError, B::Provider, OPERATOR),
    Code::new("261", C::ProviderError, B::Provider, OPERATOR),
    Code::new("262", C::ProviderError, B::Provider, OPERATOR),
    Code::new("323", C::Content, B::Content, FORM),
    Code::new("345", C::InvalidRecipient, B::Recipient, "No operator is known for the number."),
    Code::new("351", C::InvalidRecipient, B::Recipient, NO_SUCH_NUMBER),
    Code::new("352", C::InvalidRecipient, B::Recipient, NO_SUCH_NUMBER),
    Code::new("355", C::Content, B::Content, "The text is longer than can be sent."),
    Code::new("368", C::CarrierFiltered, B::Number, "The operator does not accept the sender."),
    Code::new("375", C::CarrierFiltered, B::Number, "The operator has blocked the sender."),
    Code::new("433", C::Account, B::Account, ACCOUNT),
    Code::new("488", C::SenderUnregistered, B::Number, "The toll-free number is not verified."),
    Code::new("500", C::ProviderError, B::Provider, OPERATOR),
    Code::new("501", C::ProviderError, B::Provider, OPERATOR),
    Code::new("502", C::ProviderError, B::Provider, OPERATOR),
    Code::new("503", C::ProviderError, B::Provider, OPERATOR),
    Code::new("504", C::ProviderError, B::Provider, OPERATOR),
    Code::new("507", C::ProviderError, B::Provider, OPERATOR),
    Code::new("508", C::ProviderError, B::Provider, OPERATOR),
    Code::new("509", C::ProviderError, B::Provider, OPERATOR),
    Code::new("541", C::Throttled, B::Number, "The operator's limit of messages a second was reached."),
    Code::new("542", C::Throttled, B::Number, "The operator's daily quota of the brand was reached."),
    Code::new("560", C::CarrierFiltered, B::Provider, "The operator does not let the recipient have messages of the short code."),
    Code::new("561", C::CarrierFiltered, B::Provider, "An operator blocked the content, or the recipient has content like it blocked."),
    Code::new("562", C::SenderUnregistered, B::Number, "The short code is not provisioned at the operator."),
    Code::new("563", C::SenderUnregistered, B::Number, "The short code has expired at the operator."),
    Code::new("564", C::CarrierFiltered, B::Number, "The operator has blocked the short code."),
    Code::new("565", C::InvalidRecipient, B::Recipient, CANNOT_RECEIVE),
    Code::new("566", C::CarrierFiltered, B::Provider, FILTERED),
    Code::new("568", C::InvalidRecipient, B::Recipient, CANNOT_RECEIVE),
    Code::new("569", C::Unreachable, B::Recipient, BARRED),
    Code::new("571", C::SenderUnregistered, B::Number, "The campaign id was rejected by the operator."),
    Code::new("572", C::SenderUnregistered, B::Number, "The 10DLC campaign is not provisioned for this sender."),
    Code::new("573", C::OptedOut, B::Recipient, "The recipient has asked for messages of this sender to be blocked."),
    Code::new("574", C::CarrierFiltered, B::Provider, "The operator takes no new subscriptions to the short code."),
    Code::new("577", C::Account, B::Account, ACCOUNT),
    Code::new("578", C::Account, B::Account, ACCOUNT),
    Code::new("579", C::Account, B::Account, ACCOUNT),
    Code::new("580", C::Account, B::Account, ACCOUNT),
    Code::new("581", C::Unreachable, B::Recipient, NO_CREDIT),
    Code::new("592", C::Account, B::Account, ACCOUNT),
    Code::new("594", C::SenderUnregistered, B::Number, "The 10DLC campaign id is not valid."),
    Code::new("597", C::Account, B::Account, ACCOUNT),
    Code::new("598", C::Account, B::Account, ACCOUNT),
    Code::new("601", C::Account, B::Account, ACCOUNT),
    Code::new("603", C::OptedOut, B::Recipient, "The recipient has sent STOP, and messages to them are blocked."),
    Code::new("604", C::CarrierFiltered, B::Provider, "A blocklist of the campaign blocked the message."),
    Code::new("607", C::CarrierFiltered, B::Number, SPAM),
    Code::new("608", C::ProviderError, B::Provider, SIGNALS),
    Code::new("609", C::Throttled, B::Account, "The hard limit of Infobip Signals was reached."),
    Code::new("628", C::Unreachable, B::Recipient, ABSENT),
    Code::new("629", C::InvalidRecipient, B::Recipient, CANNOT_RECEIVE),
    Code::new("630", C::Throttled, B::Provider, "The destination network is overloaded and takes fewer messages."),
    Code::new("631", C::ProviderError, B::Provider, OPERATOR),
    Code::new("632", C::CarrierFiltered, B::Provider, FILTERED),
    Code::new("633", C::ProviderError, B::Provider, OPERATOR),
    Code::new("810", C::ProviderError, B::Provider, OPERATOR),
    Code::new("811", C::Expired, B::Recipient, EXPIRED),
    Code::new("815", C::ProviderError, B::Provider, OPERATOR),
    Code::new("1024", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1025", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1026", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1027", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1028", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1029", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1030", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1031", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1152", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1153", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1154", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1155", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1156", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1157", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1158", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1159", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1160", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1161", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1162", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1163", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1164", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1165", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1166", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1281", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1282", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1283", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1284", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1536", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1537", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1538", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1539", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1540", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1541", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1792", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1793", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1794", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1795", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("1796", C::ProviderError, B::Provider, SIGNALLING),
    Code::new("2048", C::ProviderError, B::Provider, OPERATOR),
    Code::new("2049", C::OptedOut, B::Recipient, BLOCKLISTED),
    Code::new("2050", C::OptedOut, B::Recipient, BLOCKLISTED),
    Code::new("2051", C::CarrierFiltered, B::Provider, "The text is on an operator's blocklist."),
    Code::new("2052", C::OptedOut, B::Recipient, BLOCKLISTED),
    Code::new("2053", C::CarrierFiltered, B::Number, "The sender is on the blocklist of an operator or of Infobip."),
    Code::new("3041", C::InvalidRecipient, B::Recipient, "The number is on the list of deactivated numbers."),
    Code::new("4096", C::Content, B::Content, FORM),
    Code::new("4097", C::ProviderError, B::Provider, OPERATOR),
    Code::new("4098", C::Expired, B::Recipient, EXPIRED),
    Code::new("4099", C::Account, B::Account, "The monthly credit limit of the account is reached."),
    Code::new("4100", C::Expired, B::Recipient, "The message was withdrawn before it was delivered."),
    Code::new("4101", C::Expired, B::Recipient, EXPIRED),
    Code::new("4102", C::ProviderError, B::Provider, OPERATOR),
    Code::new("4103", C::Throttled, B::Account, FLOODING),
    Code::new("4104", C::Throttled, B::Account, FLOODING),
    Code::new("4202", C::Throttled, B::Number, "The 10DLC limit of the campaign was reached."),
    Code::new("5492", C::Throttled, B::Account, "The same message was sent twice."),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn said(status_group: u32, status: u32, error_group: u32, error: &str) -> Outcome {
        outcome(&Numbers { status_group, status, error_group, error }).unwrap()
    }

    fn class_of(status_group: u32, status: u32, error_group: u32, error: &str) -> Option<C> {
        said(status_group, status, error_group, error).failure.map(|failure| failure.class)
    }

    #[test]
    fn every_listed_code_has_a_class_and_a_sentence() {
        let statuses = STATUSES.iter().chain(&GROUPS).filter_map(|status| status.failure.as_ref());
        for row in ERRORS.iter().chain(statuses) {
            assert!(row.text.ends_with('.') && row.text.len() < 110, "{}: {}", row.code, row.text);
        }
        for row in ERRORS {
            assert_ne!(row.class, C::Unknown, "{}", row.code);
            let outcome = said(2, 9, 0, row.code);
            assert_eq!(outcome.failure.map(|f| (f.class, f.code)), Some((row.class, row.code.to_owned())));
            assert_eq!(outcome.state == State::Blocked, row.class == C::OptedOut, "{}", row.code);
        }
    }

    #[test]
    fn the_tables_are_whole_and_name_nothing_twice() {
        let ids: BTreeSet<u32> = STATUSES.iter().map(|status| status.id).collect();
        let keys: BTreeSet<_> = STATUSES.iter().map(|status| (status.group, status.id)).collect();
        let errors: BTreeSet<_> = ERRORS.iter().map(|row| row.code).collect();
        assert_eq!((ids.len(), keys.len(), STATUSES.len()), (33, 34, 34));
        assert_eq!((errors.len(), ERRORS.len()), (144, 144));
    }

    #[test]
    fn a_state_fails_or_blocks_exactly_with_a_reason() {
        for status in STATUSES.iter().chain(&GROUPS) {
            let unhappy = matches!(status.state, State::Failed | State::Blocked);
            assert_eq!(unhappy, status.failure.is_some(), "{}", status.id);
        }
    }

    #[test]
    fn an_id_nobody_listed_says_what_its_group_says() {
        assert_eq!(said(3, 999, 0, "0").state, State::Delivered);
        let failure = said(4, 999, 0, "0").failure.unwrap();
        assert_eq!((failure.class, failure.code.as_str()), (C::Expired, "status:999"));
        assert_eq!(class_of(2, 9, 1, "9999"), Some(C::Unreachable));
        assert_eq!(class_of(2, 9, 3, "9999"), Some(C::ProviderError));
        assert_eq!(class_of(5, 12, 3, "9999"), Some(C::Account));
        assert_eq!(outcome(&Numbers { status_group: 9, status: 999, ..Numbers::default() }), None);
    }

    #[test]
    fn a_status_without_its_group_is_still_known() {
        assert_eq!(said(u32::MAX, 5, 0, "0").state, State::Delivered);
    }

    #[test]
    fn handed_to_the_operator_is_not_delivered() {
        assert_eq!(said(3, 2, 0, "0").state, State::Sent);
        assert_eq!(said(3, 5, 0, "0").state, State::Delivered);
    }

    #[test]
    fn an_error_explains_a_failure_and_never_makes_one() {
        assert_eq!(class_of(4, 15, 1, "27"), Some(C::Unreachable));
        assert_eq!(class_of(5, 12, 0, "0"), Some(C::Account));
        assert_eq!(said(1, 7, 2, "607"), Outcome { state: State::Sent, failure: None, withdrawn: false });
        assert_eq!(said(3, 5, 2, "603").state, State::Delivered);
    }

    #[test]
    fn codes_that_tell_of_a_withdrawal_block_the_message_and_are_evidence() {
        for code in ["603", "573", "2050", "2052"] {
            let outcome = said(2, 9, 2, code);
            assert_eq!((outcome.state, outcome.withdrawn), (State::Blocked, true), "{code}");
        }
        for (id, error, code) in
            [(10, "0", "status:10"), (14, "0", "status:14"), (14, "603", "603"), (14, "607", "status:14")]
        {
            let outcome = said(5, id, 2, error);
            assert_eq!((outcome.state, outcome.withdrawn), (State::Blocked, true), "{id} {error}");
            assert_eq!(outcome.failure.unwrap().code, code);
        }
        let sim = said(2, 9, 2, "2049");
        assert_eq!((sim.state, sim.withdrawn), (State::Blocked, false));
    }

    #[test]
    fn the_number_is_blamed_where_the_code_implicates_it_and_not_where_it_is_ambiguous() {
        for code in ["607", "2053", "564", "375", "368", "571", "572", "594", "488", "541", "542", "4202"] {
            assert_eq!(error(code).map(|row| row.blames), Some(B::Number), "{code}");
        }
        for code in ["561", "604", "566", "560", "2051", "632", "4103", "4104", "608", "609"] {
            assert_ne!(error(code).map(|row| row.blames), Some(B::Number), "{code}");
        }
    }
}
