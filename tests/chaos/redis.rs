//! A Redis at one address, whichever process stands behind it: a stand-in for a virtual address or a
//! sentinel, so that another process can take over.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::harness::{OwnRedis, eventually};

/// What is behind the address now.
pub(crate) struct Redis {
    pub(crate) behind: OwnRedis,
    address: SocketAddr,
    port: Arc<AtomicU16>,
    /// Tells connections that the process behind them is not the one any more.
    moved: watch::Sender<u64>,
}

impl Redis {
    pub(crate) async fn start() -> Self {
        let behind = OwnRedis::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let port = Arc::new(AtomicU16::new(port_of(&behind)));
        let moved = watch::Sender::new(0);
        tokio::spawn(forward(listener, Arc::clone(&port), moved.clone()));
        Self { behind, address, port, moved }
    }

    /// The address that stays.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// An empty one takes the place of what was there.
    pub(crate) async fn is_emptied(&mut self) {
        let fresh = OwnRedis::start().await;
        self.takes_over(fresh);
    }

    /// A replica takes over from a master that dies under load: what the master had not sent is gone.
    pub(crate) async fn fails_over(&mut self) {
        let replica = OwnRedis::start().await;
        let port = port_of(&self.behind).to_string();
        replica.ask::<String>(&["REPLICAOF", "127.0.0.1", &port]).await;
        eventually("the replica has a copy", async || {
            let info: String = replica.ask(&["INFO", "replication"]).await;
            info.contains("master_link_status:up").then_some(())
        })
        .await;
        self.behind.goes_away();
        replica.ask::<String>(&["REPLICAOF", "NO", "ONE"]).await;
        self.takes_over(replica);
    }

    fn takes_over(&mut self, next: OwnRedis) {
        self.port.store(port_of(&next), Relaxed);
        self.behind = next;
        self.moved.send_modify(|times| *times += 1);
    }
}

fn port_of(redis: &OwnRedis) -> u16 {
    redis.url().rsplit(':').next().and_then(|port| port.parse().ok()).unwrap()
}

async fn forward(listener: TcpListener, port: Arc<AtomicU16>, moved: watch::Sender<u64>) {
    while let Ok((mut near, _)) = listener.accept().await {
        let (port, mut moved) = (port.load(Relaxed), moved.subscribe());
        tokio::spawn(async move {
            let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
            tokio::select! {
                _ended = copy_bidirectional(&mut near, &mut far) => {}
                _moved = moved.changed() => {}
            }
        });
    }
}
