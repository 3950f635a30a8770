//! The places of a test build: a script goes in by the environment or a file, and what it says
//! happens. Must never hold up a build or a daemon that was given no script.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{LazyLock, Once};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::Point;
use super::script::{Script, Verb};

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Whether there is a script at all: what every hit asks first.
static ARMED: AtomicBool = AtomicBool::new(false);
static SCRIPT: LazyLock<ArcSwap<Script>> = LazyLock::new(ArcSwap::default);

/// Arms what the environment names; a script that cannot be read ends the process, so that no test
/// passes for want of the fault it asked for.
#[expect(clippy::disallowed_methods, reason = "failpoints are no part of the configuration")]
pub fn arm() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if let Ok(text) = std::env::var("FAILPOINTS") {
            take(&text);
        }
        if let Some(file) = std::env::var_os("FAILPOINTS_FILE") {
            follow(file.into());
        }
    });
}

#[expect(clippy::disallowed_methods, reason = "the thread has nothing else to do")]
fn follow(file: PathBuf) {
    let mut last = read(&file);
    take(&last);
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(LOOK_EVERY);
            let text = read(&file);
            if text != last {
                take(&text);
                last = text;
            }
        }
    });
}

/// A file that is not there says nothing.
fn read(file: &PathBuf) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

fn take(text: &str) {
    match Script::parse(text) {
        Ok(script) => {
            tracing::warn!(script = text, "failpoints are armed");
            SCRIPT.store(script.into());
            ARMED.store(true, Relaxed);
        }
        Err(error) => {
            tracing::error!(error, "failpoints cannot be armed");
            std::process::exit(64);
        }
    }
}

fn hit(point: Point) -> Option<Verb> {
    if !ARMED.load(Relaxed) {
        return None;
    }
    let verb = SCRIPT.load().hit(point, rand::random_range(0..100))?;
    match verb {
        Verb::Kill => kill(),
        #[expect(clippy::panic, reason = "this is what was asked for")]
        Verb::Panic => panic!("{} was to panic", point.name()),
        Verb::Delay(_) | Verb::Fail => {}
    }
    Some(verb)
}

/// Does what is to happen at a place, if anything is.
pub async fn reach(point: Point) {
    if let Some(Verb::Delay(span)) = hit(point) {
        tokio::time::sleep(span).await;
    }
}

/// The same on a thread that may be kept waiting; an error where the place is to fail.
///
/// # Errors
/// Where `fail` was asked for.
#[expect(clippy::disallowed_methods, reason = "the caller's thread may be kept waiting")]
pub fn obstruct(point: Point) -> io::Result<()> {
    match hit(point) {
        Some(Verb::Delay(span)) => {
            std::thread::sleep(span);
            Ok(())
        }
        Some(Verb::Fail) => Err(io::Error::other(format!("{} was to fail", point.name()))),
        _ => Ok(()),
    }
}

/// Whether a place is to do wrong what it does, in a way that only it knows.
pub fn is_due(point: Point) -> bool {
    hit(point) == Some(Verb::Fail)
}

/// Ends the process as a power cut would: nothing is flushed, nothing is dropped.
pub fn kill() {
    std::process::abort();
}

/// By how many milliseconds the clock is wrong.
pub fn clock_offset() -> i64 {
    if ARMED.load(Relaxed) { SCRIPT.load().clock } else { 0 }
}
