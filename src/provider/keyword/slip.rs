//! How far a word as typed is from a keyword, and whether fingers slip so. In: both as letters. Out: a
//! number of edits, or whether one edit is a slip of the finger. Whoever asks decides what it means.

/// Longest word that is looked at, in letters.
pub(super) const LETTERS_MAX: usize = 40;

/// Keys beside each key, from A on, on a keyboard of any of the languages: QWERTY, QWERTZ, AZERTY.
const BESIDE: [&[u8]; 26] = [
    b"QWSZX",
    b"VGHN",
    b"XDFV",
    b"SERFCX",
    b"WSDRZ",
    b"DRTGVC",
    b"FTYHBVZ",
    b"GYUJNBZ",
    b"UJKO",
    b"HUIKMN",
    b"JIOLM",
    b"KOPM",
    b"NJKLP",
    b"BHJM",
    b"IKLP",
    b"OLM",
    b"WASZ",
    b"EDFT",
    b"AWEDXZQ",
    b"RFGYZ",
    b"YHJIZ",
    b"CFGB",
    b"QASEXZ",
    b"ZSDCYW",
    b"TGHUASX",
    b"ASXETUQW",
];

/// Letters to add, drop, replace or swap with their neighbour to make one word the other, where they
/// are no more than `most`.
pub(super) fn edits(written: &[u8], word: &[u8], most: usize) -> Option<usize> {
    let (rows, columns) = (written.len(), word.len());
    if rows.abs_diff(columns) > most || rows.max(columns) > LETTERS_MAX {
        return None;
    }
    // Bytes suffice: no word here has more letters than they count.
    let mut table = [[0_u8; LETTERS_MAX + 1]; LETTERS_MAX + 1];
    for (edits, cell) in (0..).zip(table[0].iter_mut()) {
        *cell = edits;
    }
    for i in 1..=rows {
        table[i][0] = table[i - 1][0] + 1;
        let mut least = table[i][0];
        for j in 1..=columns {
            let replaced = table[i - 1][j - 1] + u8::from(written[i - 1] != word[j - 1]);
            let mut edits = replaced.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1);
            if i > 1 && j > 1 && written[i - 1] == word[j - 2] && written[i - 2] == word[j - 1] {
                edits = edits.min(table[i - 2][j - 2] + 1);
            }
            table[i][j] = edits;
            least = least.min(edits);
        }
        // A swap reaches back over one row and costs one.
        if usize::from(least) > most + 1 {
            return None;
        }
    }
    Some(usize::from(table[rows][columns])).filter(|edits| *edits <= most)
}

/// True of one edit that a finger makes: a letter twice, left out, swapped with its neighbour, or the
/// key beside it struck instead or as well.
pub(super) fn is_of_fingers(written: &[u8], word: &[u8]) -> bool {
    let same = written.iter().zip(word).take_while(|(one, other)| one == other).count();
    match written.len().cmp(&word.len()) {
        std::cmp::Ordering::Less => true,
        std::cmp::Ordering::Equal => {
            let pair = |text: &[u8]| text.get(same..same + 2).map(<[u8]>::to_vec);
            let is_swapped = pair(written).is_some_and(|mut two| {
                two.reverse();
                pair(word) == Some(two)
            });
            is_swapped
                || written.get(same).zip(word.get(same)).is_some_and(|(one, other)| is_beside(*one, *other))
        }
        std::cmp::Ordering::Greater => {
            // The letter too many stands where they part, or anywhere in a run of it before that.
            let Some(more) = written.get(same).copied() else { return false };
            let neighbours = [same.checked_sub(1).and_then(|at| word.get(at)), word.get(same)];
            neighbours.into_iter().flatten().any(|key| *key == more || is_beside(more, *key))
        }
    }
}

fn is_beside(one: u8, other: u8) -> bool {
    let beside = |key: u8| BESIDE.get(usize::from(key.wrapping_sub(b'A'))).copied().unwrap_or_default();
    beside(one).contains(&other) || beside(other).contains(&one)
}

/// A bit for each letter a word has: words some edits apart differ in few.
pub(super) const fn letters(word: &[u8]) -> u32 {
    let (mut at, mut all) = (0, 0);
    while at < word.len() {
        if word[at] != b' ' {
            all |= 1 << (word[at] & 31);
        }
        at += 1;
    }
    all
}

/// True of words, by their letters, that so many edits may part, at most: an edit takes one letter away
/// and brings one in.
pub(super) const fn may_be_near(one: u32, other: u32, edits: usize) -> bool {
    (one & !other).count_ones() as usize <= edits && (other & !one).count_ones() as usize <= edits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted_up_to_what_is_asked() {
        for (written, word, most, expected) in [
            ("STOP", "STOP", 1, Some(0)),
            ("STPO", "STOP", 1, Some(1)),
            ("TSPO", "STOP", 2, Some(2)),
            ("TSPO", "STOP", 1, None),
            ("SUBSCRIBE", "UNSUBSCRIBE", 3, Some(2)),
            ("", "AB", 2, Some(2)),
            ("", "", 0, Some(0)),
        ] {
            assert_eq!(edits(written.as_bytes(), word.as_bytes(), most), expected, "{written} {word}");
        }
    }

    #[test]
    fn a_finger_slips_to_the_next_key_not_across_the_board() {
        for (written, expected) in
            [("DTOP", true), ("STPO", true), ("STTOP", true), ("STP", true), ("STOIP", true), ("SQOP", false)]
        {
            assert_eq!(is_of_fingers(written.as_bytes(), b"STOP"), expected, "{written}");
        }
    }
}
