//! `simulate`: a running Sounder's address in, signed traffic of all four providers at it; out comes
//! what it answered and, compared with the simulator's own counts, what it made of it.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;

use super::{Failure, Global};
use crate::clock::Clock;
use crate::config::{Config, PrivacyKey, Secret, parse_duration};
use crate::simulate::load::{self, Pace, Plan, Progress, Report};
use crate::simulate::oracle;
use crate::simulate::traffic::{self, Options, Order, Traffic};
use crate::simulate::verify::{self, Admin, Totals, Verdict};

/// How often the progress line is written.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// How long a run lasts when nothing says so.
const DURATION: Duration = Duration::from_secs(10);

/// Arguments of `simulate`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Receiver of the running Sounder, `http://host:port`
    #[arg(long, value_name = "URL")]
    pub url: String,
    /// Webhooks a second (`5000` or `5000/s`); `max` for as many as are answered
    #[arg(long, default_value = "100/s", value_name = "N/s", value_parser = parse_pace)]
    pub rate: Pace,
    /// How long to send; without this and --messages, 10s
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// How many messages to send, each told of to its end
    #[arg(long, value_name = "N")]
    pub messages: Option<u32>,
    /// Connections kept open
    #[arg(long, default_value_t = 64, value_name = "C", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub connections: u16,
    /// Share of messages delivered
    #[arg(long, default_value_t = 0.97, value_name = "SHARE", value_parser = parse_share)]
    pub delivery_rate: f64,
    /// Deliver webhooks in random order
    #[arg(long)]
    pub shuffle: bool,
    /// Webhooks within which --shuffle moves one
    #[arg(long, default_value_t = 2000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub shuffle_window: u64,
    /// Share of webhooks sent again, with the same bytes
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", value_parser = parse_share)]
    pub duplicates: f64,
    /// Share of webhooks followed by a forged one, which must be answered 401
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", value_parser = parse_share)]
    pub forged: f64,
    /// Share of messages that are answered, some of them with STOP
    #[arg(long, default_value_t = 0.0, value_name = "SHARE", value_parser = parse_share)]
    pub inbound: f64,
    /// Most reports in one of Infobip's webhooks
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=2000))]
    pub batch: u16,
    /// Makes two runs alike, down to the messages' ids [default: another each time]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// How long to send a webhook again that is not answered, or answered 408, 429 or 5xx
    #[arg(long, default_value = "60s", value_name = "DURATION", value_parser = parse_duration)]
    pub retry_for: Duration,
    /// Admin address of the running Sounder, to compare its counts: `http://host:port`
    #[arg(long, value_name = "ADMIN_URL")]
    pub verify: Option<String>,
    /// Compare the counts themselves instead of how they changed during the run
    #[arg(long, requires = "verify")]
    pub from_zero: bool,
    /// How long to wait for everything to be counted
    #[arg(long, default_value = "60s", value_name = "DURATION", value_parser = parse_duration)]
    pub verify_timeout: Duration,
    /// Bearer token of the admin API
    #[arg(long, value_name = "TOKEN")]
    pub admin_token: Option<String>,
}

/// How a result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Why the run did not do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The arguments do not do.
    #[error("{0}")]
    Usage(String),
    /// There is no traffic to send.
    #[error(transparent)]
    Traffic(#[from] traffic::Error),
    /// The counts cannot be read.
    #[error(transparent)]
    Verify(#[from] verify::Error),
    /// Not one webhook was answered.
    #[error("failed to reach {0}: not one webhook was answered; is the receiver up?")]
    Unreachable(String),
    /// What was compared differs.
    #[error("{0}")]
    Differs(String),
    /// The result cannot be written.
    #[error("failed to write the result")]
    Output(#[from] io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let sentence = error.to_string();
        match error {
            Error::Differs(_) => Self::Differs(sentence),
            Error::Usage(_) | Error::Traffic(_) => Self::Usage(sentence),
            Error::Verify(_) | Error::Unreachable(_) => Self::Unreachable(sentence),
            Error::Output(_) => Self::Internal(error.into()),
        }
    }
}

/// Runs the simulation on the configuration that was named.
///
/// # Errors
/// A difference, an answer of 2xx to a forgery, or nobody there.
pub async fn run(args: Args, global: &Global) -> Result<(), Failure> {
    let config = global.load(PrivacyKey::LeaveAlone)?;
    global.start_log()?;
    let format = if global.json { Format::Json } else { Format::Text };
    Ok(simulate(args, config, format).await?)
}

/// Sends, reports, compares.
///
/// # Errors
/// A difference, an answer of 2xx to a forgery, or nobody there.
async fn simulate(args: Args, config: Config, format: Format) -> Result<(), Error> {
    let authority = authority(&args.url)?;
    let seed = args.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let traffic = Traffic::new(&config, &args.url, options(&args, seed))?;
    let senders = traffic.senders().to_vec();
    let numbers = oracle::numbers(&senders);
    let admin = args.verify.as_ref().map(|url| Admin::new(url, args.admin_token.clone().map(Secret::new)));
    let baseline = match &admin {
        Some(admin) if !args.from_zero => admin.totals(&numbers).await?,
        _ => Totals::new(),
    };
    let report = send(plan(&args, authority), traffic).await;
    let verdict = match &admin {
        Some(admin) => {
            let expected = oracle::expect(&report.facts, &report.uncertain, &senders);
            Some(admin.verify(&expected, &numbers, &baseline, args.verify_timeout).await?)
        }
        None => None,
    };
    write(&report, verdict.as_ref(), seed, format)?;
    judge(&args.url, &report, verdict.as_ref())
}

fn options(args: &Args, seed: u64) -> Options {
    let order = if args.shuffle { Order::Shuffled(args.shuffle_window) } else { Order::AsTold };
    Options {
        seed,
        messages: args.messages,
        delivery_rate: args.delivery_rate,
        inbound: args.inbound,
        order,
        duplicates: args.duplicates,
        forged: args.forged,
        batch: usize::from(args.batch),
        ..Options::default()
    }
}

fn plan(args: &Args, authority: String) -> Plan {
    let endless = args.messages.is_none();
    Plan {
        authority,
        connections: usize::from(args.connections),
        pace: args.rate,
        duration: args.duration.or(endless.then_some(DURATION)),
        retry_for: args.retry_for,
        clock: Clock::wall(),
    }
}

/// Sends until the plan is carried out or somebody presses Ctrl-C.
async fn send(plan: Plan, traffic: Traffic) -> Report {
    let (stop, stopped) = watch::channel(false);
    let progress = Arc::new(Progress::default());
    let shown = tokio::spawn(show_progress(Arc::clone(&progress)));
    let running = load::run(plan, Arc::new(Mutex::new(traffic)), progress, stopped);
    let mut running = std::pin::pin!(running);
    let report = tokio::select! {
        report = &mut running => report,
        _interrupted = tokio::signal::ctrl_c() => {
            stop.send_replace(true);
            running.await
        }
    };
    shown.abort();
    if io::stderr().is_terminal() {
        // What is printed next starts on a line of its own; a terminal that is gone needs none.
        drop(io::stderr().lock().write_all(b"\r\x1b[2K"));
    }
    report
}

async fn show_progress(progress: Arc<Progress>) {
    if !io::stderr().is_terminal() {
        return;
    }
    let mut every = tokio::time::interval(PROGRESS_EVERY);
    loop {
        every.tick().await;
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let (sent, answered) = (read(&progress.sent), read(&progress.answered));
        let line = format!("\r{sent} sent, {answered} answered, {} sent again ", read(&progress.retried));
        let mut terminal = io::stderr().lock();
        if terminal.write_all(line.as_bytes()).and_then(|()| terminal.flush()).is_err() {
            return;
        }
    }
}

fn write(report: &Report, verdict: Option<&Verdict>, seed: u64, format: Format) -> io::Result<()> {
    let text = match format {
        Format::Text => text(report, verdict, seed),
        Format::Json => json(report, verdict, seed),
    };
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

fn text(report: &Report, verdict: Option<&Verdict>, seed: u64) -> String {
    let latency = report.latency();
    let statuses = report.statuses.iter().map(|(status, count)| format!("{status}: {count}"));
    let mut text = format!(
        "seed {seed}\n\
         sent {} webhooks in {:.1} s, {:.0} answered a second; {} connections broke, {} sent again\n\
         answers {}\n\
         acknowledged {}, refused {}, unacknowledged {}, forged {} ({} not answered 401)\n\
         latency ms from when due: p50 {:.2}  p90 {:.2}  p99 {:.2}  p99.9 {:.2}  max {:.2}",
        report.sent,
        report.elapsed.as_secs_f64(),
        report.per_second(),
        report.broken,
        report.retries,
        statuses.collect::<Vec<_>>().join("  "),
        report.acknowledged,
        report.refused,
        report.unacknowledged,
        report.forged,
        report.forged_not_refused,
        latency.p50_ms,
        latency.p90_ms,
        latency.p99_ms,
        latency.p999_ms,
        latency.max_ms,
    );
    if let Some(verdict) = verdict {
        // Writing to a String cannot fail.
        let _infallible = write!(text, "\n\n{verdict}");
    }
    text
}

fn json(report: &Report, verdict: Option<&Verdict>, seed: u64) -> String {
    json!({
        "seed": seed, "seconds": report.elapsed.as_secs_f64(), "per_second": report.per_second(),
        "sent": report.sent, "acknowledged": report.acknowledged, "refused": report.refused,
        "unacknowledged": report.unacknowledged, "forged": report.forged,
        "forged_not_refused": report.forged_not_refused, "statuses": report.statuses,
        "broken": report.broken, "retries": report.retries, "latency": report.latency(),
        "verify": verdict, "differences": verdict.map(Verdict::differences),
    })
    .to_string()
}

/// What a run must not end with.
fn judge(url: &str, report: &Report, verdict: Option<&Verdict>) -> Result<(), Error> {
    if report.sent > 0 && report.statuses.is_empty() {
        return Err(Error::Unreachable(url.into()));
    }
    if report.forged_not_refused > 0 {
        let sentence = format!("{} forged webhooks were not answered 401", report.forged_not_refused);
        return Err(Error::Differs(sentence));
    }
    match verdict {
        Some(verdict) if !verdict.agrees() => Err(Error::Differs(format!(
            "Sounder's counts differ from the simulator's: {} messages",
            verdict.differences()
        ))),
        _ => Ok(()),
    }
}

/// `host:port` of an address.
fn authority(url: &str) -> Result<String, Error> {
    let refuse = || Error::Usage(format!("--url {url}: give it as http://host:port"));
    let uri: http::Uri = url.parse().map_err(|_invalid| refuse())?;
    if uri.scheme_str() != Some("http") {
        return Err(refuse());
    }
    let authority = uri.authority().ok_or_else(refuse)?;
    Ok(format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80)))
}

/// Reads `5000`, `5000/s` or `max`.
fn parse_pace(text: &str) -> Result<Pace, String> {
    let number = text.trim().trim_end_matches("/s");
    if number == "max" {
        return Ok(Pace::Unpaced);
    }
    match number.parse::<f64>() {
        Ok(0.0) => Ok(Pace::Unpaced),
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(Pace::PerSecond(rate)),
        _ => Err("give webhooks a second, such as 5000/s, or max".into()),
    }
}

/// Reads a share between 0 and 1.
fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("give a share between 0 and 1, such as 0.3".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paces_are_read_in_every_form_documented() {
        assert_eq!(parse_pace("5000/s"), Ok(Pace::PerSecond(5000.0)));
        assert_eq!(parse_pace("0.5"), Ok(Pace::PerSecond(0.5)));
        assert_eq!(parse_pace("max"), Ok(Pace::Unpaced));
        assert_eq!(parse_pace("0"), Ok(Pace::Unpaced));
        assert!(parse_pace("-1").is_err() && parse_pace("fast").is_err());
        assert!(parse_share("1.1").is_err() && parse_share("NaN").is_err() && parse_share("0.3").is_ok());
    }

    #[test]
    fn an_address_must_be_one_of_http() {
        assert_eq!(authority("http://localhost").unwrap(), "localhost:80");
        assert_eq!(authority("http://127.0.0.1:8080/").unwrap(), "127.0.0.1:8080");
        for wrong in ["https://x", "localhost:1", "", "http://"] {
            assert_eq!(Failure::from(authority(wrong).unwrap_err()).code(), 64, "{wrong}");
        }
    }

    #[test]
    fn forgeries_that_were_believed_end_with_1_and_silence_with_69() {
        let mut report = Report::default();
        assert!(judge("u", &report, None).is_ok());
        report.sent = 1;
        assert_eq!(Failure::from(judge("u", &report, None).unwrap_err()).code(), 69);
        report.statuses.insert(200, 1);
        report.forged_not_refused = 1;
        assert_eq!(Failure::from(judge("u", &report, None).unwrap_err()).code(), 1);
    }
}
