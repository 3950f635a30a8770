//! `application/x-www-form-urlencoded`, byte for byte. In: a body or a query. Out: its parameters,
//! decoded. It never replaces bytes that are no UTF-8 before they are signed: what is signed is
//! what came.

use std::borrow::Cow;

/// Room for the parameters of a usual webhook: more takes more time, and fewer are a status callback's.
pub(super) const PARAMETERS: usize = 20;

/// The parameters in the order in which they came; empty pairs (`&&`) are none.
pub(super) fn pairs(text: &[u8]) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    text.split(|&b| b == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let equals = pair.iter().position(|&b| b == b'=');
        let (name, value) = equals.map_or((pair, &[][..]), |at| (&pair[..at], &pair[at + 1..]));
        (decoded(name), decoded(value))
    })
}

/// The parameters of a status callback or a reply.
pub(super) struct Form<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Form<'a> {
    /// Reads a body or a query.
    pub(super) fn read(text: &'a [u8]) -> Self {
        let mut fields = Vec::with_capacity(if text.is_empty() { 0 } else { PARAMETERS });
        fields.extend(pairs(text).map(|(name, value)| (lossy(name), lossy(value))));
        Self(fields)
    }

    /// A parameter that is there and not empty; the first of several.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| &**value)
            .filter(|value| !value.is_empty())
    }

    /// True of a parameter that is there, be it empty.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }
}

fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = text.iter().position(|&b| b == b'%' || b == b'+') else { return Cow::Borrowed(text) };
    let mut bytes = Vec::with_capacity(text.len());
    bytes.extend_from_slice(&text[..first]);
    let mut rest = &text[first..];
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match (byte, tail) {
            (b'%', [high, low, after @ ..]) => match hex_pair(*high, *low) {
                Some(value) => {
                    bytes.push(value);
                    rest = after;
                }
                None => bytes.push(b'%'),
            },
            (b'+', _) => bytes.push(b' '),
            (other, _) => bytes.push(*other),
        }
    }
    Cow::Owned(bytes)
}

fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    Some(digit(high)? * 16 + digit(low)?)
}

fn lossy(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    match bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(
            String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_once_and_nothing_is_trimmed() {
        let read: Vec<(String, String)> = pairs(b"a=%2B1&b=+x+&c&=d&e=%zz%4&&f=%25%32%42&g=a=b")
            .map(|(name, value)| (lossy(name).into_owned(), lossy(value).into_owned()))
            .collect();
        let expected =
            [("a", "+1"), ("b", " x "), ("c", ""), ("", "d"), ("e", "%zz%4"), ("f", "%2B"), ("g", "a=b")];
        let read: Vec<(&str, &str)> = read.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn bytes_that_are_no_text_stay_themselves_until_they_are_shown() {
        let (_, value) = pairs(b"a=%FF%FE").next().unwrap();
        assert_eq!(&*value, &[0xff, 0xfe]);
        assert_eq!(Form::read(b"a=%FF").get("a"), Some("\u{fffd}"));
    }
}
