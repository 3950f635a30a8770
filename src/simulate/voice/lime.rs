//! Lime: receipts as a form whose field names are configured, opt-outs as its documented push.

use super::Message;
use crate::config::Mapping;
use crate::simulate::fate::{Fate, Reason, Step};

/// Calls `send` with the parameters of a receipt.
pub(in crate::simulate) fn status<R>(
    message: &Message,
    step: Step,
    mapping: &Mapping,
    send: impl FnOnce(&[(&str, &str)]) -> R,
) -> R {
    let id = format!("{:032x}", message.id);
    let (status, error) = words(step.fate);
    let mut parameters = vec![
        (mapping.message_id.as_str(), id.as_str()),
        (mapping.recipient.as_str(), message.to.trim_start_matches('+')),
        (mapping.status.as_str(), status),
        (mapping.error.as_str(), error),
    ];
    if !message.from.is_empty() {
        parameters.push((mapping.sender.as_str(), message.from.trim_start_matches('+')));
    }
    send(&parameters)
}

/// Calls `send` with the parameters of an opt-out.
pub(in crate::simulate) fn opt_out<R>(message: &Message, send: impl FnOnce(&[(&str, &str)]) -> R) -> R {
    let mobile = message.to.trim_start_matches('+');
    send(&[("action", "optout"), ("list_id", "1001"), ("mobile_number", mobile), ("keyword", "STOP")])
}

const fn words(fate: Fate) -> (&'static str, &'static str) {
    match fate {
        Fate::Sent => ("sent", "000"),
        Fate::Delivered => ("DELIVRD", "000"),
        Fate::Failed(Reason::Filtered) => ("REJECTD", "045"),
        Fate::Failed(_) | Fate::Blocked | Fate::Canceled => ("UNDELIV", "001"),
    }
}
