//! The words. Every word stands here as it is heard: upper case, without accents, words with one
//! space between them.

use std::borrow::Cow;

use super::slip;
use crate::config::Language::{self, Dutch, English, French, German, Portuguese, Spanish};
use crate::event::Action::{self, Help, OptIn, OptOut};
use crate::event::Confidence::{self, Certain, Likely};

/// A whole message, whose language it is, what it asks for and how surely.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    pub(super) text: &'static str,
    pub(super) language: Language,
    pub(super) action: Action,
    pub(super) confidence: Confidence,
    /// Its letters, as [`slip::letters`] has them, and how many they are.
    pub(super) letters: u32,
    pub(super) size: usize,
}

impl Word {
    /// Without spaces.
    pub(super) fn joined(&self) -> Cow<'static, str> {
        if self.size == self.text.len() { self.text.into() } else { self.text.replace(' ', "").into() }
    }
}

const fn word(text: &'static str, language: Language, action: Action, confidence: Confidence) -> Word {
    let (bytes, mut at, mut size) = (text.as_bytes(), 0, 0);
    while at < bytes.len() {
        size += (bytes[at] != b' ') as usize;
        at += 1;
    }
    Word { text, language, action, confidence, letters: slip::letters(bytes), size }
}

/// Sorted words, and for each initial letter how long they are: most of what is asked for is none of
/// them, and that is soon seen.
#[derive(Debug)]
pub(super) struct Set {
    words: &'static [&'static str],
    lengths: [u32; 32],
}

impl Set {
    pub(super) const fn of(words: &'static [&'static str]) -> Self {
        let (mut at, mut lengths) = (0, [0; 32]);
        while at < words.len() {
            let word = words[at].as_bytes();
            lengths[(word[0] & 31) as usize] |= Self::length(word.len());
            at += 1;
        }
        Self { words, lengths }
    }

    const fn length(bytes: usize) -> u32 {
        1 << if bytes < 31 { bytes } else { 31 }
    }

    pub(super) fn holds(&self, word: &str) -> bool {
        let Some(initial) = word.as_bytes().first() else { return false };
        self.lengths[usize::from(initial & 31)] & Self::length(word.len()) != 0
            && self.words.binary_search(&word).is_ok()
    }
}

/// Whole messages. English ones are the CTIA's, those of 47 CFR 64.1200(a)(10), and what providers
/// act on. A bare YES answers many questions; words of daily use are only likely.
#[rustfmt::skip]
pub(super) const WORDS: &[Word] = &[
    word("STOP",             English,    OptOut, Certain),
    word("STOPALL",          English,    OptOut, Certain),
    word("STOP ALL",         English,    OptOut, Certain),
    word("UNSUBSCRIBE",      English,    OptOut, Certain),
    word("UNSUB",            English,    OptOut, Certain),
    word("CANCEL",           English,    OptOut, Certain),
    word("END",              English,    OptOut, Certain),
    word("QUIT",             English,    OptOut, Certain),
    word("REVOKE",           English,    OptOut, Certain),
    word("OPTOUT",           English,    OptOut, Certain),
    word("OPT OUT",          English,    OptOut, Certain),
    word("REMOVE",           English,    OptOut, Certain),
    word("REMOVE ME",        English,    OptOut, Certain),
    word("BLOCK",            English,    OptOut, Likely),
    word("WRONG",            English,    OptOut, Likely),
    word("TD",               English,    OptOut, Likely),
    word("START",            English,    OptIn,  Certain),
    word("UNSTOP",           English,    OptIn,  Certain),
    word("YES",              English,    OptIn,  Likely),
    word("HELP",             English,    Help,   Certain),
    word("INFO",             English,    Help,   Certain),
    word("ARRET",            French,     OptOut, Certain),
    word("ARRETER",          French,     OptOut, Certain),
    word("ARRETEZ",          French,     OptOut, Certain),
    word("DESABONNER",       French,     OptOut, Certain),
    word("DESABONNEMENT",    French,     OptOut, Certain),
    word("DESINSCRIRE",      French,     OptOut, Certain),
    word("DESINSCRIPTION",   French,     OptOut, Certain),
    word("NONARRET",         French,     OptIn,  Certain),
    word("NON ARRET",        French,     OptIn,  Certain),
    word("AIDE",             French,     Help,   Certain),
    word("BAJA",             Spanish,    OptOut, Certain),
    word("DAR DE BAJA",      Spanish,    OptOut, Certain),
    word("DARME DE BAJA",    Spanish,    OptOut, Certain),
    word("PARAR",            Spanish,    OptOut, Certain),
    word("CANCELAR",         Spanish,    OptOut, Certain),
    word("DESUSCRIBIR",      Spanish,    OptOut, Certain),
    word("DESUSCRIBIRME",    Spanish,    OptOut, Certain),
    word("ALTO",             Spanish,    OptOut, Likely),
    word("ALTA",             Spanish,    OptIn,  Likely),
    word("COMENZAR",         Spanish,    OptIn,  Likely),
    word("INICIAR",          Spanish,    OptIn,  Likely),
    word("AYUDA",            Spanish,    Help,   Certain),
    word("STOPP",            German,     OptOut, Certain),
    word("ABMELDEN",         German,     OptOut, Certain),
    word("ABMELDUNG",        German,     OptOut, Certain),
    word("ABBESTELLEN",      German,     OptOut, Certain),
    word("AUSTRAGEN",        German,     OptOut, Certain),
    word("KUNDIGEN",         German,     OptOut, Likely),
    word("ANMELDEN",         German,     OptIn,  Likely),
    word("HILFE",            German,     Help,   Certain),
    word("STOPPEN",          Dutch,      OptOut, Certain),
    word("AFMELDEN",         Dutch,      OptOut, Certain),
    word("UITSCHRIJVEN",     Dutch,      OptOut, Certain),
    word("OPZEGGEN",         Dutch,      OptOut, Likely),
    word("AANMELDEN",        Dutch,      OptIn,  Likely),
    word("HULP",             Dutch,      Help,   Certain),
    word("PARAR",            Portuguese, OptOut, Certain),
    word("PARE",             Portuguese, OptOut, Certain),
    word("SAIR",             Portuguese, OptOut, Certain),
    word("CANCELAR",         Portuguese, OptOut, Certain),
    word("REMOVER",          Portuguese, OptOut, Certain),
    word("DESCADASTRAR",     Portuguese, OptOut, Certain),
    word("DESINSCREVER",     Portuguese, OptOut, Certain),
    word("AJUDA",            Portuguese, Help,   Certain),
];

/// Keywords that stay themselves when spaced out, disguised with digits, drawn out or repeated, and
/// that begin a message whatever follows.
pub(super) const STRONG: &[&str] = &["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "OPTOUT", "UNSUB"];

/// Misspellings; those that are words of their own are only likely.
pub(super) const VARIANTS: &[(&str, &str, Confidence)] = &[
    ("STORP", "STOP", Certain),
    ("STOPS", "STOP", Certain),
    ("STOPT", "STOP", Certain),
    ("STOPED", "STOP", Certain),
    ("STOPE", "STOP", Certain),
    ("STOPIT", "STOP", Certain),
    ("STAOP", "STOP", Certain),
    // Russian, of letters that look like no Latin ones to its end.
    ("CTOП", "STOP", Certain),
    ("UNSCRIBE", "UNSUBSCRIBE", Certain),
    ("QIUT", "QUIT", Certain),
    ("OPPT OUT", "OPT OUT", Certain),
    ("OPT ME OUT", "OPT OUT", Certain),
    ("REMOVE MY NUMBER", "REMOVE ME", Certain),
    ("REMOVE NUMBER", "REMOVE ME", Certain),
    ("I REVOKE", "REVOKE", Certain),
    ("REVOKE CONSENT", "REVOKE", Certain),
    ("STOP TEXTS", "STOP", Certain),
    ("ARRETE", "ARRET", Certain),
    ("DESABONNEZ MOI", "DESABONNER", Certain),
    ("DESINSCRIVEZ MOI", "DESINSCRIRE", Certain),
    ("STOPTHIS", "STOP", Certain),
    ("STOPNOW", "STOP", Certain),
    ("STOPPLEASE", "STOP", Certain),
    ("XSTOP", "STOP", Certain),
    ("STRAT", "START", Likely),
    ("SART", "START", Likely),
    ("HALP", "HELP", Certain),
    ("HEPL", "HELP", Certain),
    ("STROP", "STOP", Likely),
    ("STOD", "STOP", Likely),
    ("STOOP", "STOP", Likely),
    ("ATOP", "STOP", Likely),
    ("OUT OPT", "OPT OUT", Likely),
    ("STAHP", "STOP", Certain),
    ("STAWP", "STOP", Certain),
    ("STAAP", "STOP", Likely),
    ("NO STOP", "STOP", Likely),
    ("CNCL", "CANCEL", Likely),
    ("STOP IT", "STOP", Likely),
    ("STOP THIS", "STOP", Likely),
    ("STOP THAT", "STOP", Likely),
    ("QUIT IT", "QUIT", Likely),
    ("QUIT THIS", "QUIT", Likely),
    ("STOP SMS", "STOP", Certain),
    ("STOP TXT", "STOP", Certain),
    ("STOP TXTS", "STOP", Certain),
    ("STOP MSG", "STOP", Certain),
    ("STOP MSGS", "STOP", Certain),
    ("DESABONNE", "DESABONNER", Certain),
    ("DESABONNEZ", "DESABONNER", Certain),
    ("DESINSCRIT", "DESINSCRIRE", Certain),
    ("DARSE DE BAJA", "DAR DE BAJA", Certain),
    ("DEME DE BAJA", "DAR DE BAJA", Certain),
    ("CANCELE", "CANCELAR", Likely),
    ("CANCELEN", "CANCELAR", Likely),
    ("ABBESTELLUNG", "ABBESTELLEN", Certain),
    ("MELD AF", "AFMELDEN", Certain),
    ("MELD ME AF", "AFMELDEN", Certain),
    ("SCHRIJF UIT", "UITSCHRIJVEN", Certain),
    ("SCHRIJF ME UIT", "UITSCHRIJVEN", Certain),
    ("PAREM", "PARE", Likely),
    ("SAIR DA LISTA", "SAIR", Certain),
];

/// What is said around a keyword: greetings, politeness and impatience. Sorted.
#[rustfmt::skip]
pub(super) static POLITE: Set = Set::of(&[
    "ABEND", "AGORA", "AHORA", "ALREADY", "ALSJEBLIEFT", "ALSTUBLIEFT", "ASAP", "AUB", "BEAUCOUP", "BEDANKT", "BITTE",
    "BONJOUR", "BONSOIR", "BRO", "BUENAS", "CHEERS", "CORDIALEMENT", "DANK", "DANKE", "DANKJEWEL", "DANKUWEL",
    "DIRECT", "DUDE", "EVERYONE", "FAV", "FAVOR", "FOLKS", "GOEDEMORGEN", "GOEDENDAG", "GRAAG", "GRACIAS", "GROETEN",
    "GRUESSE", "GRUSSE", "GUTEN", "GUYS", "HALLO", "HELLO", "HEY", "HI", "HIYA", "HOI", "HOLA", "IMMEDIATELY",
    "IMMEDIATEMENT", "INMEDIATAMENTE", "JA", "JETZT", "JUST", "K", "KINDLEY", "KINDLY", "LG", "MAAM", "MADAM",
    "MAINTENANT", "MAN", "ME", "MERCI", "METEEN", "MFG", "MICH", "MIJ", "MOI", "MORGEN", "MUCHAS", "NOW", "NU", "OBG",
    "OBRIGADA", "OBRIGADO", "OI", "OK", "OKAY", "OLA", "OMG", "PF", "PFV", "PFVR", "PLAIT", "PLEAS", "PLEASE",
    "PLEASEE", "PLEASEEE", "PLS", "PLZ", "PLZZ", "POR", "PORFA", "PORFAVOR", "REGARDS", "RIGHT", "SALUDOS", "SALUT",
    "SCHON", "SIL", "SIR", "SOFORT", "STP", "SVP", "TAG", "TE", "TEAM", "THANK", "THANKS", "THANKYOU", "THERE", "THX",
    "TKS", "TNX", "TY", "TYVM", "U", "UGH", "VIELEN", "VOUS", "X", "XFA", "XFAVOR", "XOXO", "XX", "XXX", "YA", "YO",
    "YOU",
]);

/// What is written on to a strong keyword without a space.
#[rustfmt::skip]
pub(super) const AFFIXES: &[&str] = &[
    "PLEASE", "PLS", "PLZ", "NOW", "ME", "IT", "ALL", "THIS", "THESE", "THANKS", "THANKYOU", "THX", "TEXTING", "TEXTS",
    "TEXT", "TXTS", "TXT", "MESSAGES", "MESSAGING", "MSGS", "SMS", "SPAM", "SENDING", "SVP", "MERCI", "BITTE", "AUB",
    "PORFAVOR", "GRACIAS",
];

/// Keywords that are said of messages and lists, more than of anything else.
pub(super) const SAID_OF_MESSAGES: &[&str] = &[
    "STOP",
    "STOPP",
    "STOPALL",
    "UNSUBSCRIBE",
    "UNSUB",
    "OPTOUT",
    "QUIT",
    "CANCEL",
    "REMOVE",
    "ARRET",
    "BAJA",
    "SAIR",
];

/// What a keyword is said of: “stop all texts”, “unsubscribe from this list”. Sorted.
#[rustfmt::skip]
pub(super) static OBJECTS: Set = Set::of(&[
    "AD", "ADS", "ADVERTISING", "ALERT", "ALERTS", "ALL", "BERICHTEN", "FROM", "LIJST", "LIST", "LISTA", "LISTE",
    "MARKETING", "MENSAGENS", "MENSAJES", "MESSAGE", "MESSAGES", "MSG", "MSGS", "MY", "NACHRICHTEN", "NEWSLETTER",
    "NOTIFICATION", "NOTIFICATIONS", "NUMBER", "OF", "PHONE", "PROMO", "PROMOS", "PROMOTION", "PROMOTIONS", "PUB",
    "PUBLICIDAD", "PUBLICIDADE", "PUBLICITE", "RECLAME", "SMS", "SMSES", "SPAM", "SUBSCRIPTION", "TEXT", "TEXTS",
    "THE", "THESE", "THIS", "TO", "TXT", "TXTS", "US", "WERBUNG", "YOUR",
]);
