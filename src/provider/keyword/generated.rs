//! Replies that nobody wrote down: every slip of every keyword, every disguise, two of them at once;
//! and harmless replies by the thousand. In: the built-in words. Out: what share of them is heard.

use super::friends::{FRIENDS, is_friend};
use super::sets::{STRONG, WORDS, Word};
use super::{Meaning, classify};
use crate::config::Keywords;
use crate::event::Action;
use crate::event::Confidence::{Certain, Likely};

/// Keywords with fewer letters are heard as they are.
const LETTERS_MIN: usize = 4;
/// How much of a class must be heard, in per mille.
const HEARD_MIN: usize = 990;

/// A way to spoil a text into many.
type Class = (&'static str, fn(&str) -> Vec<String>);

const CLASSES: [Class; 11] = [
    ("slip", slips),
    ("spacing", spacings),
    ("cut in two", cuts),
    ("case", cases),
    ("punctuation", punctuations),
    ("digits", digits),
    ("script", scripts),
    ("marks", marks),
    ("drawn out", drawn_out),
    ("repeated", repeats),
    ("politeness", politenesses),
];

fn letters(text: &str) -> Vec<char> {
    text.chars().collect()
}

/// Each letter missing, another, or twice; one too many; two swapped.
fn slips(text: &str) -> Vec<String> {
    let letters = letters(text);
    let mut all = Vec::new();
    let mut put = |from: usize, to: usize, with: &[char]| {
        all.push([&letters[..from], with, &letters[to..]].concat().iter().collect());
    };
    for at in 0..=letters.len() {
        for other in 'A'..='Z' {
            put(at, at, &[other]);
            if at < letters.len() {
                put(at, at + 1, &[other]);
            }
        }
        if at < letters.len() {
            put(at, at + 1, &[]);
        }
        if at + 1 < letters.len() {
            put(at, at + 2, &[letters[at + 1], letters[at]]);
        }
    }
    all
}

fn spacings(text: &str) -> Vec<String> {
    let between = |by: &str| letters(text).iter().map(char::to_string).collect::<Vec<_>>().join(by);
    [" ", ".", "-", "_", "*", "/", ",", "  ", "~", "\n", "•", "🛑", "\u{a0}", " . ", "|"].map(between).into()
}

fn cuts(text: &str) -> Vec<String> {
    let cut = |at: usize| [" ", "-", "."].map(|by| format!("{}{by}{}", &text[..at], &text[at..]));
    (1..text.len()).filter(|at| text.is_char_boundary(*at)).flat_map(cut).collect()
}

fn cases(text: &str) -> Vec<String> {
    let by_place = |is_small: fn(usize) -> bool| {
        let cased =
            |(at, c): (usize, char)| if is_small(at) { c.to_lowercase().next().unwrap_or(c) } else { c };
        text.chars().enumerate().map(cased).collect()
    };
    vec![by_place(|_| true), by_place(|at| at > 0), by_place(|at| at % 2 == 0)]
}

fn punctuations(text: &str) -> Vec<String> {
    let around = [
        ("", "."),
        ("", "!!!"),
        ("", "..."),
        ("", "…"),
        ("", " !"),
        ("\"", "\""),
        ("“", "”"),
        ("'", "'"),
        ("«", "»"),
        ("(", ")"),
        ("[", "]"),
        ("<", ">"),
        ("*", "*"),
        ("", " 🙏"),
        ("🛑 ", ""),
        ("", "😡😡"),
        ("- ", ""),
        ("\n", "\n"),
        ("", ";"),
        ("/", ""),
        ("#", ""),
        ("¡", "!"),
        ("", "?"),
    ];
    around.map(|(before, after)| format!("{before}{text}{after}")).into()
}

fn digits(text: &str) -> Vec<String> {
    let as_digit = |c| match c {
        'O' => '0',
        'I' => '1',
        'E' => '3',
        'A' => '4',
        'S' => '5',
        'T' => '7',
        other => other,
    };
    let one =
        |at: usize| text.chars().enumerate().map(|(i, c)| if i == at { as_digit(c) } else { c }).collect();
    let signs = text.replace('S', "$").replace('A', "@").replace('E', "€");
    (0..text.len()).map(one).chain([text.chars().map(as_digit).collect(), signs]).collect()
}

/// Each letter, and all of them, of another style or script.
fn scripts(text: &str) -> Vec<String> {
    let shifted = |style: u32| {
        move |c: char| match c {
            'A'..='Z' => char::from_u32(style + u32::from(c) - u32::from('A')).unwrap_or(c),
            other => other,
        }
    };
    let of = |alphabet: &'static str| {
        move |c: char| alphabet.chars().nth((c as usize).wrapping_sub('A' as usize)).unwrap_or(c)
    };
    let styles = [0xff21, 0x1d400, 0x1d5d4, 0x1d670, 0x24b6, 0x1f130, 0x1f150, 0x1f170, 0x1f1e6];
    let mut all: Vec<String> = styles.map(|style| text.chars().map(shifted(style)).collect()).into();
    let cyrillic = of("АВСDЕFGНIЈКLМNОРQRЅТUVWХYZ");
    let greek = of("ΑΒCDΕFGΗΙJΚLΜΝΟΡQRSΤUVWΧΥΖ");
    let small = of("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘQʀꜱᴛᴜᴠᴡXʏᴢ");
    let is_plain = text.chars().all(|c| c.is_ascii_uppercase());
    for one in (0..text.len()).filter(|_| is_plain) {
        let only = |other: &dyn Fn(char) -> char| {
            text.chars().enumerate().map(|(at, c)| if at == one { other(c) } else { c }).collect::<String>()
        };
        all.extend([only(&cyrillic), only(&greek), only(&small), only(&shifted(0xff21))]);
    }
    if is_plain {
        all.extend([text.chars().map(cyrillic).collect(), text.chars().map(small).collect::<String>()]);
    }
    all
}

/// Accents, strokes, and what takes no space, after each letter.
fn marks(text: &str) -> Vec<String> {
    let after = |mark: &str| text.chars().map(|c| format!("{c}{mark}")).collect::<String>();
    let accents =
        text.replace('O', "Ö").replace('A', "Á").replace('E', "Ê").replace('U', "Ù").replace('I', "Ï");
    let mut all = [
        "\u{301}", "\u{308}", "\u{336}", "\u{338}", "\u{200b}", "\u{200d}", "\u{2060}", "\u{ad}", "\u{20e3}",
    ]
    .map(after)
    .to_vec();
    all.extend([accents, text.replace('S', "Ş").replace('T', "Ţ"), format!("\u{feff}{text}\u{fe0f}")]);
    all
}

fn drawn_out(text: &str) -> Vec<String> {
    let letters = letters(text);
    let drawn = |at: usize, times| {
        let more = vec![letters[at]; times];
        [&letters[..at], &more, &letters[at + 1..]].concat().into_iter().collect()
    };
    (0..letters.len()).flat_map(|at| [drawn(at, 3), drawn(at, 6)]).collect()
}

fn repeats(text: &str) -> Vec<String> {
    [" ", ", ", "! ", "\n", ". "].iter().flat_map(|by| [[text; 2].join(by), [text; 3].join(by)]).collect()
}

fn politenesses(text: &str) -> Vec<String> {
    let around = [
        ("Please ", ""),
        ("", " please"),
        ("", " pls"),
        ("", " plz thanks"),
        ("Hi, ", ""),
        ("Hello ", " please"),
        ("", " thank you"),
        ("", " now!!!"),
        ("just ", ""),
        ("", " svp"),
        ("Bonjour, ", " merci"),
        ("", " por favor"),
        ("Hola ", " gracias"),
        ("", " bitte"),
        ("Hallo, bitte ", ""),
        ("", " aub"),
        ("Graag ", ""),
        ("", " pfv"),
        ("", " obrigado"),
        ("", "\nSent from my iPhone"),
        ("", "\nEnvoyé de mon iPhone"),
        ("", "\nGesendet von Mail"),
    ];
    around.map(|(before, after)| format!("{before}{text}{after}")).into()
}

/// The keywords that are looked at, as one word each.
fn keywords() -> impl Iterator<Item = (&'static Word, String)> {
    WORDS.iter().filter(|word| word.size >= LETTERS_MIN).map(|word| (word, word.joined().into_owned()))
}

/// True of what is another word, so that nobody could tell.
fn is_a_word(spoilt: &str) -> bool {
    let plain: String = spoilt.chars().filter(|c| *c != ' ').collect();
    let mut once = plain.clone().into_bytes();
    once.dedup();
    is_friend(&plain)
        || is_friend(&String::from_utf8_lossy(&once))
        || WORDS.iter().any(|word| word.joined() == plain)
}

/// How many there are, how many are heard for what they ask, and those that are not.
#[derive(Default)]
struct Heard {
    all: usize,
    heard: usize,
    missed: Vec<String>,
}

impl Heard {
    fn listen(&mut self, word: &Word, spoilt: &str, keywords: &Keywords) {
        let found = classify(spoilt, keywords).asks();
        // Between two keywords that ask for different things an end is heard.
        let is_heard = found.is_some_and(|(action, _)| {
            action == word.action || action == Action::OptOut && word.action == Action::OptIn
        });
        self.all += 1;
        self.heard += usize::from(is_heard);
        if !is_heard && self.missed.len() < 400 {
            self.missed.push(format!("{spoilt:?} of {}: {found:?}", word.text));
        }
    }

    fn must_do(&self, class: &str) {
        assert!(
            self.heard * 1000 >= self.all * HEARD_MIN && self.all > 0,
            "{class}: {} of {}: {:#?}",
            self.heard,
            self.all,
            self.missed
        );
    }
}

/// Words of daily use are heard as they are. An answer that many questions have is not heard with
/// politeness around it: “yes please”; nor is a word that is two.
fn is_of_daily_use(word: &Word, class: &str) -> bool {
    let is_answer = class == "politeness" && word.action == Action::OptIn;
    word.confidence == Likely && (is_answer || class == "cut in two")
}

#[test]
fn every_single_slip_and_disguise_of_every_keyword_is_heard() {
    let built_in = Keywords::default();
    for (class, spoil) in CLASSES {
        let mut heard = Heard::default();
        for (word, text) in keywords().filter(|(word, _)| !is_of_daily_use(word, class)) {
            for spoilt in spoil(&text).into_iter().filter(|spoilt| class != "slip" || !is_a_word(spoilt)) {
                heard.listen(word, &spoilt, &built_in);
            }
        }
        heard.must_do(class);
    }
}

#[test]
fn two_disguises_at_once_are_heard() {
    let built_in = Keywords::default();
    for (first, spoil) in CLASSES {
        for (then, again) in CLASSES.iter().filter(|(then, _)| *then != "slip" && *then != first) {
            // Cut in two, a slip of few letters is two words; what is cut already is not spaced out.
            let cannot = [
                ("slip", "cut in two"),
                ("cut in two", "spacing"),
                ("spacing", "cut in two"),
                ("cut in two", "drawn out"),
            ];
            if cannot.contains(&(first, then)) || ["punctuation", "politeness", "repeated"].contains(&first) {
                continue;
            }
            let mut heard = Heard::default();
            let strong = keywords().filter(|(word, _)| STRONG.contains(&word.text));
            for (word, text) in strong {
                let once = spoil(&text).into_iter().filter(|spoilt| first != "slip" || !is_a_word(spoilt));
                for twice in once.step_by(3).flat_map(|once| again(&once)) {
                    heard.listen(word, &twice, &built_in);
                }
            }
            heard.must_do(&format!("{first}, {then}"));
        }
    }
}

#[test]
fn a_word_that_means_itself_is_heard_as_nothing() {
    let built_in = Keywords::default();
    for friend in FRIENDS {
        for said in
            [friend.to_lowercase(), format!("{friend}!"), format!("{friend} thanks"), format!("ok {friend}")]
        {
            let found = classify(&said, &built_in);
            let is_listed = super::sets::VARIANTS.iter().any(|(known, ..)| known == friend);
            assert!(found == Meaning::Reply || is_listed, "{said}: {found:?}");
        }
    }
}

/// Harmless sentences around a keyword; `{}` is filled in.
const HARMLESS: [&str; 66] = [
    "I'll stop by {}",
    "stop by {}",
    "we can stop at {}",
    "the bus stop is near {}",
    "meet you at the stop {}",
    "can't stop laughing {}",
    "don't stop {}",
    "please don't stop these {}",
    "it won't stop raining {}",
    "stop sign at {}",
    "next stop {}",
    "pit stop {}",
    "is that the last stop {}",
    "non stop flight {}",
    "I never said stop {}",
    "one stop shop {}",
    "when do you stop serving {}",
    "he quit his job {}",
    "I quit smoking {}",
    "quit kidding {}",
    "cancel my appointment {}",
    "please cancel my order {}",
    "can I cancel the booking {}",
    "cancel the 3pm {}",
    "at the end of {}",
    "the end of the day {}",
    "see you at the end {}",
    "does it end {}",
    "remove the onions {}",
    "please remove one item {}",
    "I removed it {}",
    "block party {}",
    "what's wrong with it {}",
    "start at {}",
    "when does it start {}",
    "let's start {}",
    "help me choose {}",
    "can you help with {}",
    "I need help with {}",
    "more info about {}",
    "info on {}",
    "my email is info at shop {}",
    "I opt for the blue one {}",
    "option {}",
    "je m'arrête {}",
    "l'arrêt de bus {}",
    "on se retrouve à l'arrêt {}",
    "merci de votre aide {}",
    "aide-moi pour {}",
    "la temporada baja {}",
    "en la planta baja {}",
    "voy a parar {}",
    "tengo que cancelar la cita {}",
    "es muy alto {}",
    "der Bus stoppt {}",
    "ich melde mich {}",
    "an der Haltestelle {}",
    "ich brauche Hilfe bei {}",
    "am Ende {}",
    "de bus stopt {}",
    "ik meld me {}",
    "kun je hulp bieden {}",
    "vou sair {}",
    "preciso parar {}",
    "quero ajuda com {}",
    "o preço vai baixar {}",
];

const FILLED: [&str; 20] = [
    "",
    "at 5",
    "tomorrow",
    "on 5th",
    "Main St",
    "with Maria",
    "today, thanks!",
    "lol",
    "😂",
    "later this week",
    "around 17:30",
    "near the station",
    "mañana",
    "demain",
    "morgen",
    "heute Abend",
    "amanhã",
    "if that's ok?",
    "...",
    "ok?",
];

#[test]
fn harmless_replies_are_never_certain_and_hardly_ever_likely() {
    let built_in = Keywords::default();
    let mut replies: Vec<String> =
        HARMLESS.iter().flat_map(|text| FILLED.map(|filled| text.replace("{}", filled))).collect();
    for before in ["Hi, ", "ok ", "Sorry, ", "Yes! ", "So "] {
        let more = HARMLESS.iter().map(|text| format!("{before}{}", text.replace("{}", "at noon")));
        replies.extend(more.collect::<Vec<_>>());
    }
    let heard: Vec<String> = replies
        .iter()
        .filter_map(|reply| classify(reply, &built_in).asks().map(|(_, heard)| (reply, heard)))
        .map(|(reply, heard)| {
            assert!(heard.confidence != Certain, "{reply}: {heard:?}");
            format!("{reply}: {heard:?}")
        })
        .collect();
    assert!(replies.len() > 1600 && heard.len() * 1000 < replies.len() * 5, "{}: {heard:#?}", replies.len());
}
