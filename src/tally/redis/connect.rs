//! A URL in, a connection to a Redis that is fit to hold the state out; and what its errors mean.
//!
//! Must never print the URL: it may hold a password.

use std::collections::HashMap;
use std::time::Duration;

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::{Client, ErrorKind, RedisError, ServerErrorKind};

use crate::config::Secret;
use crate::tally::Error;

/// The functions; their library's name carries a version, so that two daemon versions overlap.
const FUNCTIONS: &str = include_str!("functions.lua");
/// What `meta.format` says.
const FORMAT: u16 = 1;
/// How long a call may take; a batch takes some milliseconds.
const RESPONSE_MAX: Duration = Duration::from_secs(5);
/// How long one attempt to connect may take.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// Attempts to connect before a call fails; the next call tries again.
const ATTEMPTS: usize = 3;

/// Connects and checks that this Redis will keep what it is given.
pub(super) async fn connect(url: &Secret) -> Result<ConnectionManager, Error> {
    // The error is not shown: it could quote the URL.
    let client = Client::open(url.expose()).map_err(|_| {
        Error::Unusable("state.url is not a Redis URL; write redis://[user:password@]host:port[/db]".into())
    })?;
    let config = ConnectionManagerConfig::new()
        .set_response_timeout(Some(RESPONSE_MAX))
        .set_connection_timeout(Some(CONNECT_MAX))
        .set_number_of_retries(ATTEMPTS)
        .set_max_delay(Duration::from_millis(500));
    let mut connection = ConnectionManager::new_with_config(client, config).await.map_err(sort)?;
    let info: String = ::redis::cmd("INFO").query_async(&mut connection).await.map_err(sort)?;
    fit(&info)?;
    Ok(connection)
}

/// What this Redis says of itself, as a sentence. Changes nothing.
pub(in crate::tally) async fn probe(url: &Secret) -> Result<String, Error> {
    let mut connection = connect(url).await?;
    let info: String = ::redis::cmd("INFO").arg("server").query_async(&mut connection).await.map_err(sort)?;
    let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).map_or("", str::trim);
    Ok(format!("answers, version {version}, keeps what it is given"))
}

/// Reads in `INFO` whether this Redis is fit to hold the state.
fn fit(info: &str) -> Result<(), Error> {
    let line = |name: &str| {
        info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map_or("", str::trim)
    };
    let version = line("redis_version");
    let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    if major < 7 {
        return Err(Error::Unusable(format!(
            "this Redis is version {version}; use 7 or later, which has functions"
        )));
    }
    let policy = line("maxmemory_policy");
    if policy != "noeviction" {
        return Err(Error::Unusable(format!(
            "this Redis evicts keys when memory is short (maxmemory-policy is {policy}), and a message \
             forgotten would be counted twice; run `CONFIG SET maxmemory-policy noeviction` and write it \
             to redis.conf"
        )));
    }
    Ok(())
}

/// Loads the functions and checks or creates each slot's `meta`.
pub(super) async fn prepare(connection: &mut ConnectionManager, bases: &[String]) -> Result<(), Error> {
    let mut load = ::redis::cmd("FUNCTION");
    load.arg("LOAD").arg("REPLACE").arg(FUNCTIONS);
    let _: String = load.query_async(connection).await.map_err(sort)?;
    for base in bases {
        let meta = format!("{base}meta");
        let found: HashMap<String, String> = ::redis::pipe()
            .atomic()
            .hset_nx(&meta, "format", FORMAT)
            .ignore()
            .hset_nx(&meta, "slots", bases.len())
            .ignore()
            .hset_nx(&meta, "born", rand::random::<u32>())
            .ignore()
            .hgetall(&meta)
            .query_async::<(HashMap<String, String>,)>(connection)
            .await
            .map_err(sort)?
            .0;
        check("slots", &found, &bases.len().to_string(), "set state.slots to that")?;
        check("format", &found, &FORMAT.to_string(), "run the version of Sounder that wrote it")?;
    }
    Ok(())
}

fn check(name: &str, found: &HashMap<String, String>, wanted: &str, remedy: &str) -> Result<(), Error> {
    let found = found.get(name).map_or("", String::as_str);
    if found == wanted {
        return Ok(());
    }
    Err(Error::Unusable(format!(
        "the state under this state.key_prefix has {name} {found}, not {wanted}; \
         {remedy}, or use another key_prefix, which the stream fills"
    )))
}

/// Sorts an error: does the same call have a chance later, or must a person look?
#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
pub(super) fn sort(error: RedisError) -> Error {
    use ServerErrorKind as S;
    let text = error.to_string();
    match error.kind() {
        // The network, or a Redis that is starting, moving or failing over.
        ErrorKind::Io
        | ErrorKind::ClusterConnectionNotFound
        | ErrorKind::Server(
            S::BusyLoading | S::TryAgain | S::ClusterDown | S::MasterDown | S::ReadOnly | S::Moved | S::Ask,
        ) => Error::Unreachable(text),
        // A function of somebody else is running, or a failover left too few replicas.
        ErrorKind::Extension if matches!(error.code(), Some("BUSY" | "NOREPLICAS" | "UNBLOCKED")) => {
            Error::Unreachable(text)
        }
        // Wrong credentials, missing permissions, no memory left, our own mistakes.
        _ => Error::Unusable(text),
    }
}

/// True when the functions are gone: this Redis was restarted or replaced without them.
pub(super) fn is_function_missing(error: &RedisError) -> bool {
    error.to_string().contains("Function not found")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_that_would_forget_is_refused_with_the_remedy() {
        let info = |version: &str, policy: &str| {
            format!("# Server\r\nredis_version:{version}\r\n# Memory\r\nmaxmemory_policy:{policy}\r\n")
        };
        assert!(fit(&info("7.0.15", "noeviction")).is_ok());
        let told = |info: &str| fit(info).unwrap_err().to_string();
        assert!(told(&info("6.2.1", "noeviction")).contains("use 7 or later"));
        assert!(told(&info("7.2.0", "allkeys-lru")).contains("CONFIG SET maxmemory-policy noeviction"));
    }

    #[test]
    fn a_url_is_never_repeated() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let url = Secret::new("rediss//user:hunter2@host".into());
        let told = runtime.block_on(connect(&url)).unwrap_err().to_string();
        assert!(told.contains("state.url") && !told.contains("hunter2"), "{told}");
    }
}
