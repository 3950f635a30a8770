//! CM: one JSON status report a status change, one JSON document an inbound message.

use super::{Answer, Message, written};
use crate::clock::Timestamp;
use crate::simulate::fate::{Fate, Reason, Step};

/// A status report; it names neither the sender nor an id of CM's, only the sender's reference.
pub(in crate::simulate) fn status(message: &Message, step: Step, zone: &jiff::tz::TimeZone) -> String {
    let (code, error, text) = words(step.fate);
    format!(
        r#"{{"messages":{{"msg":{{"received":"{received}","to":"{to}","reference":"{reference}","status":{{"code":"{code}","errorCode":"{error}","errorDescription":"{text}"}},"operator":"310260"}}}}}}"#,
        received = written(step.at, "%Y-%m-%dT%H:%M:%S", zone),
        to = message.to.replacen('+', "00", 1),
        reference = reference(message.id),
    )
}

/// An inbound message.
pub(in crate::simulate) fn inbound(message: &Message, answer: Answer, now: Timestamp) -> String {
    format!(
        r#"{{"reference":"{reference}","from":{{"number":"{from}","name":""}},"to":{{"number":"{to}"}},"message":{{"text":"{text}","media":{{"mediaUri":"","contentType":"","title":""}},"custom":{{}}}},"groupings":["","",""],"timeUtc":"{at}","channel":"SMS"}}"#,
        reference = reference(message.id),
        from = message.to,
        to = message.from.replacen('+', "00", 1),
        text = answer.text(),
        at = written(now, "%Y-%m-%dT%H:%M:%S", &jiff::tz::TimeZone::UTC),
    )
}

/// At most 32 letters and digits.
fn reference(id: u128) -> String {
    format!("{id:032x}")
}

const fn words(fate: Fate) -> (&'static str, &'static str, &'static str) {
    match fate {
        Fate::Sent => ("0", "", "Accepted by operator"),
        Fate::Delivered => ("2", "", "Delivered"),
        Fate::Failed(Reason::Filtered) => ("3", "28", "Suspected SPAM"),
        Fate::Failed(Reason::Unreachable) => ("3", "24", "Absent subscriber"),
        Fate::Failed(Reason::Provider) => ("3", "25", "System failure"),
        Fate::Failed(Reason::Unknown | Reason::Account) | Fate::Canceled => ("3", "5", "Undelivered"),
        Fate::Blocked => ("1", "37", "On national blacklist"),
    }
}
