//! What Lime signs: nothing. In: a webhook nobody believes yet. Out: that no signature proves it, so
//! that a path secret or basic credentials must.

use crate::config::Connection;
use crate::provider::{Slot, Unproved};
use crate::receive::RawWebhook;

/// None: Lime signs no webhook, and what else is configured has been held against it before.
///
/// # Errors
/// None.
pub fn check(webhook: &RawWebhook, connection: &Connection, body: &[u8]) -> Result<Vec<Slot>, Unproved> {
    let _ = (webhook, connection, body);
    Ok(Vec::new())
}
