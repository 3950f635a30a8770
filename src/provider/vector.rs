//! Golden vectors: raw requests in `tests/vectors/<provider>/*.http`, each with the verdict and the
//! events it must lead to. A file is a head of directives, an empty line, and the request as sent:
//!
//! ```text
//! # what it shows
//! public_url https://hooks.example.com     what is configured: token, shared_key, path_secret, basic, hmac,
//! token 12345                              header_token, body_token, svix, unreadable, allow_from, number,
//! path_secret s3cret                       timezone, inbound_text keep, dead_letters digest, unknown;
//!                                          segment is the URL's last one
//! expect verified token:0                  or: refused wrong_signature
//! reply NoContent                          optional
//! event receipt {"state": "delivered"}     one a line, all of them; members that are named must be equal
//!
//! POST /hooks/acme-twilio
//! content-type: …
//!
//! body
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::{Normalized, Unproved, normalize, verify};
use crate::clock::Timestamp;
use crate::config::{
    Admin, Alert, Auth, Basic, BodyToken, Config, Connection, DeadLetters, HeaderToken, Health, Hmac,
    HmacAlgorithm, HmacScheme, InboundText, List, Mapping, Privacy, Purpose, Receive, RecipientKey,
    Recipients, Secret, SharedAlgorithm, SharedKey, State, StateKind, Stream, StreamKind, Svix,
};
use crate::event::{Body, ConnectionId, Event, ListId, Number, Provider};
use crate::receive::{Envelope, RawWebhook};
use crate::registry::Registry;

/// A connection with nothing but an id and a URL.
pub(super) fn connection(provider: Provider) -> Connection {
    Connection {
        id: ConnectionId::parse(&format!("acme-{provider}")).unwrap(),
        provider,
        public_url: "https://hooks.example.com".into(),
        auth: Auth::default(),
        number: None,
        reference_prefix: Vec::new(),
        rate_limit: None,
        timezone: "UTC".into(),
        mapping: Mapping::default(),
        api: None,
    }
}

/// Recipients in clear, replies dropped, dead letters kept.
pub(super) fn privacy() -> Privacy {
    Privacy {
        recipients: Recipients::Clear,
        inbound_text: InboundText::Drop,
        dead_letters: DeadLetters::Body,
    }
}

/// Knows the connection, and that +15005550006 is on the list `acme-promo`.
pub(super) fn registry(connection: &Connection, privacy: Privacy) -> Registry {
    let span = Duration::from_secs(1);
    let listen = "127.0.0.1:0".parse().unwrap();
    Registry::new(&Config {
        receive: Receive { public_url: String::new(), ..Receive::default() },
        stream: Stream {
            kind: StreamKind::Embedded,
            dir: PathBuf::new(),
            retention: span,
            retention_bytes: 0,
        },
        state: State { kind: StateKind::Embedded, slots: 1 },
        connections: vec![connection.clone()],
        lists: vec![List {
            id: ListId::parse("acme-promo").unwrap(),
            name: "Marketing - Acme".into(),
            brand: "Acme".into(),
            purpose: Purpose::Marketing,
            numbers: vec![Number::parse("+15005550006").unwrap()],
        }],
        numbers: Vec::new(),
        health: Health::default(),
        alert: Alert::default(),
        admin: Admin { listen, tokens: Vec::new() },
        privacy,
        warnings: Vec::new(),
        unreadable: Vec::new(),
        keywords: crate::config::Keywords::default(),
    })
}

/// A webhook as it comes from the wire, at the time 2026-11-23T10:00:00.412Z.
pub(super) fn webhook(connection: Option<Connection>, request: &Request<'_>) -> RawWebhook {
    with_body(connection, request, request.body.as_bytes())
}

/// The same with another body, which need not be text.
fn with_body(connection: Option<Connection>, request: &Request<'_>, body: &[u8]) -> RawWebhook {
    let mut headers = http::HeaderMap::new();
    for (name, value) in &request.headers {
        let name: http::HeaderName = name.parse().unwrap();
        headers.append(name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    RawWebhook::new(
        Envelope {
            connection: connection.map(Arc::new),
            method: request.method.parse().unwrap(),
            target: request.target.to_owned(),
            path_secret: request.segment.map(str::to_owned),
            headers,
            remote: "127.0.0.1".parse().unwrap(),
            client_certificate: None,
            received_at: Timestamp::from_millis(1_795_428_000_412),
        },
        Bytes::copy_from_slice(body),
    )
}

/// Every text of which one bit differs, that can stand in a header.
pub(super) fn flipped(text: &str) -> Vec<String> {
    let flip = |at: usize| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[at / 8] ^= 1 << (at % 8);
        let fits = bytes.iter().all(|byte| (b'!'..=b'~').contains(byte));
        fits.then(|| String::from_utf8(bytes).unwrap())
    };
    (0..text.len() * 8).filter_map(flip).collect()
}

/// A request, as text.
#[derive(Clone, Debug, Default)]
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) target: &'a str,
    pub(super) segment: Option<&'a str>,
    pub(super) headers: Vec<(&'a str, &'a str)>,
    pub(super) body: &'a str,
}

/// A file of `tests/vectors`.
#[derive(Debug)]
pub(super) struct Vector<'a> {
    pub(super) directives: Vec<(&'a str, &'a str)>,
    pub(super) request: Request<'a>,
}

impl<'a> Vector<'a> {
    pub(super) fn read(text: &'a str) -> Self {
        let (head, rest) = text.split_once("\n\n").unwrap();
        let directives: Vec<(&str, &str)> = head
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_once(' ').unwrap_or((line, "")))
            .collect();
        let (start, body) = rest.split_once("\n\n").unwrap();
        let mut lines = start.lines();
        let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
        let request = Request {
            method,
            target,
            segment: directives.iter().find(|(name, _)| *name == "segment").map(|(_, value)| *value),
            headers: lines.map(|line| line.split_once(": ").unwrap()).collect(),
            body: body.strip_suffix('\n').unwrap_or(body),
        };
        Self { directives, request }
    }

    pub(super) fn connection(&self, provider: Provider) -> Connection {
        let mut connection = connection(provider);
        let secret = |text: &str| Secret::new(text.to_owned());
        for &(name, value) in &self.directives {
            let auth = &mut connection.auth;
            match name {
                "public_url" => connection.public_url = value.to_owned(),
                "token" => auth.auth_tokens.push(secret(value)),
                "path_secret" => auth.path_secrets.push(secret(value)),
                "allow_from" => auth.allow_from.push(value.parse().unwrap()),
                "number" => connection.number = Number::parse(value),
                "reference_prefix" => {
                    let (prefix, number) = value.split_once(' ').unwrap();
                    connection.reference_prefix.push((prefix.to_owned(), Number::parse(number).unwrap()));
                }
                "timezone" => connection.timezone = value.to_owned(),
                "hmac" => auth.hmac = Some(hmac(value)),
                "shared_key" => auth.shared_keys.push(shared_key(value)),
                "header_token" => {
                    let (header, secrets) = named(value);
                    auth.header_token = Some(HeaderToken { header, secrets });
                }
                "body_token" => {
                    let (field, secrets) = named(value);
                    auth.body_token = Some(BodyToken { field, secrets });
                }
                "svix" => auth.svix = Some(Svix { secrets: value.split(' ').map(secret).collect() }),
                "unreadable" => auth.is_unreadable = true,
                "basic" => {
                    let (user, password) = value.split_once(' ').unwrap();
                    auth.basic = Some(Basic {
                        user: user.into(),
                        passwords: password.split(' ').map(secret).collect(),
                    });
                }
                _ => {}
            }
        }
        connection
    }

    fn privacy(&self) -> Privacy {
        let mut privacy = privacy();
        for directive in &self.directives {
            match directive {
                ("inbound_text", "keep") => privacy.inbound_text = InboundText::Keep,
                ("dead_letters", "digest") => privacy.dead_letters = DeadLetters::Digest,
                _ => {}
            }
        }
        privacy
    }

    fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a str> + 's {
        self.directives.iter().filter(move |(key, _)| *key == name).map(|(_, value)| *value)
    }
}

/// `X-Hub-Signature sha256 body secret another`.
fn hmac(text: &str) -> Hmac {
    let mut words = text.split(' ');
    let mut next = || words.next().unwrap();
    let header = next().to_ascii_lowercase();
    let algorithm = match next() {
        "md5" => HmacAlgorithm::Md5,
        "sha1" => HmacAlgorithm::Sha1,
        "sha224" => HmacAlgorithm::Sha224,
        "sha256" => HmacAlgorithm::Sha256,
        "sha384" => HmacAlgorithm::Sha384,
        "sha512" => HmacAlgorithm::Sha512,
        other => panic!("no algorithm {other}"),
    };
    let scheme = if next() == "exchange" { HmacScheme::Exchange } else { HmacScheme::Body };
    Hmac { header, algorithm, scheme, secrets: words.map(|word| Secret::new(word.to_owned())).collect() }
}

/// `k2 sha256 secret`.
fn shared_key(text: &str) -> SharedKey {
    let words: Vec<&str> = text.split(' ').collect();
    let [key, algorithm, secret] = words.as_slice() else { panic!("{text}") };
    let algorithm = match *algorithm {
        "sha1" => SharedAlgorithm::HmacSha1,
        "sha256" => SharedAlgorithm::HmacSha256,
        other => panic!("no algorithm {other}"),
    };
    SharedKey { key: (*key).to_owned(), algorithm, secret: Secret::new((*secret).to_owned()) }
}

/// `x-token secret another`: a header or a field, and what it may hold.
fn named(text: &str) -> (String, Vec<Secret>) {
    let mut words = text.split(' ').map(str::to_owned);
    (words.next().unwrap().to_ascii_lowercase(), words.map(Secret::new).collect())
}

/// The vectors of a provider by their names.
fn all(provider: Provider) -> BTreeMap<String, String> {
    let folder = format!("{}/tests/vectors/{provider}", env!("CARGO_MANIFEST_DIR"));
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let vectors = paths.filter(|path| path.extension().is_some_and(|extension| extension == "http"));
    vectors.map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap())).collect()
}

/// Holds every vector of a provider to what it expects, and names all that differ.
pub(super) fn run(provider: Provider) {
    let vectors = all(provider);
    let held = vectors.iter().map(|(name, text)| (name, hold(&Vector::read(text), provider)));
    let differences: BTreeMap<_, _> = held.filter_map(|(name, held)| Some((name, held.err()?))).collect();
    assert!(differences.is_empty(), "{differences:#?}");
    assert!(vectors.len() >= 15, "only {} vectors", vectors.len());
}

/// Bits of one vector that are flipped, spread over all that is signed.
const FLIPS_MAX: usize = 2000;

/// Flips bits of what is signed in every vector that is proved by a signature, and names those where
/// such a webhook is believed. Says how many vectors that were.
pub(super) fn flip(provider: Provider) -> usize {
    let (vectors, mut believed, mut count) = (all(provider), Vec::new(), 0);
    for (name, text) in &vectors {
        let vector = Vector::read(text);
        let connection = vector.connection(provider);
        let Ok(proved) = verify(webhook(Some(connection.clone()), &vector.request)) else { continue };
        let signs = |kind: &str| proved.proof.slots.iter().any(|slot| slot.kind == kind);
        let is_twilio = signs("token") || signs("shared");
        if !is_twilio && !signs("hmac") && !signs("svix") {
            continue;
        }
        count += 1;
        let request = &vector.request;
        let is_refused = |target: &str, body: &[u8]| {
            let other = Request { target, ..request.clone() };
            verify(with_body(Some(connection.clone()), &other, body)).is_err()
        };
        let body = request.body.as_bytes();
        for bit in spread(body.len() * 8) {
            let mut other = body.to_vec();
            other[bit / 8] ^= 1 << (bit % 8);
            // An escape in the other case says the same, and Twilio signs what a form says.
            let says_the_same = is_twilio && said(body) == said(&other);
            if !says_the_same && !is_refused(request.target, &other) {
                believed.push(format!("{name}, bit {bit} of the body"));
            }
        }
        let targets = if is_twilio { flipped(request.target) } else { Vec::new() };
        believed.extend(
            targets.iter().filter(|target| !is_refused(target, body)).map(|t| format!("{name}, {t}")),
        );
    }
    assert!(believed.is_empty(), "{believed:#?}");
    count
}

fn spread(bits: usize) -> impl Iterator<Item = usize> {
    (0..bits).step_by(bits.div_ceil(FLIPS_MAX) | 1)
}

/// What a form says, in whatever order.
fn said(form: &[u8]) -> std::collections::BTreeSet<(String, String)> {
    form_urlencoded::parse(form).into_owned().collect()
}

fn hold(vector: &Vector<'_>, provider: Provider) -> Result<(), String> {
    let connection = vector.connection(provider);
    let registry = registry(&connection, vector.privacy());
    let unknown = vector.all("unknown").next().is_some();
    let expected = vector.all("expect").next().unwrap();
    let proved = match verify(webhook((!unknown).then_some(connection), &vector.request)) {
        Ok(proved) => proved,
        Err(error) => return verdict(&format!("refused {}", Unproved::label(error)), expected),
    };
    let slots: Vec<String> = proved.proof.slots.iter().map(ToString::to_string).collect();
    verdict(&format!("verified {}", slots.join(" ")), expected)?;
    let Normalized { events, reply } = normalize(&proved.webhook, &registry);
    if let Some(expected) = vector.all("reply").next() {
        verdict(&format!("{reply:?}"), expected)?;
    }
    if events.is_empty() {
        return Err("no events".into());
    }
    let wanted: Vec<&str> = vector.all("event").collect();
    if !wanted.is_empty() && wanted.len() != events.len() {
        return Err(format!("{} events instead of {}: {events:#?}", events.len(), wanted.len()));
    }
    events.iter().zip(wanted).try_for_each(|(event, wanted)| equal(event, wanted))
}

fn verdict(found: &str, expected: &str) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{found} instead of {expected}")) }
}

fn equal(event: &Event, wanted: &str) -> Result<(), String> {
    let (kind, members) = wanted.split_once(' ').unwrap_or((wanted, "{}"));
    let found = match event.body {
        Body::Receipt(_) => "receipt",
        Body::Consent(_) => "consent",
        Body::Inbound(_) => "inbound",
        Body::Feedback(_) => "feedback",
        Body::Send(_) => "send",
        Body::DeadLetter(_) => "dead_letter",
    };
    verdict(found, kind)?;
    let value: Value = serde_json::from_slice(&event.record(None).value).unwrap();
    let members: serde_json::Map<String, Value> = serde_json::from_str(members).unwrap();
    members.iter().try_for_each(|(name, wanted)| match value.get(name) {
        Some(found) if found == wanted => Ok(()),
        found => Err(format!("{name}: {found:?} instead of {wanted}")),
    })
}

/// The events of a body sent to a provider's connection with a path secret, recipients hashed.
pub(crate) fn events(provider: Provider, body: &str) -> Vec<Event> {
    let mut connection = connection(provider);
    connection.auth.path_secrets.push(Secret::new("s".into()));
    let mut privacy = privacy();
    privacy.recipients = Recipients::Hash(RecipientKey::new(&Secret::new("k".into())));
    let registry = registry(&connection, privacy);
    let request = Request { method: "POST", target: "/", segment: Some("s"), body, ..Request::default() };
    let proved = super::verify(webhook(Some(connection), &request)).expect("the path secret proves it");
    super::normalize(&proved.webhook, &registry).events
}
