//! One item of a push as Infobip writes it: receipts of both generations, replies of three forms,
//! blocklist and registration events. In: the item's JSON, borrowed. Out: its fields. A field of
//! the wrong type reads as absent, so that one odd field does not cost the report; numbers and text
//! stand for each other, as they do across Infobip's versions.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::clock::Timestamp;

/// Every field of an item that is read. Fields that were renamed stand here under both names, as
/// two fields: an item that carries both is no duplicate.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item<'a> {
    #[serde(borrow, default)]
    pub(super) event: Text<'a>,
    #[serde(borrow, default)]
    pub(super) channel: Text<'a>,
    #[serde(borrow, default)]
    pub(super) notification_type: Text<'a>,
    #[serde(borrow, default)]
    pub(super) message_id: Text<'a>,
    #[serde(borrow, default)]
    to: Text<'a>,
    #[serde(borrow, default)]
    destination: Text<'a>,
    #[serde(borrow, default)]
    from: Text<'a>,
    #[serde(borrow, default)]
    sender: Text<'a>,
    #[serde(borrow, default)]
    pub(super) sent_at: Text<'a>,
    #[serde(borrow, default)]
    pub(super) done_at: Text<'a>,
    #[serde(borrow, default)]
    pub(super) received_at: Text<'a>,
    #[serde(borrow, default)]
    message_count: Text<'a>,
    #[serde(borrow, default)]
    sms_count: Text<'a>,
    #[serde(borrow, default)]
    pub(super) mcc_mnc: Text<'a>,
    #[serde(borrow, default)]
    pub(super) callback_data: Text<'a>,
    #[serde(borrow, default)]
    pub(super) text: Text<'a>,
    #[serde(borrow, default)]
    pub(super) keyword: Text<'a>,
    #[serde(borrow, default)]
    status: Object<Coded<'a>>,
    #[serde(borrow, default)]
    error: Object<Coded<'a>>,
    #[serde(borrow, default)]
    price: Object<Cost<'a>>,
    #[serde(borrow, default)]
    pub(super) content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) message: Option<&'a RawValue>,
}

/// A status or an error: a group, an id, a name.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Coded<'a> {
    #[serde(borrow, default)]
    pub(super) group_id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) group_name: Text<'a>,
    #[serde(borrow, default)]
    pub(super) id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
}

/// What a message costs.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cost<'a> {
    #[serde(borrow, default)]
    pub(super) price_per_message: Text<'a>,
    #[serde(borrow, default)]
    pub(super) currency: Text<'a>,
}

impl<'a> Item<'a> {
    /// Reads an item; `None` when it is no JSON object.
    pub(super) fn read(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// Who it was for, or to which of our numbers it came.
    pub(super) fn to(&self) -> &str {
        self.to.some().or_else(|| self.destination.some()).unwrap_or_default()
    }

    /// Our sender, or who replied.
    pub(super) fn from(&self) -> &str {
        self.sender.some().or_else(|| self.from.some()).unwrap_or_default()
    }

    /// The status, when it has one.
    pub(super) fn status(&self) -> Option<&Coded<'a>> {
        self.status.0.as_ref()
    }

    /// The error, when it has one.
    pub(super) fn error(&self) -> Option<&Coded<'a>> {
        self.error.0.as_ref()
    }

    /// The price, when it has one.
    pub(super) fn price(&self) -> Option<&Cost<'a>> {
        self.price.0.as_ref()
    }

    /// Parts the message was sent in.
    pub(super) fn segments(&self) -> Option<u32> {
        self.message_count.number().or_else(|| self.sms_count.number())
    }
}

/// Reads an object inside an item; `None` when it is of another shape.
pub(super) fn read<'a, T: Deserialize<'a>>(json: &'a RawValue) -> Option<T> {
    serde_json::from_str(json.get()).ok()
}

/// An object, or nothing where something else stands. Read in one pass: a batch has thousands.
#[derive(Debug)]
struct Object<T>(Option<T>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyObject(PhantomData)).map(Self)
    }
}

struct AnyObject<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for AnyObject<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(entries)).map(Some)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Text, or a number as text; empty for everything else.
#[derive(Clone, Debug, Default)]
pub(super) struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    /// The text, trimmed, when there is any.
    pub(super) fn some(&self) -> Option<&str> {
        Some(self.0.trim()).filter(|text| !text.is_empty())
    }

    /// The text, possibly empty.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The number it is.
    pub(super) fn number(&self) -> Option<u32> {
        self.some()?.parse().ok()
    }

    /// The moment it names: Infobip's offsets have no colon, which RFC 3339 would not take.
    pub(super) fn moment(&self) -> Option<Timestamp> {
        self.some()?.parse().ok()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyText).map(Self)
    }
}

struct AnyText;

impl<'de> Visitor<'de> for AnyText {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Cow::Owned(number.to_string()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(""))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(""))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Cow::Borrowed(""))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Cow::Borrowed(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read_with_and_without_a_colon() {
        for written in [
            "2019-11-09T16:00:00.000+0100",
            "2019-11-09T16:00:00.000+01:00",
            "2019-11-09T15:00:00.000+0000",
            "2019-11-09T15:00:00Z",
        ] {
            let moment = Text(written.into()).moment().unwrap();
            assert_eq!(moment.to_string(), "2019-11-09T15:00:00.000Z", "{written}");
        }
        assert_eq!(Text("yesterday".into()).moment(), None);
    }

    #[test]
    fn a_field_of_the_wrong_type_reads_as_absent_and_costs_no_other() {
        let json = r#"{"messageId":"m","to":41793026727,"mccMnc":{"a":[1]},"sentAt":true,"from":null,"status":[],"error":"none","price":0.5}"#;
        let item = Item::read(json).unwrap();
        assert_eq!((item.message_id.some(), item.to()), (Some("m"), "41793026727"));
        assert_eq!((item.mcc_mnc.some(), item.sent_at.some(), item.from()), (None, None, ""));
        assert!(item.status().is_none() && item.error().is_none() && item.price().is_none());
        assert!(matches!(item.message_id.0, Cow::Borrowed(_)));
    }
}
