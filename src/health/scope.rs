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
        }
    }

    /// The number it is about, if it is about one.
    pub const fn number(&self) -> Option<&Number> {
        match self {
            Self::Number { number } | Self::Leg { number, .. } => Some(number),
            Self::Provider { .. } | Self::Connection { .. } | Self::List { .. } => None,
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
}

impl Kind {
    /// The name in events and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeliveryRate => "delivery_rate",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::story::number;

    fn scopes() -> [Scope; 5] {
        let (number, connection) = (number("+18005550100"), ConnectionId::parse("ib").unwrap());
        [
            Scope::Provider { provider: Provider::Infobip },
            Scope::Connection { connection: connection.clone() },
            Scope::List { list: ListId::parse("acme").unwrap() },
            Scope::Number { number: number.clone() },
            Scope::Leg { number, connection },
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
        assert_eq!(keys.len(), 5, "{keys:?}");
        assert!(keys.contains("+18005550100"));
    }
}
