//! What every provider's `payload` needs to make events: the webhook, and what is known of the
//! world. A recipient's number goes in, and leaves only as `[privacy]` allows.

use sha2::{Digest as _, Sha256};

use super::country;
use super::keyword::classify;
use crate::clock::Timestamp;
use crate::config::{Auth, Connection, DeadLetters, InboundText, Keywords, Secret};
use crate::event::{
    Action, Body, Confidence, Consent, DeadLetter, Event, EventId, Evidence, Failure, Inbound, ListId,
    Number, Price, Receipt, Recipient, Scope, State, e164,
};
use crate::receive::Verified;
use crate::registry::Registry;

/// Most of a dead letter's body that is kept.
const DEAD_LETTER_BYTES_MAX: usize = 64 * 1024;

/// A proved webhook, and what is known of the world while it is read.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The webhook.
    pub webhook: &'a Verified,
    /// What is known of connections, lists and numbers.
    pub registry: &'a Registry,
}

/// A reply as its provider tells it.
#[derive(Clone, Debug, Default)]
pub struct Said<'a> {
    /// What makes it the same reply when it is told again.
    pub id: &'a [&'a str],
    /// The provider's id of the reply.
    pub message_id: Option<&'a str>,
    /// Who said it: a telephone number in any of the providers' forms.
    pub from: &'a str,
    /// The sending number it was sent to, when the provider says.
    pub to: Option<&'a str>,
    /// What was said.
    pub text: &'a str,
    /// What the provider itself makes of it; wins over the words.
    pub flag: Option<Action>,
    /// What an opt-out holds for, where it is not the sending number.
    pub scope: Option<(Scope, String)>,
    /// When it was said, if the provider says.
    pub occurred_at: Option<Timestamp>,
    /// The item as it came, kept if it cannot be read.
    pub item: &'a [u8],
}

/// A receipt as its provider tells it, before the context adds what it knows.
#[derive(Clone, Debug)]
pub struct Reported<'a> {
    /// The provider's id of the message.
    pub message_id: Option<&'a str>,
    /// The sender's own reference.
    pub reference: Option<String>,
    /// The sending number, once the provider's way of naming it is followed.
    pub number: Option<Number>,
    /// Who it was for: a telephone number in any of the providers' forms.
    pub to: Option<&'a str>,
    /// The recipient's network.
    pub network: Option<String>,
    /// What happened, and why where that is a failure.
    pub outcome: (State, Option<Failure>),
    /// The provider's own word for it.
    pub provider_status: String,
    /// Parts the message was sent in.
    pub segments: Option<u32>,
    /// What it costs.
    pub price: Option<Price>,
    /// When it was sent, if the provider says.
    pub sent_at: Option<Timestamp>,
    /// When that happened, if the provider says.
    pub occurred_at: Option<Timestamp>,
}

/// A withdrawal or return, before the context adds what it knows.
#[derive(Clone, Debug)]
pub struct Will<'a> {
    /// What makes it the same news when it is told again.
    pub id: &'a [&'a str],
    /// What the recipient wants.
    pub action: Action,
    /// How it is known.
    pub evidence: Evidence,
    /// How sure it is.
    pub confidence: Confidence,
    /// The listed word that said it.
    pub keyword: Option<&'a str>,
    /// What it holds for, where it is not the sending number.
    pub scope: Option<(Scope, String)>,
    /// The sending number, when it is known.
    pub number: Option<Number>,
    /// Who wants it.
    pub recipient: Recipient,
    /// The provider's id of the reply, or of the refused message.
    pub message_id: Option<&'a str>,
    /// When it was said, if the provider says.
    pub occurred_at: Option<Timestamp>,
}

impl<'a> Context<'a> {
    /// Reads `webhook` in the light of `registry`.
    pub const fn new(webhook: &'a Verified, registry: &'a Registry) -> Self {
        Self { webhook, registry }
    }

    /// The connection the webhook was proved for.
    pub fn connection(&self) -> &'a Connection {
        self.webhook.connection()
    }

    /// The body's bytes.
    pub fn body(&self) -> &'a [u8] {
        self.webhook.body()
    }

    /// When the webhook's last byte was read.
    pub fn received_at(&self) -> Timestamp {
        self.webhook.received_at()
    }

    /// A recipient as events may show it, and the country its number belongs to.
    pub fn recipient(&self, text: &str) -> Option<(Recipient, Option<String>)> {
        let number = e164(text)?;
        Some((self.registry.privacy.publish(&number), country::of(&number).map(str::to_owned)))
    }

    /// The sending number: the one the provider names, else the connection's own.
    pub fn sender(&self, text: Option<&str>) -> Option<Number> {
        text.and_then(Number::parse).or_else(|| self.connection().number.clone())
    }

    /// The sending number of a receipt that may name none: the one it names, else the one its
    /// reference's prefix stands for, else the connection's own.
    pub fn sender_by(&self, text: Option<&str>, reference: &str) -> Option<Number> {
        let named = text.and_then(Number::parse);
        let by_prefix = || {
            let prefixes = &self.connection().reference_prefix;
            prefixes
                .iter()
                .find(|(prefix, _)| reference.starts_with(prefix))
                .map(|(_, number)| number.clone())
        };
        named.or_else(by_prefix).or_else(|| self.connection().number.clone())
    }

    /// The list a sending number is on.
    pub fn list_of(&self, number: &Option<Number>) -> Option<ListId> {
        number.as_ref().and_then(|number| self.registry.list_of(number)).cloned()
    }

    /// An event whose identity is the connection's and `parts`.
    pub fn event(&self, parts: &[&str], body: Body) -> Event {
        Event { id: EventId::of(&self.connection().id, parts), body }
    }

    /// A reply's text, where `[privacy]` lets it be kept.
    pub fn reply_text(&self, text: &str) -> Option<String> {
        (self.registry.privacy.inbound_text == InboundText::Keep).then(|| text.to_owned())
    }

    /// Keeps what nobody could read. `reason` says why and what would have been readable; it holds
    /// nothing of the item, which may name people.
    pub fn dead_letter(&self, reason: impl Into<String>, item: &[u8]) -> Event {
        let digest = hex::encode(Sha256::digest(item));
        let keep = self.registry.privacy.dead_letters == DeadLetters::Body;
        let letter = DeadLetter {
            provider: self.connection().provider,
            connection: self.connection().id.clone(),
            reason: reason.into(),
            method: self.webhook.method().to_string(),
            content_type: self.webhook.header("content-type").map(str::to_owned),
            body: keep.then(|| without_secrets(item, &self.connection().auth)),
            digest: digest.clone(),
            received_at: self.received_at(),
        };
        self.event(&["dead", &digest], Body::DeadLetter(letter))
    }

    /// A reply as an event: what its provider flags or its words say is consent, the rest is inbound.
    pub fn said(&self, said: &Said<'_>) -> Event {
        let number = self.sender(said.to);
        let recipient = self.recipient(said.from).map(|(recipient, _)| recipient);
        let Some((action, evidence, confidence, keyword)) = meaning(said, &self.registry.keywords) else {
            return self.event(said.id, Body::Inbound(self.inbound(said, number, recipient)));
        };
        let Some(recipient) = recipient else {
            return self.dead_letter("an opt-out or opt-in whose sender is no telephone number", said.item);
        };
        self.consent(Will {
            id: said.id,
            action,
            evidence,
            confidence,
            keyword,
            scope: said.scope.clone(),
            number,
            recipient,
            message_id: said.message_id,
            occurred_at: said.occurred_at,
        })
    }

    /// A withdrawal or return as an event. Without a scope or a number it holds for the account.
    pub fn consent(&self, will: Will<'_>) -> Event {
        let (scope, scope_id) = match (will.scope, &will.number) {
            (Some(scope), _) => scope,
            (None, Some(number)) => (Scope::Number, number.to_string()),
            (None, None) => (Scope::Account, self.connection().id.to_string()),
        };
        let consent = Consent {
            provider: self.connection().provider,
            connection: self.connection().id.clone(),
            action: will.action,
            evidence: will.evidence,
            confidence: will.confidence,
            keyword: will.keyword.map(str::to_owned),
            scope,
            scope_id,
            list: self.list_of(&will.number),
            number: will.number,
            recipient: will.recipient,
            message_id: will.message_id.map(str::to_owned),
            occurred_at: will.occurred_at,
            received_at: self.received_at(),
        };
        self.event(will.id, Body::Consent(consent))
    }

    /// A receipt; it is final where its state lets no other follow.
    pub fn receipt(&self, told: Reported<'_>) -> Receipt {
        let (recipient, country) = told.to.and_then(|to| self.recipient(to)).unzip();
        let (state, failure) = told.outcome;
        Receipt {
            provider: self.connection().provider,
            connection: self.connection().id.clone(),
            message_id: told.message_id.map(str::to_owned),
            reference: told.reference,
            list: self.list_of(&told.number),
            number: told.number,
            recipient,
            country: country.flatten(),
            network: told.network,
            state,
            is_final: state.is_terminal(),
            failure,
            provider_status: told.provider_status,
            segments: told.segments,
            price: told.price,
            sent_at: told.sent_at,
            occurred_at: told.occurred_at,
            received_at: self.received_at(),
        }
    }

    fn inbound(&self, said: &Said<'_>, number: Option<Number>, recipient: Option<Recipient>) -> Inbound {
        Inbound {
            provider: self.connection().provider,
            connection: self.connection().id.clone(),
            message_id: said.message_id.map(str::to_owned),
            list: self.list_of(&number),
            number,
            recipient,
            text: self.reply_text(said.text),
            occurred_at: said.occurred_at,
            received_at: self.received_at(),
        }
    }
}

/// What a reply wants, how that is known and how surely; `None` for a reply that wants nothing.
fn meaning<'k>(
    said: &Said<'_>,
    keywords: &'k Keywords,
) -> Option<(Action, Evidence, Confidence, Option<&'k str>)> {
    let heard = classify(said.text, keywords).asks();
    if let Some(flag) = said.flag {
        let keyword = heard.filter(|(action, _)| *action == flag).map(|(_, heard)| heard.keyword);
        return Some((flag, Evidence::ProviderFlag, Confidence::Certain, keyword));
    }
    let (action, heard) = heard?;
    Some((action, heard.evidence, heard.confidence, Some(heard.keyword)))
}

/// A body as text with every configured secret replaced, no longer than is kept.
fn without_secrets(item: &[u8], auth: &Auth) -> String {
    let mut text = String::from_utf8_lossy(item).into_owned();
    let mut secrets: Vec<&str> =
        auth.secrets().map(Secret::expose).filter(|secret| !secret.is_empty()).collect();
    // The longest first: one that holds another must go as a whole.
    secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
    for secret in secrets {
        // As it is, and as it stands in a form or a URL.
        let encoded: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        for spelling in [secret, &encoded] {
            if text.contains(spelling) {
                text = text.replace(spelling, "(secret)");
            }
        }
    }
    let end = (0..=DEAD_LETTER_BYTES_MAX.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    text.truncate(end.unwrap_or(0));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Provider;
    use crate::provider::vector::{self, Request};
    use crate::provider::verify;

    fn letter(item: &[u8]) -> DeadLetter {
        let mut connection = vector::connection(Provider::Twilio);
        connection.auth.path_secrets = vec![Secret::new("s3cret".into()), Secret::new("s3".into())];
        let request =
            Request { method: "POST", target: "/hooks/a/s3", segment: Some("s3"), ..Request::default() };
        connection.auth.auth_tokens.clear();
        let registry = vector::registry(&connection, vector::privacy());
        let proved = verify(vector::webhook(Some(connection), &request)).unwrap();
        assert_eq!(proved.proof.slots[0].to_string(), "path:1");
        let context = Context::new(&proved.webhook, &registry);
        match context.dead_letter("why", item).body {
            Body::DeadLetter(letter) => letter,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_dead_letter_keeps_no_secret_be_it_part_of_another() {
        assert_eq!(letter(b"a s3cret b s3 c").body.unwrap(), "a (secret) b (secret) c");
    }

    #[test]
    fn a_dead_letter_ends_between_characters() {
        let mut item = vec![b'x'; DEAD_LETTER_BYTES_MAX - 1];
        item.extend("é and more".bytes());
        let letter = letter(&item);
        assert_eq!(letter.body.unwrap().len(), DEAD_LETTER_BYTES_MAX - 1);
        assert_eq!(letter.digest, hex::encode(Sha256::digest(&item)));
        assert!(self::letter(&[0xff; 9]).body.unwrap().starts_with('\u{fffd}'));
    }
}
