//! Cells → incidents → Discord, by one observer at a time: the one that holds the lease.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::alert::{Backup, Desk, Dispatcher, Evaluation, Fenced, LOOK_EVERY, StateStanding, Status, Target};
use crate::clock::{Clock, Timestamp};
use crate::consume::Progress;
use crate::health::Band;
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::tally::{self, Mirror, Store};

/// How long the lease lasts without being renewed. Another observer takes over within this and
/// `RENEW_EVERY`, which together with its first look at everything must be less than 15 s.
const LEASE: Duration = Duration::from_secs(10);
/// How often the lease is renewed or asked for, and the longest wait between two looks at what is due.
const RENEW_EVERY: Duration = Duration::from_secs(2);

/// The shortest wait between two looks at what is due.
const WAIT_MIN: Duration = Duration::from_millis(10);
/// The shortest wait after one that failed.
const RETRY_WAIT: Duration = Duration::from_millis(500);

/// Judges the cells and tells what follows.
#[derive(Debug)]
pub struct Watch {
    /// The state.
    pub store: Store,
    /// The cells in memory.
    pub mirror: Arc<Mirror>,
    /// Numbers, lists, thresholds, and where alerts go.
    pub registry: Arc<ArcSwap<Registry>>,
    /// How far the counting is.
    pub progress: Progress,
    /// What keeps incidents and silences in the stream.
    pub backup: Backup,
    /// Tells others how Discord answers.
    pub discord_status: watch::Sender<Status>,
    /// The metrics.
    pub metrics: Metrics,
    /// The daemon's clock.
    pub clock: Clock,
    /// Who this observer is, among those that share the state.
    pub name: String,
}

/// What the observer that holds the lease has: the desk, and a dispatcher at work.
struct Lead {
    /// The documents, as long as the lease's token is the newest: another one means that somebody else
    /// held it in between.
    documents: Fenced,
    desk: Desk<Fenced>,
    /// How many saves had been made when documents were announced last, and when that was.
    announced: (u64, Timestamp),
    /// What the dispatcher's target was read from, and the target.
    registry: Arc<Registry>,
    target: watch::Sender<Arc<Target>>,
    wake: Arc<Notify>,
    stop: watch::Sender<bool>,
    status: watch::Receiver<Status>,
    dispatcher: JoinHandle<()>,
}

impl Watch {
    /// Evaluates every `evaluate_every` while it holds the lease, until `shutdown` turns true.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) {
        let mut lead = None;
        let mut due = self.clock.now();
        loop {
            let mut wait_min = WAIT_MIN;
            if let Err(error) = self.turn(&mut lead, &mut due).await {
                tracing::warn!(%error, "failed to evaluate; nothing is lost, it is tried again");
                wait_min = RETRY_WAIT;
            }
            let wait = self.clock.real(due.since(self.clock.now())).min(RENEW_EVERY);
            tokio::select! {
                () = tokio::time::sleep(wait.max(wait_min)) => {}
                _ = shutdown.wait_for(|stop| *stop) => break,
            }
        }
        if let Some(lead) = lead {
            lead.end().await;
        }
    }

    async fn turn(&self, lead: &mut Option<Lead>, due: &mut Timestamp) -> Result<(), tally::Error> {
        let token = self.store.lease(&self.name, LEASE).await?;
        let now = self.clock.now();
        if let Some(lost) = lead.take_if(|lead| Some(lead.documents.token()) != token) {
            tracing::warn!("the lease was lost: another observer evaluates, or has done so");
            lost.end().await;
        }
        if let (Some(token), None) = (token, &lead) {
            *lead = Some(self.lead(token).await?);
            *due = now;
        }
        if let Some(lead) = lead.as_mut() {
            lead.heed(self.registry.load_full());
            self.discord_status.send_replace(lead.status.borrow().clone());
        }
        let every = self.registry.load().health.evaluate_every;
        // A clock that was set back must not put the next evaluation off for as long.
        let is_due = *due <= now || due.since(now) > every;
        if let Some(lead) = lead.as_mut().filter(|_| is_due) {
            *due = now.plus(every);
            self.evaluate(lead, now).await?;
        }
        match lead.as_mut() {
            Some(lead) => self.announce(lead, now).await,
            None => Ok(()),
        }
    }

    /// Publishes what was written since, here or, now and then, by anybody.
    async fn announce(&self, lead: &mut Lead, now: Timestamp) -> Result<(), tally::Error> {
        let (saves, last) = (lead.documents.saves(), lead.announced.1);
        if saves == lead.announced.0 && now.since(last) < LOOK_EVERY {
            return Ok(());
        }
        // Its own notes are no news, so they are written through a handle that does not count.
        let notes = Fenced::new(self.store.clone(), lead.documents.token());
        self.backup.announce(&notes, now).await?;
        lead.announced = (saves, now);
        Ok(())
    }

    /// Takes up the work where whoever did it last left it.
    async fn lead(&self, token: u64) -> Result<Lead, tally::Error> {
        let documents = Fenced::new(self.store.clone(), token);
        self.backup.restore(&documents).await?;
        let desk = Desk::open(documents.clone()).await?;
        let (wake, stop) = (Arc::new(Notify::new()), watch::Sender::new(false));
        let registry = self.registry.load_full();
        let target = watch::Sender::new(Arc::new(Target::of(registry.discord.as_ref())));
        let dispatcher =
            Dispatcher::new(documents.clone(), target.subscribe(), self.clock, self.metrics.clone());
        let (woken, stopped, status) = (Arc::clone(&wake), stop.subscribe(), dispatcher.status());
        let dispatcher = tokio::spawn(async move { dispatcher.run(woken, stopped).await });
        let announced = (0, Timestamp::default());
        Ok(Lead { documents, desk, announced, registry, target, wake, stop, status, dispatcher })
    }

    async fn evaluate(&self, lead: &mut Lead, now: Timestamp) -> Result<(), tally::Error> {
        let started = self.clock.ticks();
        let registry = self.registry.load_full();
        let reading = self.progress.last();
        match reading.held(registry.health.lag_max, now) {
            Some(reason) => lead.desk.hold(reason),
            None => lead.desk.release(),
        }
        let (lost, is_rebuilding) = (reading.lost.clone(), reading.rebuilding.is_some());
        lead.desk.hear_of_state(StateStanding { lost, is_rebuilding });
        self.store.refresh(&self.mirror).await?;
        let evaluation = lead.desk.evaluate(&self.mirror, &registry, now).await?;
        lead.wake.notify_one();
        self.count(&evaluation);
        self.metrics.evaluation_duration.observe(self.clock.ticks().saturating_sub(started).as_secs_f64());
        self.store.expire(reading.clock).await
    }

    fn count(&self, evaluation: &Evaluation) {
        let report = &evaluation.report;
        self.metrics.cells.set(i64::try_from(report.cells).unwrap_or(i64::MAX));
        for (provider, view) in &report.providers {
            if let Some(rate) = view.view.counts().rate() {
                self.metrics.delivery_ratio.with_label_values(&[provider.name()]).set(rate);
            }
        }
        for band in Band::ALL {
            let numbers = report.numbers.values().filter(|number| number.view.band == band).count();
            let numbers = i64::try_from(numbers).unwrap_or(i64::MAX);
            self.metrics.numbers.with_label_values(&[band.name()]).set(numbers);
        }
        self.metrics.incidents_open.reset();
        for incident in &evaluation.open {
            self.metrics
                .incidents_open
                .with_label_values(&[incident.kind.name(), incident.band.name()])
                .inc();
        }
        for step in &evaluation.steps {
            let labels = [step.kind.name(), step.transition.change.name()];
            self.metrics.incident_transitions.with_label_values(&labels).inc();
        }
    }
}

impl Lead {
    /// Has the dispatcher go by what was read anew; a destination that took nothing is tried again.
    fn heed(&mut self, registry: Arc<Registry>) {
        if !Arc::ptr_eq(&self.registry, &registry) {
            self.target.send_replace(Arc::new(Target::of(registry.discord.as_ref())));
            self.registry = registry;
        }
    }

    /// Lets the dispatcher finish the request it is at.
    async fn end(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.dispatcher.await {
            tracing::error!(%error, "the dispatcher broke");
        }
    }
}
