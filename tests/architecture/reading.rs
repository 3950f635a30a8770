//! Reads Rust as far as the rules of the house need it: text in, names and code out. It knows
//! comments, literals, braces and attributes, never what anything means.

use std::collections::BTreeSet;

/// What stands before an item that only tests see.
pub(crate) const TEST_ONLY: &str = "#[cfg(test)]";

/// Names written right after `root::`, also in a group: `crate::{clock, tally::Cells}`.
pub(crate) fn segments(code: &str, root: &str) -> BTreeSet<String> {
    let root = format!("{root}::");
    let starts = code.match_indices(&root).filter(|(at, _)| !code[..*at].ends_with(is_word));
    starts.flat_map(|(at, _)| heads(code[at + root.len()..].trim_start())).collect()
}

/// The first name of a path, or of each path in a group.
fn heads(rest: &str) -> Vec<String> {
    let Some(group) = rest.strip_prefix('{') else {
        return vec![rest.chars().take_while(|c| is_word(*c) || *c == '*').collect()];
    };
    let mut depth = 0_usize;
    let mut paths = vec![String::new()];
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => paths.push(String::new()),
            _ => {}
        }
        if let (0, false, Some(path)) = (depth, ",}".contains(c), paths.last_mut()) {
            path.push(c);
        }
    }
    let names =
        paths.iter().map(|path| path.trim().chars().take_while(|c| is_word(*c) || *c == '*').collect());
    names.filter(|name: &String| !name.is_empty()).collect()
}

/// Every name, and nothing between.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !is_word(c))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Blanks comments and what stands between quotes; lines stay where they are.
pub(crate) fn bare(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = (at + blank(&chars, at)).min(chars.len());
        if end > at {
            code.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
        } else {
            code.push(chars[at]);
        }
        at = end.max(at + 1);
    }
    code
}

/// How many characters from here on are a comment or a literal.
fn blank(chars: &[char], at: usize) -> usize {
    let rest = &chars[at..];
    let in_word = at > 0 && is_word(chars[at - 1]) && !['b', 'c'].contains(&chars[at - 1]);
    match rest {
        ['/', '/', ..] => rest.iter().take_while(|c| **c != '\n').count(),
        ['/', '*', ..] => block_comment(rest),
        ['r', '"' | '#', ..] if !in_word => raw_string(rest),
        ['"', ..] => 1 + quoted(&rest[1..], '"'),
        // A lifetime has no second quote.
        ['\'', '\\', ..] | ['\'', _, '\'', ..] => 1 + quoted(&rest[1..], '\''),
        _ => 0,
    }
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] if depth == 1 => return at + 2,
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    at
}

/// `r"…"` and `r#"…"#`; a raw identifier (`r#type`) is none.
fn raw_string(rest: &[char]) -> usize {
    let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return 0;
    }
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = &rest[hashes + 2..];
    let length = body.windows(end.len()).position(|window| window == end).unwrap_or(body.len());
    hashes + 2 + length + end.len()
}

fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 0;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// Takes out every item that stands under `#[cfg(test)]`.
pub(crate) fn without_tests(code: &str) -> String {
    match code.split_once(TEST_ONLY) {
        None => code.to_owned(),
        Some((before, rest)) => format!("{before}{}", without_tests(&rest[item_length(rest)..])),
    }
}

/// Up to the semicolon or the closing brace that ends an item, whose other attributes come first.
pub(crate) fn item_length(rest: &str) -> usize {
    let is_use = words(rest).find(|word| !["", "pub", "crate"].contains(word)) == Some("use");
    let mut depth = 0_i32;
    for (at, c) in rest.char_indices() {
        depth += match c {
            '(' | '[' | '{' => 1,
            ')' | ']' | '}' => -1,
            _ => 0,
        };
        let ends = c == ';' || (c == '}' && !is_use);
        if (depth == 0 && ends) || depth < 0 {
            return at + usize::from(depth == 0);
        }
    }
    rest.len()
}
