//! Numbers, times and words as a card writes them, cut to what Discord takes. Pure.

use crate::clock::Timestamp;
use crate::event::Number;

/// Items of a list that are shown.
const LINES_SHOWN: usize = 5;

/// `12,345`.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How Discord shows a time, relative to the reader's now.
pub(super) fn relative(at: Timestamp) -> String {
    format!("<t:{}:R>", at.seconds())
}

/// A North American number in groups; any other as it is.
pub(super) fn spaced(number: &Number) -> String {
    let text = number.as_str();
    match text.strip_prefix("+1").filter(|national| national.len() == 10) {
        Some(national) => format!("+1 {} {} {}", &national[..3], &national[3..6], &national[6..]),
        None => text.to_owned(),
    }
}

/// Text whose punctuation Discord must not read as formatting.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if "*_~`|<>[]@#\\".contains(c) {
            plain.push('\\');
        }
        plain.push(c);
    }
    plain
}

/// Text of at most `max` UTF-16 units: what is too much is taken from the middle.
pub(super) fn cut(text: &str, max: usize) -> String {
    if utf16(text) <= max {
        return text.to_owned();
    }
    let half = max.saturating_sub(1) / 2;
    let head = prefix(text.chars(), half);
    let tail: String = prefix(text.chars().rev(), half).chars().rev().collect();
    format!("{head}…{tail}")
}

fn prefix(chars: impl Iterator<Item = char>, max: usize) -> String {
    let mut length = 0;
    chars
        .take_while(|c| {
            length += c.len_utf16();
            length <= max
        })
        .collect()
}

pub(super) fn utf16(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Builders are maps with string keys and finite numbers, so they always have a JSON form.
pub(super) fn json<T: serde::Serialize>(message: &T) -> serde_json::Value {
    serde_json::to_value(message).unwrap_or_default()
}

/// A line for each item, as far as they are shown, and how many more there are.
pub(super) fn lines<T>(items: &[T], line: impl Fn(&T) -> String) -> String {
    let mut text: Vec<_> = items.iter().take(LINES_SHOWN).map(line).collect();
    if items.len() > LINES_SHOWN {
        text.push(format!("+{} more", items.len() - LINES_SHOWN));
    }
    text.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn text_is_cut_in_the_middle_and_never_inside_a_character() {
        for (text, max, expected) in [
            ("abcdef", 6, "abcdef"),
            ("abcdefg", 5, "ab…fg"),
            ("😀😀😀😀", 5, "😀…😀"),
            ("😀😀😀😀", 4, "…"),
            ("abc", 1, "…"),
        ] {
            assert_eq!(cut(text, max), expected);
        }
    }
}
