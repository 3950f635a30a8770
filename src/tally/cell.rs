//! A cell: the smallest thing that is counted, and how it is named wherever it is stored.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::event::{ConnectionId, ListId, Number};

/// Number, connection and list. Without a number it is its connection's unattributed cell.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CellKey {
    /// The sending number.
    pub number: Option<Number>,
    /// The connection.
    pub connection: ConnectionId,
    /// The list.
    pub list: Option<ListId>,
}

impl CellKey {
    /// The id that stands for it.
    pub fn id(&self) -> CellId {
        let mut hash = Sha256::new();
        for part in [
            self.number.as_ref().map_or("", Number::as_str),
            self.connection.as_str(),
            self.list.as_ref().map_or("", ListId::as_str),
        ] {
            hash.update(part);
            hash.update([0]);
        }
        let digest = hash.finalize();
        CellId::from_value(digest[..6].iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }
}

/// 48 bits of a digest of the cell's key: the same on every daemon, with no allocation to agree on
/// (two of 100,000 cells share one with a chance of 1 in 50,000).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellId(u64);

impl CellId {
    /// The id's value, below 2^48.
    pub const fn value(self) -> u64 {
        self.0
    }

    /// The id with the lower 48 bits of `value`.
    pub const fn from_value(value: u64) -> Self {
        Self(value & ((1 << 48) - 1))
    }
}
