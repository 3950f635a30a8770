//! What an outage of Kafka costs: a receiver under an even load whose broker dies, stays dead and comes
//! back. Printed: how soon the first event is spooled, how webhooks are answered meanwhile, how fast
//! the spool drains, and the receiver's memory before, during and after.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::fleet::Member;
use crate::harness::{Broker, Setting, binary};
use crate::world::until;

/// How long the load goes on before the broker dies, and after it is back.
const CALM: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(5);
const SAMPLE_EVERY: Duration = Duration::from_millis(500);

/// Measures an outage of this length at so many requests a second.
pub(crate) async fn measure(length: Duration, rate: u32) -> Result<(), String> {
    let mut broker = Broker::start().ok_or("there is no broker to stop")?;
    broker.answers().await;
    let receiver = Member::with_room(Setting::on(Some(broker.address.clone()), None), "receive");
    tokio::spawn(Arc::clone(&receiver).supervise());
    until("the receiver is ready", async || receiver.is_ready().await).await?;

    let before = phase(&receiver, "before", CALM, rate).await?;
    let spooled = receiver.metric("spool_events").await.unwrap_or_default();
    broker.kill();
    let died = Instant::now();
    let first = async {
        while receiver.metric("spool_events").await <= Some(spooled) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        died.elapsed()
    };
    let (during, first) = tokio::join!(phase(&receiver, "during", length, rate), first);
    let during = during?;
    println!("the first event was in the spool {} ms after the broker's death", first.as_millis());
    let waiting = account(&receiver).await["in_spool"].as_u64().unwrap_or_default();

    broker.restart();
    broker.answers().await;
    let back = Instant::now();
    let (after, drained) = tokio::join!(phase(&receiver, "after", CALM * 2, rate), drains(&receiver, back));
    let (noticed, empty) = drained?;
    println!(
        "{waiting} events waited; {} ms after the broker answered they began to drain, after {:.1} s none waited: {:.0} a second beside the load",
        noticed.as_millis(),
        empty.as_secs_f64(),
        waiting as f64 / (empty - noticed).as_secs_f64(),
    );
    let account = account(&receiver).await;
    println!("{account}");
    let largest = [before, during, after?].into_iter().max().unwrap_or_default();
    println!("largest resident memory {largest} MiB; complaints {:?}", receiver.complaints());
    receiver.ends();
    Ok(())
}

/// Puts the receiver under load for a while; says how it answered, and its largest memory in MiB.
async fn phase(receiver: &Member, name: &str, length: Duration, rate: u32) -> Result<u64, String> {
    let over = AtomicBool::new(false);
    let load = load(receiver, length, rate);
    let watched = async {
        let mut sizes = Vec::new();
        while !over.load(Relaxed) {
            sizes.extend(receiver.resident_mib());
            tokio::time::sleep(SAMPLE_EVERY).await;
        }
        sizes
    };
    let loaded = async {
        let report = finished(load).await;
        over.store(true, Relaxed);
        report
    };
    let (sizes, report) = tokio::join!(watched, loaded);
    let report: Value =
        serde_json::from_str(&report).map_err(|error| format!("the load said {report:?}: {error}"))?;
    let (first, last) =
        (sizes.first().copied().unwrap_or_default(), sizes.last().copied().unwrap_or_default());
    let largest = sizes.iter().max().copied().unwrap_or_default();
    println!(
        "{name}: sent {}, {:.0} answered a second, statuses {}, latency {}; memory {first} → {last} MiB, at most {largest}",
        report["sent"],
        report["per_second"].as_f64().unwrap_or_default(),
        report["statuses"],
        report["latency"],
    );
    Ok(largest)
}

fn load(receiver: &Member, length: Duration, rate: u32) -> Child {
    let mut command = receiver.setting.command(&[]);
    let config = command.get_args().map(ToOwned::to_owned).collect::<Vec<_>>();
    command = Command::new(binary());
    command.args(config).args(["--json", "simulate", "--url", &receiver.setting.receive_url()]);
    command.args(["--rate", &rate.to_string(), "--duration", &format!("{}s", length.as_secs())]);
    command.args(["--connections", "64", "--batch", "1"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

async fn finished(load: Child) -> String {
    let ended = tokio::task::spawn_blocking(move || load.wait_with_output()).await;
    ended
        .ok()
        .and_then(Result::ok)
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default()
}

/// When the spool began to drain and when it was empty, after the broker answered.
async fn drains(receiver: &Member, back: Instant) -> Result<(Duration, Duration), String> {
    let drained = account(receiver).await["drained"].as_u64();
    let mut noticed = None;
    loop {
        let account = account(receiver).await;
        if noticed.is_none() && account["drained"].as_u64() > drained {
            noticed = Some(back.elapsed());
        }
        if let (Some(noticed), Some(0)) = (noticed, account["in_spool"].as_u64()) {
            return Ok((noticed, back.elapsed()));
        }
        if back.elapsed() > CALM * 20 {
            return Err(format!("the spool does not drain: {account}"));
        }
        tokio::time::sleep(LOOK_EVERY * 4).await;
    }
}

async fn account(receiver: &Member) -> Value {
    receiver.read("/api/v1/ledger").await.map(|ledger| ledger["spool"].clone()).unwrap_or_default()
}

impl Member {
    /// Memory in use, if it runs.
    fn resident_mib(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib >> 10)
    }
}
