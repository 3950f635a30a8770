//! Infobip: batches of reports (the v3 shape) and of inbound messages, as JSON.

use std::fmt::Write;

use super::{Answer, Message, written};
use crate::clock::Timestamp;
use crate::simulate::fate::{Fate, Reason, Step};

/// One report of a batch.
pub(in crate::simulate) fn report(message: &Message, step: Step) -> String {
    let (group, group_name, id, name) = status(step.fate);
    let error = error(step.fate);
    let mut text = String::with_capacity(640);
    // Writing to a String cannot fail.
    let _infallible = write!(
        text,
        r#"{{"bulkId":"bulk-{bulk}","price":{{"pricePerMessage":0.0075,"currency":"USD"}},"status":{{"groupId":{group},"groupName":"{group_name}","id":{id},"name":"{name}","description":"{name}"}},"error":{error},"messageId":"{id_}","to":"{to}","sender":"{from}","sentAt":"{sent}","doneAt":"{done}","messageCount":1,"mccMnc":"310260"}}"#,
        bulk = message.index / 100,
        id_ = message_id(message.id),
        to = message.to.trim_start_matches('+'),
        from = message.from.trim_start_matches('+'),
        sent = stamp(message.sent_at),
        done = stamp(step.at),
    );
    text
}

/// The body that carries reports.
pub(in crate::simulate) fn batch(reports: &[&str]) -> String {
    format!(r#"{{"results":[{}]}}"#, reports.join(","))
}

/// The body that carries an inbound message.
pub(in crate::simulate) fn inbound(message: &Message, answer: Answer, now: Timestamp) -> String {
    let (text, clean, keyword) = match answer {
        Answer::OptOut(text) => (text, "", r#""STOP""#),
        Answer::Reply(text) => (text, text, "null"),
    };
    format!(
        r#"{{"results":[{{"messageId":"{id}","from":"{from}","to":"{to}","text":"{text}","cleanText":"{clean}","keyword":{keyword},"receivedAt":"{at}","smsCount":1,"price":{{"pricePerMessage":0,"currency":"USD"}},"callbackData":null}}],"messageCount":1,"pendingMessageCount":0}}"#,
        id = message_id(message.id ^ 1 << 127),
        from = message.to.trim_start_matches('+'),
        to = message.from.trim_start_matches('+'),
        at = stamp(now),
    )
}

/// An id in the form of Infobip's, a UUID.
fn message_id(id: u128) -> String {
    let hex = format!("{id:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Infobip's time: an offset without a colon.
fn stamp(at: Timestamp) -> String {
    written(at, "%Y-%m-%dT%H:%M:%S%.3f%z", &jiff::tz::TimeZone::UTC)
}

const fn status(fate: Fate) -> (u8, &'static str, u8, &'static str) {
    match fate {
        Fate::Sent => (3, "DELIVERED", 2, "DELIVERED_TO_OPERATOR"),
        Fate::Delivered => (3, "DELIVERED", 5, "DELIVERED_TO_HANDSET"),
        Fate::Blocked => (5, "REJECTED", 14, "REJECTED_DESTINATION_BLOCKLISTED"),
        Fate::Failed(Reason::Account) => (5, "REJECTED", 12, "REJECTED_NOT_ENOUGH_CREDITS"),
        Fate::Failed(Reason::Provider) => (5, "REJECTED", 21, "REJECTED_SYSTEM_ERROR"),
        Fate::Failed(_) | Fate::Canceled => (2, "UNDELIVERABLE", 9, "UNDELIVERABLE_NOT_DELIVERED"),
    }
}

const fn error(fate: Fate) -> &'static str {
    match fate {
        Fate::Failed(Reason::Filtered) => {
            r#"{"groupId":2,"groupName":"USER_ERRORS","id":607,"name":"EC_REJECTED_SPAM_BY_OPERATOR","description":"Rejected spam by operator","permanent":true}"#
        }
        Fate::Failed(Reason::Unreachable) => {
            r#"{"groupId":1,"groupName":"HANDSET_ERRORS","id":27,"name":"EC_ABSENT_SUBSCRIBER","description":"Absent Subscriber","permanent":false}"#
        }
        Fate::Failed(Reason::Unknown) | Fate::Canceled => {
            r#"{"groupId":1,"groupName":"HANDSET_ERRORS","id":1,"name":"EC_UNKNOWN_SUBSCRIBER","description":"Unknown Subscriber","permanent":true}"#
        }
        Fate::Blocked => {
            r#"{"groupId":2,"groupName":"USER_ERRORS","id":603,"name":"EC_CONTENT_BLOCKED","description":"Content blocked","permanent":true}"#
        }
        Fate::Sent | Fate::Delivered | Fate::Failed(Reason::Account | Reason::Provider) => {
            r#"{"groupId":0,"groupName":"OK","id":0,"name":"NO_ERROR","description":"No Error","permanent":false}"#
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_infobip_writes_it() {
        let at = Timestamp::from_millis(1_573_311_600_000);
        assert_eq!(stamp(at), "2019-11-09T15:00:00.000+0000");
    }

    #[test]
    fn an_id_is_a_uuid() {
        assert_eq!(message_id(1), "00000000-0000-0000-0000-000000000001");
    }
}
