//! The outbox → Discord, in order, one request at a time, until each entry is settled.
//!
//! An entry leaves the outbox in the same step that remembers its message, never before. What
//! Discord answers decides what comes next; nothing but a final refusal makes it give up. Another
//! target may be set at any time.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use serde::Serialize;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::card::{minimal, ping, render, sentence, title};
use super::discord::{Answer, Call, Discord, Transport};
use super::documents::{Documents, delete, put};
use super::incident::{Incident, Posted};
use super::outbox::{Entry, Errand, Job, Outbox, posted_key};
use crate::clock::Clock;
use crate::config;
use crate::metrics::Metrics;
use crate::tally::{Error, Put, Store, Table};

/// How long to wait after the first failure; doubled with each.
const RETRY_WAIT_MIN: Duration = Duration::from_secs(1);
/// The longest wait between two attempts.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(300);
/// How long a destination is left alone that takes nothing. Discord bans who makes 10,000 invalid
/// requests in ten minutes.
const BROKEN_RETRY: Duration = Duration::from_secs(300);
/// How often to look without being woken: another process may have written.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Entries kept for a destination that takes nothing; the oldest beyond are logged and dropped.
const ENTRIES_MAX: usize = 1000;

/// How delivery stands, for `/readyz` and the page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Status {
    /// No Discord is configured: alerts are logged.
    NotConfigured,
    /// The last request, if any, was answered well.
    Working,
    /// It is being tried again.
    Retrying {
        /// The answer's code, as in the metrics.
        code: String,
    },
    /// It takes nothing until somebody mends that; alerts wait.
    Broken {
        /// What is wrong, and what to do.
        reason: String,
    },
}

/// Where alerts go.
#[derive(Debug)]
pub struct Target<T = Discord> {
    transport: Option<T>,
    roles: BTreeMap<String, String>,
    /// How delivery stands before anything is asked.
    status: Status,
}

impl Target {
    /// What is configured.
    pub fn of(discord: Option<&config::Discord>) -> Self {
        let Some(settings) = discord else {
            return Self { transport: None, roles: BTreeMap::new(), status: Status::NotConfigured };
        };
        let (transport, status) = match Discord::new(settings) {
            Ok(discord) => (Some(discord), Status::Working),
            Err(unfit) => (None, Status::Broken { reason: unfit.to_string() }),
        };
        Self { transport, roles: settings.roles.clone(), status }
    }
}

/// Delivers the outbox.
#[derive(Debug)]
pub struct Dispatcher<D = Store, T = Discord> {
    documents: D,
    target: Arc<Target<T>>,
    targets: watch::Receiver<Arc<Target<T>>>,
    clock: Clock,
    metrics: Metrics,
    status: watch::Sender<Status>,
    memory: Memory,
}

/// What is remembered between attempts; losing it costs nothing but a retry.
#[derive(Debug, Default)]
struct Memory {
    failures: u32,
    /// Entries attempted here, and whether their answer was lost.
    attempts: HashMap<String, Fate>,
    /// Entries Discord refused, which go out in their least form.
    refused: HashSet<String>,
    /// What Discord has taken and the store has not: asking again would say it twice.
    unsettled: Option<Settlement>,
    /// Entries logged because the destination is broken.
    logged: HashSet<String>,
    /// When a destination that is broken, and not for good, is asked again.
    retry_at: Option<Instant>,
}

/// What became of an attempt that did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    NotTaken,
    Unknown,
}

/// Entries that are done with, and the card they made.
#[derive(Clone, Debug, Default)]
struct Settlement {
    keys: Vec<String>,
    posted: Option<(String, Posted)>,
}

/// What to do after a look at the outbox.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Look again at once.
    Again,
    /// Look again after this long, whatever happens meanwhile.
    After(Duration),
    /// Look again when something is new.
    WhenWoken,
}

impl<D: Documents, T: Transport> Dispatcher<D, T> {
    /// A dispatcher to whatever the target is at the time. It sends nothing until it
    /// [runs](Self::run).
    pub fn new(
        documents: D,
        mut targets: watch::Receiver<Arc<Target<T>>>,
        clock: Clock,
        metrics: Metrics,
    ) -> Self {
        let target = Arc::clone(&targets.borrow_and_update());
        let status = watch::Sender::new(target.status.clone());
        Self { documents, target, targets, clock, metrics, status, memory: Memory::default() }
    }

    /// How delivery stands, now and later.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Delivers until told to stop; a request under way is finished first.
    pub async fn run(mut self, wake: Arc<Notify>, mut shutdown: watch::Receiver<bool>) {
        while !*shutdown.borrow_and_update() {
            self.aim();
            let next = self.step().await.unwrap_or_else(|error| {
                tracing::warn!(%error, "failed to work on the alerts' outbox, trying again");
                Next::After(self.memory.back_off())
            });
            let wait = match next {
                Next::Again => continue,
                Next::After(wait) => wait,
                Next::WhenWoken => LOOK_EVERY,
            };
            let woken = async {
                if next == Next::WhenWoken { wake.notified().await } else { std::future::pending().await }
            };
            let targets = &mut self.targets;
            let aimed = async {
                if targets.changed().await.is_err() {
                    // Nobody is left who could set another.
                    std::future::pending().await
                }
                targets.mark_changed();
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = woken => {}
                () = aimed => {}
                changed = shutdown.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Turns to another target if one was set; what waits is for that one now.
    fn aim(&mut self) {
        if self.targets.has_changed().unwrap_or(false) {
            self.target = Arc::clone(&self.targets.borrow_and_update());
            self.status.send_replace(self.target.status.clone());
            (self.memory.failures, self.memory.retry_at) = (0, None);
        }
    }

    /// Looks at the outbox once and does the first thing in it.
    async fn step(&mut self) -> Result<Next, Error> {
        if let Some(settlement) = self.memory.unsettled.clone() {
            self.settle(settlement).await?;
            self.memory.unsettled = None;
        }
        let outbox = Outbox::of(&self.documents.load(Table::Outbox).await?);
        self.metrics.alerts_pending.set(i64::try_from(outbox.pending()).unwrap_or(i64::MAX));
        if !outbox.unreadable().is_empty() {
            self.drop_entries(outbox.unreadable()).await?;
        }
        let Some(job) = outbox.next() else { return Ok(Next::WhenWoken) };
        let status = self.status.borrow().clone();
        match status {
            Status::NotConfigured => {
                say(&job.incident);
                self.drop_entries(&job.settles).await?;
                Ok(Next::Again)
            }
            Status::Broken { .. } if self.memory.retry_at.is_none_or(|due| due > Instant::now()) => {
                self.keep(&outbox).await
            }
            Status::Working | Status::Retrying { .. } | Status::Broken { .. } => {
                self.deliver(&outbox, &job).await
            }
        }
    }

    /// Asks Discord once, and acts on the answer.
    async fn deliver(&mut self, outbox: &Outbox, job: &Job) -> Result<Next, Error> {
        let Some(call) = self.prepare(outbox, job).await? else { return Ok(Next::Again) };
        let Some(transport) = &self.target.transport else { return Ok(Next::WhenWoken) };
        let answer = transport.send(&call).await;
        self.metrics.discord_requests.with_label_values(&[&answer.code()]).inc();
        let fate = if answer == Answer::Lost { Fate::Unknown } else { Fate::NotTaken };
        self.memory.attempts.insert(job.key.clone(), fate);
        match answer {
            Answer::Done(posted, pause) => {
                self.done(job, posted);
                Ok(if pause.is_zero() { Next::Again } else { Next::After(pause) })
            }
            Answer::Limited(wait) => Ok(self.retry(&Answer::Limited(wait), wait)),
            Answer::Refused => self.refused(job).await,
            Answer::Gone if matches!(job.errand, Errand::Edit(_)) => {
                // The card is posted anew, as the newest message of its channel.
                self.documents.save(vec![delete(Table::Outbox, &posted_key(&job.incident.id))]).await?;
                Ok(Next::Again)
            }
            Answer::Broken(code) => {
                let reason = format!(
                    "Discord answers {code}: the webhook is forbidden or not found, and alerts wait; it is tried again \
                     every {} s. Allow it again, or configure another and send SIGHUP",
                    BROKEN_RETRY.as_secs()
                );
                Ok(self.breaks(code, reason, Some(Instant::now() + BROKEN_RETRY)))
            }
            Answer::Deleted(code) => {
                let reason = format!(
                    "Discord answered {code}: the webhook is deleted, and alerts wait; make a new one, configure it \
                     and send SIGHUP"
                );
                Ok(self.breaks(code, reason, None))
            }
            Answer::Failed(_) | Answer::Unsent | Answer::Lost | Answer::Gone => {
                let wait = self.memory.back_off();
                Ok(self.retry(&answer, wait))
            }
        }
    }

    /// Makes the call, once the outbox knows that it may have been made. None when that is to be
    /// looked at again.
    async fn prepare(&self, outbox: &Outbox, job: &Job) -> Result<Option<Call>, Error> {
        if let Errand::Edit(posted) = &job.errand {
            return Ok(Some(Call::Edit(posted.message.clone(), self.body(job))));
        }
        if job.attempted {
            // Before a restart, or here with its answer lost: nobody knows whether it stands there.
            if self.memory.attempts.get(&job.key) != Some(&Fate::NotTaken) {
                self.metrics.alerts_maybe_doubled.inc();
            }
        } else if let Some((key, entry)) = outbox.entries().iter().find(|(key, _)| *key == job.key) {
            let entry = Entry { attempted: true, ..entry.clone() };
            self.documents.save(vec![put(Table::Outbox, key, &entry)?]).await?;
        }
        Ok(Some(Call::Post(self.body(job))))
    }

    fn body(&self, job: &Job) -> serde_json::Value {
        match job.errand {
            _ if self.memory.refused.contains(&job.key) => minimal(&job.incident),
            Errand::Post | Errand::Edit(_) => render(&job.incident),
            Errand::Ping(band) => ping(&job.incident, self.target.roles.get(band.name()).map(String::as_str)),
        }
    }

    /// Remembers what Discord has taken, for the next look to write down first.
    fn done(&mut self, job: &Job, posted: Posted) {
        self.metrics.discord_last_success.set(f64::from(self.clock.now().seconds()));
        self.status.send_replace(Status::Working);
        self.memory.failures = 0;
        let posted = match job.errand {
            Errand::Ping(_) => None,
            Errand::Post | Errand::Edit(_) => Some((job.incident.id.clone(), posted)),
        };
        self.memory.unsettled = Some(Settlement { keys: job.settles.clone(), posted });
    }

    /// A body Discord will never take goes out once more in its least form, then is given up.
    async fn refused(&mut self, job: &Job) -> Result<Next, Error> {
        if self.memory.refused.insert(job.key.clone()) {
            tracing::error!(incident = job.incident.id, "discord refused a card, sending its least form");
            return Ok(Next::Again);
        }
        tracing::error!(incident = job.incident.id, "discord refused even a card's least form, giving it up");
        say(&job.incident);
        self.drop_entries(&job.settles).await?;
        Ok(Next::Again)
    }

    /// The destination takes nothing; what waits is kept.
    fn breaks(&mut self, code: u16, reason: String, retry_at: Option<Instant>) -> Next {
        tracing::error!(code, "failed to deliver an alert: {reason}");
        self.status.send_replace(Status::Broken { reason });
        self.memory.retry_at = retry_at;
        Next::Again
    }

    fn retry(&self, answer: &Answer, wait: Duration) -> Next {
        let code = answer.code();
        tracing::warn!(
            code,
            wait.seconds = wait.as_secs_f64(),
            "discord did not take an alert, trying again"
        );
        self.status.send_replace(Status::Retrying { code });
        Next::After(wait)
    }

    /// Says what cannot be delivered in the log, and keeps it, within a bound, for when it can be.
    async fn keep(&mut self, outbox: &Outbox) -> Result<Next, Error> {
        let over = outbox.pending().saturating_sub(ENTRIES_MAX);
        let keys: Vec<_> = outbox.entries().iter().take(over).map(|(key, _)| key.clone()).collect();
        for (key, entry) in outbox.entries() {
            if self.memory.logged.insert(key.clone()) {
                say(&entry.incident);
            }
        }
        self.memory.logged.retain(|key| outbox.entries().iter().any(|(kept, _)| kept == key));
        self.drop_entries(&keys).await?;
        Ok(Next::WhenWoken)
    }

    /// Deletes entries and, in the same step, remembers the message they made.
    async fn settle(&mut self, settlement: Settlement) -> Result<(), Error> {
        let mut puts: Vec<Put> = settlement.keys.iter().map(|key| delete(Table::Outbox, key)).collect();
        if let Some((incident, posted)) = &settlement.posted {
            puts.push(put(Table::Outbox, &posted_key(incident), posted)?);
        }
        if puts.is_empty() {
            return Ok(());
        }
        self.documents.save(puts).await?;
        for key in &settlement.keys {
            self.memory.attempts.remove(key);
            self.memory.refused.remove(key);
        }
        Ok(())
    }

    async fn drop_entries(&mut self, keys: &[String]) -> Result<(), Error> {
        self.settle(Settlement { keys: keys.to_vec(), posted: None }).await
    }
}

impl Memory {
    /// The wait after one more failure: doubled, bounded, and blurred so that not all who failed
    /// together come back together.
    fn back_off(&mut self) -> Duration {
        let doubled = RETRY_WAIT_MIN.saturating_mul(2_u32.saturating_pow(self.failures)).min(RETRY_WAIT_MAX);
        self.failures = self.failures.saturating_add(1);
        doubled.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

/// Where nothing can be delivered, this is the alert.
fn say(incident: &Incident) {
    tracing::warn!(
        incident = incident.id,
        scope = incident.scope.key(),
        band = incident.band.name(),
        "alert: {}, {}",
        title(incident),
        sentence(incident)
    );
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use super::*;
    use crate::alert::documents::memory;
    use crate::alert::incident::sample;
    use crate::alert::outbox::{Action, key};
    use crate::clock::Timestamp;

    /// Answers as told, then well; remembers what was asked, and when.
    struct Script {
        answers: Mutex<VecDeque<Answer>>,
        asked: Arc<Mutex<Vec<(Duration, Call)>>>,
        began: Instant,
    }

    impl Transport for Script {
        async fn send(&self, call: &Call) -> Answer {
            self.asked.lock().unwrap().push((self.began.elapsed(), call.clone()));
            let answer = self.answers.lock().unwrap().pop_front();
            answer.unwrap_or_else(|| Answer::Done(card(), Duration::ZERO))
        }
    }

    fn target(script: Script) -> Arc<Target<Script>> {
        let roles = BTreeMap::from([("critical".to_owned(), "4242".to_owned())]);
        Arc::new(Target { transport: Some(script), roles, status: Status::Working })
    }

    fn aimed_at(script: Script) -> watch::Sender<Arc<Target<Script>>> {
        watch::Sender::new(target(script))
    }

    fn nowhere() -> watch::Receiver<Arc<Target>> {
        watch::Sender::new(Arc::new(Target::of(None))).subscribe()
    }

    fn card() -> Posted {
        Posted { message: "77".into(), channel: None }
    }

    /// A dispatcher's life: two hours of it take no time.
    struct Life {
        documents: memory::Memory,
        asked: Vec<(Duration, Call)>,
        status: Status,
        metrics: Metrics,
    }

    async fn live(documents: memory::Memory, answers: impl Into<VecDeque<Answer>>) -> Life {
        let asked = Arc::default();
        let script =
            Script { answers: Mutex::new(answers.into()), asked: Arc::clone(&asked), began: Instant::now() };
        let metrics = Metrics::new().unwrap();
        let targets = aimed_at(script).subscribe();
        let dispatcher = Dispatcher::new(documents.clone(), targets, Clock::wall(), metrics.clone());
        let status = dispatcher.status();
        let (_keep, shutdown) = watch::channel(false);
        let run = dispatcher.run(Arc::default(), shutdown);
        assert!(tokio::time::timeout(Duration::from_secs(7200), run).await.is_err(), "it must not end");
        let asked = asked.lock().unwrap().clone();
        let status = status.borrow().clone();
        Life { documents, asked, status, metrics }
    }

    async fn outbox(actions: &[Action]) -> memory::Memory {
        let documents = memory::Memory::default();
        for (place, action) in actions.iter().enumerate() {
            let entry = Entry { action: *action, incident: sample::incident(), attempted: false };
            let key = key(Timestamp::from_seconds(1), place, 9);
            documents.save(vec![put(Table::Outbox, &key, &entry).unwrap()]).await.unwrap();
        }
        documents
    }

    fn seconds(life: &Life) -> Vec<u64> {
        life.asked.iter().map(|(at, _)| at.as_secs()).collect()
    }

    fn posted() -> Vec<String> {
        vec![posted_key(&sample::incident().id)]
    }

    #[tokio::test(start_paused = true)]
    async fn a_card_is_posted_then_people_are_called_and_the_outbox_is_empty() {
        let life = live(outbox(&[Action::Post, Action::Ping, Action::Edit]).await, []).await;
        let calls: Vec<_> = life.asked.iter().map(|(_, call)| call.clone()).collect();
        let incident = sample::incident();
        assert_eq!(calls, [Call::Post(render(&incident)), Call::Post(ping(&incident, Some("4242")))]);
        assert_eq!(life.documents.keys(Table::Outbox), posted());
        assert_eq!((life.status, life.metrics.alerts_pending.get()), (Status::Working, 0));
        assert!(life.metrics.discord_last_success.get() > 0.0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_message_is_remembered_in_the_step_that_deletes_its_entry() {
        let life = live(outbox(&[Action::Post]).await, []).await;
        let saves = life.documents.saves.lock().unwrap().clone();
        let last = saves.last().unwrap();
        assert!(last.len() == 2 && last[0].value.is_none() && last[1].value.is_some(), "{last:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_edit_goes_to_the_card_that_stands() {
        let documents = outbox(&[Action::Edit]).await;
        documents.save(vec![put(Table::Outbox, &posted()[0], &card()).unwrap()]).await.unwrap();
        let life = live(documents, []).await;
        assert_eq!(life.asked[0].1, Call::Edit("77".into(), render(&sample::incident())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_is_waited_out_to_the_fraction_and_doubles_nothing() {
        let limited = Answer::Limited(Duration::from_millis(42_300));
        let life = live(outbox(&[Action::Post]).await, [limited]).await;
        let waited = life.asked[1].0;
        assert!(
            waited >= Duration::from_millis(42_300) && waited < Duration::from_millis(42_400),
            "{waited:?}"
        );
        assert_eq!(life.metrics.alerts_maybe_doubled.get(), 0.0);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_retried_ever_more_slowly_and_never_given_up() {
        let life = live(outbox(&[Action::Post]).await, vec![Answer::Failed(502); 12]).await;
        let at = seconds(&life);
        assert_eq!(at.len(), 13, "{at:?}");
        assert!(at[3] <= 7 && at.windows(2).all(|pair| pair[1] - pair[0] <= 301), "{at:?}");
        assert!(at[12] > 500, "{at:?}");
        assert_eq!((life.documents.keys(Table::Outbox), life.status), (posted(), Status::Working));
        assert_eq!(life.metrics.alerts_maybe_doubled.get(), 0.0);
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_lost_answer_or_a_lost_process_may_double_an_alert() {
        let life = live(outbox(&[Action::Post]).await, [Answer::Unsent, Answer::Lost]).await;
        assert_eq!((life.asked.len(), life.metrics.alerts_maybe_doubled.get()), (3, 1.0));

        let documents = outbox(&[]).await;
        let entry = Entry { action: Action::Ping, incident: sample::incident(), attempted: true };
        documents.save(vec![put(Table::Outbox, "01", &entry).unwrap()]).await.unwrap();
        let life = live(documents, []).await;
        assert_eq!((life.asked.len(), life.metrics.alerts_maybe_doubled.get()), (1, 1.0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deleted_webhook_is_never_called_again_and_the_entries_are_kept() {
        let life = live(outbox(&[Action::Post, Action::Ping]).await, [Answer::Deleted(404)]).await;
        assert_eq!((life.asked.len(), life.documents.keys(Table::Outbox).len()), (1, 2));
        assert!(matches!(life.status, Status::Broken { .. }));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_forbidden_is_called_seldom_and_what_waited_goes_out_once_it_is_not() {
        let forbidden = vec![Answer::Broken(403); 3];
        let life = live(outbox(&[Action::Post, Action::Ping]).await, forbidden).await;
        let at = seconds(&life);
        assert_eq!(at.len(), 5, "{at:?}");
        assert!(at[..4].windows(2).all(|pair| (300..=330).contains(&(pair[1] - pair[0]))), "{at:?}");
        assert_eq!((life.documents.keys(Table::Outbox), life.status), (posted(), Status::Working));
        assert_eq!(life.metrics.alerts_maybe_doubled.get(), 0.0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_deleted_webhook_did_not_take_goes_to_the_next_at_once() {
        let documents = outbox(&[Action::Post]).await;
        let asked = Arc::<Mutex<Vec<_>>>::default();
        let script = |answers: Vec<Answer>| Script {
            answers: Mutex::new(answers.into()),
            asked: Arc::clone(&asked),
            began: Instant::now(),
        };
        let targets = aimed_at(script(vec![Answer::Deleted(404)]));
        let metrics = Metrics::new().unwrap();
        let dispatcher = Dispatcher::new(documents.clone(), targets.subscribe(), Clock::wall(), metrics);
        let (mut status, (stop, shutdown)) = (dispatcher.status(), watch::channel(false));
        let run = tokio::spawn(dispatcher.run(Arc::default(), shutdown));
        let is_broken = |status: &Status| matches!(status, Status::Broken { .. });
        drop(status.wait_for(is_broken).await.unwrap());
        targets.send_replace(target(script(Vec::new())));
        drop(status.wait_for(|status| !is_broken(status)).await.unwrap());
        while documents.keys(Table::Outbox) != posted() {
            tokio::task::yield_now().await;
        }
        stop.send(true).unwrap();
        run.await.unwrap();
        let asked = asked.lock().unwrap();
        assert_eq!((asked.len(), asked[1].0.as_secs()), (2, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_card_goes_out_in_its_least_form() {
        let life = live(outbox(&[Action::Post]).await, [Answer::Refused]).await;
        assert_eq!(life.asked[1].1, Call::Post(minimal(&sample::incident())));
        let twice = live(outbox(&[Action::Post]).await, [Answer::Refused, Answer::Refused]).await;
        assert_eq!((twice.asked.len(), twice.documents.keys(Table::Outbox).len()), (2, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_card_that_is_gone_is_posted_anew() {
        let documents = outbox(&[Action::Edit]).await;
        documents.save(vec![put(Table::Outbox, &posted()[0], &card()).unwrap()]).await.unwrap();
        let life = live(documents, [Answer::Gone]).await;
        assert!(matches!(life.asked[1].1, Call::Post(_)));
        assert_eq!(life.documents.keys(Table::Outbox), posted());
    }

    #[tokio::test(start_paused = true)]
    async fn a_used_up_route_is_left_alone_until_it_is_not() {
        let done = Answer::Done(card(), Duration::from_secs(3));
        let life = live(outbox(&[Action::Post, Action::Ping]).await, [done]).await;
        assert_eq!(seconds(&life), [0, 3]);
    }

    #[tokio::test]
    async fn without_discord_the_outbox_empties_into_the_log() {
        let documents = outbox(&[Action::Post, Action::Ping]).await;
        let mut dispatcher =
            Dispatcher::new(documents.clone(), nowhere(), Clock::wall(), Metrics::new().unwrap());
        while dispatcher.step().await.unwrap() == Next::Again {}
        assert_eq!(documents.keys(Table::Outbox).len(), 0);
        assert_eq!(*dispatcher.status().borrow(), Status::NotConfigured);
    }

    #[tokio::test]
    async fn a_store_that_fails_after_the_post_does_not_make_it_post_again() {
        let documents = outbox(&[Action::Post]).await;
        let asked = Arc::<Mutex<Vec<_>>>::default();
        let script = Script { answers: Mutex::default(), asked: Arc::clone(&asked), began: Instant::now() };
        let metrics = Metrics::new().unwrap();
        let targets = aimed_at(script).subscribe();
        let mut dispatcher = Dispatcher::new(documents.clone(), targets, Clock::wall(), metrics);
        dispatcher.step().await.unwrap();
        documents.broken.store(true, std::sync::atomic::Ordering::SeqCst);
        dispatcher.step().await.unwrap_err();
        documents.broken.store(false, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(dispatcher.step().await.unwrap(), Next::WhenWoken);
        assert_eq!((asked.lock().unwrap().len(), documents.keys(Table::Outbox)), (1, posted()));
    }

    #[tokio::test]
    async fn it_ends_when_told_to() {
        let dispatcher =
            Dispatcher::new(outbox(&[]).await, nowhere(), Clock::wall(), Metrics::new().unwrap());
        let (stop, shutdown) = watch::channel(false);
        let run = tokio::spawn(dispatcher.run(Arc::default(), shutdown));
        stop.send(true).unwrap();
        run.await.unwrap();
    }
}
