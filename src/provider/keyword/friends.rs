//! Words within a slip or two of a keyword that mean themselves: “shop” and “step” are no slips of
//! “stop”, “hair” is none of Portuguese “sair”. Of the six languages and of names, sorted, as they are
//! heard: upper case, without accents. A keyword, and what asks for the same (“arrête”), never stands here.

use super::sets::Set;
use super::slip;

/// True of a word that means itself.
pub(super) fn is_friend(word: &str) -> bool {
    INDEX.holds(word)
}

/// True of letters that are fewer edits from a word that means itself.
pub(super) fn is_nearer(typed: &[u8], edits: usize) -> bool {
    let mask = slip::letters(typed);
    FRIENDS.iter().zip(&LETTERS).any(|(friend, letters)| {
        slip::may_be_near(mask, *letters, edits - 1)
            && slip::edits(typed, friend.as_bytes(), edits - 1).is_some()
    })
}

static INDEX: Set = Set::of(FRIENDS);

static LETTERS: [u32; FRIENDS.len()] = {
    let (mut at, mut all) = (0, [0; FRIENDS.len()]);
    while at < FRIENDS.len() {
        all[at] = slip::letters(FRIENDS[at].as_bytes());
        at += 1;
    }
    all
};

/// Every one of them.
#[rustfmt::skip]
pub(super) const FRIENDS: &[&str] = &[
    "AAIDE", "AALTO", "AANBEDEN", "AANBELLEN", "AANDEDEN", "AANDELEN", "AANKLEDEN", "AANMELDING", "AANMELDT",
    "AANMEREN", "AANSTELLEN", "AANWENDEN", "AARE", "ABBILDEN", "ABBILDUNG", "ABENDEN", "ABGELADEN", "ABGESTELLT",
    "ABGESTELLTEN", "ABIDE", "ABMESSUNG", "ABONNEMENT", "ABONNER", "ABSENDEN", "ABSENDUNG", "ABSTELLEN", "ABTRAGEN",
    "ABWENDEN", "ABWENDUNG", "ABZUSTELLEN", "ACIDE", "ACTA", "ACTO", "ACUDA", "ADDE", "ADE", "ADIE", "AEDE",
    "AFBEELDEN", "AFFERDEN", "AFGELADEN", "AFLEIDEN", "AFMEREN", "AFSCHRIJVEN", "AFSTELLEN", "AFTA", "AFTELLEN",
    "AFWENDEN", "AFZEGGEN", "AGDE", "AGIDE", "AGUDA", "AID", "AIDA", "AIDED", "AIDEE", "AIDEN", "AIDER", "AIDES",
    "AIDEZ", "AIDS", "AIE", "AILE", "AIME", "AINE", "AIR", "AIRE", "AISE", "AITA", "AIUDA", "AIXE", "AJA", "AJUDAM",
    "AJUDAR", "AJUDAS", "AJUDE", "AJUDO", "ALA", "ALAA", "ALAT", "ALBA", "ALBO", "ALCA", "ALCO", "ALDA", "ALDE",
    "ALDO", "ALEA", "ALETA", "ALFA", "ALGA", "ALGO", "ALHO", "ALIA", "ALIO", "ALITA", "ALITO", "ALKA", "ALKO", "ALLA",
    "ALLO", "ALMA", "ALMO", "ALNO", "ALO", "ALOO", "ALOT", "ALPA", "ALSA", "ALSO", "ALT", "ALTAF", "ALTAI", "ALTAN",
    "ALTAR", "ALTAS", "ALTE", "ALTEA", "ALTHO", "ALTI", "ALTOL", "ALTON", "ALTOS", "ALTRA", "ALTRO", "ALTS", "ALVA",
    "ALVO", "ALYA", "ALZA", "ALZO", "AMIDE", "ANCLAR", "ANDE", "ANELAR", "ANGESTELLTEN", "ANKUNDIGEN", "ANMALEN",
    "ANMELDE", "ANMELDER", "ANMELDET", "ANMELDUNG", "ANMERKEN", "ANREDEN", "ANSTELLEN", "ANTA", "ANTO", "ANTRAGEN",
    "ANWENDEN", "ANZUMELDEN", "ANZUSTELLEN", "APARAR", "APARE", "APRE", "APTA", "APTO", "ARAR", "ARDE", "ARE",
    "ARIDE", "ARNET", "ARRE", "ARREO", "ARREST", "ARRETA", "ARRETERA", "ARRETIEZ", "ARTA", "ARTO", "ASIDE", "ASIR",
    "ASTA", "ATA", "ATLA", "ATO", "ATOP", "ATTA", "ATTO", "AUDE", "AUFSTELLEN", "AUFTRAGE", "AUFTRAGEN", "AUFTRAGES",
    "AUFTRATEN", "AUSFRAGEN", "AUSGETRAGEN", "AUSGRABEN", "AUSLAGEN", "AUSSAGEN", "AUSSTELLEN", "AUSTRALE",
    "AUSTRALES", "AUSTRALIEN", "AUSTRETEN", "AUSZUTRAGEN", "AUTA", "AUTO", "AVIDE", "AYTO", "AYUDAN", "AYUDAR",
    "AYUDAS", "AYUDE", "AYUDO", "AYUNA", "AZIDE", "BAA", "BABA", "BACA", "BACELAR", "BADA", "BAFA", "BAGA", "BAHA",
    "BAIA", "BAIR", "BAJ", "BAJAJ", "BAJAN", "BAJAR", "BAJAS", "BAJE", "BAJO", "BAJWA", "BAKA", "BALA", "BALTA",
    "BALTO", "BAMA", "BANA", "BANDIGEN", "BANJA", "BARA", "BARE", "BARRET", "BASA", "BATA", "BAUSTELLEN", "BAVA",
    "BAWA", "BAYA", "BAZA", "BEELDEN", "BEJA", "BELDEN", "BELP", "BESCHRIJVEN", "BESTEHLEN", "BESTELDEN", "BESTELEN",
    "BESTELLE", "BESTELLEN", "BESTELLER", "BESTELLTEN", "BIBELSTELLEN", "BIDE", "BIJA", "BIJSCHRIJVEN", "BIJSTELLEN",
    "BLACK", "BLICK", "BLOC", "BLOCH", "BLOCKS", "BLOCKT", "BLOCKY", "BLOCO", "BLOCS", "BLONK", "BOCK", "BOJA",
    "BROCK", "BUIT", "CADASTRAR", "CAIR", "CAJA", "CALCULAR", "CANAL", "CANCELADA", "CANCELADO", "CANCELAM",
    "CANCELAN", "CANCELARA", "CANCELARAM", "CANCELARLO", "CANCELARON", "CANCELAS", "CANCELED", "CANCELEI",
    "CANCELING", "CANCELLARA", "CANCELLATION", "CANCELLED", "CANCELLING", "CANCELOU", "CANCELS", "CANCER", "CANCUN",
    "CANDEL", "CANDELA", "CANDELAS", "CANELA", "CANELAS", "CANJEAR", "CANUEL", "CANUELAS", "CANULAR", "CARCEL",
    "CARE", "CASTELAR", "CAUTELAR", "CHANCEL", "CHANCELA", "CHANCELER", "CIDE", "CIMENTAR", "CINCEL", "CLOCK",
    "COLMENAR", "COMANDAR", "COMECAR", "COMENDA", "COMENSAL", "COMENTA", "COMENTAM", "COMENTAN", "COMENTAR",
    "COMENTARE", "COMENTAS", "COMENZABA", "COMENZADA", "COMENZADO", "COMENZARA", "COMENZARAN", "COMENZARE",
    "COMENZARIA", "COMENZARON", "COMENZASE", "COMENZO", "COMIENZA", "COMIENZAN", "COMIENZAS", "COMPENSAR", "CONGELAR",
    "CUIT", "CULP", "DAIR", "DARE", "DECONNER", "DECRIRE", "DELP", "DEMOVER", "DEPANNER", "DESAMORCER", "DESAPONTAR",
    "DESAVOUER", "DESCRIPTION", "DESCRIRE", "DESHONNEUR", "DRONG", "DUIT", "EEND", "EIDE", "EINDIGEN", "ENDE",
    "ERKUNDIGEN", "ESPIONNER", "ESTOP", "ESTOPPED", "EVOKE", "FAIR", "FAJA", "FALTA", "FALTO", "FARE", "FIDE",
    "FLOCK", "FOMENTAR", "FUIT", "GAJA", "GARE", "GARRET", "GIDE", "GLOCK", "GULP", "HAIDE", "HAIR", "HAJA", "HALFE",
    "HALTESTELLEN", "HANDELDEN", "HARE", "HEAP", "HEEP", "HELA", "HELD", "HELE", "HELF", "HELFE", "HELI", "HELL",
    "HELM", "HELO", "HELPE", "HELPS", "HELPT", "HELS", "HELT", "HELY", "HEMP", "HEP", "HEPP", "HERSCHRIJVEN", "HESP",
    "HEUP", "HIDE", "HILDE", "HILE", "HILF", "HILFEN", "HILFS", "HILFT", "HILKE", "HILLE", "HILSE", "HUIT", "HUL",
    "HULA", "HULD", "HULDIGEN", "HULE", "HULF", "HULFE", "HULK", "HULL", "HULPE", "HULS", "HULT", "HULU", "HUMP",
    "HUP", "HUPP", "IDE", "INAO", "INCO", "INDICIAR", "INDO", "INFLO", "INFOR", "INFORM", "INFOS", "INGO", "INHO",
    "INICIAL", "INICIAM", "INICIARA", "INICIAS", "INNO", "INSCHRIJVEN", "INSCRIPTION", "INSCRIRE", "INSO", "INTO",
    "INYO", "JAIR", "JAJA", "JALTA", "JARE", "JARRET", "JUDA", "KAJA", "KANTIGEN", "KARE", "KELP", "KONDIGDEN",
    "KONDIGEN", "KONIGEN", "KUIT", "KUNDEN", "KUNDIGST", "KUNDIGTE", "KUNDIGTEN", "KUNDIN", "KUNDINNEN", "KUNFTIGEN",
    "LAIDE", "LAIR", "LAJA", "LANCEL", "LATA", "LATO", "LIDE", "LOCK", "LTA", "LTO", "LUIT", "MAIR", "MAJA", "MALTA",
    "MARE", "MELDEN", "MELDUNG", "MIDE", "MUIT", "MUNDIGE", "MUNDIGEN", "NAIR", "NAJA", "NARE", "NONSTOP", "NUIT",
    "OIDE", "OMLEGGEN", "OMSCHRIJVEN", "ONTZEGGEN", "OPBERGEN", "OPLEGGEN", "OPLEGGER", "OPSCHRIJVEN", "OPTIN",
    "OPTION", "OPZETTEN", "OPZUIGEN", "PAAR", "PAARE", "PACE", "PADRE", "PAE", "PAGAR", "PAGE", "PAIE", "PAIR",
    "PAIRAR", "PAIRE", "PAJA", "PAJAR", "PAJE", "PAKE", "PALE", "PALTA", "PAME", "PANE", "PAPAR", "PAPE", "PAR",
    "PARA", "PARAA", "PARAD", "PARAM", "PARAN", "PARAO", "PARARA", "PARARE", "PARAS", "PARAT", "PARAY", "PARC",
    "PARCE", "PARCELAR", "PARED", "PAREE", "PAREI", "PAREL", "PAREO", "PARER", "PARES", "PARET", "PAREY", "PAREZ",
    "PARI", "PARIE", "PARIR", "PARK", "PARKE", "PARL", "PARLE", "PARM", "PARME", "PARO", "PARP", "PARR", "PARRA",
    "PARS", "PARSE", "PART", "PARTE", "PARU", "PARUE", "PASAR", "PASE", "PATE", "PATRE", "PAVE", "PAWAR", "PAYE",
    "PERE", "PHARE", "PIDE", "PIRAR", "PIRE", "PLOCK", "PORE", "PRAE", "PRE", "PRESCRIPTION", "PRONG", "PUIT", "PULP",
    "PURE", "PYRE", "QUBIT", "QUET", "QUI", "QUIA", "QUID", "QUIE", "QUIET", "QUIK", "QUIL", "QUILT", "QUIM", "QUIN",
    "QUINT", "QUIP", "QUIS", "QUIST", "QUITA", "QUITE", "QUITO", "QUITS", "QUITTE", "QUITTER", "QUIZ", "QUOT",
    "RAIDE", "RAJA", "RARE", "RECOMENZAR", "RECOVER", "REMODEL", "REMOER", "REMOTE", "REMOVA", "REMOVABLE", "REMOVAL",
    "REMOVAM", "REMOVED", "REMOVEM", "REMOVERS", "REMOVES", "REMOVEU", "REMOVI", "REMOVING", "RENOVE", "RENOVEE",
    "RENOVER", "RESONNER", "RESUBSCRIBE", "RESUBSCRIBED", "REVOIE", "REVOKED", "REVOKES", "REVOKING", "RIDE", "RUIT",
    "SAAR", "SABIR", "SABR", "SADR", "SAER", "SAFIR", "SAHR", "SAI", "SAIA", "SAIC", "SAID", "SAIDE", "SAIF", "SAIL",
    "SAIN", "SAIO", "SAIRA", "SAIS", "SAIT", "SAIU", "SAIZ", "SAJA", "SALIR", "SALTA", "SALTO", "SAMIR", "SANDIGEN",
    "SAPIR", "SAR", "SARAR", "SARE", "SARI", "SARR", "SAUR", "SCHOP", "SCHRIJVEN", "SCOP", "SHIR", "SHOP", "SHOPPEN",
    "SIDE", "SIR", "SLOP", "SLOPPEN", "SMART", "SNART", "SOIR", "SOP", "SOPPEN", "SPARE", "SPART", "SPIR", "STAART",
    "STAAT", "STADT", "STAIR", "STAMT", "STAP", "STAPP", "STAPPEN", "STAR", "STARA", "STARB", "STARC", "STARE",
    "STARI", "STARK", "STARKT", "STARR", "STARS", "STARTE", "STARTS", "STARZ", "STAT", "STATT", "STAUT", "STCRT",
    "STEP", "STEPP", "STEPPEN", "STIPPEN", "STIR", "STOA", "STOEP", "STOEPEN", "STOF", "STOK", "STOLP", "STOM",
    "STOMP", "STOMPEN", "STOOP", "STOPFEN", "STOPGAP", "STOPPA", "STOPPAGE", "STOPPED", "STOPPEE", "STOPPEL",
    "STOPPELN", "STOPPER", "STOPPES", "STOPPING", "STOPPTEN", "STOPTEN", "STOPWATCH", "STOR", "STOREY", "STORT",
    "STOVALL", "STOW", "STROP", "STROPPEN", "STUART", "STUNDIGEN", "STUP", "STURT", "SUBSCRIBE", "SUBSCRIBED",
    "SUBSCRIBER", "SUBSCRIBES", "SUBSCRIBING", "SUBSCRIPTION", "SUBSCRIPTIONS", "SUIT", "SUNDIGE", "SUNDIGEN",
    "SWART", "SWOP", "TARE", "TART", "TIDE", "TOESCHRIJVEN", "TOESTELLEN", "TOP", "TOPP", "TOPPEN", "TRANSCRIRE",
    "TRONG", "TUIT", "TULP", "UBLOCK", "UIT", "UITSCHIJNEN", "ULTA", "UNSTOPPABLE", "UNSUBSCRIBER", "UNSUBSCRIBES",
    "UNSUBSCRIBING", "VAIR", "VELP", "VIDE", "VORBESTELLEN", "WALTA", "WANDELDEN", "WARE", "WELP", "WHELP", "WIDE",
    "WINDIGEN", "WONG", "WOONG", "WRING", "WRONGS", "WRUNG", "WULP", "WURDIGEN", "WYONG", "YAIR", "YALTA", "YARE",
    "YELP", "ZEGGEN", "ZLTO", "ZONDIGEN",
];

#[cfg(test)]
mod tests {
    use super::super::sets::WORDS;
    use super::*;

    #[test]
    fn they_are_sorted_and_no_keywords() {
        assert!(FRIENDS.is_sorted_by(|one, next| one < next));
        let keywords: Vec<&str> = WORDS.iter().map(|word| word.text).filter(|text| is_friend(text)).collect();
        assert!(keywords.is_empty(), "{keywords:?}");
    }
}
