//! A URL in, a connection to a Redis that is fit to hold the state out; and what its errors mean.
//!
//! Must never print the URL: it may hold a password.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use ::redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use ::redis::cluster::ClusterClient;
use ::redis::cluster_async::ClusterConnection;
use ::redis::{Client, Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, ServerErrorKind, Value};

use crate::config::Secret;
use crate::tally::Error;

/// The functions; their library's name carries a version, so that two daemon versions overlap.
const FUNCTIONS: &str = include_str!("functions.lua");
/// What `meta.format` says.
pub(super) const FORMAT: u16 = 2;
/// How long a call may take; a batch takes some milliseconds.
const RESPONSE_MAX: Duration = Duration::from_secs(5);
/// How long one attempt to connect may take.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// Attempts to connect before a call fails; the next call tries again.
const ATTEMPTS: usize = 3;
/// What a URL ends in that names one node of a cluster.
const CLUSTER: &str = "?cluster";
/// Times a call is sent again while a cluster's slots move or fail over; then it fails.
const CLUSTER_RETRIES: u32 = 4;

/// A connection to one Redis, or to the nodes of a cluster. It comes back by itself after a failure,
/// and follows slots that move.
#[derive(Clone)]
pub(super) enum Link {
    Single(ConnectionManager),
    Cluster(ClusterConnection),
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(link) => link.req_packed_command(cmd),
            Self::Cluster(link) => link.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(link) => link.req_packed_commands(pipeline, offset, count),
            Self::Cluster(link) => link.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(link) => link.get_db(),
            Self::Cluster(link) => link.get_db(),
        }
    }
}

/// Connects and checks that this Redis, or every node of this cluster, will keep what it is given.
pub(super) async fn connect(url: &Secret) -> Result<Link, Error> {
    let mut link = match seeds(url.expose()) {
        Seeds::Single(url) => Link::Single(single(url).await?),
        Seeds::Cluster(nodes) => Link::Cluster(cluster(nodes).await?),
    };
    for info in infos(&mut link, None).await? {
        fit(&info)?;
    }
    Ok(link)
}

enum Seeds<'a> {
    Single(&'a str),
    Cluster(Vec<&'a str>),
}

/// Several URLs, or one that ends in `?cluster`, are nodes of a cluster.
fn seeds(urls: &str) -> Seeds<'_> {
    let mut nodes = Vec::new();
    let mut rest = urls;
    // A password may hold a comma; what begins the next URL it cannot.
    while let Some(end) = [",redis://", ",rediss://"].iter().filter_map(|next| rest.find(next)).min() {
        nodes.push(&rest[..end]);
        rest = &rest[end + 1..];
    }
    nodes.push(rest);
    match nodes.as_slice() {
        [one] if !one.ends_with(CLUSTER) => Seeds::Single(one),
        _ => Seeds::Cluster(nodes.into_iter().map(|node| node.trim_end_matches(CLUSTER)).collect()),
    }
}

/// The error is not shown: it could quote the URL.
fn not_a_url(_: RedisError) -> Error {
    Error::Unusable(
        "state.url is not a Redis URL; write redis://[user:password@]host:port[/db], or a list of a cluster's nodes"
            .into(),
    )
}

async fn single(url: &str) -> Result<ConnectionManager, Error> {
    let client = Client::open(url).map_err(not_a_url)?;
    let config = ConnectionManagerConfig::new()
        .set_response_timeout(Some(RESPONSE_MAX))
        .set_connection_timeout(Some(CONNECT_MAX))
        .set_number_of_retries(ATTEMPTS)
        .set_max_delay(Duration::from_millis(500));
    ConnectionManager::new_with_config(client, config).await.map_err(sort)
}

async fn cluster(nodes: Vec<&str>) -> Result<ClusterConnection, Error> {
    let client = ClusterClient::builder(nodes)
        .response_timeout(RESPONSE_MAX)
        .connection_timeout(CONNECT_MAX)
        .retries(CLUSTER_RETRIES)
        .max_retry_wait(500)
        .build()
        .map_err(not_a_url)?;
    client.get_async_connection().await.map_err(sort)
}

/// What `INFO` says, node by node.
async fn infos(link: &mut Link, section: Option<&str>) -> Result<Vec<String>, Error> {
    let mut info = ::redis::cmd("INFO");
    info.arg(section);
    match link {
        Link::Single(link) => Ok(vec![info.query_async(link).await.map_err(sort)?]),
        Link::Cluster(link) => {
            let by_node: HashMap<String, String> = info.query_async(link).await.map_err(sort)?;
            Ok(by_node.into_values().collect())
        }
    }
}

/// What this Redis says of itself, as a sentence. Changes nothing.
pub(in crate::tally) async fn probe(url: &Secret) -> Result<String, Error> {
    let mut link = connect(url).await?;
    let infos = infos(&mut link, Some("server")).await?;
    let version = |info: &String| {
        info.lines().find_map(|line| line.strip_prefix("redis_version:")).map_or("", str::trim).to_owned()
    };
    let versions: BTreeSet<String> = infos.iter().map(version).collect();
    let versions = versions.into_iter().collect::<Vec<_>>().join(" and ");
    Ok(match link {
        Link::Single(_) => format!("answers, version {versions}, keeps what it is given"),
        Link::Cluster(_) => {
            format!("answers, a cluster of {} nodes, version {versions}, keeps what it is given", infos.len())
        }
    })
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

/// Loads the functions, on every node.
pub(super) async fn load_functions(link: &mut Link) -> Result<(), Error> {
    let mut load = ::redis::cmd("FUNCTION");
    load.arg("LOAD").arg("REPLACE").arg(FUNCTIONS);
    load.query_async::<Value>(link).await.map(drop).map_err(sort)
}

/// Checks that a slot's `meta`, where there is one, is of our format and division.
pub(super) fn check_meta(meta: &HashMap<String, String>, slots: usize) -> Result<(), Error> {
    if meta.is_empty() {
        return Ok(());
    }
    check("slots", meta, &slots.to_string(), "set state.slots to that")?;
    check("format", meta, &FORMAT.to_string(), "run the version of Sounder that wrote it")
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
        ErrorKind::Extension if matches!(error.code(), Some("SOUNDERLOST" | "SOUNDERREWOUND")) => {
            Error::Rewound
        }
        ErrorKind::Extension if error.code() == Some("SOUNDERFENCED") => Error::Fenced,
        // Wrong credentials, missing permissions, no memory left, our own mistakes.
        _ => Error::Unusable(text),
    }
}

/// True when the slot lost something since it was last written.
pub(super) fn is_lost(error: &RedisError) -> bool {
    error.code() == Some("SOUNDERLOST")
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
        let Err(told) = runtime.block_on(connect(&url)) else { panic!("that is no URL") };
        let told = told.to_string();
        assert!(told.contains("state.url") && !told.contains("hunter2"), "{told}");
    }

    #[test]
    fn several_urls_are_a_cluster_and_so_is_one_that_says_so() {
        let nodes = |urls: &str| match seeds(urls) {
            Seeds::Single(one) => vec![format!("single {one}")],
            Seeds::Cluster(nodes) => nodes.into_iter().map(str::to_owned).collect(),
        };
        assert_eq!(nodes("redis://:a,b@h:1/2"), ["single redis://:a,b@h:1/2"]);
        assert_eq!(nodes("redis://h:1?cluster"), ["redis://h:1"]);
        let two = "redis://:a,b@h:1,rediss://i:2";
        assert_eq!(nodes(two), ["redis://:a,b@h:1", "rediss://i:2"]);
    }
}
