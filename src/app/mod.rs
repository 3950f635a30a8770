//! Builds every stage, starts them, and drains them in travel order.

mod backend;
mod refusal;

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::rustls::ServerConfig;

use crate::admin::{self, Extras, Rails, View};
use crate::alert::{Backup, Status};
use crate::clock::Clock;
use crate::config::{self, Config, Role, StreamKind};
use crate::consume::{Consumer, Receivers, progress};
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::pipeline::{Ingestion, Observation, Watch};
use crate::publish::{Booked, Heart, Publisher};
use crate::receive::{self, Departure, RateLimits, Server};
use crate::registry::Registry;
use crate::tally::{Mirror, Resume, Store};

use backend::Joining;
pub(crate) use backend::{Stream, open_store, open_stream};
pub use refusal::StartError;

/// A task's name and how it ended.
type Ended = (&'static str, Result<(), String>);

/// What will read the stream, once it may.
type Joined = Pin<Box<dyn Future<Output = Result<Consumer, StartError>> + Send>>;

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    receive_address: Option<SocketAddr>,
    admin_address: SocketAddr,
    registry: Arc<ArcSwap<Registry>>,
    publisher: Option<Publisher>,
    store: Option<Store>,
    stop_receiving: watch::Sender<bool>,
    stop_observing: watch::Sender<bool>,
    stop_admin: watch::Sender<bool>,
    stop_heart: watch::Sender<bool>,
    heart: JoinSet<Ended>,
    receiving: JoinSet<Ended>,
    observing: JoinSet<Ended>,
    admin: JoinSet<Ended>,
    clock: Clock,
    departure: Departure,
    drain_notice: Duration,
    shutdown_timeout: Duration,
    terms: Option<Arc<ArcSwap<ServerConfig>>>,
}

/// Starts a daemon. When this returns, its addresses are listened on and its backends answered.
///
/// # Errors
/// One sentence that says what is wrong and what to do.
pub async fn start(config: Config, role: Role, clock: Clock, extras: Extras) -> Result<Daemon, StartError> {
    if let Some(reason) = config.refuse(role) {
        return Err(StartError::Refused(reason));
    }
    let rails = Arc::new(rails(&config, clock)?);
    let terms =
        receive::terms_of(&config).map_err(StartError::Tls)?.map(|terms| Arc::new(ArcSwap::new(terms)));
    let admin_listener = listen(config.admin.listen, "admin.listen").await?;
    let receive_listener = match role.receives() {
        true => Some(listen(config.receive.listen, "receive.listen").await?),
        false => None,
    };
    let stream = open_stream(&config).await?;
    // Creates what is missing, so an observer needs it too; and only an answer means Kafka is there.
    let publisher = stream.publisher(&config, role).await?;
    let mut daemon = Daemon {
        receive_address: receive_listener.as_ref().and_then(|listener| listener.local_addr().ok()),
        admin_address: admin_listener.local_addr().unwrap_or(config.admin.listen),
        registry: Arc::clone(&rails.registry),
        publisher: None,
        store: None,
        stop_receiving: watch::Sender::new(false),
        stop_observing: watch::Sender::new(false),
        stop_admin: watch::Sender::new(false),
        stop_heart: watch::Sender::new(false),
        heart: JoinSet::new(),
        receiving: JoinSet::new(),
        observing: JoinSet::new(),
        admin: JoinSet::new(),
        clock,
        departure: rails.departure.clone(),
        drain_notice: config.receive.drain_notice,
        shutdown_timeout: config.receive.shutdown_timeout,
        terms,
    };
    let observer = match role.observes() {
        true => Some(daemon.observe(&config, &rails, (&stream, &publisher)).await?),
        false => None,
    };
    let publisher = match receive_listener {
        Some(listener) => {
            let booked = Booked {
                publisher,
                ledger: Arc::clone(&rails.ledger),
                metrics: rails.metrics.clone(),
                clock,
                answer_deadline: config.receive.answer_deadline,
            };
            daemon.receive(&config, &rails, booked.clone(), listener);
            daemon.beat(&config.stream, booked.clone())?;
            Some(booked)
        }
        None => {
            // An observer publishes incidents.
            daemon.publisher = Some(publisher);
            None
        }
    };
    let view = View { rails, publisher, observer, extras };
    let stopped = daemon.stop_admin.subscribe();
    daemon.admin.spawn(async move {
        let served = admin::serve(view, admin_listener, stopped).await;
        ("admin", served.map_err(|error| error.to_string()))
    });
    Ok(daemon)
}

fn rails(config: &Config, clock: Clock) -> Result<Rails, StartError> {
    Ok(Rails {
        registry: Arc::new(ArcSwap::from_pointee(Registry::new(config))),
        ledger: Arc::new(Ledger::default()),
        metrics: Metrics::new()?,
        departure: Departure::default(),
        clock,
    })
}

impl Daemon {
    /// Where webhooks are received, if this process receives.
    pub const fn receive_address(&self) -> Option<SocketAddr> {
        self.receive_address
    }

    /// Where the admin listener is.
    pub const fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Swaps connections, secrets, lists, numbers, thresholds and certificates for newly read ones.
    /// Listeners and backends stay as they are.
    pub fn reload(&self, config: &Config) {
        let next = Registry::new(config).keeping_readable(&self.registry.load());
        self.registry.store(Arc::new(next));
        match (&self.terms, receive::terms_of(config)) {
            (Some(held), Ok(Some(renewed))) => held.store(renewed),
            (_, Ok(_)) => {}
            (_, Err(error)) => tracing::error!(%error, "certificates were not reloaded"),
        }
    }

    /// Runs until a task ends that should not have.
    pub async fn failed(&mut self) -> String {
        let ended = tokio::select! {
            Some(ended) = self.receiving.join_next() => ended,
            Some(ended) = self.heart.join_next() => ended,
            Some(ended) = self.observing.join_next() => ended,
            Some(ended) = self.admin.join_next() => ended,
            else => return "nothing was running".into(),
        };
        match ended {
            Ok((task, Ok(()))) => format!("{task} ended unasked"),
            Ok((task, Err(error))) => format!("{task} failed: {error}"),
            Err(error) => format!("a task broke: {error}"),
        }
    }

    /// Says that this receiver is about to go, and goes on serving for as long as others may need to
    /// notice. [`Daemon::stop`] may come at any time.
    pub async fn depart(&self) {
        if self.receive_address.is_some() {
            self.departure.announce();
            tokio::time::sleep(self.drain_notice).await;
        }
    }

    /// Drains in travel order: no new requests, what is under way answered, the stream flushed, the
    /// state saved; then the admin listener goes too. All of them share `shutdown_timeout`.
    pub async fn stop(mut self) {
        let (clock, began, budget) = (self.clock, self.clock.ticks(), self.shutdown_timeout);
        let left = || budget.saturating_sub(clock.ticks().saturating_sub(began));
        drain("receiver", &self.stop_receiving, &mut self.receiving, left()).await;
        drain("heart", &self.stop_heart, &mut self.heart, left()).await;
        if let Some(publisher) = &self.publisher {
            publisher.close(left()).await;
        }
        drain("observer", &self.stop_observing, &mut self.observing, left()).await;
        if let Some(store) = &self.store {
            store.close().await;
        }
        drain("admin", &self.stop_admin, &mut self.admin, left()).await;
    }

    fn receive(&mut self, config: &Config, rails: &Rails, stream: Booked, listener: TcpListener) {
        let ingestion = Ingestion {
            registry: Arc::clone(&rails.registry),
            stream: stream.clone(),
            metrics: rails.metrics.clone(),
            rates: RateLimits::default(),
        };
        self.publisher = Some(stream.publisher);
        let account = (Arc::clone(&rails.ledger), rails.metrics.clone());
        let registry = Arc::clone(&rails.registry);
        let server = Server::new(config.receive.clone(), registry, account, rails.clock, ingestion)
            .ending_tls(self.terms.clone())
            .departing(self.departure.clone());
        let stopped = self.stop_receiving.subscribe();
        self.receiving.spawn(async move {
            receive::serve(server, listener, stopped).await;
            ("receiver", Ok(()))
        });
    }

    /// Has a receiver tell of itself, where observers may be elsewhere.
    fn beat(&mut self, stream: &config::Stream, booked: Booked) -> Result<(), StartError> {
        if let StreamKind::Kafka(_) = stream.kind {
            let directory = stream.dir.join("spool");
            let heart = Heart::of(&directory, booked)
                .map_err(|source| StartError::Directory { directory, source })?;
            let stopped = self.stop_heart.subscribe();
            self.heart.spawn(async move {
                heart.run(stopped).await;
                ("heart", Ok(()))
            });
        }
        Ok(())
    }

    async fn observe(
        &mut self,
        config: &Config,
        rails: &Rails,
        (stream, publisher): (&Stream, &Publisher),
    ) -> Result<admin::Observer, StartError> {
        let store = open_store(config).await?;
        self.store = Some(store.clone());
        let mirror = Arc::new(Mirror::default());
        let Resume { positions, clock, loss } = store.resume().await?;
        let (mut reporter, progress) = progress((positions.clone(), clock, loss), rails.clock.now());
        let positions = Arc::new(Mutex::new(positions));
        if let StreamKind::Kafka(kafka) = &config.stream.kind {
            let (kafka, herald, clock) = (kafka.clone(), reporter.herald(), rails.clock);
            let (publisher, forgotten) = (publisher.clone(), BTreeSet::new());
            let receivers = Receivers { kafka, herald, publisher, forgotten, clock };
            let stopped = self.stop_observing.subscribe();
            self.observing.spawn(async move {
                receivers.run(stopped).await;
                ("receivers", Ok(()))
            });
        }
        let joining = Joining {
            stream: stream.clone(),
            config: config.clone(),
            positions: Arc::clone(&positions),
            store: store.clone(),
        };
        let joined: Joined = match publisher.is_met() {
            Ok(()) => Box::pin(ready(Ok(joining.join().await?))),
            Err(why) => {
                reporter.measured(BTreeMap::new(), Some(why.to_string()), rails.clock.now());
                Box::pin(joining.join_later(publisher.clone()))
            }
        };
        let (observed, announcer) = (store.clone(), publisher.clone());
        let (registry, metrics, clock) = (Arc::clone(&rails.registry), rails.metrics.clone(), rails.clock);
        let observation = move |consumer| Observation {
            consumer,
            positions,
            store: observed,
            publisher: announcer,
            registry,
            metrics,
            clock,
            reporter,
            partitions: None,
            marked: BTreeMap::new(),
        };
        let (discord_status, discord) = watch::channel(Status::NotConfigured);
        let judge = Watch {
            backup: Backup { publisher: publisher.clone(), archive: stream.archive() },
            discord_status,
            name: ulid::Ulid::generate().to_string(),
            store: store.clone(),
            mirror: Arc::clone(&mirror),
            registry: Arc::clone(&rails.registry),
            progress: progress.clone(),
            metrics: rails.metrics.clone(),
            clock: rails.clock,
        };
        self.spawn_observer((joined, observation), judge);
        Ok(admin::Observer { store, progress, mirror, discord })
    }

    fn spawn_observer(
        &mut self,
        (joined, observation): (Joined, impl FnOnce(Consumer) -> Observation + Send + 'static),
        judge: Watch,
    ) {
        let (mut counting, judging) = (self.stop_observing.subscribe(), self.stop_observing.subscribe());
        self.observing.spawn(async move {
            let consumer = tokio::select! {
                biased;
                _ = counting.wait_for(|stop| *stop) => return ("observer", Ok(())),
                joined = joined => joined,
            };
            let ended = match consumer {
                Ok(consumer) => observation(consumer).run(counting).await.map_err(StartError::from),
                Err(error) => Err(error),
            };
            ("observer", ended.map_err(|error| error.to_string()))
        });
        self.observing.spawn(async move {
            judge.run(judging).await;
            ("evaluation", Ok(()))
        });
    }
}

async fn drain(stage: &str, stop: &watch::Sender<bool>, tasks: &mut JoinSet<Ended>, budget: Duration) {
    stop.send_replace(true);
    let all = async { while tasks.join_next().await.is_some() {} };
    if timeout(budget, all).await.is_err() {
        tracing::error!(stage, "a stage did not drain in time and was cut off");
        tasks.shutdown().await;
    }
}

async fn listen(address: SocketAddr, setting: &'static str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, setting, source })
}
