//! `[state]`: what holds message states, cells and incidents.

use super::mistake::Wrong;
use super::section::{Field, Section};
use super::value::{choice, duration, secret, text, whole};
use super::{Secret, StreamKind};

/// The state: `[state]`.
#[derive(Clone, Debug)]
pub struct State {
    /// Which store.
    pub kind: StateKind,
    /// Parts the state is divided into; fixed at creation.
    pub slots: u16,
}

/// Which store: `state.kind`.
#[derive(Clone, Debug)]
pub enum StateKind {
    /// fjall in `stream.dir`.
    Embedded,
    /// Redis, by URL (which may hold a password).
    Redis {
        /// `redis://` or `rediss://`.
        url: Secret,
        /// What stands before every key; `sounder` unless told.
        key_prefix: String,
    },
}

pub(super) fn read(mut section: Section<'_>, stream: &StreamKind) -> State {
    let is_redis = section.or("kind", choice(&[("embedded", false), ("redis", true)]), false);
    if is_redis && matches!(stream, StreamKind::Embedded) {
        section.wrong(
            "kind",
            "is \"redis\", while the embedded stream belongs to one machine",
            "write state.kind = \"embedded\", or stream.kind = \"kafka\"",
        );
    }
    let no_rewind =
        "the store's own position is gone on from; a Redis that lost its last moments is not noticed yet";
    section.idle("rewind", duration, no_rewind);
    let url = section.get("url", redis_url);
    let key_prefix = section.or("key_prefix", text, "sounder".to_owned());
    let kind = match (is_redis, url) {
        (true, Some(url)) => StateKind::Redis { url, key_prefix },
        (true, None) => {
            section.absent("url", "is missing", "with kind = \"redis\" write url = \"redis://HOST:6379\"");
            StateKind::Embedded
        }
        (false, _) => StateKind::Embedded,
    };
    State { kind, slots: section.or("slots", whole(1..=1024), 1) }
}

/// A URL that may hold a password, so a mistake in it is told without it.
fn redis_url(field: &Field<'_>) -> Result<Secret, Wrong> {
    let holds_password = |url: &str| url.contains('@') || url.starts_with("env:") || url.starts_with("file:");
    let url = match field.text()? {
        written if holds_password(written) => secret(field)?,
        written => Secret::new(written.to_owned()),
    };
    let known = ["redis://", "rediss://"].iter().any(|scheme| url.expose().starts_with(scheme));
    match known {
        true => Ok(url),
        false => Err(Wrong::new("is not a Redis URL", "begin it with redis:// or rediss://")),
    }
}
