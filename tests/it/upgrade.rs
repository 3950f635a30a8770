//! A directory that an earlier version wrote: its log is read as it is; its state, whose format is
//! another, is refused with a sentence, and doing what that says loses nothing.
//!
//! `upgrade/state-1.tgz` is the data directory of the last version whose state had format 1 (75501d0),
//! with embedded backends, after it took three receipts of CM's and was told to stop.

use std::fs;
use std::process::Command;

use sounder::clock::Clock;

use crate::harness::{CM_NUMBER, Setting};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/upgrade/state-1.tgz");
/// When its receipts were received, in milliseconds since 1970.
const WRITTEN_AT: i64 = 1_795_598_754_885;

#[tokio::test]
async fn a_state_of_an_earlier_format_is_refused_and_counted_again_from_the_log_of_that_version() {
    let setting = Setting::embedded();
    let home = setting.data().parent().unwrap().to_owned();
    let unpacked = Command::new("tar").arg("-xzf").arg(FIXTURE).arg("-C").arg(&home).status().unwrap();
    assert!(unpacked.success());
    // It is as it was: refused again, by whatever starts it again.
    for _ in 0..2 {
        let ended = setting.spawn(&["serve"]).ends().await.with(69);
        ended.saying("holds format 1").saying("move it away, and the stream fills a new one");
    }
    fs::rename(setting.data().join("state"), home.join("away")).unwrap();
    // What it holds is not weeks old by this daemon's clock, whenever this test is run.
    let passed = Clock::wall().now().millis() - WRITTEN_AT;
    let mut daemon = setting.serving_with(&format!("clock={}", 60_000 - passed));
    daemon.is_ready().await;
    daemon.counts(CM_NUMBER, 3, 0).await;
    let ledger = daemon.read("/api/v1/ledger").await;
    assert_eq!((&ledger["consumed"]["applied"], &ledger["balanced"]), (&3.into(), &true.into()), "{ledger}");
    daemon.terminate().await.with(0);
}
