//! A Redis of one's own, to be taken away and given back.

use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{eventually, free_port, redis_server};

/// A Redis that keeps every write on disk before it answers.
pub(crate) struct OwnRedis {
    dir: TempDir,
    port: u16,
    process: Option<Child>,
}

impl OwnRedis {
    /// Starts one.
    pub(crate) async fn start() -> Self {
        let mut redis = Self { dir: tempfile::tempdir().unwrap(), port: free_port(), process: None };
        redis.comes_back().await;
        redis
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
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
            .args(["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"])
            .arg("--dir")
            .arg(self.dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.process = Some(process.unwrap());
        let client = ::redis::Client::open(self.url()).unwrap();
        eventually("Redis answers", async || {
            let mut connection = client.get_multiplexed_async_connection().await.ok()?;
            ::redis::cmd("PING").query_async::<String>(&mut connection).await.ok()
        })
        .await;
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
