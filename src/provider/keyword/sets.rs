//! The words. Every word stands here as it is heard: upper case, without accents, words with one
//! space between them.

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
}

const fn word(text: &'static str, language: Language, action: Action, confidence: Confidence) -> Word {
    Word { text, language, action, confidence }
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
    word("AJUDA",            Portuguese, Help,   Certain),
];

/// Keywords that stay themselves when spaced out, disguised with digits, drawn out or repeated, and
/// that begin a message whatever follows.
pub(super) const STRONG: &[&str] = &["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "OPTOUT", "UNSUB"];

/// Words near a keyword that mean themselves, or the contrary (German and Dutch “anmelden”).
pub(super) const OTHERS: &[&str] = &[
    "TOP",
    "STEP",
    "SOP",
    "SHOP",
    "SLOP",
    "STOMP",
    "SWOP",
    "STOW",
    "STOPPED",
    "STOPPER",
    "STOPPING",
    "QUILT",
    "QUITE",
    "QUIET",
    "QUITS",
    "CANCER",
    "CANCELS",
    "CANCELED",
    "CANCELLED",
    "CANCELADO",
    "CANCELADA",
    "REMOTE",
    "REMOVED",
    "REMOVES",
    "REMOVAL",
    "REVOKED",
    "REVOKES",
    "ANMELDEN",
    "ANMELDUNG",
    "AANMELDEN",
    "DESCRIPTION",
];

/// Misspellings; those that are words of their own are only likely.
pub(super) const VARIANTS: &[(&str, &str, Confidence)] = &[
    ("STPO", "STOP", Certain),
    ("STORP", "STOP", Certain),
    ("STP", "STOP", Certain),
    ("STO", "STOP", Certain),
    ("SOTP", "STOP", Certain),
    ("TSOP", "STOP", Certain),
    ("STOPO", "STOP", Certain),
    ("STOPS", "STOP", Certain),
    ("STOPT", "STOP", Certain),
    ("STOPED", "STOP", Certain),
    ("STOPE", "STOP", Certain),
    ("STOPIT", "STOP", Certain),
    ("STOPL", "STOP", Certain),
    ("STOO", "STOP", Certain),
    ("STIP", "STOP", Certain),
    ("STAOP", "STOP", Certain),
    ("STOIP", "STOP", Certain),
    ("SROP", "STOP", Certain),
    ("DTOP", "STOP", Certain),
    ("ZTOP", "STOP", Certain),
    // Russian, of letters that look like no Latin ones to its end.
    ("CTOП", "STOP", Certain),
    ("STOPALLL", "STOPALL", Certain),
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
    ("STOP IT", "STOP", Likely),
    ("STOP THIS", "STOP", Likely),
];

/// What is said around a keyword out of politeness or impatience.
pub(super) const POLITE: &[&str] = &[
    "PLEASE",
    "PLS",
    "PLZ",
    "KINDLY",
    "THANKS",
    "THANK",
    "YOU",
    "THX",
    "NOW",
    "RIGHT",
    "ME",
    "SVP",
    "SIL",
    "VOUS",
    "PLAIT",
    "MERCI",
    "POR",
    "FAVOR",
    "GRACIAS",
    "BITTE",
    "DANKE",
    "AUB",
    "ALSTUBLIEFT",
    "ALSJEBLIEFT",
    "GRAAG",
    "OBRIGADO",
    "OBRIGADA",
    "MOI",
    "MICH",
    "MIJ",
    "U",
    "HEY",
    "OKAY",
    "SIR",
    "MAAM",
    "IMMEDIATELY",
    "STP",
];

/// How a telephone signs.
pub(super) const SIGNATURES: &[&str] = &[
    "SENT FROM",
    "GET OUTLOOK",
    "ENVOYE DE",
    "GESENDET VON",
    "VERZONDEN VANAF",
    "ENVIADO DESDE",
    "ENVIADO DO",
];

/// Word sequences that ask for an end wherever they stand in a clause.
#[rustfmt::skip]
pub(super) const PHRASES: &[(Language, &[&str])] = &[
    (English, &[
        "STOP TEXTING", "STOP TEXT", "STOP MESSAGING", "STOP MESSAGES", "STOP SENDING", "STOP CONTACTING",
        "STOP BOTHERING", "STOP SPAMMING", "STOP HARASSING", "STOP CALLING", "STOP THESE", "STOP WITH THESE",
        "STOP THE TEXTS", "STOP ALL TEXTS", "STOP ALL MESSAGES", "SAID STOP", "DO NOT TEXT", "DONT TEXT",
        "DO NOT CONTACT", "DONT CONTACT ME", "DO NOT MESSAGE", "DONT MESSAGE ME", "DO NOT SEND ME", "DONT SEND ME",
        "NO MORE TEXT", "NO MORE TEXTS", "NO MORE MESSAGES", "NO LONGER WANT", "NO LONGER INTERESTED",
        "DONT WANT THESE", "DO NOT WANT THESE", "DONT WANT TO RECEIVE", "DO NOT WANT TO RECEIVE", "DONT WANT YOUR",
        "QUIT TEXTING", "QUIT SENDING", "NEVER TEXT ME", "NEVER CONTACT ME", "WHY ARE YOU TEXTING",
        "WHY DO YOU KEEP TEXTING", "REMOVE ME", "REMOVE MY NUMBER", "REMOVE MY PHONE NUMBER", "REMOVE THIS NUMBER",
        "DELETE MY NUMBER", "LOSE MY NUMBER", "LOSE THIS NUMBER", "TAKE ME OFF", "TAKE MY NUMBER OFF", "GET ME OFF",
        "GET MY NUMBER OFF", "UNSUBSCRIBE", "OPT OUT", "OPT ME OUT", "CANCEL THESE MESSAGES", "CANCEL MY SUBSCRIPTION",
        "DO NOT WISH TO RECEIVE", "NO LONGER WISH", "DONT WANT ANY MORE", "TAKE MY NAME OFF", "WITHDRAW MY CONSENT",
        "NOT HAVE MY CONSENT", "CEASE AND DESIST", "DISCONTINUE THESE", "LEAVE ME ALONE", "WRONG NUMBER", "WRONG PERSON", "NOT INTERESTED",
    ]),
    (French, &[
        "ARRETEZ DE MENVOYER", "ARRETEZ DENVOYER", "ARRETEZ LES", "ARRETE DE MENVOYER", "PLUS RECEVOIR",
        "NE MENVOYEZ PLUS", "DESABONNER", "DESABONNEZ MOI", "DESINSCRIRE", "DESINSCRIVEZ MOI", "RETIREZ MOI",
        "ENLEVEZ MOI", "SUPPRIMEZ MON NUMERO", "MAUVAIS NUMERO", "LAISSEZ MOI TRANQUILLE",
    ]),
    (Spanish, &[
        "NO ME ENVIEN", "NO ME ENVIES", "DEJA DE MANDARME", "NO QUIERO MAS MENSAJES", "NO ME MANDEN", "NO ME ENVIE", "NO ENVIEN MAS", "DEJEN DE", "DEJA DE ENVIAR",
        "DEJA DE MANDAR", "DEME DE BAJA", "DENME DE BAJA", "DARME DE BAJA", "DAR DE BAJA", "NO QUIERO RECIBIR",
        "NO MAS MENSAJES", "QUITENME", "BORREN MI NUMERO", "NUMERO EQUIVOCADO", "DEJENME EN PAZ",
    ]),
    (German, &[
        "KEINE SMS MEHR", "KEINE WEITEREN SMS", "KEINE WEITEREN NACHRICHTEN", "KEINE NACHRICHTEN MEHR", "NICHT MEHR SCHREIBEN", "SCHREIBEN SIE MIR NICHT", "HOREN SIE AUF",
        "HOR AUF MIR", "MELDEN SIE MICH AB", "MELDE MICH AB", "MICH ABMELDEN", "LOSCHEN SIE MEINE NUMMER",
        "FALSCHE NUMMER", "IN RUHE", "TRAGEN SIE MICH AUS",
    ]),
    (Dutch, &[
        "GEEN SMS MEER", "HAAL MIJ VAN DE LIJST", "GEEN BERICHTEN MEER", "STUUR MIJ GEEN", "MIJ AFMELDEN", "ME AFMELDEN", "MELD MIJ AF",
        "SCHRIJF MIJ UIT", "HOU OP MET", "VERWIJDER MIJN NUMMER", "VERWIJDER MIJ", "VERKEERD NUMMER",
        "LAAT ME MET RUST",
    ]),
    (Portuguese, &[
        "PARE DE", "ME TIRE DA LISTA", "SAIR DA LISTA", "PAREM DE", "NAO QUERO RECEBER", "NAO QUERO MAIS", "NAO ME MANDE", "NAO ME ENVIE", "ME REMOVA",
        "REMOVA MEU NUMERO", "TIRE MEU NUMERO", "NUMERO ERRADO", "ME DEIXEM EM PAZ",
    ]),
];

/// Words that turn what follows in their clause round: “I don't want to opt out”.
pub(super) const NEGATIONS: &[&str] = &[
    "DONT", "NOT", "NEVER", "DIDNT", "CANT", "CANNOT", "WONT", "WITHOUT", "NO", "NAO", "NICHT", "NIET", "PAS",
];

/// Parts of a sender's own instructions: a reply with one quotes or mocks them.
pub(super) const INSTRUCTIONS: &[&str] = &[
    "REPLY STOP",
    "TEXT STOP TO",
    "STOP TO OPT OUT",
    "STOP TO UNSUBSCRIBE",
    "STOP TO END",
    "STOP TO STOP",
    "STOP TO CANCEL",
    "STOP 2 END",
    "STOP TO QUIT",
];

/// Openings of the texts telephones make of a reaction to a message they quote.
pub(super) const REACTIONS: &[&str] = &[
    "LIKED",
    "LOVED",
    "DISLIKED",
    "LAUGHED AT",
    "EMPHASIZED",
    "EMPHASISED",
    "QUESTIONED",
    "REMOVED A",
    "REMOVED AN",
    "A AIME",
    "A ADORE",
    "A RI",
    "NA PAS AIME",
    "LE GUSTO",
    "LE ENCANTO",
    "NO LE GUSTO",
    "SE RIO",
    "EXCLAMO",
    "GEFALLT",
    "HAT",
    "LIEBT",
    "VINDT",
    "VOND",
    "CURTIU",
    "AMOU",
    "RIU",
];
