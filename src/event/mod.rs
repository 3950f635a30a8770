//! The nouns that travel: what a webhook becomes, and what the stream holds.

mod name;
mod receipt;
mod consent;
mod feedback;
mod record;

use serde::Serialize;
use sha2::{Digest, Sha256};

pub use consent::{Action, Confidence, Consent, Evidence, Inbound, Scope};
pub use feedback::{DeadLetter, Feedback, FeedbackKind, Send, Severity};
pub use name::{ConnectionId, ListId, Number, Provider, Recipient, e164};
pub use receipt::{Blames, Failure, FailureClass, Price, Receipt, State};
pub use record::Record;

/// One thing that happened, with what makes it the same thing when it is told again.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// `ce_id`: equal for a provider's retry of the same news.
    pub id: EventId,
    /// What happened.
    pub body: Body,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// A provider's word on a message.
    Receipt(Receipt),
    /// A recipient's withdrawal or return.
    Consent(Consent),
    /// Another reply.
    Inbound(Inbound),
    /// A complaint, a warning, a registration notice.
    Feedback(Feedback),
    /// A registered send.
    Send(Send),
    /// Something verified that nobody could read.
    DeadLetter(DeadLetter),
}

/// A deterministic event id: 32 hex digits of a SHA-256 over what identifies the news.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventId(String);

impl EventId {
    /// Digests the parts that make the news what it is; a part's end is unambiguous.
    pub fn of(connection: &ConnectionId, parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        hash.update(connection.as_str());
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(short_hex(&hash.finalize().into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The first 16 bytes of a digest as hex, written into its place: `hex::encode` pushes digit by digit.
pub(crate) fn short_hex(digest: &[u8; 32]) -> String {
    let mut text = [0; 32];
    match hex::encode_to_slice(&digest[..16], &mut text) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        // Two digits a byte always fit.
        Err(_) => hex::encode(&digest[..16]),
    }
}

/// A topic of the stream. The configured prefix and the version are added where it is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the variants are the topics' names")]
pub enum Topic {
    Receipts,
    Consent,
    Inbound,
    Feedback,
    Sends,
    Incidents,
    Numbers,
    Receivers,
    DeadLetter,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 9] = [
        Self::Receipts,
        Self::Consent,
        Self::Inbound,
        Self::Feedback,
        Self::Sends,
        Self::Incidents,
        Self::Numbers,
        Self::Receivers,
        Self::DeadLetter,
    ];

    /// The name without prefix: `receipts.v1`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Receipts => "receipts.v1",
            Self::Consent => "consent.v1",
            Self::Inbound => "inbound.v1",
            Self::Feedback => "feedback.v1",
            Self::Sends => "sends.v1",
            Self::Incidents => "incidents.v1",
            Self::Numbers => "numbers.v1",
            Self::Receivers => "receivers.v1",
            Self::DeadLetter => "deadletter.v1",
        }
    }

    /// `ce_type` of its events.
    pub const fn event_type(self) -> &'static str {
        match self {
            Self::Receipts => "sms.receipt.v1",
            Self::Consent => "sms.consent.v1",
            Self::Inbound => "sms.inbound.v1",
            Self::Feedback => "sms.feedback.v1",
            Self::Sends => "sms.send.v1",
            Self::Incidents => "sms.incident.v1",
            Self::Numbers => "sms.number.v1",
            Self::Receivers => "sms.receiver.v1",
            Self::DeadLetter => "sms.deadletter.v1",
        }
    }

    /// Kept by newest value of each key rather than by time.
    pub const fn is_compacted(self) -> bool {
        matches!(self, Self::Consent | Self::Incidents | Self::Numbers | Self::Receivers)
    }

    /// The number that stands for it on disk; never reused.
    pub const fn number(self) -> u8 {
        match self {
            Self::Receipts => 1,
            Self::Consent => 2,
            Self::Inbound => 3,
            Self::Feedback => 4,
            Self::Sends => 5,
            Self::Incidents => 6,
            Self::Numbers => 7,
            Self::Receivers => 8,
            Self::DeadLetter => 9,
        }
    }

    /// The topic a number on disk stands for.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.number() == number)
    }
}

impl Event {
    /// Whose it is.
    pub const fn connection(&self) -> &ConnectionId {
        match &self.body {
            Body::Receipt(e) => &e.connection,
            Body::Consent(e) => &e.connection,
            Body::Inbound(e) => &e.connection,
            Body::Feedback(e) => &e.connection,
            Body::Send(e) => &e.connection,
            Body::DeadLetter(e) => &e.connection,
        }
    }

    /// Where it goes.
    pub const fn topic(&self) -> Topic {
        match self.body {
            Body::Receipt(_) => Topic::Receipts,
            Body::Consent(_) => Topic::Consent,
            Body::Inbound(_) => Topic::Inbound,
            Body::Feedback(_) => Topic::Feedback,
            Body::Send(_) => Topic::Sends,
            Body::DeadLetter(_) => Topic::DeadLetter,
        }
    }

    /// The event as the stream will hold it.
    pub fn record(&self, traceparent: Option<&str>) -> Record {
        let (connection, received_at, key, value) = match &self.body {
            Body::Receipt(e) => (&e.connection, e.received_at, e.identity().0, json(e)),
            Body::Consent(e) => (
                &e.connection,
                e.received_at,
                format!("{}:{}|{}", e.scope.name(), e.scope_id, e.recipient),
                json(e),
            ),
            Body::Inbound(e) => (&e.connection, e.received_at, e.connection.to_string(), json(e)),
            Body::Feedback(e) => (&e.connection, e.received_at, e.connection.to_string(), json(e)),
            Body::Send(e) => (&e.connection, e.received_at, e.identity().0, json(e)),
            Body::DeadLetter(e) => (&e.connection, e.received_at, e.connection.to_string(), json(e)),
        };
        Record {
            topic: self.topic(),
            key,
            id: self.id.0.clone(),
            source: ["/connections/", connection.as_str()].concat(),
            time: received_at,
            traceparent: traceparent.map(str::to_owned),
            value,
        }
    }
}

/// A message's identity: what all of its receipts have in common (`connection:message_id`, or
/// `connection:reference:digest of the recipient` where the provider has no message id).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity(String);

impl Identity {
    fn new(
        connection: &ConnectionId,
        message_id: Option<&str>,
        reference: Option<&str>,
        recipient: Option<&Recipient>,
    ) -> Self {
        match message_id {
            Some(id) => Self([connection.as_str(), ":", id].concat()),
            None => {
                let digest = Sha256::digest(recipient.map_or("", Recipient::as_str));
                Self(format!("{connection}:{}:{}", reference.unwrap_or_default(), hex::encode(&digest[..8])))
            }
        }
    }

    /// The identity as text: the key of its events.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// 16 bytes that stand for the identity wherever it is stored.
    pub fn digest(&self) -> [u8; 16] {
        Self::digest_of_key(&self.0)
    }

    /// The same, from the key of a receipt's or a send's record, which is the identity as text.
    pub fn digest_of_key(key: &str) -> [u8; 16] {
        let mut short = [0; 16];
        short.copy_from_slice(&Sha256::digest(key)[..16]);
        short
    }
}

impl Receipt {
    /// The identity of the message this receipt is about.
    pub fn identity(&self) -> Identity {
        let (id, reference) = (self.message_id.as_deref(), self.reference.as_deref());
        Identity::new(&self.connection, id, reference, self.recipient.as_ref())
    }
}

impl Send {
    /// The identity of the message this send made.
    pub fn identity(&self) -> Identity {
        let (id, reference) = (self.message_id.as_deref(), self.reference.as_deref());
        Identity::new(&self.connection, id, reference, self.recipient.as_ref())
    }
}

/// Events are maps with string keys and finite numbers, so they always have a JSON form.
fn json<T: Serialize>(event: &T) -> bytes::Bytes {
    // A receipt has some 500 bytes: written without growing, and without room to spare.
    let mut text = Vec::with_capacity(JSON_BYTES);
    if serde_json::to_writer(&mut text, event).is_err() {
        text.clear();
    }
    text.into()
}

/// Room for a receipt as JSON.
const JSON_BYTES: usize = 640;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_an_event_id_do_not_run_into_each_other() {
        let connection = ConnectionId::parse("a").unwrap();
        assert_ne!(EventId::of(&connection, &["ab", "c"]), EventId::of(&connection, &["a", "bc"]));
        assert_eq!(EventId::of(&connection, &["ab"]), EventId::of(&connection, &["ab"]));
    }

    #[test]
    fn every_topic_survives_its_number() {
        for topic in Topic::ALL {
            assert_eq!(Topic::from_number(topic.number()), Some(topic));
        }
    }
}
