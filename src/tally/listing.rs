//! A record of consent or feedback in, which names belong on which rolls out. Pure.
//!
//! Must never name a recipient: a roll holds digests.

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::event::{
    Action, Confidence, ConnectionId, Evidence, Feedback, FeedbackKind, ListId, Number, Recipient, Record,
};

use super::roll::{Entry, Notice, RollKey, RollKind, Subject};

/// The fields of a consent event that are counted by.
#[derive(Deserialize)]
struct ConsentSays {
    connection: ConnectionId,
    action: Action,
    evidence: Evidence,
    confidence: Confidence,
    number: Option<Number>,
    list: Option<ListId>,
    recipient: Recipient,
    occurred_at: Option<Timestamp>,
}

/// Who opted out of what, if anybody did; `None` when nobody can read it. A send that was refused
/// because its recipient had opted out says nothing new.
pub(super) fn of_consent(record: &Record) -> Option<Vec<Entry>> {
    let says: ConsentSays = serde_json::from_slice(&record.value).ok()?;
    if says.action != Action::OptOut || says.evidence == Evidence::SendRejected {
        return Some(Vec::new());
    }
    let kind = match says.confidence {
        Confidence::Certain => RollKind::OptOuts,
        Confidence::Likely => RollKind::LikelyOptOuts,
    };
    let subject = match (says.number, says.list) {
        (Some(number), _) => Subject::Number(number),
        (None, Some(list)) => Subject::List(list),
        (None, None) => Subject::Connection(says.connection),
    };
    let roll = RollKey { kind, subject };
    let at = moment(says.occurred_at, record);
    Some(vec![Entry { roll, name: digest(says.recipient.as_str()), at, notice: None }])
}

/// What was told of a number, a campaign or an account; `None` when nobody can read it.
pub(super) fn of_feedback(record: &Record) -> Option<Vec<Entry>> {
    let says: Feedback = serde_json::from_slice(&record.value).ok()?;
    let (name, at) = (digest(&record.id), moment(says.occurred_at, record));
    let connection = Subject::Connection(says.connection.clone());
    let complaint = (says.kind == FeedbackKind::Complaint).then(|| Entry {
        roll: RollKey {
            kind: RollKind::Complaints,
            subject: says.number.clone().map_or_else(|| connection.clone(), Subject::Number),
        },
        name,
        at,
        notice: None,
    });
    let roll = RollKey { kind: RollKind::Notices(says.kind), subject: connection };
    let notice = Notice {
        at,
        kind: says.kind,
        severity: says.severity,
        provider: says.provider,
        connection: says.connection,
        number: says.number,
        subject: says.subject,
        event: says.provider_event,
        code: says.code,
        text: says.text,
    };
    Some(complaint.into_iter().chain([Entry { roll, name, at, notice: Some(notice) }]).collect())
}

/// When it happened; nothing happens after it was received.
fn moment(occurred_at: Option<Timestamp>, record: &Record) -> Timestamp {
    occurred_at.unwrap_or(record.time).min(record.time)
}

fn digest(text: &str) -> [u8; 8] {
    let mut short = [0; 8];
    short.copy_from_slice(&Sha256::digest(text)[..8]);
    short
}
