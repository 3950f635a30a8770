//! A request of any shape → one connection of a vector. In: a byte that picks the vector whose
//! configuration is used, then a request as the vectors write it. Out: nothing; it panics when
//! something is believed that was changed after it was signed, or when what is believed is lost.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;
use sounder::clock::Timestamp;
use sounder::config::{Auth, Connection, RecipientKey, Recipients, Secret};
use sounder::event::{Provider, Record, Topic};
use sounder::provider::{Slot, normalize, verify};
use sounder::receive::{Envelope, RawWebhook};
use sounder::registry::Registry;
use sounder::tally::{News, touch};

use crate::{VECTORS, vector};

/// The secret of a connection that takes whatever comes.
const OPEN: &str = "0123456789abcdef";
/// When everything is received; the vectors' times are near it.
const NOW: Timestamp = Timestamp::from_millis(1_795_428_000_412);

/// A vector's configuration, twice: as it is, and with a path secret only.
struct Setting {
    closed: Arc<Connection>,
    segment: Option<String>,
    open: Arc<Connection>,
    registry: Registry,
}

/// Every vector of a provider, in the order of their names: what it is about, and its request.
pub fn requests(provider: Provider) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(format!("{VECTORS}/{provider}")).expect("the vectors are there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a vector").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "http"));
    paths.sort();
    let texts = paths.into_iter().map(|path| std::fs::read_to_string(path).expect("a vector is text"));
    texts.filter_map(|text| text.split_once("\n\n").map(|(a, b)| (a.to_owned(), b.to_owned()))).collect()
}

static SETTINGS: LazyLock<BTreeMap<Provider, Vec<Setting>>> = LazyLock::new(|| {
    let of = |provider| requests(provider).iter().map(|text| Setting::of(provider, text)).collect();
    Provider::ALL.into_iter().map(|provider| (provider, of(provider))).collect()
});

impl Setting {
    fn of(provider: Provider, (head, request): &(String, String)) -> Self {
        let text = format!("{head}\n\n{request}");
        let read = vector::Vector::read(&text);
        let closed = read.connection(provider);
        let auth = Auth { path_secrets: vec![Secret::new(OPEN.into())], ..Auth::default() };
        let open = Connection { auth, ..closed.clone() };
        let mut privacy = vector::privacy();
        privacy.recipients = Recipients::Hash(RecipientKey::new(&Secret::new("k".into())));
        Self {
            registry: vector::registry(&open, privacy),
            segment: read.request.segment.map(str::to_owned),
            closed: Arc::new(closed),
            open: Arc::new(open),
        }
    }
}

/// A request that HTTP lets through.
struct Asked<'d> {
    method: Method,
    target: String,
    headers: HeaderMap,
    body: &'d [u8],
}

impl<'d> Asked<'d> {
    fn read(data: &'d [u8]) -> Option<Self> {
        let end = data.windows(2).position(|two| two == b"\n\n")?;
        let (head, body) = (std::str::from_utf8(&data[..end]).ok()?, &data[end + 2..]);
        let mut lines = head.lines();
        let (method, target) = lines.next()?.split_once(' ')?;
        let method = [Method::GET, Method::POST].into_iter().find(|known| known.as_str() == method)?;
        let target = target.parse::<http::Uri>().ok()?.path_and_query()?.to_string();
        let mut headers = HeaderMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            headers.append(name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value).ok()?);
        }
        Some(Self { method, target, headers, body: body.strip_suffix(b"\n").unwrap_or(body) })
    }

    fn of(&self, connection: &Arc<Connection>, segment: Option<&str>, body: &[u8]) -> RawWebhook {
        let envelope = Envelope {
            connection: Some(Arc::clone(connection)),
            method: self.method.clone(),
            target: self.target.clone(),
            path_secret: segment.map(str::to_owned),
            headers: self.headers.clone(),
            remote: [127, 0, 0, 1].into(),
            client_certificate: None,
            received_at: NOW,
        };
        RawWebhook::new(envelope, Bytes::copy_from_slice(body))
    }
}

/// Proves a request by the vector's own ways, and understands it where anything is believed.
pub fn holds(provider: Provider, data: &[u8]) {
    let Some((which, request)) = data.split_first() else { return };
    let Some(asked) = Asked::read(request) else { return };
    let settings = &SETTINGS[&provider];
    let setting = &settings[usize::from(*which) % settings.len()];
    proves(&asked, setting);
    for event in understood(&asked, setting) {
        let mut bytes = Vec::new();
        event.encode(&mut bytes);
        assert_eq!(Record::decode(bytes.into()), Some(event));
    }
}

/// What signs the body lets no bit of it be changed.
fn proves(asked: &Asked<'_>, setting: &Setting) {
    let held = |body: &[u8]| verify(asked.of(&setting.closed, setting.segment.as_deref(), body));
    let Ok(proved) = held(asked.body) else { return };
    let signs = |slot: &Slot| matches!(slot.kind, "hmac" | "svix");
    if proved.proof.slots.iter().any(signs) && !asked.body.is_empty() {
        let mut other = asked.body.to_vec();
        let at = asked.target.len() * 31 % other.len();
        other[at] ^= 1 << (other.len() % 8);
        assert!(held(&other).is_err(), "a changed body is believed");
    }
}

/// What a request says, as records. It says something, says it again when it comes again, names no
/// recipient, and can be counted.
fn understood(asked: &Asked<'_>, setting: &Setting) -> Vec<Record> {
    let proved = verify(asked.of(&setting.open, Some(OPEN), asked.body)).expect("the path secret proves it");
    let told = normalize(&proved.webhook, &setting.registry);
    assert!(!told.events.is_empty(), "a webhook without an outcome");
    assert_eq!(told.events, normalize(&proved.webhook, &setting.registry).events);
    let records: Vec<Record> = told.events.iter().map(|event| event.record(None)).collect();
    for record in &records {
        let value: Value = serde_json::from_slice(&record.value).expect("an event is JSON");
        let hidden = value["recipient"].as_str().is_none_or(|text| text.starts_with("h:"));
        assert!(hidden, "a recipient in clear");
        let news = touch(record, &setting.registry);
        assert!(record.topic != Topic::Receipts || news != News::Dead, "a receipt nobody can count");
    }
    records
}

/// The records of a vector's request, as seeds.
pub fn records(provider: Provider) -> Vec<Record> {
    let requests = requests(provider);
    let all = requests
        .iter()
        .zip(&SETTINGS[&provider])
        .filter_map(|((_, request), setting)| Some(understood(&Asked::read(request.as_bytes())?, setting)));
    all.flatten().collect()
}
