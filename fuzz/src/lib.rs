//! What the fuzz targets share: the golden vectors as seeds and as configurations, and what must hold
//! of whatever comes in. A target never asserts more than the documentation promises.

pub mod admin;
pub mod stream;
pub mod webhook;

// The vectors' reader is the tests' own. It names what it uses as its neighbours do in Sounder.
use sounder::provider::{Normalized, Unproved, normalize, verify};
use sounder::{clock, config, event, receive, registry};

#[path = "../../src/provider/vector.rs"]
#[expect(dead_code, reason = "the tests hold vectors to what they expect; here they are only read")]
mod vector;

/// Where the golden vectors are.
pub const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors");
