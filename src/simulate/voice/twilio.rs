//! Twilio: one form POST a status change, one an inbound message.

use super::{Answer, Message, written};
use crate::simulate::fate::{Fate, Reason, Step};

/// Calls `send` with the parameters of a status callback, sorted by name.
pub(in crate::simulate) fn status<R>(
    message: &Message,
    step: Step,
    send: impl FnOnce(&[(&str, &str)]) -> R,
) -> R {
    let sid = format!("SM{:032x}", message.id);
    let (status, code) = words(step.fate);
    let done = match step.fate {
        Fate::Delivered | Fate::Failed(Reason::Filtered | Reason::Unreachable) => {
            written(step.at, "%y%m%d%H%M", &jiff::tz::TimeZone::UTC)
        }
        _ => String::new(),
    };
    let mut sorted = Vec::with_capacity(12);
    sorted.push(("AccountSid", "AC5040c8f2d0c9a5d8e3b0f1a2c3d4e5f6"));
    sorted.push(("ApiVersion", "2010-04-01"));
    if !code.is_empty() {
        sorted.push(("ErrorCode", code));
    }
    sorted.push(("From", &message.from));
    sorted.push(("MessageSid", &sid));
    sorted.push(("MessageStatus", status));
    if !done.is_empty() {
        sorted.push(("RawDlrDoneDate", &done));
    }
    sorted.push(("SmsSid", &sid));
    sorted.push(("SmsStatus", status));
    sorted.push(("To", &message.to));
    send(&sorted)
}

/// Calls `send` with the parameters of an inbound message, sorted by name.
pub(in crate::simulate) fn inbound<R>(
    message: &Message,
    answer: Answer,
    send: impl FnOnce(&[(&str, &str)]) -> R,
) -> R {
    let sid = format!("SM{:032x}", message.id ^ 1 << 127);
    let mut sorted = vec![
        ("AccountSid", "AC5040c8f2d0c9a5d8e3b0f1a2c3d4e5f6"),
        ("ApiVersion", "2010-04-01"),
        ("Body", answer.text()),
        ("From", &message.to),
        ("FromCountry", "US"),
        ("MessageSid", &sid),
        ("NumMedia", "0"),
        ("NumSegments", "1"),
    ];
    if matches!(answer, Answer::OptOut("STOP")) {
        sorted.push(("OptOutType", "STOP"));
    }
    sorted.extend([
        ("SmsMessageSid", sid.as_str()),
        ("SmsSid", sid.as_str()),
        ("SmsStatus", "received"),
        ("To", message.from.as_str()),
        ("ToCountry", "US"),
    ]);
    send(&sorted)
}

const fn words(fate: Fate) -> (&'static str, &'static str) {
    match fate {
        Fate::Sent => ("sent", ""),
        Fate::Delivered => ("delivered", ""),
        Fate::Canceled => ("canceled", ""),
        Fate::Blocked => ("failed", "21610"),
        Fate::Failed(Reason::Filtered) => ("undelivered", "30007"),
        Fate::Failed(Reason::Unreachable) => ("undelivered", "30003"),
        Fate::Failed(Reason::Unknown) => ("undelivered", "30005"),
        Fate::Failed(Reason::Provider) => ("failed", "30500"),
        Fate::Failed(Reason::Account) => ("failed", "30002"),
    }
}
