//! What is going to be told, and when: a heap ordered by place in the stream of webhooks, and the
//! batches that are being filled. It must never hold more than the delays and windows put into it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Webhook;
use crate::simulate::fate::{Fact, Step};
use crate::simulate::voice::Message;

/// Something to be told.
pub(super) enum Item {
    /// As it stands.
    Ready(Webhook),
    /// Still to be put into its provider's words.
    Step(Message, Step),
}

/// One report of a batch.
#[derive(Clone, Debug)]
pub(super) struct Report {
    /// In the provider's words.
    pub(super) text: String,
    /// What must be counted.
    pub(super) fact: Fact,
}

/// What is going to be told.
pub(super) struct Queue {
    /// Webhooks let go so far.
    position: u64,
    pushed: u64,
    heap: BinaryHeap<Reverse<Entry>>,
    batches: Vec<Batch>,
}

#[derive(Default)]
struct Batch {
    opened: u64,
    reports: Vec<Report>,
}

struct Entry {
    at: u64,
    order: u64,
    item: Item,
}

impl Queue {
    /// An empty queue with a batch for each of `routes`.
    pub(super) fn new(routes: usize) -> Self {
        let batches = (0..routes).map(|_| Batch::default()).collect();
        Self { position: 0, pushed: 0, heap: BinaryHeap::new(), batches }
    }

    /// Puts `item` at `wait` webhooks from here.
    pub(super) fn push(&mut self, wait: u64, item: Item) {
        self.pushed += 1;
        self.heap.push(Reverse(Entry { at: self.position + wait, order: self.pushed, item }));
    }

    /// Takes the first item if its place has come.
    pub(super) fn pop_due(&mut self) -> Option<Item> {
        let due = self.heap.peek().is_some_and(|Reverse(entry)| entry.at <= self.position);
        if due { self.pop() } else { None }
    }

    /// Takes the first item.
    pub(super) fn pop(&mut self) -> Option<Item> {
        self.heap.pop().map(|Reverse(entry)| entry.item)
    }

    /// Counts a webhook that was let go.
    pub(super) fn advance(&mut self) {
        self.position += 1;
    }

    /// Adds to a route's batch and says how many reports it now holds.
    pub(super) fn add_report(&mut self, route: usize, report: Report) -> usize {
        let position = self.position;
        let Some(batch) = self.batches.get_mut(route) else { return 0 };
        if batch.reports.is_empty() {
            batch.opened = position;
        }
        batch.reports.push(report);
        batch.reports.len()
    }

    /// A route whose batch has been open for `wait` webhooks.
    pub(super) fn overdue(&self, wait: u64) -> Option<usize> {
        self.batches
            .iter()
            .position(|batch| !batch.reports.is_empty() && self.position >= batch.opened + wait)
    }

    /// Empties a route's batch.
    pub(super) fn take_reports(&mut self, route: usize) -> Vec<Report> {
        self.batches.get_mut(route).map(|batch| std::mem::take(&mut batch.reports)).unwrap_or_default()
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}
