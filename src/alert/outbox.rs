//! What is still to be said on Discord: entries in order, and which of them is next. Pure.
//!
//! An entry carries the incident as it was, so that delivering needs nothing else. The desk adds
//! entries and never changes one; the dispatcher alone deletes them, so neither undoes the other.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::documents::read;
use super::incident::{Incident, Posted};
use crate::clock::Timestamp;
use crate::health::Band;
use crate::tally::Table;

/// One thing to say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// What to do.
    pub action: Action,
    /// The incident as it was.
    pub incident: Incident,
    /// True once Discord may have been given it: if nobody knows, it may stand there twice.
    pub attempted: bool,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Post the card.
    Post,
    /// Bring the card up to date.
    Edit,
    /// Call people.
    Ping,
}

/// The key of the `place`th entry saved at `now`: keys sort in the order of saying.
pub(super) fn key(now: Timestamp, place: usize, random: u64) -> String {
    let place = u16::try_from(place).unwrap_or(u16::MAX);
    let tail = u128::from(place) << 64 | u128::from(random);
    Ulid::from_parts(u64::try_from(now.millis()).unwrap_or(0), tail).to_string()
}

/// Where the outbox remembers an incident's card. No ULID begins so, and it sorts behind them.
pub(super) fn posted_key(incident: &str) -> String {
    format!("posted.{incident}")
}

/// The outbox as read.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    entries: Vec<(String, Entry)>,
    posted: BTreeMap<String, Posted>,
    unreadable: Vec<String>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Job {
    /// The entry that asks for it.
    pub(super) key: String,
    /// What to do.
    pub(super) errand: Errand,
    /// The newest state of the incident.
    pub(super) incident: Incident,
    /// Whether Discord may have been given it before.
    pub(super) attempted: bool,
    /// The entries that are settled by it.
    pub(super) settles: Vec<String>,
}

/// What to do, with what it needs.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Errand {
    /// Post the card.
    Post,
    /// Edit this card.
    Edit(Posted),
    /// Call the people responsible for this band.
    Ping(Band),
}

impl Outbox {
    /// Reads the table's documents.
    pub(super) fn of(documents: &BTreeMap<String, Bytes>) -> Self {
        let mut outbox = Self::default();
        for (key, value) in documents {
            if let Some(incident) = key.strip_prefix("posted.") {
                outbox.posted.extend(read(Table::Outbox, key, value).map(|p| (incident.to_owned(), p)));
            } else if let Some(entry) = read(Table::Outbox, key, value) {
                outbox.entries.push((key.clone(), entry));
            } else {
                outbox.unreadable.push(key.clone());
            }
        }
        outbox
    }

    /// Entries that wait.
    pub(super) fn pending(&self) -> usize {
        self.entries.len()
    }

    /// Entries nobody can read, which must not be in the way for ever.
    pub(super) fn unreadable(&self) -> &[String] {
        &self.unreadable
    }

    /// Every entry in order.
    pub(super) fn entries(&self) -> &[(String, Entry)] {
        &self.entries
    }

    /// The card of an incident.
    pub(super) fn posted(&self, incident: &str) -> Option<&Posted> {
        self.posted.get(incident)
    }

    /// The first thing to say, in its newest words: later edits of the same card are settled with
    /// it, and of several pings of one incident only the newest is worth anybody's attention.
    pub(super) fn next(&self) -> Option<Job> {
        let (key, first) = self.entries.first()?;
        let same = || self.entries.iter().filter(|(_, entry)| entry.incident.id == first.incident.id);
        let pings = first.action == Action::Ping;
        let settled = || same().filter(|(_, entry)| (entry.action == Action::Ping) == pings);
        let newest = settled().next_back().map_or(&first.incident, |(_, entry)| &entry.incident);
        let errand = match (first.action, self.posted(&first.incident.id)) {
            (Action::Ping, _) => Errand::Ping(newest.band),
            (Action::Post | Action::Edit, Some(posted)) => Errand::Edit(posted.clone()),
            (Action::Post | Action::Edit, None) => Errand::Post,
        };
        Some(Job {
            key: key.clone(),
            errand,
            incident: newest.clone(),
            attempted: first.attempted,
            settles: settled().map(|(key, _)| key.clone()).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::incident::sample;

    fn outbox(entries: &[(Action, &str, Band)], posted: Option<&str>) -> Outbox {
        let mut documents = BTreeMap::new();
        for (place, (action, id, band)) in entries.iter().enumerate() {
            let incident = Incident { id: (*id).into(), band: *band, ..sample::incident() };
            let entry = Entry { action: *action, incident, attempted: false };
            let key = key(Timestamp::from_seconds(1), place, 9);
            documents.insert(key, serde_json::to_vec(&entry).unwrap().into());
        }
        if let Some(incident) = posted {
            let posted = Posted { message: "77".into(), channel: None };
            documents.insert(posted_key(incident), serde_json::to_vec(&posted).unwrap().into());
        }
        Outbox::of(&documents)
    }

    #[test]
    fn edits_are_settled_with_the_post_and_pings_stay_behind_it() {
        use Action::{Edit, Ping, Post};
        let all = [
            (Post, "A", Band::Watch),
            (Ping, "A", Band::Watch),
            (Post, "B", Band::Watch),
            (Edit, "A", Band::Critical),
            (Ping, "A", Band::Critical),
        ];
        let job = outbox(&all, None).next().unwrap();
        assert_eq!((&job.errand, job.incident.band, job.settles.len()), (&Errand::Post, Band::Critical, 2));
        let job = outbox(&all[1..], Some("A")).next().unwrap();
        assert_eq!((job.errand, job.settles.len()), (Errand::Ping(Band::Critical), 2));
    }

    #[test]
    fn a_card_that_stands_is_edited_and_one_that_does_not_is_posted() {
        let edit = [(Action::Edit, "A", Band::Watch)];
        assert!(
            matches!(outbox(&edit, Some("A")).next().unwrap().errand, Errand::Edit(p) if p.message == "77")
        );
        assert_eq!(outbox(&edit, Some("B")).next().unwrap().errand, Errand::Post);
        assert_eq!(outbox(&[], Some("B")).next(), None);
    }

    #[test]
    fn what_nobody_can_read_is_named_and_in_nobodys_way() {
        let documents = BTreeMap::from([("01".to_owned(), Bytes::from_static(b"{"))]);
        let outbox = Outbox::of(&documents);
        assert_eq!((outbox.pending(), outbox.unreadable()), (0, &["01".to_owned()][..]));
    }
}
