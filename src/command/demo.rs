//! `demo`: nothing in; a daemon on simulated traffic, whose story somebody can watch, out. It is
//! prepared (`prepare`), then played against a daemon started on what was prepared (`play`).

use std::io::{self, IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

use super::{Failure, Global};
use crate::admin::Extras;
use crate::app;
use crate::clock::Clock;
use crate::config::{Config, Role, parse_duration};
use crate::event::Provider;
use crate::simulate::discord::{Colour, News, Shown, Standin, shown};
use crate::simulate::load::{self, Pace, Plan, Report};
use crate::simulate::traffic::{self, Options, Rare, Traffic};
use crate::simulate::verify::Admin;
use crate::simulate::{scene, story};

/// Seconds the daemon's clock passes in a real one: the real policy, with its real durations, tells
/// its story in four minutes.
const SPEED: u32 = 60;
/// Connections of the simulated providers.
const CONNECTIONS: usize = 16;
/// Reports in one of Infobip's webhooks, at most.
const BATCH: usize = 10;
/// Time for everything sent to be counted, at the end.
const SETTLE_MAX: Duration = Duration::from_secs(10);
/// Lines that only tell of new counts come no more often than this.
const COUNTS_EVERY: Duration = Duration::from_secs(10);

/// Arguments of `demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// How long to run
    #[arg(long = "for", value_name = "DURATION", default_value = "10m", value_parser = parse_duration)]
    pub duration: Duration,
    /// Makes two runs alike
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
}

/// Everything the demo's daemon needs, ready before it starts.
struct Stage {
    /// What the daemon runs on.
    pub config: Config,
    /// The clock it runs by.
    pub clock: Clock,
    /// Where its alerts go; [`Standin::reader`] is what the status page shows.
    pub discord: Standin,
    /// Keeps its data, and is removed with this value.
    _dir: tempfile::TempDir,
}

/// Where the started daemon is found.
#[derive(Clone, Copy, Debug)]
struct Addresses {
    /// Its receiver.
    pub receive: SocketAddr,
    /// Its status page and API.
    pub admin: SocketAddr,
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// No directory, no port, no terminal.
    #[error("failed to set up the demo: {0}; it needs a temporary directory and a free port on 127.0.0.1")]
    Setup(#[from] io::Error),
    /// No traffic.
    #[error(transparent)]
    Traffic(#[from] traffic::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Internal(error.into())
    }
}

/// Runs the demo: a daemon, the story told to it, and the daemon's end.
///
/// # Errors
/// When no port or no directory can be had, or a part of the daemon ends unasked.
pub async fn run(args: Args, global: &Global) -> Result<(), Failure> {
    global.start_quiet_log()?;
    // Heard from here on, so that an end at any moment still tidies up.
    let mut ends = Ends::listen().map_err(Error::from)?;
    let stage = prepare(&args).await?;
    let extras =
        Extras { discord_messages: Some(Arc::new(stage.discord.reader())), clock_speed: Some(SPEED) };
    let mut daemon = app::start(stage.config.clone(), Role::All, stage.clock, extras).await?;
    let at = Addresses {
        receive: daemon.receive_address().unwrap_or_else(|| daemon.admin_address()),
        admin: daemon.admin_address(),
    };
    let played = tokio::select! {
        played = play(&stage, at, &args, &mut ends) => Ok(played?),
        reason = daemon.failed() => Err(Failure::Internal(anyhow::anyhow!(reason))),
    };
    daemon.stop().await;
    played
}

/// Prepares a daemon's configuration, clock and Discord.
///
/// # Errors
/// No temporary directory or no port.
async fn prepare(args: &Args) -> Result<Stage, Error> {
    let dir = tempfile::Builder::new().prefix("sounder-demo-").tempdir()?;
    // The times shown end about now, however long the demo runs.
    let origin = Clock::wall().now().minus(args.duration.saturating_mul(SPEED));
    let clock = Clock::fast(origin, SPEED);
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let discord = Standin::start_with(anywhere, clock).await?;
    let config = scene::config(dir.path(), args.seed);
    let config = scene::with_discord(config, discord.webhook_url(), discord.api_url());
    Ok(Stage { config, clock, discord, _dir: dir })
}

/// Tells the story to the daemon at `at`, and everything that comes of it to whoever watches, until
/// the time is over or somebody presses Ctrl-C. The daemon is to be stopped afterwards.
///
/// # Errors
/// Nothing can be written, or sent.
async fn play(stage: &Stage, at: Addresses, args: &Args, ends: &mut Ends) -> Result<(), Error> {
    match perform(stage, at, args, ends).await {
        // Whoever read along has gone away (`| head`): there is nobody to play for.
        Err(Error::Setup(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        played => played,
    }
}

async fn perform(stage: &Stage, at: Addresses, args: &Args, ends: &mut Ends) -> Result<(), Error> {
    welcome(at, args)?;
    let news = stage.discord.subscribe();
    let traffic = Arc::new(Mutex::new(traffic(stage, at, args)?));
    let plan = plan(&traffic, stage.clock, at, args);
    let (stop, stopped) = watch::channel(false);
    let sending = load::run(plan, Arc::clone(&traffic), Arc::default(), stopped);
    let report = tell(sending, &traffic, news, (stop, &mut *ends)).await?;
    tokio::select! {
        said = farewell(at, &report) => said,
        () = ends.heard() => Ok(()),
    }
}

/// The ways somebody ends the demo: Ctrl-C, `kill`, a terminal that is closed.
struct Ends([Signal; 3]);

impl Ends {
    fn listen() -> io::Result<Self> {
        let [interrupt, terminate, hang_up] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Self([interrupt?, terminate?, hang_up?]))
    }

    async fn heard(&mut self) {
        let [interrupt, terminate, hang_up] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    }
}

fn traffic(stage: &Stage, at: Addresses, args: &Args) -> Result<Traffic, Error> {
    let rare = Rare { sent: 0.004, ..Rare::NONE };
    let options = Options {
        seed: args.seed,
        rare,
        inbound: 0.01,
        batch: BATCH,
        corrections: 0.0,
        ..Options::default()
    };
    let mut traffic = Traffic::new(&stage.config, &format!("http://{}", at.receive), options)?;
    direct(&mut traffic, &story::at(Duration::ZERO).1);
    Ok(traffic)
}

fn plan(traffic: &Mutex<Traffic>, clock: Clock, at: Addresses, args: &Args) -> Plan {
    let traffic = traffic.lock().unwrap_or_else(PoisonError::into_inner);
    let providers = providers(&traffic);
    let rate = story::webhooks_per_second(traffic.senders(), |route| providers[route], BATCH);
    Plan {
        authority: at.receive.to_string(),
        connections: CONNECTIONS,
        pace: Pace::PerSecond(rate),
        duration: Some(args.duration),
        retry_for: Duration::from_secs(30),
        clock,
    }
}

fn providers(traffic: &Traffic) -> Vec<Provider> {
    traffic.routes().iter().map(|route| route.provider).collect()
}

fn direct(traffic: &mut Traffic, phase: &story::Phase) {
    let providers = providers(traffic);
    story::direct(traffic.senders_mut(), phase, |route| providers[route]);
}

/// What can happen while the story is told.
enum Happening {
    /// A second has passed.
    Second,
    /// Something was posted or edited, or there was too much to follow.
    News(Result<News, broadcast::error::RecvError>),
    /// The time is over.
    Ended(Report),
    /// Somebody ends it.
    Interrupted,
}

async fn tell(
    sending: impl Future<Output = Report>,
    traffic: &Mutex<Traffic>,
    mut news: broadcast::Receiver<News>,
    (stop, ends): (watch::Sender<bool>, &mut Ends),
) -> Result<Report, Error> {
    let mut teller = Teller { started: Instant::now(), quiet_until: Duration::ZERO };
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut told = None;
    let mut sending = std::pin::pin!(sending);
    loop {
        let happening = tokio::select! {
            report = &mut sending => Happening::Ended(report),
            happened = news.recv() => Happening::News(happened),
            _tick = second.tick() => Happening::Second,
            () = ends.heard() => Happening::Interrupted,
        };
        match happening {
            Happening::Second => {
                let (index, phase) = story::at(teller.started.elapsed());
                if told.replace(index) != Some(index) {
                    teller.headline(&phase)?;
                    direct(&mut traffic.lock().unwrap_or_else(PoisonError::into_inner), &phase);
                }
            }
            Happening::News(Ok(happened)) => teller.news(shown(&happened, colour()))?,
            // What was missed while the terminal was slow stands on the page.
            Happening::News(Err(_)) => {}
            Happening::Ended(report) => return Ok(report),
            Happening::Interrupted => {
                stop.send_replace(true);
                return Ok(sending.await);
            }
        }
    }
}

/// Writes the story, each part with its time since the start.
struct Teller {
    started: Instant,
    quiet_until: Duration,
}

impl Teller {
    fn headline(&self, phase: &story::Phase) -> io::Result<()> {
        let at = minutes(self.started.elapsed());
        say(&format!("\n{}", paint(Style::Bold, &format!("{at}  {}", phase.headline))))?;
        say(&paint(Style::Dim, &format!("       next: {}", phase.next)))
    }

    fn news(&mut self, news: Shown) -> io::Result<()> {
        let elapsed = self.started.elapsed();
        let at = minutes(elapsed);
        match news {
            Shown::Counts(_) if elapsed < self.quiet_until => return Ok(()),
            Shown::Counts(line) => say(&paint(Style::Dim, &format!("{at}  {line}")))?,
            Shown::Call(line) => say(&format!("{at}  {line}"))?,
            Shown::Card(card) => say(&format!("{at}\n{card}"))?,
        }
        self.quiet_until = elapsed + COUNTS_EVERY;
        Ok(())
    }
}

/// ` 1:05`.
fn minutes(elapsed: Duration) -> String {
    format!("{:>2}:{:02}", elapsed.as_secs() / 60, elapsed.as_secs() % 60)
}

#[derive(Clone, Copy)]
enum Style {
    Bold,
    Dim,
}

fn paint(style: Style, text: &str) -> String {
    match (colour(), style) {
        (Colour::Plain, _) => text.to_owned(),
        (Colour::Ansi, Style::Bold) => format!("\x1b[1m{text}\x1b[0m"),
        (Colour::Ansi, Style::Dim) => format!("\x1b[2m{text}\x1b[0m"),
    }
}

fn welcome(at: Addresses, args: &Args) -> io::Result<()> {
    let page = format!("http://{}/", at.admin);
    say(&format!(
        "Sounder watches six sending numbers at four SMS providers. The traffic is simulated, the rest is\n\
         real: signed webhooks over HTTP, proved, stored, counted, judged and told to Discord.\n\
         One second here is a minute there. Watch it live, or just read on; Ctrl-C ends it.\n\n  \
         status page   {page}\n  metrics       {page}metrics\n  \
         webhooks to   http://{}/hooks/…\n  ends after    {} min",
        at.receive,
        minutes(args.duration).trim_start()
    ))
}

async fn farewell(at: Addresses, report: &Report) -> Result<(), Error> {
    let admin = Admin::new(&format!("http://{}", at.admin), None);
    let until = Instant::now() + SETTLE_MAX;
    let mut wait = Duration::from_millis(50);
    let account = loop {
        match admin.ledger().await {
            Ok(ledger) if ledger.lag == 0 && ledger.in_flight == 0 && ledger.balanced => {
                break "it balances: every one was counted, none twice";
            }
            Ok(ledger) if Instant::now() + wait > until => {
                break if ledger.balanced {
                    "it balances, with events still under way"
                } else {
                    "it does not balance"
                };
            }
            Err(_) if Instant::now() + wait > until => break "it could not be read",
            _ => tokio::time::sleep(wait).await,
        }
        wait *= 2;
    };
    say(&format!(
        "\n{} webhooks sent, {} acknowledged, {} not\nledger: {account}",
        report.sent, report.acknowledged, report.unacknowledged
    ))?;
    Ok(())
}

fn colour() -> Colour {
    if io::stdout().is_terminal() { Colour::Ansi } else { Colour::Plain }
}

fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A daemon that takes everything and has nothing left to do.
    async fn daemon() -> Addresses {
        let ledger = async || axum::Json(serde_json::json!({"balanced": true, "lag": 0}));
        let router = axum::Router::new()
            .route("/api/v1/ledger", axum::routing::get(ledger))
            .fallback(async || http::StatusCode::NO_CONTENT);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Addresses { receive: address, admin: address }
    }

    #[tokio::test]
    async fn a_short_demo_ends_by_itself_and_leaves_nothing_behind() {
        let args = Args { duration: Duration::from_millis(300), seed: 1 };
        let stage = prepare(&args).await.unwrap();
        let dir = stage.config.stream.dir.clone();
        assert!(dir.is_dir());
        play(&stage, daemon().await, &args, &mut Ends::listen().unwrap()).await.unwrap();
        drop(stage);
        assert!(!dir.exists());
    }

    #[test]
    fn a_few_hundred_webhooks_a_second_are_sent() {
        let config = scene::config(std::path::Path::new("unused"), 1);
        let mut traffic = Traffic::new(&config, "http://localhost:1", Options::default()).unwrap();
        direct(&mut traffic, &story::at(Duration::ZERO).1);
        let providers = providers(&traffic);
        let rate = story::webhooks_per_second(traffic.senders(), |route| providers[route], BATCH);
        assert!((200.0..400.0).contains(&rate), "{rate}");
    }
}
