//! Secrets and people: what must never be printed, and the one way a recipient becomes publishable.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::event::{Recipient, short_hex};

/// A secret. It has no `Display`, and its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes a secret in.
    pub fn new(text: String) -> Self {
        Self(text.into())
    }

    /// Makes one: 32 random bytes, base64url.
    pub fn random() -> Self {
        Self::new(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
    }

    /// The secret itself, for the one computation that needs it; never for a message.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Compares in time that depends on lengths only.
    pub fn matches(&self, presented: &[u8]) -> bool {
        self.expose().as_bytes().ct_eq(presented).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// What is shown of people: `[privacy]`.
#[derive(Clone, Debug)]
pub struct Privacy {
    /// How recipients appear in events.
    pub recipients: Recipients,
    /// Whether replies' text is published.
    pub inbound_text: InboundText,
    /// What of an unreadable webhook is kept.
    pub dead_letters: DeadLetters,
}

/// How recipients appear in events.
#[derive(Clone, Debug)]
pub enum Recipients {
    /// As E.164.
    Clear,
    /// As `h:` and 32 hex digits of HMAC-SHA256 under this key.
    Hash(RecipientKey),
}

/// The key that recipients are hashed with, as the state HMAC makes of it: made once, since every receipt
/// needs it. Its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct RecipientKey(Option<hmac::Hmac<sha2::Sha256>>);

impl RecipientKey {
    /// Takes a key in. HMAC takes keys of any length, so this cannot fail.
    pub fn new(key: &Secret) -> Self {
        Self(hmac::Hmac::new_from_slice(key.expose().as_bytes()).ok())
    }

    /// 32 hex digits that stand for `text`.
    fn hash(&self, text: &str) -> String {
        let Some(mut mac) = self.0.clone() else { return String::new() };
        mac.update(text.as_bytes());
        short_hex(&mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for RecipientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Whether replies' text is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InboundText {
    /// Replies are events without text.
    Drop,
    /// Replies' text is part of the event.
    Keep,
}

/// What of an unreadable webhook is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadLetters {
    /// The body, configured secrets replaced.
    Body,
    /// Its digest.
    Digest,
}

impl Privacy {
    /// What events may carry of the recipient with this E.164 number.
    pub fn publish(&self, e164: &str) -> Recipient {
        match &self.recipients {
            Recipients::Clear => Recipient::published(e164.to_owned()),
            Recipients::Hash(key) => Recipient::published(["h:", &key.hash(e164)].concat()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_nothing_of_itself() {
        let secret = Secret::new("hunter2".into());
        assert_eq!(format!("{secret:?}"), "(secret)");
        assert!(secret.matches(b"hunter2") && !secret.matches(b"hunter3") && !secret.matches(b""));
    }

    #[test]
    fn a_hashed_recipient_is_stable_and_says_nothing() {
        let hash = |key: &str| Privacy {
            recipients: Recipients::Hash(RecipientKey::new(&Secret::new(key.into()))),
            inbound_text: InboundText::Drop,
            dead_letters: DeadLetters::Body,
        };
        let recipient = hash("k").publish("+15005550001");
        assert_eq!(recipient, hash("k").publish("+15005550001"));
        assert_ne!(recipient, hash("l").publish("+15005550001"));
        // RFC 2104 over SHA-256 by another hand: printf +15005550001 | openssl dgst -sha256 -hmac k
        assert_eq!(recipient.as_str(), "h:7822611dfac7871a6e236ffe6f9020c7");
        assert!(!format!("{:?}", hash("secretkey")).contains("secretkey"));
    }
}
