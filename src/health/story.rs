//! For tests: traffic told in numbers becomes a report, through the same sums as in earnest.

use std::time::Duration;

use super::report::{Report, report};
use crate::clock::Timestamp;
use crate::config::{
    Admin, Alert, Auth, Config, Privacy, Purpose, Receive, State, StateKind, Stream, StreamKind,
};
use crate::config::{Connection, Health, List, Mapping, NumberEntry, NumberKind, NumberStatus};
use crate::config::{DeadLetters, InboundText, Recipients};
use crate::event::{ConnectionId, FailureClass, ListId, Number, Provider};
use crate::registry::Registry;
use crate::tally::{CellKey, Cells, Contribution, Counter};

/// 2026-11-23T10:00:00Z.
pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_795_428_000);

const HALF_AN_HOUR: Duration = Duration::from_secs(1800);

/// A number that is written as it should be.
pub(crate) fn number(text: &str) -> Number {
    Number::parse(text).unwrap()
}

/// Two connections, two numbers on one list, and what was sent.
pub(crate) struct Story {
    pub(crate) cells: Cells,
    pub(crate) registry: Registry,
    pub(crate) settings: Health,
    pub(crate) now: Timestamp,
}

impl Story {
    pub(crate) fn new() -> Self {
        Self::with_status(NumberStatus::Active)
    }

    /// With the first number in this status.
    pub(crate) fn with_status(status: NumberStatus) -> Self {
        let registry = Registry::new(&config(status));
        Self { cells: Cells::default(), registry, settings: Health::default(), now: NOW }
    }

    /// Messages sent half an hour ago, with what became of them.
    pub(crate) fn send(&mut self, connection: &str, number: Option<&str>, good: i64, bad: i64) -> &mut Self {
        let key = key(connection, number);
        self.count(&key, Counter::DELIVERED, good);
        self.count(&key, Counter::failed(FailureClass::CarrierFiltered), bad)
    }

    /// Messages sent half an hour ago that failed.
    pub(crate) fn fail(
        &mut self,
        connection: &str,
        number: &str,
        class: FailureClass,
        count: i64,
    ) -> &mut Self {
        self.count(&key(connection, Some(number)), Counter::failed(class), count)
    }

    /// Messages sent this minute, with what became of them.
    pub(crate) fn send_now(&mut self, connection: &str, number: &str, good: i64, bad: i64) {
        let later = self.now.plus(HALF_AN_HOUR);
        let now = std::mem::replace(&mut self.now, later);
        self.send(connection, Some(number), good, bad);
        self.now = now;
    }

    /// Messages of a number, or of a connection, sent so many minutes ago.
    pub(crate) fn tell(
        &mut self,
        (connection, number): (&str, Option<&str>),
        ago: u64,
        counter: Counter,
        count: i64,
    ) -> &mut Self {
        let now = self.now;
        self.now = now.minus(Duration::from_secs(60 * ago)).plus(HALF_AN_HOUR);
        self.count(&key(connection, number), counter, count);
        self.now = now;
        self
    }

    fn count(&mut self, key: &CellKey, counter: Counter, count: i64) -> &mut Self {
        let minute = self.now.minus(HALF_AN_HOUR).minute();
        let cell = self.cells.register(key);
        if count != 0 {
            self.cells.count(Contribution { cell, minute, counter }, count, self.now);
        }
        self
    }

    pub(crate) fn report(&self) -> Report {
        report(&self.cells, &self.registry, &self.settings, self.now)
    }
}

fn key(connection: &str, number: Option<&str>) -> CellKey {
    CellKey {
        number: number.map(self::number),
        connection: ConnectionId::parse(connection).unwrap(),
        list: number.map(|_| ListId::parse("acme").unwrap()),
    }
}

fn config(status: NumberStatus) -> Config {
    let connection = |id, provider| Connection {
        id: ConnectionId::parse(id).unwrap(),
        provider,
        public_url: "http://127.0.0.1".into(),
        auth: Auth::default(),
        number: None,
        reference_prefix: Vec::new(),
        rate_limit: None,
        timezone: "UTC".into(),
        mapping: Mapping::default(),
        api: None,
    };
    let numbers = ["+18005550100", "+18005550101"].map(number);
    let entry = |n: &Number, status| NumberEntry {
        number: n.clone(),
        kind: NumberKind::of(n),
        status,
        legs: vec![ConnectionId::parse("ib").unwrap()],
    };
    Config {
        connections: vec![connection("tw", Provider::Twilio), connection("ib", Provider::Infobip)],
        numbers: vec![entry(&numbers[0], status), entry(&numbers[1], NumberStatus::Active)],
        lists: vec![List {
            id: ListId::parse("acme").unwrap(),
            name: "Marketing - Acme".into(),
            brand: "Acme".into(),
            purpose: Purpose::Marketing,
            numbers: numbers.to_vec(),
        }],
        ..bare()
    }
}

fn bare() -> Config {
    Config {
        receive: Receive { public_url: "http://127.0.0.1".into(), ..Receive::default() },
        stream: Stream {
            kind: StreamKind::Embedded,
            dir: "data".into(),
            retention: Duration::ZERO,
            retention_bytes: 0,
        },
        state: State { kind: StateKind::Embedded, slots: 1 },
        connections: Vec::new(),
        lists: Vec::new(),
        numbers: Vec::new(),
        health: Health::default(),
        alert: Alert::default(),
        admin: Admin { listen: ([127, 0, 0, 1], 0).into(), tokens: Vec::new() },
        privacy: Privacy {
            recipients: Recipients::Clear,
            inbound_text: InboundText::Drop,
            dead_letters: DeadLetters::Digest,
        },
        warnings: Vec::new(),
        unreadable: Vec::new(),
        keywords: crate::config::Keywords::default(),
    }
}
