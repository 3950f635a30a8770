//! What the tests stand on: the broker and the Redis that `tests/run` brought up, the daemon as a
//! child process with a configuration of its own, and providers that sign as the real ones do.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed, as it should")]

mod broker;
mod daemon;
mod provider;
mod redis;
mod secrecy;
mod setting;
mod standin;

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

pub(crate) use broker::{BROKER_PASSWORD, Broker};
pub(crate) use daemon::Child;
pub(crate) use provider::{
    Answer, Fate, Webhook, cm, infobip, infobip_body, lime, post, twilio, twilio_form,
};
pub(crate) use redis::{Cluster, OwnRedis};
pub(crate) use secrecy::leaks;
pub(crate) use setting::{
    ADMIN_TOKEN, CM_NUMBER, INFOBIP_NUMBER, LIME_NUMBER, SENDERS, Setting, TWILIO_NUMBER,
};
pub(crate) use standin::{API_SECRET, PENNILESS, SENDING_KEY, SUSPENDED, provider_apis};

/// How long anything may take before a test has failed; nothing waits this long when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The broker's address.
pub(crate) fn brokers() -> String {
    needed("SOUNDER_TEST_KAFKA")
}

/// The Redis' URL.
pub(crate) fn redis_url() -> String {
    needed("SOUNDER_TEST_REDIS")
}

/// The program to start a Redis of one's own with.
pub(crate) fn redis_server() -> String {
    needed("SOUNDER_TEST_REDIS_SERVER")
}

/// The daemon to test: the one cargo has just built, unless another is named.
#[expect(clippy::disallowed_methods, reason = "a long run has a copy of its own")]
pub(crate) fn binary() -> String {
    std::env::var("SOUNDER_TEST_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_sounder").to_owned())
}

/// A name nobody else uses: for topics, key prefixes, groups.
pub(crate) fn unique(what: &str) -> String {
    format!("{what}-{}", ulid::Ulid::generate().to_string().to_lowercase())
}

/// Looks again and again until there is something to see.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let mut every = tokio::time::interval(Duration::from_millis(20));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let looking = async {
        loop {
            every.tick().await;
            if let Some(seen) = look().await {
                return seen;
            }
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("it never came true that {what}"))
}

/// A free loopback port that no other test has. It lies below those the system gives to clients: one
/// that retries a port of those while its daemon is down may end up talking to itself.
pub(crate) fn free_port() -> u16 {
    static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let port = rand::random_range(12_000..32_000);
        let free = TcpListener::bind(("127.0.0.1", port)).is_ok();
        if free && TAKEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port) {
            return port;
        }
    }
}

/// Overwrites every file but the lock.
pub(crate) fn damage(dir: &Path) {
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            damage(&path);
        } else if entry.file_name() != "lock" {
            std::fs::write(path, b"nonsense nonsense nonsense nonsense").unwrap();
        }
    }
}

/// A number somebody asked for in the environment, if anybody did.
#[expect(clippy::disallowed_methods, reason = "whoever runs the tests may ask for more of them")]
pub(crate) fn asked_for(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[expect(clippy::disallowed_methods, reason = "tests are told where the broker and the Redis are")]
fn needed(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests with tests/run"))
}
