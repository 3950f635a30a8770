//! The state in a directory of this machine: batches in, cells, positions and documents out.
//!
//! The engine's calls block, so they run beside the runtime, one after the other. One atomic batch
//! holds message states, cells, account and positions: after a crash the directory shows an older
//! moment, whole, and the stream is read again from there. Must never hold a lock across an await.

mod beside;
mod changes;
mod consent;
mod disk;
mod state;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::consume::Partition;
use crate::event::{Recipient, Record};

use super::mirror::Mirror;
use super::{Account, Apply, Error, Held, Put, Resume, Table, Word};
use state::State;

/// A handle on the state; `None` behind the lock once it is closed.
#[derive(Clone)]
pub struct Embedded(Arc<Mutex<Option<State>>>);

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Embedded")
    }
}

impl Embedded {
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        Ok(Self(Arc::new(Mutex::new(Some(State::open(dir)?)))))
    }

    pub(super) async fn apply(&self, batch: &Apply) -> Result<Account, Error> {
        let batch = batch.clone();
        self.with(move |state| state.apply(&batch)).await
    }

    pub(super) async fn hold(&self, words: &[Word]) -> Result<Vec<Record>, Error> {
        let words = words.to_vec();
        self.with(move |state| state.hold(&words)).await
    }

    pub(super) async fn held(&self, recipient: &Recipient) -> Result<Vec<Held>, Error> {
        let recipient = recipient.clone();
        self.with(move |state| state.held(&recipient)).await
    }

    pub(super) async fn positions(&self) -> Result<BTreeMap<Partition, u64>, Error> {
        self.with(|state| Ok(state.positions().clone())).await
    }

    pub(super) async fn resume(&self) -> Result<Resume, Error> {
        self.with(|state| Ok(state.resume())).await
    }

    pub(super) async fn account(&self) -> Result<BTreeMap<Partition, Account>, Error> {
        self.with(|state| Ok(state.account().clone())).await
    }

    pub(super) async fn clock(&self) -> Result<Timestamp, Error> {
        self.with(|state| Ok(state.clock())).await
    }

    pub(super) async fn refresh(&self, mirror: &Mirror) -> Result<(), Error> {
        let mut following = mirror.follow().await;
        let (born, seen) = following.place(0);
        let delta = self.with(move |state| Ok(state.since(born, seen))).await?;
        mirror.take(&mut following, vec![delta]);
        Ok(())
    }

    pub(super) async fn expire(&self, clock: Timestamp) -> Result<(), Error> {
        self.with(move |state| state.expire(clock)).await
    }

    pub(super) async fn save(&self, puts: Vec<Put>) -> Result<(), Error> {
        self.with(move |state| state.save(&puts)).await
    }

    pub(super) async fn load(&self, table: Table) -> Result<BTreeMap<String, Bytes>, Error> {
        self.with(move |state| state.load(table)).await
    }

    pub(super) async fn close(&self) {
        let shared = Arc::clone(&self.0);
        let closing = tokio::task::spawn_blocking(move || {
            let state = shared.lock().unwrap_or_else(PoisonError::into_inner).take();
            state.map_or(Ok(()), State::close)
        });
        if let Ok(Err(error)) = closing.await {
            tracing::warn!(%error, "the state was closed without its last moments; the stream has them");
        }
    }

    /// Runs beside the runtime, alone with the state.
    async fn with<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: std::marker::Send + 'static,
        F: FnOnce(&mut State) -> Result<T, Error> + std::marker::Send + 'static,
    {
        let shared = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || {
            // A call that panicked changed nothing in memory: that is the last thing a call does.
            let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
            state.as_mut().map_or_else(|| Err(Error::Unusable("it is closed".into())), work)
        });
        done.await.unwrap_or_else(|_| Err(Error::Unusable("a call into it broke off".into())))
    }
}
