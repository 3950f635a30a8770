//! `[state]`: what holds message states, cells and incidents.

use std::time::Duration;

use super::document::{Item, Value};
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
    /// Redis.
    Redis(Redis),
}

/// A Redis or a Redis Cluster, and where in it the state stands.
#[derive(Clone, Debug)]
pub struct Redis {
    /// `redis://` or `rediss://`, which may hold a password. A cluster is one URL that ends in
    /// `?cluster`, or those of several nodes with commas between them.
    pub url: Secret,
    /// What stands before every key; `sounder` unless told.
    pub key_prefix: String,
    /// How far back the stream is read again when this Redis may have lost its last moments.
    pub rewind: Duration,
}

/// What the URL of a cluster's node may end in.
const CLUSTER: &str = "?cluster";
/// Parts of the state on a cluster, unless told otherwise.
const SLOTS_OF_A_CLUSTER: u16 = 16;

pub(super) fn read(mut section: Section<'_>, stream: &StreamKind) -> State {
    let is_redis = section.or("kind", choice(&[("embedded", false), ("redis", true)]), false);
    if is_redis && matches!(stream, StreamKind::Embedded) {
        section.wrong(
            "kind",
            "is \"redis\", while the embedded stream belongs to one machine",
            "write state.kind = \"embedded\", or stream.kind = \"kafka\"",
        );
    }
    let url = section.get("url", redis_urls);
    let key_prefix = section.or("key_prefix", text, "sounder".to_owned());
    let rewind = section.or("rewind", duration, Duration::from_secs(600));
    let spread =
        url.as_ref().is_some_and(|url| url.expose().contains(',') || url.expose().ends_with(CLUSTER));
    let kind = match (is_redis, url) {
        (true, Some(url)) => StateKind::Redis(Redis { url, key_prefix, rewind }),
        (true, None) => {
            section.absent("url", "is missing", "with kind = \"redis\" write url = \"redis://HOST:6379\"");
            StateKind::Embedded
        }
        (false, _) => StateKind::Embedded,
    };
    let slots = if spread { SLOTS_OF_A_CLUSTER } else { 1 };
    State { kind, slots: section.or("slots", whole(1..=1024), slots) }
}

/// One URL, or a list of those of a cluster's nodes.
fn redis_urls(field: &Field<'_>) -> Result<Secret, Wrong> {
    let Value::Array(nodes) = field.plain() else { return redis_url(field) };
    let node = |item: &Item| redis_url(&Field { value: &item.value, ..*field });
    let urls: Vec<Secret> = nodes.iter().map(node).collect::<Result<_, _>>()?;
    match urls.as_slice() {
        [] => Err(Wrong::new("names no node", "write the URLs of some of the cluster's nodes")),
        // One node of a list is a cluster all the same.
        [one] => Ok(Secret::new(format!("{}{CLUSTER}", one.expose().trim_end_matches(CLUSTER)))),
        nodes => {
            Ok(Secret::new(nodes.iter().map(|node| node.expose().to_owned()).collect::<Vec<_>>().join(",")))
        }
    }
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
