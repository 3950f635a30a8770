//! A receipt: what a provider says about one message at one moment.

use serde::{Deserialize, Serialize};

use super::{ConnectionId, ListId, Number, Provider, Recipient};
use crate::clock::Timestamp;

/// What a provider says about one message at one moment (a DLR), in every provider's words at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Receipt {
    /// The provider that reported.
    pub provider: Provider,
    /// The connection its webhook came in on.
    pub connection: ConnectionId,
    /// The provider's id of the message; CM and (by default) Lime have none.
    pub message_id: Option<String>,
    /// The sender's own reference, where the provider echoes one.
    pub reference: Option<String>,
    /// The sending number, where the receipt or the connection names it.
    pub number: Option<Number>,
    /// The sending list the number is on.
    pub list: Option<ListId>,
    /// Who the message was for, as `[privacy]` allows it to be shown.
    pub recipient: Option<Recipient>,
    /// The recipient's country, ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// The recipient's network: an MCC and MNC, or an operator's name.
    pub network: Option<String>,
    /// What happened to the message.
    pub state: State,
    /// Whether the provider will not report another state.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// Why it was not delivered; present exactly when `state` is `failed` or `blocked`.
    pub failure: Option<Failure>,
    /// The provider's own word for the state.
    pub provider_status: String,
    /// Parts the message was sent in.
    pub segments: Option<u32>,
    /// What the provider charges for it.
    pub price: Option<Price>,
    /// When the message was sent, if the provider says.
    pub sent_at: Option<Timestamp>,
    /// When the state was reached, if the provider says.
    pub occurred_at: Option<Timestamp>,
    /// When the webhook's last byte was read.
    pub received_at: Timestamp,
}

/// What happened to a message.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// A word this version does not know; the provider's own is in `provider_status`.
    Unknown,
    /// The provider has it.
    Accepted,
    /// The operator has it.
    Sent,
    /// The handset has it.
    Delivered,
    /// Withdrawn before it was sent; in neither side of the rate.
    Canceled,
    /// Refused because the recipient had opted out; in neither side of the rate.
    Blocked,
    /// It will not be delivered.
    Failed,
}

impl State {
    /// The name in events and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Accepted => "accepted",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Canceled => "canceled",
            Self::Blocked => "blocked",
            Self::Failed => "failed",
        }
    }

    /// True of states after which nothing else is expected.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Delivered | Self::Canceled | Self::Blocked | Self::Failed)
    }
}

/// Why a message was not delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Failure {
    /// The kind of failure, the same across providers.
    pub class: FailureClass,
    /// The provider's code, as it wrote it; empty when it gave none.
    pub code: String,
    /// One plain sentence about the code, fit for a person.
    pub text: String,
    /// Whose the failure is.
    pub blames: Blames,
}

/// The kind of a failure. The order is the order in which two simultaneous reports are compared:
/// the earlier listed wins.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The number does not exist, or cannot receive SMS.
    InvalidRecipient,
    /// Off, out of range, barred or full.
    Unreachable,
    /// An operator or the provider judged it to be spam or forbidden content.
    CarrierFiltered,
    /// The recipient had opted out.
    OptedOut,
    /// Campaign, brand, short code or toll-free number is not registered.
    SenderUnregistered,
    /// Sent faster than a limit allows.
    Throttled,
    /// Balance, suspension, credentials: the account, not the number.
    Account,
    /// Malformed, too long, not allowed in form.
    Content,
    /// The provider or an operator failed.
    ProviderError,
    /// Not delivered within its validity.
    Expired,
    /// No reason that this version knows.
    Unknown,
}

impl FailureClass {
    /// Every class, in order.
    pub const ALL: [Self; 11] = [
        Self::InvalidRecipient,
        Self::Unreachable,
        Self::CarrierFiltered,
        Self::OptedOut,
        Self::SenderUnregistered,
        Self::Throttled,
        Self::Account,
        Self::Content,
        Self::ProviderError,
        Self::Expired,
        Self::Unknown,
    ];

    /// The name in events and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidRecipient => "invalid_recipient",
            Self::Unreachable => "unreachable",
            Self::CarrierFiltered => "carrier_filtered",
            Self::OptedOut => "opted_out",
            Self::SenderUnregistered => "sender_unregistered",
            Self::Throttled => "throttled",
            Self::Account => "account",
            Self::Content => "content",
            Self::ProviderError => "provider_error",
            Self::Expired => "expired",
            Self::Unknown => "unknown",
        }
    }
}

/// Whose a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Blames {
    /// The sending number, its registration or its reputation.
    Number,
    /// The recipient or the handset: the list's hygiene.
    Recipient,
    /// The account with the provider.
    Account,
    /// What was written.
    Content,
    /// The provider or an operator.
    Provider,
}

impl Blames {
    /// As written in events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Recipient => "recipient",
            Self::Account => "account",
            Self::Content => "content",
            Self::Provider => "provider",
        }
    }
}

/// What a message costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Price {
    /// Amount per message, in `currency`.
    pub amount: f64,
    /// ISO 4217.
    pub currency: String,
}
