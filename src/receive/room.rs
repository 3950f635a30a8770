//! Bodies under way → how many bytes of them are held. Must never hold more than its bound, whoever
//! sends them: a stranger's body costs as much as a provider's until it is proved.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Incoming};

use super::{Answer, Unavailable};

/// Bytes of bodies that may be held at once.
#[derive(Debug)]
pub(super) struct Room {
    held: Arc<AtomicUsize>,
    bytes_max: usize,
}

/// What one body takes up; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    held: Arc<AtomicUsize>,
    bytes: usize,
}

impl Room {
    /// Room for so many bytes.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { held: Arc::default(), bytes_max }
    }

    /// Reads a body of at most `bytes_max`, however long it takes.
    pub(super) async fn read(&self, body: Incoming, bytes_max: usize) -> Result<(Bytes, Share), Answer> {
        let mut share = Share { held: Arc::clone(&self.held), bytes: 0 };
        if body.is_end_stream() {
            return Ok((Bytes::new(), share));
        }
        if body.size_hint().lower() > bytes_max as u64 {
            return Err(Answer::TooLarge);
        }
        self.collect(body, bytes_max, &mut share).await.map(|bytes| (bytes, share))
    }

    async fn collect(
        &self,
        mut body: Incoming,
        bytes_max: usize,
        share: &mut Share,
    ) -> Result<Bytes, Answer> {
        let mut whole = Collected::default();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                tracing::debug!(%error, "a body broke off");
                Answer::BadRequest
            })?;
            // Trailers say nothing that anybody here wants to know.
            let Ok(data) = frame.into_data() else { continue };
            if whole.len() + data.len() > bytes_max {
                return Err(Answer::TooLarge);
            }
            if !share.grow(data.len(), self.bytes_max) {
                return Err(Answer::Unavailable(Unavailable::Overloaded));
            }
            whole.push(data);
        }
        Ok(whole.into_bytes())
    }
}

impl Share {
    /// Takes up more room; false when there is none.
    fn grow(&mut self, bytes: usize, bytes_max: usize) -> bool {
        self.bytes += bytes;
        self.held.fetch_add(bytes, Relaxed) + bytes <= bytes_max
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Relaxed);
    }
}

/// A body so far. Most come in one piece, which is kept as it is.
#[derive(Default)]
struct Collected {
    first: Bytes,
    whole: BytesMut,
}

impl Collected {
    fn len(&self) -> usize {
        self.first.len() + self.whole.len()
    }

    fn push(&mut self, data: Bytes) {
        if self.len() == 0 {
            self.first = data;
            return;
        }
        self.whole.extend_from_slice(&std::mem::take(&mut self.first));
        self.whole.extend_from_slice(&data);
    }

    fn into_bytes(self) -> Bytes {
        if self.whole.is_empty() { self.first } else { self.whole.freeze() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_given_back_and_never_more_than_there_is_room_for() {
        let room = Room::new(100);
        let share = || Share { held: Arc::clone(&room.held), bytes: 0 };
        let (mut one, mut other) = (share(), share());
        assert!(one.grow(60, room.bytes_max) && other.grow(40, room.bytes_max));
        assert!(!one.grow(1, room.bytes_max));
        drop(one);
        assert!(other.grow(60, room.bytes_max));
        drop(other);
        assert_eq!(room.held.load(Relaxed), 0);
    }

    #[test]
    fn pieces_are_put_together_in_their_order() {
        for pieces in [&["ab"][..], &["a", "b"], &["", "a", "", "b", ""]] {
            let mut body = Collected::default();
            for piece in pieces {
                body.push(Bytes::copy_from_slice(piece.as_bytes()));
            }
            assert_eq!((body.len(), &body.into_bytes()[..]), (2, &b"ab"[..]), "{pieces:?}");
        }
    }
}
