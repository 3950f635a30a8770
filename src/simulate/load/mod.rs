//! The open-loop sender. A supply of webhooks and a pace go in; what was answered comes out, with
//! the facts that were acknowledged. It retries as a provider does that retries everything, so that
//! a daemon killed and restarted in the middle loses nothing. Its pace must never follow the
//! server's: a webhook is due when it is due, and its latency counts from then.

mod line;
mod report;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::traffic::{Expect, Traffic, Webhook};
use crate::clock::{Clock, Timestamp};
use line::{Answered, Line};
pub use report::{Latency, Report};

/// The first wait before a webhook is sent again; each further one is twice as long.
const BACKOFF_FIRST: Duration = Duration::from_millis(20);
/// The longest wait before a webhook is sent again.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// How to send.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `host:port` of the receiver.
    pub authority: String,
    /// Connections kept open, each with one webhook under way at most.
    pub connections: usize,
    /// When webhooks are due.
    pub pace: Pace,
    /// When to stop starting new ones.
    pub duration: Option<Duration>,
    /// How long one webhook is sent again.
    pub retry_for: Duration,
    /// The clock of the payloads' times.
    pub clock: Clock,
}

/// When webhooks are due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// So many a second, evenly.
    PerSecond(f64),
    /// As soon as a connection is free: a closed loop.
    Unpaced,
}

/// A supply of webhooks.
pub trait Source: Send + 'static {
    /// The next one; none when there are no more.
    fn next(&mut self, now: Timestamp) -> Option<Webhook>;
}

impl Source for Traffic {
    fn next(&mut self, now: Timestamp) -> Option<Webhook> {
        Self::next(self, now)
    }
}

/// How far a run is, for whoever watches.
#[derive(Debug, Default)]
pub struct Progress {
    /// Webhooks taken up.
    pub sent: AtomicU64,
    /// Webhooks answered for good.
    pub answered: AtomicU64,
    /// Further attempts.
    pub retried: AtomicU64,
}

struct Shared<S> {
    plan: Plan,
    source: Arc<Mutex<S>>,
    progress: Arc<Progress>,
    tickets: AtomicU64,
    started: Instant,
}

/// When a webhook was due, seen from the connection that sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// The connection was free before; how late the timer fires is the simulator's own delay.
    Waited,
    /// Every connection was busy at `.0`: the wait since then is the server's.
    Overdue(Instant),
}

/// Sends until the source runs dry, the time is over or `stop` says so; then waits for what is under
/// way.
pub async fn run<S: Source>(
    plan: Plan,
    source: Arc<Mutex<S>>,
    progress: Arc<Progress>,
    stop: watch::Receiver<bool>,
) -> Report {
    let connections = plan.connections.max(1);
    let started = Instant::now();
    let shared = Arc::new(Shared { plan, source, progress, tickets: AtomicU64::new(0), started });
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        tasks.spawn(drive(Arc::clone(&shared), stop.clone()));
    }
    let mut report = Report::default();
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok(part) => report.add(part),
            Err(_) => report.workers_lost += 1,
        }
    }
    report.elapsed = started.elapsed();
    report
}

/// One connection's work, from its first webhook to its last.
async fn drive<S: Source>(shared: Arc<Shared<S>>, mut stop: watch::Receiver<bool>) -> Report {
    let mut line = Line::new(shared.plan.authority.clone());
    let mut report = Report::default();
    while let Some(start) = shared.next_start(&mut stop).await {
        let Some(webhook) = shared.take() else { break };
        let from = match start {
            Start::Waited => Instant::now(),
            Start::Overdue(due) => due,
        };
        shared.progress.sent.fetch_add(1, Ordering::Relaxed);
        let outcome = deliver(&shared, &mut line, &webhook, &mut report, &mut stop).await;
        shared.progress.answered.fetch_add(1, Ordering::Relaxed);
        report.book(&webhook, outcome, from.elapsed());
    }
    report
}

impl<S: Source> Shared<S> {
    /// Waits until the next webhook is due; none when the run is over.
    async fn next_start(&self, stop: &mut watch::Receiver<bool>) -> Option<Start> {
        if *stop.borrow() {
            return None;
        }
        let due = match self.plan.pace {
            Pace::Unpaced => self.started.elapsed(),
            Pace::PerSecond(rate) => self.due(self.tickets.fetch_add(1, Ordering::Relaxed), rate),
        };
        if self.plan.duration.is_some_and(|most| due >= most) {
            return None;
        }
        if self.plan.pace == Pace::Unpaced {
            return Some(Start::Waited);
        }
        let at = self.started + due;
        if at <= Instant::now() {
            return Some(Start::Overdue(at));
        }
        tokio::select! {
            () = tokio::time::sleep_until(at) => Some(Start::Waited),
            _ = stop.wait_for(|stop| *stop) => None,
        }
    }

    /// When the `ticket`th webhook is due, from the start.
    #[expect(clippy::cast_precision_loss, reason = "a run has fewer than 2^53 webhooks")]
    fn due(&self, ticket: u64, rate: f64) -> Duration {
        Duration::try_from_secs_f64(ticket as f64 / rate).unwrap_or(Duration::MAX)
    }

    fn take(&self) -> Option<Webhook> {
        let now = self.plan.clock.now();
        self.source.lock().unwrap_or_else(PoisonError::into_inner).next(now)
    }
}

/// How the sending of one webhook ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// A 2xx: what it says must be counted.
    Acknowledged(u16),
    /// Refused at the first word: what it says must not be counted.
    Refused(u16),
    /// No final answer, or a refusal after attempts nobody knows the end of.
    Uncertain(Option<u16>),
}

/// Whether an earlier attempt may have been carried out without our knowing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// There was none.
    None,
    /// It may.
    Earlier,
}

/// Sends one webhook until it is answered for good.
async fn deliver<S: Source>(
    shared: &Shared<S>,
    line: &mut Line,
    webhook: &Webhook,
    report: &mut Report,
    stop: &mut watch::Receiver<bool>,
) -> Outcome {
    let first = Instant::now();
    let mut backoff = BACKOFF_FIRST;
    let mut doubt = Doubt::None;
    loop {
        match line.exchange(webhook.request.clone()).await {
            Ok(answered) => {
                report.answered(answered.status);
                match judge(answered, doubt) {
                    Some(outcome) => return outcome,
                    None => doubt = Doubt::Earlier,
                }
            }
            Err(_) => {
                report.broken += 1;
                doubt = Doubt::Earlier;
            }
        }
        if webhook.expect == Expect::Refusal || first.elapsed() >= shared.plan.retry_for {
            return Outcome::Uncertain(None);
        }
        tokio::select! {
            () = tokio::time::sleep(backoff) => {}
            _ = stop.wait_for(|stop| *stop) => return Outcome::Uncertain(None),
        }
        backoff = (backoff * 2).min(BACKOFF_MAX);
        report.retries += 1;
        shared.progress.retried.fetch_add(1, Ordering::Relaxed);
    }
}

/// What an answer means to a provider that retries everything; none: try again.
fn judge(answered: Answered, doubt: Doubt) -> Option<Outcome> {
    match answered.status {
        status @ 200..=299 => Some(Outcome::Acknowledged(status)),
        408 | 429 | 500..=599 => None,
        status if doubt == Doubt::Earlier => Some(Outcome::Uncertain(Some(status))),
        status => Some(Outcome::Refused(status)),
    }
}

#[cfg(test)]
mod tests;
