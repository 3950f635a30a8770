//! Pushes that are no JSON. In: a document of XML, or the query of a GET. Out: the same items as
//! JSON, so that everything is read in one place. It never follows an entity or a reference of a
//! document, and never guesses which name a field could have had.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;
use serde_json::{Map, Value};

/// Deepest element that is read; Infobip's lie five deep.
const DEPTH_MAX: usize = 16;
/// Most parameters that are read of one query.
const PARAMETERS_MAX: usize = 100;
/// Members by which an element is known as an item.
const OF_AN_ITEM: [&str; 3] = ["messageId", "event", "receivedAt"];

/// An element that is open: its name, the elements in it, and its text.
#[derive(Default)]
struct Element {
    name: String,
    inside: Map<String, Value>,
    text: String,
}

impl Element {
    fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Of several elements with one name the first counts, as everywhere.
    fn put(&mut self, name: String, value: Value) {
        self.inside.entry(name).or_insert(value);
    }

    fn value(self) -> Value {
        match self.inside.is_empty() {
            true => Value::String(self.text.trim().to_owned()),
            false => Value::Object(self.inside),
        }
    }
}

/// The items of a document, whatever the elements around them are called; `None` of a document that
/// is no XML to its end, or holds no item.
pub(super) fn of_xml(document: &str) -> Option<Vec<String>> {
    let mut reader = Reader::from_str(document);
    let (mut items, mut open) = (Vec::new(), vec![Element::default()]);
    loop {
        let depth = open.len();
        let around = open.last_mut()?;
        match reader.read_event().ok()? {
            Event::Start(_) if depth > DEPTH_MAX => return None,
            Event::Start(element) => open.push(Element::named(element.local_name().as_ref())),
            Event::Empty(element) => {
                around.put(element.local_name().as_ref().to_owned(), Value::String(String::new()));
            }
            Event::Text(text) => around.text.push_str(&text.xml10_content()),
            Event::CData(text) => around.text.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => match reference.resolve_char_ref() {
                Ok(Some(c)) => around.text.push(c),
                _ => around.text.push_str(resolve_predefined_entity(&reference).unwrap_or_default()),
            },
            Event::End(_) => {
                let closed = open.pop()?;
                let around = open.last_mut()?;
                match OF_AN_ITEM.iter().any(|name| closed.inside.contains_key(*name)) {
                    true => items.push(closed.value().to_string()),
                    false => around.put(closed.name.clone(), closed.value()),
                }
            }
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
    (open.len() == 1 && !items.is_empty()).then_some(items)
}

/// The one item of a query: a number may forward its replies by GET. `None` of an empty query.
pub(super) fn of_query(query: &str) -> Option<String> {
    let mut item = Element::default();
    for (name, text) in form_urlencoded::parse(query.as_bytes()).take(PARAMETERS_MAX) {
        let name = if name == "receiver" { "destination" } else { &*name };
        item.put(name.to_owned(), Value::String(text.into_owned()));
    }
    (!item.inside.is_empty()).then(|| item.value().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_found_whatever_is_around_them_and_numbers_are_text() {
        let items = of_xml(
            r#"<?xml version="1.0"?><reportResponse><results><result><messageId> a&amp;b&#65; </messageId><x/>
               <status><id>5</id><groupId>3</groupId></status><messageId>no</messageId></result>
               <result><event>BLOCK</event></result></results></reportResponse>"#,
        );
        let expected =
            [r#"{"messageId":"a&bA","status":{"groupId":"3","id":"5"},"x":""}"#, r#"{"event":"BLOCK"}"#];
        let read = |items: &[String]| -> Vec<Value> {
            items.iter().map(|item| serde_json::from_str(item).unwrap()).collect()
        };
        assert_eq!(read(&items.unwrap()), read(&expected.map(str::to_owned)));
    }

    #[test]
    fn what_is_no_whole_document_has_no_items() {
        let deep = format!("{}<messageId>a</messageId>{}", "<a>".repeat(20), "</a>".repeat(20));
        for broken in [
            "",
            "text",
            "<a></a>",
            "<a><messageId>1</messageId>",
            "<a><messageId>1</a>",
            "</a>",
            deep.as_str(),
        ] {
            assert_eq!(of_xml(broken), None, "{broken}");
        }
        let bomb = r#"<!DOCTYPE a [<!ENTITY b "c">]><a><messageId>1&b;</messageId></a>"#;
        assert_eq!(of_xml(bomb).unwrap(), [r#"{"messageId":"1"}"#]);
    }

    #[test]
    fn a_query_is_one_item() {
        assert_eq!(
            of_query("from=1&from=2&text=a+b&receiver=3").as_deref(),
            Some(r#"{"destination":"3","from":"1","text":"a b"}"#)
        );
        assert_eq!(of_query(""), None);
    }
}
