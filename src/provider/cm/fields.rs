//! A status report's facts, whichever way it came. In: JSON, XML or query parameters. Out: names in
//! lower case with their text, since CM's keys are case-insensitive and every value is the text of a
//! template. It never follows an entity or a reference of a document.

use std::fmt;

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use serde_json::Value;

/// Most reports that are read of one document; CM sends one.
pub(super) const REPORTS_MAX: usize = 2000;

/// Names and texts; the first of a name counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// The first of these names that has a text.
    pub(super) fn get(&self, names: &[&str]) -> Option<&str> {
        let text = |name: &&str| self.0.iter().find(|(key, text)| key == name && !text.is_empty());
        names.iter().find_map(text).map(|(_, text)| text.as_str())
    }

    fn put(&mut self, name: &str, text: &str) {
        self.0.push((name.to_ascii_lowercase(), text.trim().to_owned()));
    }

    /// Query parameters or a form.
    pub(super) fn of_query(query: &[u8]) -> Self {
        let mut fields = Self::default();
        for (name, text) in form_urlencoded::parse(query).take(100) {
            fields.put(&name, &text);
        }
        fields
    }

    /// Everything in a body, whatever it is; nothing of one that is nothing.
    pub(super) fn of_body(body: &[u8]) -> Self {
        match body.trim_ascii_start().first() {
            Some(b'{' | b'[') => {
                serde_json::from_slice(body).map_or_else(|_| Self::default(), |json| Self::of_json(&json))
            }
            Some(b'<') => {
                let reports = std::str::from_utf8(body).ok().and_then(of_xml).unwrap_or_default();
                reports.into_iter().next().unwrap_or_default()
            }
            _ => Self::of_query(body),
        }
    }

    /// Everything inside an object, however deep, by its own name.
    fn of_json(object: &Value) -> Self {
        let mut fields = Self::default();
        fields.add_json("", object);
        fields
    }

    fn add_json(&mut self, name: &str, value: &Value) {
        match value {
            Value::Object(entries) => entries.iter().for_each(|(name, value)| self.add_json(name, value)),
            Value::String(text) => self.put(name, text),
            Value::Number(number) => self.put(name, &number.to_string()),
            Value::Null | Value::Bool(_) | Value::Array(_) => {}
        }
    }

    fn add_attributes(&mut self, element: &BytesStart<'_>) {
        for attribute in element.attributes().flatten() {
            self.put(attribute.key.local_name().as_ref(), &attribute.value);
        }
    }
}

/// As a form: what is kept of a report that cannot be read.
impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish())
    }
}

/// The value of a key, whatever its case.
pub(super) fn at<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    let entries = value.as_object()?;
    entries.get(key).or_else(|| entries.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v))
}

/// A string, or a number as text; empty for everything else.
pub(super) fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => String::new(),
    }
}

/// The reports of `{"messages":{"msg":…}}`, where `msg` is one or several; `None` of another document.
pub(super) fn of_json(document: &Value) -> Option<Vec<Fields>> {
    match at(at(document, "messages")?, "msg")? {
        Value::Array(reports) => Some(reports.iter().take(REPORTS_MAX).map(Fields::of_json).collect()),
        report => Some(vec![Fields::of_json(report)]),
    }
}

/// The reports of `<MESSAGES><MSG>…`; `None` of a document that is no XML to its end or has no report.
pub(super) fn of_xml(document: &str) -> Option<Vec<Fields>> {
    let mut reader = Reader::from_str(document);
    let (mut reports, mut around) = (Vec::<Fields>::new(), Fields::default());
    let (mut leaf, mut written, mut open) = (String::new(), String::new(), 0_usize);
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) => {
                open += 1;
                leaf = element.local_name().as_ref().to_owned();
                written.clear();
                begin(&element, &mut reports, &mut around);
            }
            Event::Empty(element) => begin(&element, &mut reports, &mut around),
            Event::Text(text) => written.push_str(&text.xml10_content()),
            Event::CData(text) => written.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => match reference.resolve_char_ref() {
                Ok(Some(c)) => written.push(c),
                _ => written.push_str(resolve_predefined_entity(&reference).unwrap_or_default()),
            },
            Event::End(_) => {
                open = open.checked_sub(1)?;
                if let Some(report) = reports.last_mut() {
                    report.put(&leaf, &std::mem::take(&mut written));
                }
                leaf.clear();
            }
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
        if reports.len() > REPORTS_MAX {
            return None;
        }
    }
    (open == 0 && !reports.is_empty()).then_some(reports)
}

/// Opens a report with its attributes and those of the document around it.
fn begin(element: &BytesStart<'_>, reports: &mut Vec<Fields>, around: &mut Fields) {
    match element.local_name().as_ref() {
        name if name.eq_ignore_ascii_case("msg") => {
            let mut report = Fields::default();
            report.add_attributes(element);
            report.0.extend(around.0.iter().cloned());
            reports.push(report);
        }
        name if name.eq_ignore_ascii_case("messages") => around.add_attributes(element),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xml_says_the_same_in_either_case_with_entities_and_attributes() {
        let reports = of_xml(
            r#"<?xml version="1.0"?><MESSAGES SENT="s"><MSG RECEIVED="r"><TO> 0031 </TO><Reference>a&amp;b&#65;</Reference>
               <STATUS><CODE>2</CODE><ERRORCODE/><ERRORDESCRIPTION><![CDATA[De<livered]]></ERRORDESCRIPTION></STATUS></MSG></MESSAGES>"#,
        )
        .unwrap();
        let [report] = reports.as_slice() else { panic!("one report") };
        for (name, text) in [
            ("to", "0031"),
            ("reference", "a&bA"),
            ("code", "2"),
            ("errordescription", "De<livered"),
            ("sent", "s"),
            ("received", "r"),
        ] {
            assert_eq!(report.get(&[name]), Some(text), "{name}");
        }
        assert_eq!(report.get(&["errorcode"]), None);
    }

    #[test]
    fn a_document_that_breaks_off_is_none() {
        for broken in
            ["<MESSAGES><MSG><TO>1</TO>", "<MESSAGES></MSG>", "<a></a>", "", "<MESSAGES><MSG", "text"]
        {
            assert_eq!(of_xml(broken), None, "{broken}");
        }
    }

    #[test]
    fn json_keys_are_read_in_any_case_and_numbers_quoted_or_not() {
        let read = |json: &str| of_json(&serde_json::from_str(json).unwrap());
        let quoted = read(r#"{"messages":{"msg":{"TO":"1","status":{"Code":"2"}}}}"#).unwrap();
        let bare = read(r#"{"Messages":{"Msg":[{"to":1,"status":{"code":2}}]}}"#).unwrap();
        for reports in [quoted, bare] {
            assert_eq!(reports[0].get(&["to"]), Some("1"));
            assert_eq!(reports[0].get(&["statuscode", "code"]), Some("2"));
        }
        assert_eq!(read(r#"{"messages":{}}"#), None);
    }
}
