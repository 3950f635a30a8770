//! Who sends how much, and what becomes of it: the draws. Pure but for the random numbers it is
//! handed.

use rand::RngExt;
use rand_pcg::Pcg64Mcg;

use crate::config::{Config, Connection};
use crate::event::{Number, Provider};
use crate::simulate::fate::{Fate, Reason};
use crate::simulate::route::Route;

/// Area codes recipients live in.
pub(super) const AREAS: [u16; 12] = [212, 213, 305, 312, 404, 415, 512, 602, 617, 702, 713, 917];

/// What recipients answer.
pub(super) const REPLIES: [&str; 4] = ["Thanks!", "Who is this?", "Can I come at 5 instead", "ok"];

/// The sender of connections that no number is configured for.
const DEFAULT_SENDER: &str = "+18005550199";

/// A number on one connection.
#[derive(Clone, Debug)]
pub struct Sender {
    /// Its connection's index among the routes.
    pub route: usize,
    /// The number its messages must be counted for; none where nothing names it.
    pub number: Option<Number>,
    /// Its share of the messages, relative to the others'.
    pub weight: f64,
    /// What becomes of its messages.
    pub outlook: Outlook,
    /// What its provider says it is.
    pub(super) said: String,
}

/// What becomes of a sender's messages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlook {
    /// Share delivered, of those delivered or failed.
    pub delivery_rate: f64,
    /// Share of the failures that are a carrier's filtering.
    pub filtered: f64,
    /// Share of the failures that are the provider's own.
    pub of_provider: f64,
}

/// Shares of fates that are neither side of the rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rare {
    /// The recipient had opted out.
    pub blocked: f64,
    /// Withdrawn.
    pub canceled: f64,
    /// Nothing is heard after it was sent.
    pub sent: f64,
    /// Refused for the account's sake.
    pub account: f64,
}

impl Default for Rare {
    fn default() -> Self {
        Self { blocked: 0.005, canceled: 0.002, sent: 0.01, account: 0.002 }
    }
}

impl Rare {
    /// None of them.
    pub const NONE: Self = Self { blocked: 0.0, canceled: 0.0, sent: 0.0, account: 0.0 };
}

/// Every number on every connection it is on.
pub(super) fn senders(config: &Config, routes: &[Route], delivery_rate: f64) -> Vec<Sender> {
    let outlook = Outlook { delivery_rate, filtered: 0.2, of_provider: 0.0 };
    let of_connection = |(route, connection): (usize, &Connection)| {
        numbers(config, connection).into_iter().map(move |(number, said)| Sender {
            route,
            number,
            weight: 1.0,
            outlook,
            said,
        })
    };
    config.connections.iter().enumerate().take(routes.len()).flat_map(of_connection).collect()
}

/// The numbers messages of a connection are counted for, and what its provider says.
fn numbers(config: &Config, connection: &Connection) -> Vec<(Option<Number>, String)> {
    let named = |number: &Number| (Some(number.clone()), number.as_str().to_owned());
    // CM's reports name no sender: only the connection says whose they are.
    if connection.provider == Provider::Cm {
        let said = connection.number.as_ref().map_or(DEFAULT_SENDER, Number::as_str);
        return vec![(connection.number.clone(), said.to_owned())];
    }
    let on_leg = config.numbers.iter().filter(|entry| entry.legs.contains(&connection.id));
    let mut numbers: Vec<_> = on_leg.map(|entry| named(&entry.number)).collect();
    if numbers.is_empty() {
        numbers.extend(connection.number.iter().map(named));
    }
    if numbers.is_empty() {
        let anywhere = config.numbers.iter().filter(|entry| entry.legs.is_empty());
        numbers.extend(anywhere.map(|entry| named(&entry.number)));
    }
    if numbers.is_empty() {
        numbers.push((Number::parse(DEFAULT_SENDER), DEFAULT_SENDER.to_owned()));
    }
    numbers
}

/// Draws a sender by weight.
pub(super) fn pick(senders: &[Sender], random: &mut Pcg64Mcg) -> usize {
    let total: f64 = senders.iter().map(|sender| sender.weight).sum();
    let mut left = random.random::<f64>() * total;
    for (index, sender) in senders.iter().enumerate() {
        left -= sender.weight;
        if left < 0.0 {
            return index;
        }
    }
    senders.len().saturating_sub(1)
}

/// Draws what becomes of a message.
pub(super) fn fate(outlook: &Outlook, rare: Rare, random: &mut Pcg64Mcg) -> Fate {
    let mut left = random.random::<f64>();
    let rares = [
        (rare.blocked, Fate::Blocked),
        (rare.canceled, Fate::Canceled),
        (rare.sent, Fate::Sent),
        (rare.account, Fate::Failed(Reason::Account)),
    ];
    for (share, fate) in rares {
        left -= share;
        if left < 0.0 {
            return fate;
        }
    }
    if random.random::<f64>() < outlook.delivery_rate {
        return Fate::Delivered;
    }
    let known = outlook.filtered + outlook.of_provider;
    let reason = match random.random::<f64>() {
        filtered if filtered < outlook.filtered => Reason::Filtered,
        broken if broken < known => Reason::Provider,
        other if other < (1.0 + known) / 2.0 => Reason::Unreachable,
        _ => Reason::Unknown,
    };
    Fate::Failed(reason)
}

/// An id that no other index of this seed has, as both halves follow from a bijection of it.
pub(super) fn id(seed: u64, index: u32) -> u128 {
    let salt = scramble(seed ^ 0x5eed_0f50_u64);
    let low = scramble(u64::from(index) ^ salt);
    u128::from(scramble(low ^ seed)) << 64 | u128::from(low)
}

/// The finalizer of splitmix64: a bijection that leaves no pattern.
const fn scramble(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}
