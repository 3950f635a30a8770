//! A Redis of one's own, to be taken away, emptied and given back; and a cluster of them.

use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{eventually, free_port, redis_server};

/// A Redis of one's own.
pub(crate) struct OwnRedis {
    dir: TempDir,
    port: u16,
    settings: Vec<String>,
    process: Option<Child>,
}

impl OwnRedis {
    /// Starts one that keeps every write on disk before it answers.
    pub(crate) async fn start() -> Self {
        Self::with(&["--appendonly", "yes", "--appendfsync", "always"]).await
    }

    /// Starts one that keeps nothing when it ends.
    pub(crate) async fn forgetful() -> Self {
        Self::with(&["--appendonly", "no"]).await
    }

    async fn with(settings: &[&str]) -> Self {
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let dir = tempfile::tempdir().unwrap();
        let mut redis = Self { dir, port: free_port(), settings, process: None };
        redis.comes_back().await;
        redis
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.process.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Kills it as a power cut would.
    pub(crate) fn goes_away(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Starts it on what it kept.
    pub(crate) async fn comes_back(&mut self) {
        let process = Command::new(redis_server())
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--maxmemory-policy", "noeviction", "--dir"])
            .arg(self.dir.path())
            .args(&self.settings)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.process = Some(process.unwrap());
        eventually("Redis answers", async || self.try_ask::<String>(&["PING"]).await.ok()).await;
    }

    /// Asks it something.
    pub(crate) async fn ask<T: ::redis::FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_ask(words).await.unwrap()
    }

    /// Asks it something it may refuse.
    pub(crate) async fn try_ask<T: ::redis::FromRedisValue>(
        &self,
        words: &[&str],
    ) -> ::redis::RedisResult<T> {
        let client = ::redis::Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut command = ::redis::cmd(words[0]);
        command.arg(&words[1..]).query_async(&mut connection).await
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended already.
            drop(process.kill());
            drop(process.wait());
        }
    }
}

/// Slots of a Redis Cluster.
const SLOTS: u16 = 16_384;

/// Three masters that share the slots, and a replica of the first. Another process is another
/// `run_id`, whatever it kept.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<OwnRedis>,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let mut nodes = Vec::new();
        for _ in 0..4 {
            let bus = free_port().to_string();
            let settings =
                ["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "1000"];
            let settings: Vec<&str> = settings.into_iter().chain(["--appendonly", "no"]).collect();
            let node = OwnRedis::with(&settings).await;
            nodes.push((node, bus));
        }
        let (first, first_bus) = (nodes[0].0.port.to_string(), nodes[0].1.clone());
        for (at, (node, _)) in nodes.iter().enumerate() {
            let meet: String = node.ask(&["CLUSTER", "MEET", "127.0.0.1", &first, &first_bus]).await;
            assert_eq!(meet, "OK");
            if at < 3 {
                let at = u16::try_from(at).unwrap();
                let (from, to) = (SLOTS / 3 * at, if at == 2 { SLOTS - 1 } else { SLOTS / 3 * (at + 1) - 1 });
                let range = [from.to_string(), to.to_string()];
                let _: String = node.ask(&["CLUSTER", "ADDSLOTSRANGE", &range[0], &range[1]]).await;
            }
        }
        let cluster = Self { nodes: nodes.into_iter().map(|(node, _)| node).collect() };
        cluster.agrees(4).await;
        let master = cluster.id(0).await;
        let replicate =
            async || cluster.nodes[3].try_ask::<String>(&["CLUSTER", "REPLICATE", &master]).await.ok();
        eventually("the replica knows its master", replicate).await;
        eventually("the replica follows", async || {
            let said: String = cluster.nodes[3].ask(&["INFO", "replication"]).await;
            said.contains("master_link_status:up").then_some(())
        })
        .await;
        cluster
    }

    /// Waits until every living node sees so many others and every slot.
    async fn agrees(&self, known: usize) {
        for node in &self.nodes {
            eventually("the cluster agrees", async || {
                let info: String = node.ask(&["CLUSTER", "INFO"]).await;
                let says = |line: String| info.contains(&line);
                (says("cluster_state:ok".into()) && says(format!("cluster_known_nodes:{known}")))
                    .then_some(())
            })
            .await;
        }
    }

    /// What to configure: two of the nodes.
    pub(crate) fn url(&self) -> String {
        format!("{},{}", self.nodes[0].url(), self.nodes[1].url())
    }

    pub(crate) async fn id(&self, node: usize) -> String {
        self.nodes[node].ask(&["CLUSTER", "MYID"]).await
    }

    /// Kills a node as a power cut would.
    pub(crate) fn loses(&mut self, node: usize) {
        self.nodes[node].goes_away();
    }

    /// Waits until the replica has taken the first master's place.
    pub(crate) async fn fails_over(&self) {
        eventually("the replica is a master", async || {
            let said: String = self.nodes[3].ask(&["INFO", "replication"]).await;
            said.contains("role:master").then_some(())
        })
        .await;
    }

    /// Moves the slot of a key from its node to another, key by key, as a person would who adds a node.
    pub(crate) async fn moves(&self, key: &str, to: usize) {
        let slot: u16 = self.nodes[to].ask(&["CLUSTER", "KEYSLOT", key]).await;
        let from = usize::from(slot / (SLOTS / 3)).min(2);
        assert_ne!(from, to);
        let (slot, port) = (slot.to_string(), self.nodes[to].port.to_string());
        let (source, target) = (self.id(from).await, self.id(to).await);
        let set = async |node: usize, what: &[&str]| {
            let words: Vec<&str> = ["CLUSTER", "SETSLOT", &slot].iter().chain(what).copied().collect();
            let _: String = self.nodes[node].ask(&words).await;
        };
        set(to, &["IMPORTING", &source]).await;
        set(from, &["MIGRATING", &target]).await;
        loop {
            let keys: Vec<String> = self.nodes[from].ask(&["CLUSTER", "GETKEYSINSLOT", &slot, "50"]).await;
            if keys.is_empty() {
                break;
            }
            for key in keys {
                let _: String =
                    self.nodes[from].ask(&["MIGRATE", "127.0.0.1", &port, &key, "0", "5000"]).await;
            }
        }
        for node in [to, from, 0, 1, 2] {
            set(node, &["NODE", &target]).await;
        }
    }
}
