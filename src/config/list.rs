//! `[[list]]` and `[[number]]`: who sends, for what, and over which connections.

use std::collections::BTreeMap;

use super::connection::Declared;
use super::health::{Health, read_thresholds};
use super::section::Section;
use super::value::{choice, connection_id, list_id, sender, text};
use crate::event::{ConnectionId, ListId, Number, Provider};

/// A sending list: `[[list]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Its id.
    pub id: ListId,
    /// Its name, which says its purpose.
    pub name: String,
    /// The brand it sends for.
    pub brand: String,
    /// What it sends.
    pub purpose: Purpose,
    /// Its numbers.
    pub numbers: Vec<Number>,
}

/// What a list sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Campaigns.
    Marketing,
    /// Codes, receipts, reminders.
    Transactional,
}

/// A sending number: `[[number]]`, or named in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberEntry {
    /// The number.
    pub number: Number,
    /// Its kind.
    pub kind: NumberKind,
    /// Whether it may send, and so whether it pings.
    pub status: NumberStatus,
    /// The connections it is provisioned on.
    pub legs: Vec<ConnectionId>,
}

/// The kind of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberKind {
    /// A registered ten-digit long code.
    TenDlc,
    /// 3–8 digits.
    ShortCode,
    /// +1 800 and its siblings.
    TollFree,
    /// Another country's number.
    LongCode,
    /// A name instead of a number.
    Alphanumeric,
}

impl NumberKind {
    /// The kind a number shows by its digits alone.
    pub fn of(number: &Number) -> Self {
        const TOLL_FREE: [&str; 7] = ["800", "833", "844", "855", "866", "877", "888"];
        let text = number.as_str();
        match text.strip_prefix("+1") {
            Some(national) if TOLL_FREE.iter().any(|npa| national.starts_with(npa)) => Self::TollFree,
            Some(_) => Self::TenDlc,
            None if number.is_e164() => Self::LongCode,
            None if text.bytes().all(|b| b.is_ascii_digit()) => Self::ShortCode,
            None => Self::Alphanumeric,
        }
    }
}

/// Whether a number may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NumberStatus {
    /// It sends.
    Active,
    /// Temporarily disabled.
    Inactive,
    /// Awaiting approval.
    Pending,
    /// Blocked by a carrier.
    Suspended,
}

impl NumberStatus {
    /// The name in the configuration and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Suspended => "suspended",
        }
    }
}

/// The lists; thresholds of their own go where the other thresholds are.
pub(super) fn read_lists(tables: Vec<Section<'_>>, health: &mut Health) -> Vec<List> {
    let mut lists: Vec<List> = Vec::new();
    let mut list_of: BTreeMap<Number, ListId> = BTreeMap::new();
    for mut table in tables {
        let Some(list) = read_list(&mut table, health) else { continue };
        if lists.iter().any(|other| other.id == list.id) {
            table.wrong("id", "is the id of another list", "give each list its own");
        }
        for number in &list.numbers {
            if let Some(other) = list_of.insert(number.clone(), list.id.clone()) {
                let what = format!("names {number}, which is already on {other}");
                table.wrong("numbers", &what, "keep a number on one list, once: its messages count there");
            }
        }
        lists.push(list);
    }
    lists
}

fn read_list(table: &mut Section<'_>, health: &mut Health) -> Option<List> {
    let id = table.required("id", list_id, "name the list, as in id = \"acme-promo\"");
    if let Some(id) = &id {
        table.rename(format!("list.{id}"));
    }
    let purposes = [("marketing", Purpose::Marketing), ("transactional", Purpose::Transactional)];
    let name = table.get("name", text);
    let brand = table.or("brand", text, String::new());
    let purpose = table.or("purpose", choice(&purposes), Purpose::Marketing);
    let numbers = table.each("numbers", sender);
    if let (Some(id), Some(own)) = (&id, table.optional("thresholds")) {
        health.thresholds_by_list.insert(id.clone(), read_thresholds(own, health.thresholds));
    }
    table.later("discord", "every list's alerts go to [alert.discord]");
    let id = id?;
    Some(List { name: name.unwrap_or_else(|| id.to_string()), id, brand, purpose, numbers })
}

/// The declared numbers, and those that are only named in a list: active, their kind derived.
pub(super) fn read_numbers(
    tables: Vec<Section<'_>>,
    lists: &[List],
    declared: &Declared,
) -> Vec<NumberEntry> {
    let mut numbers: BTreeMap<Number, NumberEntry> = BTreeMap::new();
    for mut table in tables {
        let Some(entry) = read_number(&mut table) else { continue };
        check_legs(&table, &entry, declared);
        if numbers.insert(entry.number.clone(), entry).is_some() {
            table.wrong("number", "is declared twice", "keep one of the two");
        }
    }
    for number in lists.iter().flat_map(|list| &list.numbers) {
        numbers.entry(number.clone()).or_insert_with(|| NumberEntry {
            number: number.clone(),
            kind: NumberKind::of(number),
            status: NumberStatus::Active,
            legs: Vec::new(),
        });
    }
    numbers.into_values().collect()
}

fn read_number(table: &mut Section<'_>) -> Option<NumberEntry> {
    let number = table.required("number", sender, "write number = \"+18005550100\"");
    if let Some(number) = &number {
        table.rename(format!("number.{number}"));
    }
    let kinds = [
        ("ten_dlc", NumberKind::TenDlc),
        ("short_code", NumberKind::ShortCode),
        ("toll_free", NumberKind::TollFree),
        ("long_code", NumberKind::LongCode),
        ("alphanumeric", NumberKind::Alphanumeric),
    ];
    let statuses = [
        ("active", NumberStatus::Active),
        ("inactive", NumberStatus::Inactive),
        ("pending", NumberStatus::Pending),
        ("suspended", NumberStatus::Suspended),
    ];
    let kind = table.get("kind", choice(&kinds));
    let status = table.or("status", choice(&statuses), NumberStatus::Active);
    let legs = table.each("legs", connection_id);
    let number = number?;
    let derived = NumberKind::of(&number);
    if kind.is_some_and(|kind| kind != derived) {
        table.warn("kind", "is not what the number's digits say; the configuration is believed");
    }
    Some(NumberEntry { kind: kind.unwrap_or(derived), number, status, legs })
}

fn check_legs(table: &Section<'_>, entry: &NumberEntry, declared: &Declared) {
    for leg in entry.legs.iter().filter(|leg| !declared.ids.contains(*leg)) {
        table.absent(
            "legs",
            &format!("names {leg}, which is no connection"),
            "declare it with [[connection]], or correct the id",
        );
    }
    let provider =
        |leg: &ConnectionId| declared.connections.iter().find(|one| one.id == *leg).map(|one| one.provider);
    let providers: Vec<Provider> = entry.legs.iter().filter_map(provider).collect();
    let what = match (entry.legs.len(), providers.as_slice()) {
        (0 | 1, _) => return,
        (2, _) if entry.kind != NumberKind::TollFree => {
            "names two connections, and the number is not toll-free"
        }
        (2, [one, other]) if one == other => "names two connections of one provider",
        (2, _) => return,
        _ => "names more than two connections",
    };
    table.wrong("legs", what, "only a toll-free number has two legs, with two different providers");
}
