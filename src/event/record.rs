//! A record: an event as the stream holds it, whichever stream that is.

use bytes::{Buf, BufMut, Bytes};

use super::Topic;
use crate::clock::Timestamp;

/// An event ready to be made durable: CloudEvents attributes in headers, JSON in the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it goes.
    pub topic: Topic,
    /// What keeps its order: events with one key stay in order.
    pub key: String,
    /// `ce_id`: the same whenever the provider says the same thing again.
    pub id: String,
    /// `ce_source`: `/connections/{id}`.
    pub source: String,
    /// `ce_time`: when it was received.
    pub time: Timestamp,
    /// W3C trace context, when there is one.
    pub traceparent: Option<String>,
    /// The event as JSON.
    pub value: Bytes,
}

impl Record {
    /// Appends the record's binary form: topic, time, then length-prefixed fields, big-endian.
    pub fn encode(&self, into: &mut Vec<u8>) {
        into.put_u8(self.topic.number());
        into.put_i64(self.time.millis());
        for field in [
            self.key.as_bytes(),
            self.id.as_bytes(),
            self.source.as_bytes(),
            self.traceparent.as_deref().unwrap_or_default().as_bytes(),
            &self.value,
        ] {
            into.put_u32(u32::try_from(field.len()).unwrap_or(u32::MAX));
            into.extend_from_slice(field);
        }
    }

    /// Reads what [`Record::encode`] wrote; `None` for anything else.
    pub fn decode(mut from: Bytes) -> Option<Self> {
        if from.len() < 9 {
            return None;
        }
        let topic = Topic::from_number(from.get_u8())?;
        let time = Timestamp::from_millis(from.get_i64());
        let key = text(&mut from)?;
        let id = text(&mut from)?;
        let source = text(&mut from)?;
        let traceparent = Some(text(&mut from)?).filter(|t| !t.is_empty());
        let value = field(&mut from)?;
        from.is_empty().then_some(Self { topic, key, id, source, time, traceparent, value })
    }

    /// Bytes the record occupies, near enough to bound a queue with.
    pub fn size(&self) -> usize {
        64 + self.key.len() + self.id.len() + self.source.len() + self.value.len()
    }
}

fn field(from: &mut Bytes) -> Option<Bytes> {
    let length = from.try_get_u32().ok()? as usize;
    (length <= from.len()).then(|| from.split_to(length))
}

fn text(from: &mut Bytes) -> Option<String> {
    String::from_utf8(field(from)?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_decodes_to_itself_and_nothing_shorter_decodes_at_all() {
        let record = Record {
            topic: Topic::Consent,
            key: "number:+1|h:1".into(),
            id: "id".into(),
            source: "/connections/a".into(),
            time: Timestamp::from_millis(1),
            traceparent: None,
            value: Bytes::from_static(b"{}"),
        };
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        for cut in 0..bytes.len() {
            assert_eq!(Record::decode(Bytes::copy_from_slice(&bytes[..cut])), None);
        }
        assert_eq!(Record::decode(bytes.into()), Some(record));
    }
}
