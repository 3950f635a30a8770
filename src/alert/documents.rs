//! The part of the store that alerts need: documents, read whole and changed atomically.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::incident::Incident;
use crate::tally::{Error, Put, Store, Table};

/// Keeps documents. The store does; tests have their own.
pub trait Documents: Send + Sync {
    /// Changes documents, all of them in one atomic step.
    fn save(&self, puts: Vec<Put>) -> impl Future<Output = Result<(), Error>> + Send;

    /// Every document of a table, by key.
    fn load(&self, table: Table) -> impl Future<Output = Result<BTreeMap<String, Bytes>, Error>> + Send;
}

impl Documents for Store {
    async fn save(&self, puts: Vec<Put>) -> Result<(), Error> {
        Self::save(self, puts).await
    }

    async fn load(&self, table: Table) -> Result<BTreeMap<String, Bytes>, Error> {
        Self::load(self, table).await
    }
}

/// The store in the hands of whoever holds a lease: once somebody else has been given a newer one,
/// nothing is written any more.
#[derive(Clone, Debug)]
pub struct Fenced {
    store: Store,
    token: u64,
    saves: Arc<AtomicU64>,
}

impl Fenced {
    /// The store for the holder of a lease.
    pub fn new(store: Store, token: u64) -> Self {
        Self { store, token, saves: Arc::default() }
    }

    /// The lease's token.
    pub const fn token(&self) -> u64 {
        self.token
    }

    /// How often something has been written, through this or a clone of it.
    pub fn saves(&self) -> u64 {
        self.saves.load(Relaxed)
    }
}

impl Documents for Fenced {
    async fn save(&self, puts: Vec<Put>) -> Result<(), Error> {
        self.store.save_as(self.token, puts).await?;
        self.saves.fetch_add(1, Relaxed);
        Ok(())
    }

    async fn load(&self, table: Table) -> Result<BTreeMap<String, Bytes>, Error> {
        self.store.load(table).await
    }
}

/// Every incident that is kept, newest first.
///
/// # Errors
/// When the store cannot be read.
pub async fn incidents(documents: &impl Documents) -> Result<Vec<Incident>, Error> {
    let kept = documents.load(Table::Incidents).await?;
    Ok(kept.iter().rev().filter_map(|(key, value)| read(Table::Incidents, key, value)).collect())
}

/// Reads a document; one that nobody can read is reported and passed over, so that one bad
/// document never stops every alert.
pub(super) fn read<T: DeserializeOwned>(table: Table, key: &str, value: &[u8]) -> Option<T> {
    serde_json::from_slice(value)
        .inspect_err(
            |error| tracing::error!(?table, key, %error, "failed to read a document, passing over it"),
        )
        .ok()
}

/// A change that writes a document.
pub(super) fn put<T: Serialize>(table: Table, key: &str, document: &T) -> Result<Put, Error> {
    let value = serde_json::to_vec(document)
        .map_err(|error| Error::Unusable(format!("failed to write a document: {error}")))?;
    Ok(Put { table, key: key.to_owned(), value: Some(value.into()) })
}

/// A change that deletes a document.
pub(super) fn delete(table: Table, key: &str) -> Put {
    Put { table, key: key.to_owned(), value: None }
}

#[cfg(test)]
pub(super) mod memory {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Documents in memory; can be told to fail, and remembers every step.
    #[derive(Clone, Default)]
    pub(in crate::alert) struct Memory {
        pub(in crate::alert) tables: Arc<Mutex<BTreeMap<(Table, String), Bytes>>>,
        pub(in crate::alert) saves: Arc<Mutex<Vec<Vec<Put>>>>,
        pub(in crate::alert) broken: Arc<AtomicBool>,
    }

    impl Memory {
        pub(in crate::alert) fn keys(&self, table: Table) -> Vec<String> {
            self.tables.lock().unwrap().keys().filter(|(t, _)| *t == table).map(|(_, k)| k.clone()).collect()
        }
    }

    impl Documents for Memory {
        async fn save(&self, puts: Vec<Put>) -> Result<(), Error> {
            if self.broken.load(Ordering::SeqCst) {
                return Err(Error::Unreachable("a test".into()));
            }
            let mut tables = self.tables.lock().unwrap();
            for put in &puts {
                let key = (put.table, put.key.clone());
                match &put.value {
                    Some(value) => tables.insert(key, value.clone()),
                    None => tables.remove(&key),
                };
            }
            self.saves.lock().unwrap().push(puts);
            Ok(())
        }

        async fn load(&self, table: Table) -> Result<BTreeMap<String, Bytes>, Error> {
            let tables = self.tables.lock().unwrap();
            let of_table = tables.iter().filter(|((t, _), _)| *t == table);
            Ok(of_table.map(|((_, key), value)| (key.clone(), value.clone())).collect())
        }
    }
}
