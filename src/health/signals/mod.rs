//! The rules beside the rate, each a few lines on the same counts: a view goes in, what it says at
//! one evaluation comes out. Pure; what confirms and ends a signal is [`Flag`](crate::health::signal::Flag)'s.
//!
//! Shares are judged as the rate is: the odds against so many at the threshold must be long.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::config::{Health, Purpose};
use crate::event::{FailureClass, FeedbackKind, Severity};
use crate::health::band::Band;
use crate::health::coverage::Coverage;
use crate::health::delay::Delays;
use crate::health::early::odds;
use crate::health::rate::share;
use crate::health::scope::Kind;
use crate::health::signal::Signal;
use crate::health::sums::{Sums, Window};
use crate::health::view::{ConnectionView, ListView, NumberView};
use crate::tally::Notice;

/// Messages a share is judged by at least.
const SOME: u64 = 20;
/// Messages the usual share, and a share of reports, is made of at least.
const MANY: u64 = 50;
/// Delivered messages that opt-outs over a week or a month are judged by at least.
const OPT_OUTS_MANY: u64 = 500;
/// Failures of the account within a quarter of an hour that are no accident.
const ACCOUNT_MIN: u64 = 3;
/// Registered sends, or usual messages of a quarter of an hour, whose silence is no accident.
const SILENT_MIN: u64 = 20;
/// How long a carrier's or registry's notice is news.
const NOTICE_LASTS: Duration = Duration::from_secs(24 * 3600);

/// Everything that is said of a number beside its rate.
pub(super) fn of_number(
    number: &NumberView,
    notices: &[&Notice],
    settings: &Health,
    now: Timestamp,
) -> Vec<Signal> {
    let sums = &number.view.sums;
    let opt_outs = Window::OPT_OUTS.map(|window| opt_outs(number.optouts.window(window), window, settings));
    vec![
        carrier_filtered(sums, settings),
        unreported(sums, settings),
        worst(opt_outs),
        complaints(number.complaints.week, number.complaints.delivered, notices),
        registry(notices, now),
    ]
}

/// Everything that is said of a list; its own rate is its numbers' business.
pub(super) fn of_list(list: &ListView, settings: &Health) -> Vec<Signal> {
    let sums = &list.view.sums;
    let opt_outs = Window::OPT_OUTS.map(|window| opt_outs(list.optouts.window(window), window, settings));
    vec![bad_contacts(sums, settings), worst(opt_outs), slow(sums, list.purpose, settings)]
}

/// Everything that is said of a connection.
pub(super) fn of_connection(
    connection: &ConnectionView,
    notices: &[&Notice],
    settings: &Health,
    now: Timestamp,
) -> Vec<Signal> {
    let sums = &connection.view.sums;
    let (told, delivered) = (connection.complaints.week, connection.complaints.delivered);
    vec![
        silence(connection, settings, now),
        account(sums),
        complaints(told, delivered, notices),
        registry(notices, now),
    ]
}

/// A share with two limits, of at least so many messages.
struct Graded {
    kind: Kind,
    hits: u64,
    of: u64,
    limits: [f64; 2],
    least: u64,
    window: Window,
    what: &'static str,
}

impl Graded {
    fn judged(&self, settings: &Health) -> Signal {
        let &Self { kind, hits, of, limits: [watch, critical], least, window, what } = self;
        let surely = |limit: f64| odds(hits, of, 1.0 - limit) >= settings.odds;
        let band = match () {
            () if of < least => Band::Unknown,
            () if surely(critical) => Band::Critical,
            () if surely(watch) => Band::Watch,
            () => Band::Healthy,
        };
        if band == Band::Unknown {
            return Signal { kind, band, sentence: String::new() };
        }
        let limit = percent(if band == Band::Critical { critical } else { watch });
        let sentence = format!(
            "{hits} of {of} ({} %) {what} over {}; {limit} % is the limit.",
            percent(share(hits, of)),
            window.title()
        );
        Signal { kind, band, sentence }
    }
}

/// The share that carriers filter, by itself and against the week's.
fn carrier_filtered(sums: &Sums, settings: &Health) -> Signal {
    let filtered = |window: Window| sums.windows[window as usize].failed(FailureClass::CarrierFiltered);
    let judged = |window| sums.tally(window).judged();
    let (hits, of) = (filtered(Window::Hour), judged(Window::Hour));
    let level = Graded {
        kind: Kind::CarrierFiltered,
        hits,
        of,
        limits: settings.carrier_filtered.shares(),
        least: SOME,
        window: Window::Hour,
        what: "were filtered by carriers",
    };
    let signal = level.judged(settings);
    let before = judged(Window::Week).saturating_sub(of);
    let usual = share(filtered(Window::Week).saturating_sub(hits), before);
    // Twice next to nothing is next to nothing: half the limit is asked for as well.
    let double = (2.0 * usual).max(settings.carrier_filtered.watch / 2.0);
    let doubled = before >= MANY && of >= SOME && odds(hits, of, 1.0 - double) >= settings.odds;
    if signal.band == Band::Healthy && doubled {
        let sentence = format!(
            "{hits} of {of} ({} %) were filtered by carriers over 1 h; over the week before it were {} %.",
            percent(share(hits, of)),
            percent(usual)
        );
        return Signal { band: Band::Watch, sentence, ..signal };
    }
    signal
}

/// The share of a list's contacts that do not exist or cannot be reached.
fn bad_contacts(sums: &Sums, settings: &Health) -> Signal {
    let day = &sums.windows[Window::Day as usize];
    let bad = [FailureClass::InvalidRecipient, FailureClass::Unreachable];
    Graded {
        kind: Kind::BadContacts,
        hits: bad.iter().map(|class| day.failed(*class)).sum(),
        of: sums.tally(Window::Day).judged(),
        limits: settings.bad_contacts.shares(),
        least: MANY,
        window: Window::Day,
        what: "met nobody (invalid or unreachable)",
    }
    .judged(settings)
}

/// The share without a final receipt, against what is usual on the route: some never report.
fn unreported(sums: &Sums, settings: &Health) -> Signal {
    let kind = Kind::Unreported;
    let unknown = Signal { kind, band: Band::Unknown, sentence: String::new() };
    let hour = sums.window(Window::Hour);
    if hour.matured < MANY {
        return unknown;
    }
    let (week, quarter) = (sums.window(Window::Week), sums.window(Window::Quarter));
    let before = week.matured.saturating_sub(hour.matured);
    if before < MANY {
        return unknown;
    }
    let usual = share(week.unreported.saturating_sub(hour.unreported), before);
    let [watch, critical] = settings.unreported.shares();
    let surely = |points: f64| {
        let limit = usual + points;
        limit < 1.0 && odds(hour.unreported, hour.matured, 1.0 - limit) >= settings.odds
    };
    let all = quarter.matured >= MANY && quarter.unreported == quarter.matured && usual + watch < 1.0;
    let band = match () {
        () if all || surely(critical) => Band::Critical,
        () if surely(watch) => Band::Watch,
        () => Band::Healthy,
    };
    let sentence = format!(
        "{} of {} ({} %) have no final receipt over 1 h; over the week before it were {} %.",
        hour.unreported,
        hour.matured,
        percent(share(hour.unreported, hour.matured)),
        percent(usual)
    );
    Signal { kind, band, sentence }
}

/// No receipt of any kind where there should be some: everywhere else that looks like health.
fn silence(connection: &ConnectionView, settings: &Health, now: Timestamp) -> Signal {
    let kind = Kind::Silence;
    let sums = &connection.view.sums;
    let missing = Coverage::of(&sums.windows[Window::Quarter as usize]).missing;
    let usual = sums.usual_an_hour() / 4.0;
    let quiet = connection.heard.map(|heard| now.since(heard));
    let minutes = quiet.map_or_else(|| "ever".into(), |quiet| format!("for {} min", quiet.as_secs() / 60));
    if quiet.is_some_and(|quiet| quiet < settings.silence_after) {
        return Signal { kind, band: Band::Healthy, sentence: String::new() };
    }
    let (band, sentence) = match () {
        () if missing >= SILENT_MIN => (
            Band::Critical,
            format!(
                "No receipt of any kind {minutes}, with {missing} registered sends unanswered: a broken webhook."
            ),
        ),
        () if usual >= SILENT_MIN as f64 => (
            Band::Critical,
            format!(
                "No receipt of any kind {minutes}, at an hour of the week that usually brings {usual:.0} in 15 min: \
                 a broken webhook."
            ),
        ),
        () => (Band::Unknown, String::new()),
    };
    Signal { kind, band, sentence }
}

/// Failures that are the account's.
fn account(sums: &Sums) -> Signal {
    let failed = sums.recent.failed(FailureClass::Account);
    let heard = sums.recent.total() > 0;
    let band = match failed {
        ACCOUNT_MIN.. => Band::Critical,
        _ if heard => Band::Healthy,
        _ => Band::Unknown,
    };
    let sentence = format!("{failed} messages of the last 15 min failed because of the account.");
    Signal { kind: Kind::Account, band, sentence }
}

/// Distinct recipients who opted out, over one window.
fn opt_outs(of: crate::health::response::OptOut, window: Window, settings: &Health) -> Signal {
    let limits = if window == Window::Day { settings.opt_outs } else { settings.opt_outs_long };
    Graded {
        kind: Kind::OptOuts,
        hits: of.count.min(of.delivered),
        of: of.delivered,
        limits: limits.shares(),
        least: if window == Window::Day { SOME } else { OPT_OUTS_MANY },
        window,
        what: "opted out",
    }
    .judged(settings)
}

/// Complaints: one is a warning, their share or what they led to is worse.
fn complaints(week: u64, delivered: u64, notices: &[&Notice]) -> Signal {
    let rate = share(week, delivered.max(1));
    let graves = notices.iter().filter(|notice| notice.kind == FeedbackKind::Complaint);
    let grave = graves.into_iter().any(|notice| gravity(notice) == Band::Critical);
    let band = match week {
        0 => Band::Healthy,
        _ if grave || (week >= 3 && delivered >= SOME && rate >= 0.003) => Band::Critical,
        _ => Band::Watch,
    };
    let sentence = format!("{week} complaints within 7 d, of {delivered} delivered.");
    Signal { kind: Kind::Complaints, band, sentence }
}

/// What a carrier or a registry told of late.
fn registry(notices: &[&Notice], now: Timestamp) -> Signal {
    let told = notices.iter().filter(|notice| notice.kind != FeedbackKind::Complaint);
    let fresh = told.filter(|notice| now.since(notice.at) < NOTICE_LASTS);
    let gravest = fresh.max_by_key(|notice| (gravity(notice), notice.at));
    let band = gravest.map_or(Band::Healthy, |notice| gravity(notice));
    let sentence = gravest.map_or_else(String::new, |notice| notice.text.clone());
    Signal { kind: Kind::Registry, band, sentence }
}

/// How grave a notice is, as a band.
const fn gravity(notice: &Notice) -> Band {
    match notice.severity {
        Severity::Info => Band::Healthy,
        Severity::Warning | Severity::Complaint => Band::Watch,
        Severity::Violation | Severity::Suspension => Band::Critical,
    }
}

/// Messages that are delivered, but too late for their purpose.
fn slow(sums: &Sums, purpose: Option<Purpose>, settings: &Health) -> Signal {
    let limit = match purpose {
        Some(Purpose::Marketing) => settings.slow_marketing,
        Some(Purpose::Transactional) | None => settings.slow_transactional,
    };
    let delays = Delays::of(&sums.windows[Window::Hour as usize]);
    Graded {
        kind: Kind::SlowDelivery,
        hits: delays.over(limit),
        of: delays.known(),
        limits: settings.slow.shares(),
        least: SOME,
        window: Window::Hour,
        what: "were delivered late",
    }
    .judged(settings)
}

/// The worst of several readings of one signal.
fn worst(signals: [Signal; 3]) -> Signal {
    let [first, rest @ ..] = signals;
    rest.into_iter().fold(first, |worst, signal| if signal.band > worst.band { signal } else { worst })
}

/// A share as people write it.
fn percent(share: f64) -> String {
    format!("{:.1}", share * 100.0)
}

#[cfg(test)]
mod tests;
