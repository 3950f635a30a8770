//! Consent: a recipient's withdrawal or return, and the other replies.

use serde::{Deserialize, Serialize};

use super::{ConnectionId, ListId, Number, Provider, Recipient};
use crate::clock::Timestamp;

/// A recipient withdrew, returned or asked for help, with the evidence for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Consent {
    /// The provider that pushed it.
    pub provider: Provider,
    /// The connection its webhook came in on.
    pub connection: ConnectionId,
    /// What the recipient wants.
    pub action: Action,
    /// How it is known.
    pub evidence: Evidence,
    /// `likely` where a person might read it otherwise.
    pub confidence: Confidence,
    /// The word that said it, as listed, never the message's text.
    pub keyword: Option<String>,
    /// What it holds for.
    pub scope: Scope,
    /// The id of that scope: a number, a messaging service, a list or the connection.
    pub scope_id: String,
    /// The sending number the reply was sent to.
    pub number: Option<Number>,
    /// The sending list the number is on.
    pub list: Option<ListId>,
    /// Who said it.
    pub recipient: Recipient,
    /// The provider's id of the reply, or of the refused message.
    pub message_id: Option<String>,
    /// When it was said, if the provider says.
    pub occurred_at: Option<Timestamp>,
    /// When the webhook's last byte was read.
    pub received_at: Timestamp,
}

macro_rules! word {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
        )]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant),+
        }

        impl $name {
            /// The word in events and metrics.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}
pub(super) use word;

word! {
    /// What a recipient wants.
    Action {
        /// No more messages.
        OptOut = "opt_out",
        /// Messages again.
        OptIn = "opt_in",
        /// Information.
        Help = "help",
    }
}
word! {
    /// How an opt-out or opt-in is known, strongest first.
    Evidence {
        /// The provider said so itself.
        ProviderFlag = "provider_flag",
        /// A whole message that is a keyword.
        Keyword = "keyword",
        /// A misspelt or disguised keyword.
        Variant = "variant",
        /// A sentence that asks for it.
        Phrase = "phrase",
        /// The provider's blocklist changed.
        Blocklist = "blocklist",
        /// The provider's list changed.
        ListPush = "list_push",
        /// A send was refused because the recipient had opted out.
        SendRejected = "send_rejected",
        /// A person recorded it.
        Manual = "manual",
    }
}
word! {
    /// How sure it is.
    Confidence {
        /// Beyond doubt.
        Certain = "certain",
        /// A person might read it otherwise.
        Likely = "likely",
    }
}
word! {
    /// What an opt-out holds for.
    Scope {
        /// One sending number.
        Number = "number",
        /// A provider's messaging service.
        Service = "service",
        /// One list.
        List = "list",
        /// The whole account.
        Account = "account",
    }
}

/// A reply that is neither an opt-out nor an opt-in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Inbound {
    /// The provider that pushed it.
    pub provider: Provider,
    /// The connection its webhook came in on.
    pub connection: ConnectionId,
    /// The provider's id of the reply.
    pub message_id: Option<String>,
    /// The sending number it was sent to.
    pub number: Option<Number>,
    /// The sending list the number is on.
    pub list: Option<ListId>,
    /// Who replied.
    pub recipient: Option<Recipient>,
    /// The reply itself, only with `inbound_text = "keep"`.
    pub text: Option<String>,
    /// When it was said, if the provider says.
    pub occurred_at: Option<Timestamp>,
    /// When the webhook's last byte was read.
    pub received_at: Timestamp,
}
