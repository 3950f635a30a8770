//! Text as it is typed → letters as they are meant. Upper case, without accents; letters of other
//! scripts and styles that look like Latin ones become those; what takes no space is gone.

use icu_normalizer::DecomposingNormalizerBorrowed;

/// Splits what Unicode holds to be a letter in another dress (`ｓ`, `𝗌`, `ˢ`, `ⓢ`, `ś`) into the letter and the dress.
const UNDRESSED: DecomposingNormalizerBorrowed<'static> = DecomposingNormalizerBorrowed::new_nfkd();

/// The first `most` characters of a text in their plainest form.
pub(super) fn plain(text: &str, most: usize) -> String {
    let text = match text.char_indices().nth(most) {
        Some((end, _)) => &text[..end],
        None => text,
    };
    if text.is_ascii() {
        return text.chars().map(|c| if c == '`' { '\'' } else { c.to_ascii_uppercase() }).collect();
    }
    let shown = text.chars().filter(|c| !takes_no_space(*c)).map(mark);
    UNDRESSED.normalize_iter(shown).filter(|c| !takes_no_space(*c)).map(letter_of).collect()
}

/// True of what joins, directs or decorates letters and takes no space itself.
const fn takes_no_space(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e01ef}'
        // Marks that stand on or through a letter.
        | '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// Every quotation mark is `"`, every apostrophe `'`, every dash longer than a hyphen `–`.
const fn mark(c: char) -> char {
    match c {
        '“' | '”' | '„' | '‟' | '«' | '»' => '"',
        '‘' | '’' | '‛' | '`' | '´' => '\'',
        '—' | '―' | '‒' => '–',
        other => other,
    }
}

fn letter_of(c: char) -> char {
    let letter = styled(c).or_else(|| alike(c)).unwrap_or(c);
    letter.to_uppercase().next().unwrap_or(letter)
}

/// A letter in a box, as a flag or as a small capital, which Unicode holds to be signs of their own.
fn styled(c: char) -> Option<char> {
    const SMALL_CAPITALS: [(char, char); 24] = [
        ('ᴀ', 'A'),
        ('ʙ', 'B'),
        ('ᴄ', 'C'),
        ('ᴅ', 'D'),
        ('ᴇ', 'E'),
        ('ꜰ', 'F'),
        ('ɢ', 'G'),
        ('ʜ', 'H'),
        ('ɪ', 'I'),
        ('ᴊ', 'J'),
        ('ᴋ', 'K'),
        ('ʟ', 'L'),
        ('ᴍ', 'M'),
        ('ɴ', 'N'),
        ('ᴏ', 'O'),
        ('ᴘ', 'P'),
        ('ʀ', 'R'),
        ('ꜱ', 'S'),
        ('ᴛ', 'T'),
        ('ᴜ', 'U'),
        ('ᴠ', 'V'),
        ('ᴡ', 'W'),
        ('ʏ', 'Y'),
        ('ᴢ', 'Z'),
    ];
    let at = u32::from(c);
    let letter = match at {
        0x1f150..=0x1f169 => at - 0x1f150,
        0x1f170..=0x1f189 => at - 0x1f170,
        0x1f1e6..=0x1f1ff => at - 0x1f1e6,
        _ => return SMALL_CAPITALS.iter().find(|(small, _)| *small == c).map(|(_, letter)| *letter),
    };
    char::from_u32(u32::from('A') + letter)
}

/// The Latin letter that one of another script, or with a stroke through it, looks like.
const fn alike(c: char) -> Option<char> {
    Some(match c {
        'А' | 'а' | 'Α' | 'α' | 'ɑ' => 'A',
        'В' | 'в' | 'Β' | 'β' => 'B',
        'С' | 'с' | 'Ϲ' | 'ϲ' | 'Ꮯ' | '¢' => 'C',
        'Đ' | 'đ' | 'Ð' | 'ð' | 'ԁ' | 'Ꭰ' => 'D',
        'Е' | 'е' | 'Ε' | 'ε' | 'Ꭼ' | 'є' | '€' => 'E',
        'Н' | 'н' | 'Η' | 'Ħ' | 'ħ' | 'һ' | 'Ꮋ' => 'H',
        'І' | 'і' | 'Ι' | 'ι' | 'ı' | 'Ӏ' => 'I',
        'Ј' | 'ј' => 'J',
        'К' | 'к' | 'Κ' | 'κ' => 'K',
        'Ł' | 'ł' | 'Ꮮ' => 'L',
        'М' | 'м' | 'Μ' => 'M',
        'Ν' | 'ո' => 'N',
        'О' | 'о' | 'Ο' | 'ο' | 'Ø' | 'ø' | 'Օ' | 'օ' | 'θ' | 'Θ' | 'σ' => 'O',
        'Р' | 'р' | 'Ρ' | 'ρ' | 'Ꮲ' | 'Þ' | 'þ' => 'P',
        'Ѕ' | 'ѕ' | 'Տ' | 'Ꮪ' | 'ß' | 'ẞ' | '§' => 'S',
        'Т' | 'т' | 'Τ' | 'τ' | 'Ŧ' | 'ŧ' | 'Ꭲ' | '†' => 'T',
        'υ' | 'ս' | 'μ' => 'U',
        'ν' | 'ѵ' => 'V',
        'ш' | 'ω' | 'ԝ' => 'W',
        'У' | 'у' | 'Υ' => 'Y',
        'Х' | 'х' | 'Χ' | 'χ' => 'X',
        'Ζ' => 'Z',
        _ => return None,
    })
}

/// Letters and digits in words with one space between them; apostrophes join, the rest divides.
pub(super) fn words(said: &str) -> String {
    let mut words = String::with_capacity(said.len());
    for c in said.chars().filter(|c| *c != '\'') {
        if c.is_alphanumeric() || c == '$' || c == '@' {
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
    words(&plain(written, usize::MAX))
}

/// What a digit or a sign is used for among letters.
pub(super) const fn letter(c: char) -> char {
    match c {
        '0' => 'O',
        '1' => 'I',
        '3' => 'E',
        '4' | '@' => 'A',
        '5' | '$' => 'S',
        '7' => 'T',
        other => other,
    }
}
