//! Documents that must outlive the store ↔ the compacted topics of the stream.
//!
//! | table | topic | key |
//! |---|---|---|
//! | incidents | `incidents.v1` | the incident's id |
//! | silences, preferences | `numbers.v1` | table, `/`, the document's key |
//!
//! Whoever wants a document to survive the loss of the store saves it in one of these tables, and that
//! is all: whoever evaluates publishes what has changed, soon after each change it makes itself and
//! within [`LOOK_EVERY`] of anybody's; a deleted document is published as nothing. A store in which
//! nobody has noted that it was restored gets everything back before anything is judged on it. An
//! incident brings with it, under `restore`, what stood in the store beside it: its standing, its card
//! on Discord, and what was still to be said of it. So nobody is told twice what was told before, and
//! what was not is.
//!
//! Must never publish that a document is gone because the store is.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::documents::{Documents, delete};
use crate::clock::Timestamp;
use crate::consume::Archive;
use crate::event::{Record, Topic};
use crate::publish::Publisher;
use crate::tally::{Error, Put, Table};

/// How soon a change is published that somebody else made.
pub const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Where a store says that it was restored, or never had to be.
const RESTORED: &str = "restored";
/// Where an incident carries what stood beside it.
const RESTORE: &str = "restore";
/// Whose documents go to `numbers.v1`, each under its table's name.
const OF_NUMBERS: [(Table, &str); 2] = [(Table::Silences, "silences"), (Table::Preferences, "preferences")];

/// Publishes documents, and brings them back.
#[derive(Clone, Debug)]
pub struct Backup {
    /// Where to.
    pub publisher: Publisher,
    /// Where they are read again.
    pub archive: Archive,
}

/// What is to be published under one key.
struct Notice {
    value: Bytes,
    /// Equal for two that say the same.
    digest: String,
}

/// What the store holds, table by table.
type Tables = BTreeMap<Table, BTreeMap<String, Bytes>>;

impl Backup {
    /// Brings the documents back into a store that nobody has noted to be whole.
    ///
    /// # Errors
    /// When the store or the stream cannot be read; then nothing is to be judged.
    pub async fn restore(&self, documents: &impl Documents) -> Result<(), Error> {
        if documents.load(Table::Announced).await?.contains_key(RESTORED) {
            return Ok(());
        }
        let kept = load(documents, &[Table::Incidents, Table::Standings, Table::Outbox]).await?;
        let mut puts = Vec::new();
        // A store from before there was an archive has everything itself.
        if kept.values().all(BTreeMap::is_empty) {
            let unreadable = |error| Error::Unreachable(format!("its incidents in the stream: {error}"));
            for (topic, read) in
                [(Topic::Incidents, of_incident as fn(&str, &Bytes) -> Vec<Put>), (Topic::Numbers, of_number)]
            {
                let newest = self.archive.newest(topic).await.map_err(unreadable)?;
                puts.extend(newest.iter().flat_map(|(key, value)| read(key, value)));
            }
        }
        if !puts.is_empty() {
            tracing::warn!(
                documents = puts.len(),
                "alerts.restored incidents, cards and silences from the stream"
            );
        }
        let note =
            Put { table: Table::Announced, key: RESTORED.into(), value: Some(Bytes::from_static(b"1")) };
        puts.push(note);
        documents.save(puts).await
    }

    /// Publishes what has changed since it was published last.
    ///
    /// # Errors
    /// When the store cannot be read or written, or the stream does not take it; it is tried again.
    pub async fn announce(&self, documents: &impl Documents, now: Timestamp) -> Result<(), Error> {
        let tables = load(documents, &ANNOUNCED).await?;
        // Read last: a store that was emptied meanwhile does not know that it was restored.
        let said = documents.load(Table::Announced).await?;
        if !said.contains_key(RESTORED) {
            return Ok(());
        }
        let notices = notices(&tables);
        let changed = notices
            .iter()
            .filter(|(key, notice)| said.get(*key).map(Bytes::as_ref) != Some(notice.digest.as_bytes()));
        let gone = said.keys().filter(|key| *key != RESTORED && !notices.contains_key(*key));
        let (mut records, mut puts) = (Vec::new(), Vec::new());
        for (key, notice) in changed {
            records.extend(record(key, notice.value.clone(), now));
            let digest = Some(Bytes::from(notice.digest.clone()));
            puts.push(Put { table: Table::Announced, key: key.clone(), value: digest });
        }
        for key in gone {
            records.extend(record(key, Bytes::new(), now));
            puts.push(delete(Table::Announced, key));
        }
        if records.is_empty() {
            return Ok(());
        }
        let published = self.publisher.publish(records).await;
        published
            .map(drop)
            .map_err(|error| Error::Unreachable(format!("the stream, to publish incidents: {error}")))?;
        documents.save(puts).await
    }
}

/// Every table that is published from.
const ANNOUNCED: [Table; 5] =
    [Table::Incidents, Table::Standings, Table::Outbox, Table::Silences, Table::Preferences];

async fn load(documents: &impl Documents, tables: &[Table]) -> Result<Tables, Error> {
    let mut loaded = Tables::new();
    for table in tables {
        loaded.insert(*table, documents.load(*table).await?);
    }
    Ok(loaded)
}

/// What is to be published, by topic's name, `/`, key.
fn notices(tables: &Tables) -> BTreeMap<String, Notice> {
    let table = |table| tables.get(&table).into_iter().flatten();
    let mut notices = BTreeMap::new();
    let beside = Beside::of(tables);
    for (id, value) in table(Table::Incidents) {
        // One that nobody can read stays where it is.
        if let Some(notice) = incident(id, value, &beside) {
            notices.insert(format!("{}/{id}", Topic::Incidents.name()), notice);
        }
    }
    for (which, name) in OF_NUMBERS {
        for (key, value) in table(which) {
            let notice = Notice { value: value.clone(), digest: digest(&[value]) };
            notices.insert(format!("{}/{name}/{key}", Topic::Numbers.name()), notice);
        }
    }
    notices
}

/// What stands in the store beside incidents, by incident.
#[derive(Default)]
struct Beside<'a> {
    standings: BTreeMap<String, Vec<(&'a String, Value)>>,
    outbox: BTreeMap<String, Vec<(&'a String, Value)>>,
}

impl<'a> Beside<'a> {
    fn of(tables: &'a Tables) -> Self {
        let read = |table| {
            let all = tables.get(&table).into_iter().flatten();
            all.filter_map(|(key, value)| Some((key, serde_json::from_slice::<Value>(value).ok()?)))
        };
        let mut beside = Self::default();
        for (key, value) in read(Table::Standings) {
            let of = value["incident"].as_str().or_else(|| value["resolved"]["incident"].as_str());
            let Some(of) = of.map(str::to_owned) else { continue };
            beside.standings.entry(of).or_default().push((key, value));
        }
        for (key, value) in read(Table::Outbox) {
            let of = key.strip_prefix("posted.").or_else(|| value["incident"]["id"].as_str());
            let Some(of) = of.map(str::to_owned) else { continue };
            beside.outbox.entry(of).or_default().push((key, value));
        }
        beside
    }
}

/// The incident with its card, and with what stands beside it.
fn incident(id: &str, value: &Bytes, beside: &Beside<'_>) -> Option<Notice> {
    let mut incident: Map<String, Value> = serde_json::from_slice(value).ok()?;
    let mut restore = Map::new();
    let mut telling = vec![value.to_vec()];
    for (key, entry) in beside.outbox.get(id).into_iter().flatten() {
        let mut entry = entry.clone();
        if key.starts_with("posted.") {
            incident.insert("discord".into(), entry.clone());
        } else {
            // Nobody will know whether it was said before the store was lost.
            entry["attempted"] = true.into();
        }
        telling.push(format!("{key}={entry}").into_bytes());
        restore.insert(format!("outbox/{key}"), entry);
    }
    // A standing changes with every evaluation; it goes along, and is no reason to go.
    for (key, standing) in beside.standings.get(id).into_iter().flatten() {
        restore.insert(format!("standings/{key}"), standing.clone());
    }
    incident.insert(RESTORE.into(), restore.into());
    let value = serde_json::to_vec(&incident).ok()?.into();
    Some(Notice { value, digest: digest(&telling) })
}

/// The documents that an incident's record brings back.
fn of_incident(id: &str, value: &Bytes) -> Vec<Put> {
    let Ok(mut incident) = serde_json::from_slice::<Map<String, Value>>(value) else { return Vec::new() };
    let restore = incident.remove(RESTORE);
    let put = |table, key: &str, value: &Value| Put {
        table,
        key: key.to_owned(),
        value: Some(value.to_string().into()),
    };
    let beside = restore.as_ref().and_then(Value::as_object).into_iter().flatten();
    let beside = beside.filter_map(|(name, value)| match name.split_once('/')? {
        ("outbox", key) => Some(put(Table::Outbox, key, value)),
        ("standings", key) => Some(put(Table::Standings, key, value)),
        _ => None,
    });
    let mut puts: Vec<Put> = beside.collect();
    puts.push(put(Table::Incidents, id, &Value::Object(incident)));
    puts
}

/// The document that a record of `numbers.v1` brings back, if it is one of ours.
fn of_number(key: &str, value: &Bytes) -> Vec<Put> {
    let of_table = OF_NUMBERS.iter().find_map(|(table, name)| {
        let key = key.strip_prefix(name)?.strip_prefix('/')?;
        Some(Put { table: *table, key: key.to_owned(), value: Some(value.clone()) })
    });
    Vec::from_iter(of_table)
}

fn record(name: &str, value: Bytes, now: Timestamp) -> Option<Record> {
    let (topic, key) = name.split_once('/')?;
    let topic = [Topic::Incidents, Topic::Numbers].into_iter().find(|known| known.name() == topic)?;
    Some(Record {
        topic,
        key: key.to_owned(),
        id: digest(&[name.as_bytes(), &value]),
        source: "/evaluator".into(),
        time: now,
        traceparent: None,
        value,
    })
}

fn digest(parts: &[impl AsRef<[u8]>]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.as_ref().len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..16])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::alert::documents::memory::Memory;
    use crate::publish::Log;

    const DAY: Duration = Duration::from_secs(86_400);
    const NOW: Timestamp = Timestamp::from_seconds(1_764_000_000);

    fn put(table: Table, key: &str, value: &Value) -> Put {
        Put { table, key: key.into(), value: Some(value.to_string().into()) }
    }

    fn backup(dir: &tempfile::TempDir) -> (Backup, Log) {
        let log = Log::open(dir.path(), DAY, u64::MAX).unwrap();
        let (publisher, archive) = (Publisher::embedded(log.clone()), Archive::Embedded(log.clone()));
        (Backup { publisher, archive }, log)
    }

    /// An open incident whose card stands and whose ping is still to be sent, and a silence.
    fn documents() -> Vec<Put> {
        vec![
            put(Table::Incidents, "I1", &json!({"id": "I1", "band": "critical", "discord": null})),
            put(Table::Standings, "+1", &json!({"incident": "I1", "streaks": [0, 0, 0]})),
            put(Table::Standings, "+2", &json!({"incident": null})),
            put(Table::Outbox, "posted.I1", &json!({"message": "77", "channel": "5"})),
            put(
                Table::Outbox,
                "01J",
                &json!({"action": "ping", "incident": {"id": "I1"}, "attempted": false}),
            ),
            put(Table::Silences, "s/1", &json!({"until": 5})),
        ]
    }

    #[tokio::test]
    async fn what_was_announced_comes_back_into_an_empty_store_and_only_there() {
        let dir = tempfile::tempdir().unwrap();
        let (backup, log) = backup(&dir);
        let store = Memory::default();
        backup.restore(&store).await.unwrap();
        store.save(documents()).await.unwrap();
        backup.announce(&store, NOW).await.unwrap();
        assert_eq!(log.end(), 2);
        let published = backup.archive.newest(Topic::Incidents).await.unwrap();
        let told: Value = serde_json::from_slice(&published["I1"]).unwrap();
        assert_eq!(told["discord"], json!({"message": "77", "channel": "5"}));

        let empty = Memory::default();
        backup.restore(&empty).await.unwrap();
        let load = async |table| empty.load(table).await.unwrap();
        let ping: Value = serde_json::from_slice(&load(Table::Outbox).await["01J"]).unwrap();
        assert_eq!((&ping["action"], &ping["attempted"]), (&json!("ping"), &json!(true)));
        assert!(load(Table::Outbox).await.contains_key("posted.I1"));
        assert_eq!(empty.keys(Table::Standings), ["+1"]);
        assert_eq!(load(Table::Silences).await["s/1"], store.load(Table::Silences).await.unwrap()["s/1"]);
        let incident: Value = serde_json::from_slice(&load(Table::Incidents).await["I1"]).unwrap();
        assert!(incident.get(RESTORE).is_none());

        backup.restore(&store).await.unwrap();
        assert_eq!(store.keys(Table::Standings), ["+1", "+2"], "what is whole is left alone");
    }

    #[tokio::test]
    async fn only_changes_are_announced_and_nothing_is_gone_because_the_store_is() {
        let dir = tempfile::tempdir().unwrap();
        let (backup, log) = backup(&dir);
        let store = Memory::default();
        backup.restore(&store).await.unwrap();
        store.save(documents()).await.unwrap();
        backup.announce(&store, NOW).await.unwrap();
        let standing = put(Table::Standings, "+1", &json!({"incident": "I1", "streaks": [1, 0, 0]}));
        store.save(vec![standing]).await.unwrap();
        backup.announce(&store, NOW).await.unwrap();
        assert_eq!(log.end(), 2, "a standing alone is no news");
        store.save(vec![delete(Table::Silences, "s/1")]).await.unwrap();
        backup.announce(&store, NOW).await.unwrap();
        assert_eq!(log.end(), 3);
        assert!(backup.archive.newest(Topic::Numbers).await.unwrap().is_empty());

        store.tables.lock().unwrap().clear();
        backup.announce(&store, NOW).await.unwrap();
        assert_eq!(log.end(), 3, "an emptied store has nothing to say");
        assert_eq!(backup.archive.newest(Topic::Incidents).await.unwrap().len(), 1);
    }
}
