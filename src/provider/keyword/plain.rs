//! Text as it is typed → letters as they are meant. Upper case, without accents; letters of other
//! scripts and styles that look like Latin ones become those; what takes no space is gone.

/// One character in its plainest form; `None` for what takes no space. Every quotation mark is `"`,
/// every apostrophe `'`.
pub(super) fn plain(c: char) -> Option<char> {
    match c {
        'A'..='Z' | '0'..='9' | ' ' | '\n' => Some(c),
        'a'..='z' => Some(c.to_ascii_uppercase()),
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' => None,
        '\u{feff}' | '\u{fe00}'..='\u{fe0f}' | '\u{300}'..='\u{36f}' => None,
        '“' | '”' | '„' | '‟' | '«' | '»' => Some('"'),
        '‘' | '’' | '‛' | '`' | '´' => Some('\''),
        other => Some(styled(other).or_else(|| alike(other)).unwrap_or_else(|| upper(other))),
    }
}

fn upper(c: char) -> char {
    let upper = c.to_uppercase().next().unwrap_or(c);
    unaccented(upper).unwrap_or(upper)
}

/// A Latin letter without its accent. `upper` is upper case.
const fn unaccented(upper: char) -> Option<char> {
    Some(match upper {
        'À'..='Å' | 'Ā' | 'Ă' | 'Ą' => 'A',
        'Ç' | 'Ć' | 'Č' => 'C',
        'È'..='Ë' | 'Ē' | 'Ę' | 'Ě' => 'E',
        'Ì'..='Ï' | 'Ī' => 'I',
        'Ñ' | 'Ń' | 'Ň' => 'N',
        'Ò'..='Ö' | 'Ø' | 'Ō' | 'Ő' => 'O',
        'ẞ' | 'ß' | 'Ś' | 'Š' | 'Ş' | 'Ș' => 'S',
        'Ț' | 'Ť' | 'Ţ' => 'T',
        'Ù'..='Ü' | 'Ū' | 'Ů' | 'Ű' => 'U',
        'Ý' | 'Ÿ' => 'Y',
        'Ź' | 'Ż' | 'Ž' => 'Z',
        _ => return None,
    })
}

/// A letter of a style: full-width, mathematical, in a circle or a square.
fn styled(c: char) -> Option<char> {
    let at = u32::from(c);
    let letter = match at {
        0xff01..=0xff5e => return char::from_u32(at - 0xfee0).map(|c| c.to_ascii_uppercase()),
        // Thirteen alphabets of 52 letters in a row.
        0x1d400..=0x1d6a3 => (at - 0x1d400) % 26,
        0x24b6..=0x24e9 => (at - 0x24b6) % 26,
        0x1f130..=0x1f149 => at - 0x1f130,
        0x1f150..=0x1f169 => at - 0x1f150,
        0x1f170..=0x1f189 => at - 0x1f170,
        0x1f1e6..=0x1f1ff => at - 0x1f1e6,
        _ => return None,
    };
    char::from_u32(u32::from('A') + letter)
}

/// The Latin letter that a Greek or Cyrillic one looks like.
const fn alike(c: char) -> Option<char> {
    Some(match c {
        'А' | 'а' | 'Α' => 'A',
        'В' | 'Β' => 'B',
        'С' | 'с' => 'C',
        'Е' | 'е' | 'Ε' => 'E',
        'Н' | 'Η' => 'H',
        'І' | 'і' | 'Ι' => 'I',
        'К' | 'Κ' => 'K',
        'М' | 'Μ' => 'M',
        'Ν' => 'N',
        'О' | 'о' | 'Ο' | 'ο' => 'O',
        'Р' | 'р' | 'Ρ' | 'ρ' => 'P',
        'Ѕ' | 'ѕ' => 'S',
        'Т' | 'т' | 'Τ' | 'τ' | '†' => 'T',
        'У' | 'у' | 'Υ' => 'Y',
        'Х' | 'х' | 'Χ' => 'X',
        _ => return None,
    })
}

/// Letters and digits in words with one space between them; apostrophes join, the rest divides.
pub(super) fn words(said: &str) -> String {
    let mut words = String::with_capacity(said.len());
    for c in said.chars().filter(|c| *c != '\'') {
        if c.is_alphanumeric() || c == '$' {
            words.push(c);
        } else if !words.ends_with(' ') && !words.is_empty() {
            words.push(' ');
        }
    }
    words.truncate(words.trim_end().len());
    words
}

/// A word as it is configured, as it would be heard.
pub(super) fn heard(written: &str) -> String {
    words(&written.chars().filter_map(plain).collect::<String>())
}

/// What a digit or a sign is used for among letters.
pub(super) const fn letter(c: char) -> char {
    match c {
        '0' => 'O',
        '1' => 'I',
        '3' => 'E',
        '4' => 'A',
        '5' | '$' => 'S',
        other => other,
    }
}
