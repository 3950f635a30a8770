//! The names things go by: connections, lists, numbers, recipients. Made only where they are proved.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A provider Sounder understands. A fifth one is a folder in `provider/` and a variant here.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the variants are the providers' names")]
pub enum Provider {
    Twilio,
    Infobip,
    Cm,
    Lime,
}

impl Provider {
    /// Every provider, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Twilio, Self::Infobip, Self::Cm, Self::Lime];

    /// The name in configuration, events and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Twilio => "twilio",
            Self::Infobip => "infobip",
            Self::Cm => "cm",
            Self::Lime => "lime",
        }
    }

    /// The name as the company writes it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Twilio => "Twilio",
            Self::Infobip => "Infobip",
            Self::Cm => "CM",
            Self::Lime => "Lime",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string"})
            }
        }
    };
}

name! {
    /// A connection's id: 1 to 64 of `a-z 0-9 - _`, as it stands in the webhook's URL.
    ConnectionId
}
name! {
    /// A sending list's id, with the alphabet of a connection's.
    ListId
}
name! {
    /// A sending number: `+` and 7–15 digits (E.164), a short code of 3–8 digits, or an
    /// alphanumeric sender of at most 11 characters.
    Number
}
name! {
    /// A recipient as events carry it: `h:` and 32 hex digits of a keyed hash, or E.164 in clear,
    /// as `[privacy]` says. Only `config::Privacy` makes one from a telephone number.
    Recipient
}

impl ConnectionId {
    /// Accepts an id of the documented alphabet.
    pub fn parse(text: &str) -> Option<Self> {
        is_id(text).then(|| Self(text.into()))
    }
}

impl ListId {
    /// Accepts an id of the documented alphabet.
    pub fn parse(text: &str) -> Option<Self> {
        is_id(text).then(|| Self(text.into()))
    }
}

impl Recipient {
    /// Wraps what `config::Privacy` made of a telephone number.
    pub(crate) fn published(text: String) -> Self {
        Self(text.into())
    }
}

impl Number {
    /// Reads a sending number in every form providers use: `+1 800…`, `0031…`, `1800…`, a short
    /// code, an alphanumeric sender; anything else is not a number.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(e164) = e164(text) {
            return Some(Self(e164.into()));
        }
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if digits {
            return (3..=8).contains(&text.len()).then(|| Self(text.into()));
        }
        let sender = (1..=11).contains(&text.chars().count())
            && text.chars().any(char::is_alphabetic)
            && text.chars().all(|c| c.is_alphanumeric() || " .-_&+/'".contains(c));
        sender.then(|| Self(text.into()))
    }

    /// True of `+…` numbers, false of short codes and alphanumeric senders.
    pub fn is_e164(&self) -> bool {
        self.0.starts_with('+')
    }
}

/// Reads a telephone number of at least 9 digits (7 after a `+`) as E.164: `+`, `00` or nothing
/// before the country code; spaces, dashes, dots and parentheses ignored.
pub fn e164(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.strip_prefix("whatsapp:").unwrap_or(text);
    let mut digits = String::with_capacity(16);
    digits.push('+');
    let plus = text.starts_with('+');
    for c in text.chars().skip(usize::from(plus)) {
        match c {
            '0'..='9' => digits.push(c),
            ' ' | '-' | '.' | '(' | ')' => {}
            _ => return None,
        }
    }
    let international = !plus && digits.starts_with("+00");
    if international {
        digits.replace_range(1..3, "");
    }
    let least = if plus || international { 7 } else { 9 };
    let length = digits.len() - 1;
    (least..=15).contains(&length).then_some(digits).filter(|d| !d.starts_with("+0"))
}

fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_every_form_seen() {
        for (written, read) in [
            ("+18005550100", Some("+18005550100")),
            ("18005550100", Some("+18005550100")),
            ("0018005550100", Some("+18005550100")),
            ("+1 (800) 555-0100", Some("+18005550100")),
            ("0031612345678", Some("+31612345678")),
            ("71441", Some("71441")),
            ("3669", Some("3669")),
            ("InfoSMS", Some("InfoSMS")),
            ("", None),
            ("+0123456789", None),
            ("<script>", None),
            ("12", None),
        ] {
            assert_eq!(Number::parse(written).as_ref().map(Number::as_str), read, "{written}");
        }
    }

    #[test]
    fn ids_keep_to_their_alphabet() {
        assert!(ConnectionId::parse("acme-twilio_1").is_some());
        for bad in ["", "Acme", "a b", "a/b", "é", &"x".repeat(65)] {
            assert!(ConnectionId::parse(bad).is_none(), "{bad}");
        }
    }
}
