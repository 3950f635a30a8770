//! What Twilio's status words and error codes mean. In: a `MessageStatus` or an `ErrorCode`. Out: a
//! state, or a failure in our words, and whose it is.
//! The classes are our judgement of Twilio's titles; a code that is not here is never guessed at.

use crate::event::{Blames, Failure, FailureClass, State};
use crate::provider::codes::{self, Code, Explained};
use FailureClass::{
    Account, CarrierFiltered, Content, Expired, InvalidRecipient, OptedOut, ProviderError,
    SenderUnregistered, Throttled, Unknown, Unreachable,
};

/// The failure a code stands for; without one, what Twilio's own words say.
pub fn failure(code: Option<&str>, words: Option<&str>) -> Failure {
    let Some(code) = code else { return codes::from_text(words.unwrap_or_default()).failure("") };
    row(code).unwrap_or(&UNLISTED).failure(code)
}

/// The row of a code, or of the range it is in.
fn row(code: &str) -> Option<&'static Code> {
    let range = || {
        let number: u32 = code.parse().ok()?;
        RANGES.iter().find(|(first, last, _)| (*first..=*last).contains(&number)).map(|(.., row)| row)
    };
    codes::find(CODES, code).or_else(range)
}

/// What a status word or an error code stands for, if it is listed.
pub fn explain(code: &str) -> Option<Explained> {
    status(code)
        .map(|(state, _)| match state {
            State::Failed => Explained::failure(UNSAID.failure("")),
            state => Explained::state(state),
        })
        .or_else(|| row(code).map(|row| Explained::failure(row.failure(code))))
}

/// The state a status word puts a message in, and whether Twilio says no more after it.
pub(super) fn status(word: &str) -> Option<(State, bool)> {
    let found = STATUSES.iter().find(|(known, ..)| known.eq_ignore_ascii_case(word));
    found.map(|&(_, state, is_final)| (state, is_final))
}

/// `message_enum_status`, what it is to us, and whether Twilio says no more after it.
#[rustfmt::skip]
const STATUSES: [(&str, State, bool); 11] = [
    ("delivered",           State::Delivered, true),
    ("sent",                State::Sent,      false),
    ("undelivered",         State::Failed,    true),
    ("failed",              State::Failed,    true),
    ("queued",              State::Accepted,  false),
    ("accepted",            State::Accepted,  false),
    ("scheduled",           State::Accepted,  false),
    ("sending",             State::Accepted,  false),
    ("read",                State::Delivered, true),
    ("partially_delivered", State::Delivered, true),
    ("canceled",            State::Canceled,  true),
];

/// What is said of a status of failure by itself.
const UNSAID: Code =
    Code::new("", Unknown, Blames::Provider, "The message was not delivered; the error code says why.");

/// The code under which Twilio tells that a 10DLC campaign is suspended.
pub const CAMPAIGN_SUSPENDED: &str = "30033";

/// What is said of a code that is not in the table.
const UNLISTED: Code = Code::new("", Unknown, Blames::Provider, "Twilio gave a code that is not known.");

/// Codes that come in ranges, for those of a range that have no row of their own.
#[rustfmt::skip]
const RANGES: &[(u32, u32, Code)] = &[
    (30100, 30133, Code::new("", Content,            Blames::Account, "Link shortening is not set up as the message needs it.")),
    (30440, 30449, Code::new("", SenderUnregistered, Blames::Number,  "Toll-free verification was refused.")),
    (30460, 30484, Code::new("", SenderUnregistered, Blames::Number,  "Toll-free verification was refused.")),
    (30501, 30519, Code::new("", SenderUnregistered, Blames::Number,  "Toll-free verification was refused.")),
    (30880, 30899, Code::new("", SenderUnregistered, Blames::Number,  "The 10DLC campaign was refused.")),
];

/// Codes of messages and registrations, in Twilio's order.
#[rustfmt::skip]
const CODES: &[Code] = &[
    Code::new("10001", Account,            Blames::Account,   "The Twilio account is not active."),
    Code::new("14107", Throttled,          Blames::Number,    "Twilio stopped what looked like a loop of replies."),
    Code::new("20003", Account,            Blames::Account,   "Twilio did not accept the account's credentials."),
    Code::new("20005", Account,            Blames::Account,   "The Twilio account is not active."),
    Code::new("20429", Throttled,          Blames::Account,   "The account sent requests faster than Twilio's API allows."),
    Code::new("21211", InvalidRecipient,   Blames::Recipient, "The recipient is not a valid phone number."),
    Code::new("21212", Account,            Blames::Account,   "The sender is not a number this account may send from."),
    Code::new("21217", InvalidRecipient,   Blames::Recipient, "The recipient does not look like a phone number."),
    Code::new("21401", InvalidRecipient,   Blames::Recipient, "The phone number is not valid."),
    Code::new("21408", Account,            Blames::Account,   "The account has not been allowed to send to the recipient's region."),
    Code::new("21421", InvalidRecipient,   Blames::Recipient, "The phone number is not valid."),
    Code::new("21606", Account,            Blames::Account,   "The sender cannot send messages to this destination."),
    Code::new("21607", Account,            Blames::Account,   "A trial account may only send from its sandbox number."),
    Code::new("21608", Account,            Blames::Account,   "A trial account may only send to numbers it has verified."),
    Code::new("21609", Account,            Blames::Account,   "The address for status callbacks is not valid."),
    Code::new("21610", OptedOut,           Blames::Recipient, "The recipient had replied STOP, so Twilio did not send the message."),
    Code::new("21611", Throttled,          Blames::Number,    "Too many messages of this sender were already waiting."),
    Code::new("21612", Account,            Blames::Account,   "Twilio has no route between this sender and this recipient."),
    Code::new("21614", InvalidRecipient,   Blames::Recipient, "The recipient is not a mobile number."),
    Code::new("21701", Account,            Blames::Account,   "The messaging service does not exist."),
    Code::new("21702", Account,            Blames::Account,   "The messaging service cannot send new messages."),
    Code::new("21703", Account,            Blames::Account,   "The messaging service has no number free to send from."),
    Code::new("21704", Account,            Blames::Account,   "The messaging service has no numbers."),
    Code::new("21705", Account,            Blames::Account,   "The messaging service is not valid."),
    Code::new("30001", Throttled,          Blames::Number,    "Messages were queued faster than the sender may send them, and the queue overflowed."),
    Code::new("30002", Account,            Blames::Account,   "Twilio suspended the account before the message was sent."),
    Code::new("30003", Unreachable,        Blames::Recipient, "The handset was off, out of range or could not be reached."),
    Code::new("30004", CarrierFiltered,    Blames::Recipient, "The recipient or the operator blocks this message."),
    Code::new("30005", InvalidRecipient,   Blames::Recipient, "The recipient's number is unknown or no longer in use."),
    Code::new("30006", InvalidRecipient,   Blames::Recipient, "The recipient is a landline, or its operator takes no messages."),
    Code::new("30007", CarrierFiltered,    Blames::Number,    "An operator or Twilio filtered the message as unwanted."),
    Code::new("30008", Unknown,            Blames::Provider,  "The operator reported a failure without a reason."),
    Code::new("30009", ProviderError,      Blames::Provider,  "A part of an inbound message did not arrive."),
    Code::new("30010", Account,            Blames::Account,   "The message would have cost more than the limit that was set for it."),
    Code::new("30011", Content,            Blames::Content,   "The recipient's number cannot receive picture messages."),
    Code::new("30012", Content,            Blames::Account,   "The validity that was asked for is too short."),
    Code::new("30013", Content,            Blames::Account,   "The validity that was asked for is too long."),
    Code::new("30014", Content,            Blames::Account,   "The attributes of the recipient were not valid."),
    Code::new("30015", Content,            Blames::Account,   "The kind of channel that was asked for is not supported."),
    Code::new("30016", Content,            Blames::Account,   "Sender and recipient belong to different channels."),
    Code::new("30017", Throttled,          Blames::Provider,  "The operator's network was congested."),
    Code::new("30018", SenderUnregistered, Blames::Number,    "The operator requires the sender to be registered beforehand."),
    Code::new("30019", Content,            Blames::Content,   "The content is larger than the operator accepts."),
    Code::new("30020", ProviderError,      Blames::Provider,  "Twilio failed to schedule the message."),
    Code::new("30021", ProviderError,      Blames::Provider,  "Twilio's messaging service failed internally."),
    Code::new("30022", Throttled,          Blames::Number,    "The 10DLC campaign sent faster than an operator allows."),
    Code::new("30023", Throttled,          Blames::Number,    "The 10DLC brand reached an operator's limit for the day."),
    Code::new("30024", SenderUnregistered, Blames::Number,    "The sender is not provisioned with the recipient's operator."),
    Code::new("30025", Throttled,          Blames::Number,    "Half of T-Mobile's daily limit for the 10DLC brand is used up."),
    Code::new("30026", Throttled,          Blames::Number,    "Seven tenths of T-Mobile's daily limit for the 10DLC brand are used up."),
    Code::new("30027", Throttled,          Blames::Number,    "T-Mobile's daily limit for the 10DLC brand is used up."),
    Code::new("30028", Content,            Blames::Account,   "The version of the API that was asked for is not valid."),
    Code::new("30029", Content,            Blames::Account,   "The content retention that was asked for is not valid."),
    Code::new("30030", Content,            Blames::Account,   "The address retention that was asked for is not valid."),
    Code::new("30031", Content,            Blames::Account,   "The highest rate that was asked for is not valid."),
    Code::new("30032", SenderUnregistered, Blames::Number,    "The toll-free number has not been verified."),
    Code::new("30033", SenderUnregistered, Blames::Number,    "The 10DLC campaign is suspended."),
    Code::new("30034", SenderUnregistered, Blames::Number,    "The number belongs to no registered 10DLC campaign."),
    Code::new("30035", SenderUnregistered, Blames::Number,    "The number's 10DLC registration is still being set up."),
    Code::new("30036", Expired,            Blames::Provider,  "The message waited in Twilio's queue longer than its validity."),
    Code::new("30037", Account,            Blames::Account,   "Sending is disabled for the account."),
    Code::new("30038", CarrierFiltered,    Blames::Content,   "The message was filtered for the one-time code it held."),
    Code::new("30039", CarrierFiltered,    Blames::Content,   "Twilio filtered the message to prevent a loop of replies."),
    Code::new("30040", SenderUnregistered, Blames::Number,    "The operator requires the sender ID to be registered beforehand."),
    Code::new("30041", SenderUnregistered, Blames::Number,    "The sender is not registered for numbers in the United Kingdom."),
    Code::new("30043", ProviderError,      Blames::Provider,  "An international message was sent through a domestic gateway."),
    Code::new("30044", Account,            Blames::Account,   "The message is longer than a trial account may send."),
    Code::new("30125", SenderUnregistered, Blames::Number,    "The number could not be registered for 10DLC."),
    Code::new("30400", Content,            Blames::Account,   "The request's parameters were not valid."),
    Code::new("30404", Content,            Blames::Account,   "What the request named does not exist."),
    Code::new("30409", Content,            Blames::Account,   "The message could no longer be canceled."),
    Code::new("30410", ProviderError,      Blames::Provider,  "A provider behind Twilio did not answer in time."),
    Code::new("30436", Content,            Blames::Account,   "The number's id is not valid."),
    Code::new("30440", SenderUnregistered, Blames::Number,    "Toll-free verification was refused without a known reason."),
    Code::new("30441", SenderUnregistered, Blames::Number,    "Toll-free verification was refused: the content breaks a rule."),
    Code::new("30442", SenderUnregistered, Blames::Number,    "Toll-free verification was refused: the campaign breaks a rule."),
    Code::new("30443", SenderUnregistered, Blames::Number,    "Toll-free verification was refused: the content is not allowed."),
    Code::new("30444", SenderUnregistered, Blames::Number,    "Toll-free verification was refused: the use is of high risk."),
    Code::new("30445", SenderUnregistered, Blames::Number,    "Toll-free verification was refused: the information given is not valid."),
    Code::new("30446", SenderUnregistered, Blames::Number,    "Toll-free verification was refused: how recipients opt in is not right."),
    Code::new("30447", SenderUnregistered, Blames::Number,    "Toll-free verification was refused: there is a problem with the number."),
    Code::new("30448", SenderUnregistered, Blames::Number,    "Toll-free verification was refused: an age gate is missing."),
    Code::new("30449", SenderUnregistered, Blames::Number,    "Toll-free verification was refused: a sample message holds a link that is not right."),
    Code::new("30450", CarrierFiltered,    Blames::Number,    "Twilio blocked the message to protect against fraud."),
    Code::new("30451", SenderUnregistered, Blames::Number,    "Toll-free verification could not go on: the address is not valid."),
    Code::new("30453", CarrierFiltered,    Blames::Number,    "Twilio blocked the message."),
    Code::new("30454", Throttled,          Blames::Account,   "The account reached its limit of messages for the day."),
    Code::new("30460", SenderUnregistered, Blames::Number,    "Toll-free verification was refused: debt collection is not allowed."),
    Code::new("30464", SenderUnregistered, Blames::Number,    "Toll-free verification was refused: cryptocurrency is not allowed."),
    Code::new("30466", SenderUnregistered, Blames::Number,    "Toll-free verification was refused: debt reduction is not allowed."),
    Code::new("30485", CarrierFiltered,    Blames::Number,    "Twilio blocked the message, probably against fraud."),
    Code::new("30500", ProviderError,      Blames::Provider,  "Twilio failed internally."),
    Code::new("30501", SenderUnregistered, Blames::Number,    "Toll-free verification was refused: the token for political messages is missing or not valid."),
    Code::new("30511", SenderUnregistered, Blames::Number,    "Toll-free verification was refused: the script for consent is not right."),
    Code::new("30879", SenderUnregistered, Blames::Number,    "Verification was refused: the number is not provisioned to Twilio."),
    Code::new("30880", SenderUnregistered, Blames::Number,    "The 10DLC campaign was refused without a known reason."),
    Code::new("30881", SenderUnregistered, Blames::Number,    "The 10DLC campaign was refused: the brand's support address is not valid."),
    Code::new("30882", SenderUnregistered, Blames::Number,    "The 10DLC campaign was refused: its terms and conditions are not right."),
    Code::new("30883", SenderUnregistered, Blames::Number,    "The 10DLC campaign was refused: its content breaks a rule."),
    Code::new("30884", SenderUnregistered, Blames::Number,    "The 10DLC campaign was refused as spam or phishing."),
    Code::new("30885", SenderUnregistered, Blames::Number,    "The 10DLC campaign was refused: its use is of high risk."),
    Code::new("30886", SenderUnregistered, Blames::Number,    "The 10DLC campaign was refused: its description is not valid."),
    Code::new("30887", SenderUnregistered, Blames::Number,    "The 10DLC campaign was refused: how recipients opt out is not right."),
    Code::new("30888", SenderUnregistered, Blames::Number,    "The 10DLC campaign was refused: its age gate is missing or not sufficient."),
    Code::new("30889", SenderUnregistered, Blames::Number,    "The 10DLC campaign was refused: its messages hold a phone number."),
    Code::new("30890", SenderUnregistered, Blames::Number,    "The 10DLC campaign was refused: how recipients get help is not right."),
    Code::new("30891", SenderUnregistered, Blames::Number,    "The 10DLC campaign was refused: its website's address is not valid."),
    Code::new("30892", SenderUnregistered, Blames::Number,    "The 10DLC campaign was refused: a sample message uses a public link shortener."),
    Code::new("30893", SenderUnregistered, Blames::Number,    "The 10DLC campaign was refused: the sample messages do not fit its use."),
    Code::new("30894", SenderUnregistered, Blames::Number,    "The 10DLC campaign was refused: the brand's information is not valid."),
    Code::new("30895", SenderUnregistered, Blames::Number,    "The 10DLC campaign was refused: lending must be declared in its attributes."),
    Code::new("30896", SenderUnregistered, Blames::Number,    "The 10DLC campaign was refused: how recipients opt in is not right."),
    Code::new("30897", SenderUnregistered, Blames::Number,    "The 10DLC campaign was refused: its content is not allowed."),
    Code::new("30898", SenderUnregistered, Blames::Number,    "The 10DLC campaign was refused: too many brands share its tax number."),
    Code::new("90010", Account,            Blames::Account,   "The Twilio account is not active."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_once_and_in_order() {
        assert!(CODES.is_sorted_by(|a, b| a.code < b.code));
        assert!(CODES.iter().all(|row| row.text.ends_with('.')));
    }

    #[test]
    fn codes_fall_into_their_class() {
        for (code, class, blames) in [
            ("30003", Unreachable, Blames::Recipient),
            ("30007", CarrierFiltered, Blames::Number),
            ("30034", SenderUnregistered, Blames::Number),
            ("21610", OptedOut, Blames::Recipient),
            ("30002", Account, Blames::Account),
            ("30105", Content, Blames::Account),
            ("30479", SenderUnregistered, Blames::Number),
            ("99999", Unknown, Blames::Provider),
            ("no number", Unknown, Blames::Provider),
        ] {
            let failure = failure(Some(code), None);
            assert_eq!(
                (failure.class, failure.blames, failure.code.as_str()),
                (class, blames, code),
                "{code}"
            );
        }
    }

    #[test]
    fn without_a_code_the_words_speak() {
        assert_eq!(failure(None, Some("Filtered as spam")).class, CarrierFiltered);
        assert_eq!(failure(None, None).class, Unknown);
    }
}
