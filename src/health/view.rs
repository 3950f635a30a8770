//! Sums → what is shown of a number, a leg, a list, a provider or a connection. Pure.
//!
//! The JSON is the one `interface.md` calls health: rates are shares of one with four decimals.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::band::Band;
use super::rate::{Counts, SHOWN_Z};
use super::response::{Complaints, OptOuts};
use super::settle::Settle;
use super::sums::{Sums, Window};
use crate::clock::Timestamp;
use crate::config::{Health, NumberKind, NumberStatus, Purpose, Thresholds};
use crate::event::{ConnectionId, FailureClass, ListId, Number, Provider};
use crate::tally::{Counter, Counters};

/// What can be said of any sum of cells.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// What was counted: two kilobytes, which a number shares with its only leg.
    pub sums: Arc<Sums>,
    /// The band of the point rate.
    pub band: Band,
    /// The window that is judged on; none when no window holds enough.
    pub judged_on: Option<Window>,
}

impl View {
    /// Judges sums on their elastic window.
    pub fn new(sums: Arc<Sums>, settings: &Health) -> Self {
        let mut view = Self { band: Band::Unknown, judged_on: None, sums };
        view.rejudge(settings);
        view
    }

    /// The same, after its sums have changed.
    pub fn rejudge(&mut self, settings: &Health) {
        let elastic = self.sums.elastic(settings.elastic_min);
        self.band = Band::of(elastic.and_then(|(_, tally)| tally.rate()), &settings.thresholds);
        self.judged_on = elastic.map(|(window, _)| window);
    }

    /// The same, within thresholds of its own.
    #[must_use]
    pub fn within(mut self, thresholds: &Thresholds, settings: &Health) -> Self {
        if *thresholds != settings.thresholds {
            let judged = self.judged_on.map(|window| self.sums.tally(window));
            self.band = Band::of(judged.and_then(super::rate::Tally::rate), thresholds);
        }
        self
    }

    /// Nothing is known of it now: receipts are missing that would say so.
    pub fn forget(&mut self) {
        self.band = Band::Unknown;
    }

    /// The window that is shown: the one judged on, else the longest.
    pub fn window(&self) -> Window {
        self.judged_on.unwrap_or(Window::Week)
    }

    /// What was counted in the window that is shown.
    pub fn counts(&self) -> Counts {
        self.sums.window(self.window())
    }

    /// Messages that have not matured.
    pub fn pending(&self) -> u64 {
        self.sums.pending.total()
    }
}

impl Serialize for View {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = WindowView(self.counts());
        let windows: BTreeMap<_, _> =
            Window::ALL.into_iter().map(|w| (w, WindowView(self.sums.window(w)))).collect();
        let mut view = serializer.serialize_struct("View", 11)?;
        view.serialize_field("band", &self.band)?;
        view.serialize_field("window", &self.window())?;
        view.serialize_field("rate", &shown.rate())?;
        view.serialize_field("interval", &shown.interval())?;
        view.serialize_field("delivered", &shown.0.delivered)?;
        view.serialize_field("failed", &shown.0.failed)?;
        view.serialize_field("pending", &self.pending())?;
        view.serialize_field("unreported", &shown.0.unreported)?;
        view.serialize_field("failures", &shown.0.failures)?;
        view.serialize_field("totals", &Totals::of(&self.sums.totals))?;
        view.serialize_field("windows", &windows)?;
        view.end()
    }
}

/// One window's counts with the rate they make.
struct WindowView(Counts);

impl WindowView {
    fn rate(&self) -> Option<f64> {
        self.0.rate().map(four_decimals)
    }

    fn interval(&self) -> Option<[f64; 2]> {
        self.0.interval(SHOWN_Z).map(|ends| ends.map(four_decimals))
    }
}

impl Serialize for WindowView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'a> {
            rate: Option<f64>,
            interval: Option<[f64; 2]>,
            #[serde(flatten)]
            counts: &'a Counts,
        }
        Shown { rate: self.rate(), interval: self.interval(), counts: &self.0 }.serialize(serializer)
    }
}

pub(super) fn four_decimals(share: f64) -> f64 {
    (share * 10_000.0).round() / 10_000.0
}

/// Everything that is kept, matured or not, so that counts can be compared.
#[derive(Serialize)]
struct Totals {
    delivered: u64,
    failed: u64,
    sent: u64,
    accepted: u64,
    blocked: u64,
    canceled: u64,
    unknown: u64,
    account: u64,
}

impl Totals {
    fn of(counters: &Counters) -> Self {
        let counts = Counts::of(counters);
        Self {
            delivered: counts.delivered,
            failed: counts.failed,
            sent: counters.get(Counter::SENT),
            accepted: counters.get(Counter::ACCEPTED),
            blocked: counts.blocked,
            canceled: counts.canceled,
            unknown: counters.get(Counter::UNKNOWN),
            account: counters.failed(FailureClass::Account),
        }
    }
}

/// A number: the JSON of `GET /api/v1/health/numbers/{number}`.
#[derive(Clone, Debug, Serialize)]
pub struct NumberView {
    /// The number.
    pub number: Number,
    /// Its kind.
    pub kind: NumberKind,
    /// Whether it may send.
    pub status: NumberStatus,
    /// Whether it is configured; a number that only its receipts name is not.
    pub registered: bool,
    /// Since when it has been in its band, as far as evaluations have seen.
    pub since: Option<Timestamp>,
    /// Its rate and counts.
    #[serde(flatten)]
    pub view: View,
    /// The same, by connection.
    pub legs: Vec<Leg>,
    /// The lists it is on, or was on when it sent.
    pub lists: Vec<ListId>,
    /// Recipients who opted out, on whichever leg.
    pub optouts: OptOuts,
    /// Complaints about it.
    pub complaints: Complaints,
    /// Its open incident.
    pub incident: Option<String>,
}

impl NumberView {
    /// The provider of all of its legs; none when it has several.
    pub fn only_provider(&self) -> Option<Provider> {
        let first = self.legs.first()?.provider;
        first.filter(|_| self.legs.iter().all(|leg| leg.provider == first))
    }
}

/// A number on one connection.
#[derive(Clone, Debug, Serialize)]
pub struct Leg {
    /// The connection.
    pub connection: ConnectionId,
    /// Its provider; none when the connection is no longer configured.
    pub provider: Option<Provider>,
    /// Its rate and counts.
    #[serde(flatten)]
    pub view: View,
}

/// A list.
#[derive(Clone, Debug, Serialize)]
pub struct ListView {
    /// The list.
    pub list: ListId,
    /// Its name; its id when it is no longer configured.
    pub name: String,
    /// Its brand.
    pub brand: Option<String>,
    /// What it sends.
    pub purpose: Option<Purpose>,
    /// Its numbers.
    pub numbers: Vec<Number>,
    /// Recipients who opted out of its numbers.
    pub optouts: OptOuts,
    /// Complaints about its numbers.
    pub complaints: Complaints,
    /// True for the first day in which anything is sent to it, after thirty in which nothing was:
    /// alerts are one band more lenient then.
    pub first_send: bool,
    /// Its rate and counts.
    #[serde(flatten)]
    pub view: View,
}

/// A provider.
#[derive(Clone, Debug, Serialize)]
pub struct ProviderView {
    /// The provider.
    pub provider: Provider,
    /// How long its cohorts wait, and whether that fits its receipts.
    pub settle: Settle,
    /// Its rate and counts.
    #[serde(flatten)]
    pub view: View,
}

/// A connection.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectionView {
    /// The connection.
    pub connection: ConnectionId,
    /// Its provider; none when it is no longer configured.
    pub provider: Option<Provider>,
    /// Its rate and counts.
    #[serde(flatten)]
    pub view: View,
    /// Of those, the messages whose sending number nobody has named.
    pub unattributed: View,
    /// Recipients who opted out of no number that is named.
    pub optouts: OptOuts,
    /// Complaints about no number that is named.
    pub complaints: Complaints,
    /// When its last receipt was received.
    pub heard: Option<Timestamp>,
}
