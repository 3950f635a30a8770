//! What happened in the channel as text for a terminal: a card in a frame when something happened to
//! it, a line when only its counts are new. Pure.

use std::fmt::Write;

use serde_json::Value;

use super::{News, NewsKind};
use crate::clock::Timestamp;

/// Columns inside the frame.
const WIDTH: usize = 76;
/// Lines shown of one description or field.
const LINES_MAX: usize = 6;

/// Whether a terminal shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Nothing but text.
    Plain,
    /// With ANSI escapes.
    Ansi,
}

/// News as a terminal shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The whole card, in a frame of its own colour: it is new, or its number took a step.
    Card(String),
    /// One line: a message that is no card, which is to call people.
    Call(String),
    /// One line: the card's counts are new and nothing else is.
    Counts(String),
}

/// How a terminal shows what happened to a message.
pub fn shown(news: &News, colour: Colour) -> Shown {
    let embeds = news.message.embeds();
    match (embeds.first(), news.kind) {
        (None, _) => {
            Shown::Call(format!("Discord, reply that calls people: {}", plain(&news.message.content())))
        }
        (Some(embed), NewsKind::Posted) => Shown::Card(frame(embed, "Discord, new card", colour)),
        (Some(embed), NewsKind::Edited) if took_a_step(news, embed) => {
            Shown::Card(frame(embed, "Discord, the card is edited", colour))
        }
        (Some(embed), NewsKind::Edited) => {
            let rate = embed["fields"][0]["value"].as_str().unwrap_or_default();
            let number = embed["title"].as_str().unwrap_or_default();
            Shown::Counts(format!(
                "card updated: {} · {}",
                plain(number),
                plain(rate.lines().next().unwrap_or_default())
            ))
        }
    }
}

/// Whether the card tells more than new counts: its timeline has grown or its title is another.
fn took_a_step(news: &News, embed: &Value) -> bool {
    let versions = &news.message.versions;
    let before = versions.len().checked_sub(2).and_then(|place| versions.get(place));
    let Some(before) = before.and_then(|version| version.body.get("embeds")) else { return true };
    let head = |embed: &Value| {
        embed["title"].as_str().and_then(|title| title.split(" · ").next()).map(str::to_owned)
    };
    head(&before[0]) != head(embed) || timeline(&before[0]) != timeline(embed)
}

fn timeline(embed: &Value) -> Option<&Value> {
    embed["fields"].as_array()?.iter().find(|field| field["name"] == "Timeline").map(|field| &field["value"])
}

/// An embed, framed in its own colour.
fn frame(embed: &Value, what: &str, colour: Colour) -> String {
    let (bar, bold, end) = paint(embed["color"].as_u64(), colour);
    let mut text = format!("{bar}┌─ {what} {}{end}\n", "─".repeat(WIDTH.saturating_sub(what.len() + 3)));
    for line in lines(embed["title"].as_str().unwrap_or_default()) {
        let _infallible = writeln!(text, "{bar}│{end} {bold}{line}{end}");
    }
    for line in body(embed) {
        let _infallible = writeln!(text, "{bar}│{end} {line}");
    }
    let _infallible = write!(text, "{bar}└{}{end}", "─".repeat(WIDTH + 1));
    text
}

fn body(embed: &Value) -> Vec<String> {
    let mut body = lines(embed["description"].as_str().unwrap_or_default());
    for field in embed["fields"].as_array().into_iter().flatten() {
        let (name, value) = (field["name"].as_str(), field["value"].as_str());
        body.extend(lines(&format!("{}: {}", name.unwrap_or_default(), value.unwrap_or_default())));
    }
    body
}

/// The escapes that start the frame's colour, start bold, and end either.
fn paint(rgb: Option<u64>, colour: Colour) -> (String, &'static str, &'static str) {
    match colour {
        Colour::Plain => (String::new(), "", ""),
        Colour::Ansi => {
            let [.., red, green, blue] = rgb.unwrap_or(0x95_A5_A6).to_be_bytes();
            (format!("\x1b[38;2;{red};{green};{blue}m"), "\x1b[1m", "\x1b[0m")
        }
    }
}

/// Text without Discord's marks, broken into lines that fit.
fn lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in plain(text).lines().filter(|paragraph| !paragraph.trim().is_empty()) {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines.truncate(LINES_MAX);
    lines
}

/// Takes out `**`, backticks and control characters, and writes `<t:…:R>` as a time of day.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<t:") {
        plain.push_str(before);
        let (stamp, after) = after.split_once('>').unwrap_or((after, ""));
        let seconds = stamp.split(':').next().and_then(|seconds| seconds.parse::<i64>().ok());
        if let Some(seconds) = seconds {
            let at = Timestamp::from_seconds(seconds).to_string();
            plain.push_str(at.get(11..16).unwrap_or_default());
        }
        rest = after;
    }
    plain.push_str(rest);
    plain.replace("**", "").replace('`', "").replace(|c: char| c.is_control() && c != '\n', "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::discord::{Message, Version};

    fn news() -> News {
        News { kind: NewsKind::Posted, message: Message::new(1, version("65.0 %", "critical")) }
    }

    fn version(rate: &str, step: &str) -> Version {
        let body = serde_json::json!({"embeds": [{
            "title": "Critical · +1 800 555 0100", "color": 0x00C0_392B,
            "description": "**Carriers** filter it since <t:1790000000:R>, and this sentence is long enough to need a second line.",
            "fields": [{"name": "Rate", "value": format!("`{rate}`\nand more")}, {"name": "Timeline", "value": step}],
        }]});
        let Value::Object(body) = body else { panic!("an object") };
        Version { at: Timestamp::default(), body, files: Vec::new() }
    }

    fn edited(next: Version) -> Shown {
        let mut news = news();
        news.kind = NewsKind::Edited;
        news.message.edit(next);
        shown(&news, Colour::Plain)
    }

    #[test]
    fn a_card_is_shown_whole_only_when_something_happened_to_it() {
        let line = "card updated: Critical · +1 800 555 0100 · 66.0 %";
        assert_eq!(edited(version("66.0 %", "critical")), Shown::Counts(line.into()));
        assert!(matches!(edited(version("85.0 %", "critical, better")), Shown::Card(_)));
        assert!(matches!(shown(&news(), Colour::Plain), Shown::Card(_)));
    }

    #[test]
    fn a_message_without_a_card_is_a_line() {
        let Value::Object(body) = serde_json::json!({"content": "**Critical** · 65.0 %"}) else {
            panic!("an object")
        };
        let message = Message::new(2, Version { at: Timestamp::default(), body, files: Vec::new() });
        let called = shown(&News { kind: NewsKind::Posted, message }, Colour::Plain);
        assert_eq!(called, Shown::Call("Discord, reply that calls people: Critical · 65.0 %".into()));
    }

    #[test]
    fn a_card_is_framed_without_its_marks() {
        let Shown::Card(text) = shown(&news(), Colour::Plain) else { panic!("a card") };
        assert!(
            text.contains("│ Critical · +1 800 555 0100\n│ Carriers filter it since 14:13, and"),
            "{text}"
        );
        assert!(text.contains("│ Rate: 65.0 %\n"), "{text}");
        assert!(
            !text.contains('\x1b') && text.lines().all(|line| line.chars().count() <= WIDTH + 2),
            "{text}"
        );
    }

    #[test]
    fn a_terminal_sees_the_cards_colour() {
        let Shown::Card(text) = shown(&news(), Colour::Ansi) else { panic!("a card") };
        assert!(text.starts_with("\x1b[38;2;192;57;43m┌─"));
    }

    #[test]
    fn a_message_cannot_steer_the_terminal() {
        assert_eq!(plain("a\x1b[2Jb\nc"), "a[2Jb\nc");
    }
}
