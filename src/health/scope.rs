//! What an incident is about: what kind of thing went wrong, and where. Pure; kept as JSON.

use serde::{Deserialize, Serialize};

use crate::event::{ConnectionId, ListId, Number, Provider};

/// Where something went wrong. As JSON its fields stand beside `"scope": "number"` and the like.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "scope", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub enum Scope {
    /// A whole provider, whatever number it sends for.
    Provider { provider: Provider },
    /// A connection: its account, or its webhook.
    Connection { connection: ConnectionId },
    /// A sending list.
    List { list: ListId },
    /// A sending number.
    Number { number: Number },
    /// A sending number on one connection.
    Leg { number: Number, connection: ConnectionId },
    /// What Sounder itself has counted.
    State {},
}

impl Scope {
    /// The name in events and the API.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Provider { .. } => "provider",
            Self::Connection { .. } => "connection",
            Self::List { .. } => "list",
            Self::Number { .. } => "number",
            Self::Leg { .. } => "leg",
            Self::State {} => "state",
        }
    }

    /// The number it is about, if it is about one.
    pub const fn number(&self) -> Option<&Number> {
        match self {
            Self::Number { number } | Self::Leg { number, .. } => Some(number),
            Self::Provider { .. } | Self::Connection { .. } | Self::List { .. } | Self::State {} => None,
        }
    }

    /// What it is kept under: a number by itself, anything else behind its kind's name.
    pub fn key(&self) -> String {
        match self {
            Self::Number { number } => number.to_string(),
            Self::Leg { number, connection } => format!("leg:{number}:{connection}"),
            Self::Provider { provider } => format!("provider:{}", provider.name()),
            Self::Connection { connection } => format!("connection:{connection}"),
            Self::List { list } => format!("list:{list}"),
            Self::State {} => "state".to_owned(),
        }
    }
}

impl From<Number> for Scope {
    fn from(number: Number) -> Self {
        Self::Number { number }
    }
}

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The delivery rate.
    DeliveryRate,
    /// Carriers filter messages.
    CarrierFiltered,
    /// A list holds contacts that cannot be reached.
    BadContacts,
    /// Messages without a final receipt.
    Unreported,
    /// No receipt of any kind: a broken webhook.
    Silence,
    /// The provider account: balance, suspension, credentials.
    Account,
    /// Recipients who opted out.
    OptOuts,
    /// Recipients who complained.
    Complaints,
    /// Messages that are delivered too late.
    SlowDelivery,
    /// What a carrier or a registry told.
    Registry,
    /// Sounder's state was lost, and is counted again.
    StateLost,
}

impl Kind {
    /// The name in events and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeliveryRate => "delivery_rate",
            Self::CarrierFiltered => "carrier_filtered",
            Self::BadContacts => "bad_contacts",
            Self::Unreported => "unreported",
            Self::Silence => "silence",
            Self::Account => "account",
            Self::OptOuts => "opt_outs",
            Self::Complaints => "complaints",
            Self::SlowDelivery => "slow_delivery",
            Self::Registry => "registry",
            Self::StateLost => "state_lost",
        }
    }

    /// The name as people read it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::DeliveryRate => "delivery rate",
            Self::CarrierFiltered => "filtered by carriers",
            Self::BadContacts => "bad contacts",
            Self::Unreported => "no final receipts",
            Self::Silence => "no receipts at all",
            Self::Account => "provider account",
            Self::OptOuts => "opt-outs",
            Self::Complaints => "complaints",
            Self::SlowDelivery => "slow delivery",
            Self::Registry => "carrier or registry notice",
            Self::StateLost => "state lost",
        }
    }

    /// True of what an outage of the provider explains.
    pub(super) const fn is_of_delivery(self) -> bool {
        matches!(self, Self::DeliveryRate | Self::CarrierFiltered | Self::Unreported | Self::SlowDelivery)
    }

    /// What to do about it; none for the rate, whose failures say it.
    pub const fn advice(self) -> Option<&'static str> {
        match self {
            Self::DeliveryRate => None,
            Self::CarrierFiltered => {
                Some("Pause campaigns on this number; check content, links, registration and opt-in proof.")
            }
            Self::BadContacts => Some("Clean the list: its contacts fail, not the numbers that send to it."),
            Self::Unreported => Some("See the provider's status page; compare with its own delivery report."),
            Self::Silence => Some(
                "Check the webhook's URL and secret at the provider, and whether its calls reach Sounder.                  What is shown of its numbers is not known to be so.",
            ),
            Self::Account => Some("Check the provider account's balance, status and credentials."),
            Self::OptOuts => {
                Some("Pause the list; check what was sent, how often, and whether people asked for it.")
            }
            Self::Complaints => {
                Some("Stop sending to who complained; check opt-in proof and content before the next send.")
            }
            Self::SlowDelivery => Some("Look for queues at the provider, and for sends above a rate limit."),
            Self::Registry => {
                Some("Answer the notice; set the number's status to suspended if it may not send.")
            }
            Self::StateLost => Some(
                "Wait: alerts go on once everything is counted again. If nobody restarted or emptied the store \
                 on purpose, find out who did; Redis needs persistence (AOF).",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::story::number;

    fn scopes() -> [Scope; 6] {
        let (number, connection) = (number("+18005550100"), ConnectionId::parse("ib").unwrap());
        [
            Scope::Provider { provider: Provider::Infobip },
            Scope::Connection { connection: connection.clone() },
            Scope::List { list: ListId::parse("acme").unwrap() },
            Scope::Number { number: number.clone() },
            Scope::Leg { number, connection },
            Scope::State {},
        ]
    }

    #[test]
    fn every_scope_survives_being_written_down_beside_other_fields() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Beside {
            id: u8,
            #[serde(flatten)]
            scope: Scope,
        }
        for scope in scopes() {
            let name = scope.name();
            let written = serde_json::to_value(Beside { id: 1, scope }).unwrap();
            assert_eq!(written["scope"], name);
            let read: Beside = serde_json::from_value(written.clone()).unwrap();
            assert_eq!(serde_json::to_value(read).unwrap(), written);
        }
    }

    #[test]
    fn no_two_scopes_are_kept_under_one_key() {
        let keys: std::collections::BTreeSet<_> = scopes().iter().map(Scope::key).collect();
        assert_eq!(keys.len(), 6, "{keys:?}");
        assert!(keys.contains("+18005550100"));
    }
}
