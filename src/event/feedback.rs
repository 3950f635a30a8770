//! Feedback, registered sends and dead letters: what is neither a receipt nor consent.

use serde::{Deserialize, Serialize};

use super::consent::word;
use super::{ConnectionId, ListId, Number, Provider, Recipient};
use crate::clock::Timestamp;

/// A spam complaint, a carrier warning, a registration or suspension notice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Feedback {
    /// The provider that pushed it.
    pub provider: Provider,
    /// The connection its webhook came in on.
    pub connection: ConnectionId,
    /// What kind of notice it is.
    pub kind: FeedbackKind,
    /// How grave it is.
    pub severity: Severity,
    /// The number it is about, when it names one.
    pub number: Option<Number>,
    /// The campaign, brand or request it is about, as the provider calls it.
    pub subject: Option<String>,
    /// The provider's own word for the event.
    pub provider_event: String,
    /// The provider's code, when it gave one.
    pub code: Option<String>,
    /// One plain sentence, fit for a person.
    pub text: String,
    /// When it happened, if the provider says.
    pub occurred_at: Option<Timestamp>,
    /// When it was received.
    pub received_at: Timestamp,
}

word! {
    /// What kind of notice it is.
    FeedbackKind {
        /// A recipient complained.
        Complaint = "complaint",
        /// A carrier warned.
        CarrierWarning = "carrier_warning",
        /// A brand, campaign or number moved in its registration.
        Registration = "registration",
        /// A number or campaign was suspended.
        Suspension = "suspension",
        /// The account has a problem.
        Account = "account",
    }
}
word! {
    /// How grave a notice is.
    Severity {
        /// For the record.
        Info = "info",
        /// Somebody should look.
        Warning = "warning",
        /// A complaint.
        Complaint = "complaint",
        /// A rule was broken; carriers fine these.
        Violation = "violation",
        /// The number or campaign is stopped.
        Suspension = "suspension",
    }
}

/// A send somebody registered, so that its receipts have a denominator and a sender.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Send {
    /// The provider it was sent through.
    pub provider: Provider,
    /// The connection its receipts will come in on.
    pub connection: ConnectionId,
    /// The id its receipts will carry (Twilio, Infobip).
    pub message_id: Option<String>,
    /// The reference its receipts will carry (CM, Lime).
    pub reference: Option<String>,
    /// The sending number.
    pub number: Number,
    /// The sending list.
    pub list: Option<ListId>,
    /// Who it was for.
    pub recipient: Option<Recipient>,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// When the registration was received.
    pub received_at: Timestamp,
}

/// A verified webhook, or an item of one, that nobody could read: kept, with the reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DeadLetter {
    /// The provider it came from.
    pub provider: Provider,
    /// The connection it came in on.
    pub connection: ConnectionId,
    /// Why it could not be read, and what would have been.
    pub reason: String,
    /// The request's method.
    pub method: String,
    /// The request's content type.
    pub content_type: Option<String>,
    /// The item or body, as text, configured secrets replaced; absent with `dead_letters = "digest"`.
    pub body: Option<String>,
    /// SHA-256 of the item or body as it came, in hex.
    pub digest: String,
    /// When the webhook's last byte was read.
    pub received_at: Timestamp,
}
