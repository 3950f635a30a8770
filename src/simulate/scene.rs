//! Where the demo plays: a configuration with all four providers, six numbers and two lists, on
//! embedded backends and free loopback ports. A directory and a seed go in, a configuration comes
//! out; its secrets are random but repeatable, as nobody but the demo ever uses them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::config::{
    Admin, Alert, Auth, Basic, Config, Connection, DeadLetters, Discord, Health, Hmac, HmacAlgorithm,
    HmacScheme, InboundText, List, Mapping, NumberEntry, NumberKind, NumberStatus, Privacy, Purpose, Receive,
    RecipientKey, Recipients, Secret, State, StateKind, Stream, StreamKind,
};
use crate::event::{ConnectionId, ListId, Number, Provider};

/// The number that the story is about: toll-free, on two legs.
pub const SICK: &str = "+18005550100";
/// The number of the milder story.
pub const AILING: &str = "+12025550142";

/// Numbers, the connections they are on, and their list.
const NUMBERS: [(&str, &[&str], &str); 6] = [
    (SICK, &["acme-infobip", "acme-cm"], "acme-promo"),
    ("+18885550101", &["acme-infobip"], "acme-promo"),
    (AILING, &["acme-twilio"], "acme-promo"),
    ("+12025550143", &["acme-twilio"], "acme-codes"),
    ("+12025550144", &["acme-twilio"], "acme-codes"),
    ("+18005550145", &["acme-lime"], "acme-codes"),
];

/// A configuration that keeps its data in `dir` and tells nobody; see [`with_discord`].
pub fn config(dir: &Path, seed: u64) -> Config {
    let mut random = Pcg64Mcg::seed_from_u64(seed ^ 0x7ace);
    let mut secret = || Secret::new(format!("{:032x}", random.random::<u128>()));
    Config {
        receive: receive(),
        stream: Stream {
            kind: StreamKind::Embedded,
            dir: dir.to_path_buf(),
            retention: Duration::from_secs(35 * 86_400),
            retention_bytes: 1 << 30,
        },
        state: State { kind: StateKind::Embedded, slots: 1 },
        connections: connections(&mut secret),
        lists: lists(),
        numbers: numbers(),
        // The real policy. Only the delay that is Sounder's own counts sixty times at this clock's
        // speed, and a busy machine must not silence the story.
        health: Health { lag_max: Duration::from_secs(900), ..Health::default() },
        alert: Alert { discord: None },
        admin: Admin { listen: loopback(), tokens: Vec::new() },
        privacy: Privacy {
            recipients: Recipients::Hash(RecipientKey::new(&secret())),
            inbound_text: InboundText::Drop,
            dead_letters: DeadLetters::Body,
        },
        warnings: Vec::new(),
        unreadable: Vec::new(),
        keywords: crate::config::Keywords::default(),
    }
}

/// The same, with alerts for a Discord at `api_url`.
pub fn with_discord(mut config: Config, webhook_url: String, api_url: String) -> Config {
    let webhook_url = Secret::new(webhook_url);
    config.alert.discord = Some(Discord { webhook_url, api_url, roles: BTreeMap::new() });
    config
}

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

fn receive() -> Receive {
    Receive { listen: loopback(), public_url: PUBLIC_URL.into(), ..Receive::default() }
}

/// What the demo's providers believe they call.
const PUBLIC_URL: &str = "https://sms.acme.example";

fn connections(secret: &mut impl FnMut() -> Secret) -> Vec<Connection> {
    let hmac = Hmac {
        header: "x-hub-signature".into(),
        algorithm: HmacAlgorithm::Sha256,
        secrets: vec![secret()],
        scheme: HmacScheme::Body,
    };
    let basic = Basic { user: "lime".into(), passwords: vec![secret()] };
    let none = Auth::default;
    [
        ("acme-twilio", Provider::Twilio, None, Auth { auth_tokens: vec![secret()], ..none() }),
        ("acme-infobip", Provider::Infobip, None, Auth { hmac: Some(hmac), ..none() }),
        ("acme-cm", Provider::Cm, Number::parse(SICK), Auth { path_secrets: vec![secret()], ..none() }),
        (
            "acme-lime",
            Provider::Lime,
            Number::parse("+18005550145"),
            Auth { path_secrets: vec![secret()], basic: Some(basic), ..none() },
        ),
    ]
    .into_iter()
    .filter_map(|(id, provider, number, auth)| {
        Some(Connection {
            id: ConnectionId::parse(id)?,
            provider,
            public_url: PUBLIC_URL.into(),
            auth,
            number,
            reference_prefix: Vec::new(),
            rate_limit: None,
            timezone: if provider == Provider::Cm { "Europe/Amsterdam" } else { "UTC" }.into(),
            mapping: Mapping::default(),
            api: None,
        })
    })
    .collect()
}

fn lists() -> Vec<List> {
    [
        ("acme-promo", "Marketing - Acme", Purpose::Marketing),
        ("acme-codes", "Transactional - Acme", Purpose::Transactional),
    ]
    .into_iter()
    .filter_map(|(id, name, purpose)| {
        let on_list = NUMBERS.iter().filter(|(_, _, list)| *list == id);
        Some(List {
            id: ListId::parse(id)?,
            name: name.into(),
            brand: "Acme".into(),
            purpose,
            numbers: on_list.filter_map(|(number, ..)| Number::parse(number)).collect(),
        })
    })
    .collect()
}

fn numbers() -> Vec<NumberEntry> {
    NUMBERS
        .iter()
        .filter_map(|(number, legs, _)| {
            let number = Number::parse(number)?;
            Some(NumberEntry {
                kind: NumberKind::of(&number),
                number,
                status: NumberStatus::Active,
                legs: legs.iter().filter_map(|leg| ConnectionId::parse(leg)).collect(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scene_has_every_provider_and_a_number_on_two_legs() {
        let config = config(Path::new("unused"), 1);
        let providers: std::collections::BTreeSet<_> =
            config.connections.iter().map(|connection| connection.provider).collect();
        assert_eq!(providers.len(), Provider::ALL.len());
        assert_eq!((config.numbers.len(), config.lists.len()), (NUMBERS.len(), 2));
        let sick = config.numbers.iter().find(|entry| entry.number.as_str() == SICK).unwrap();
        assert_eq!((sick.kind, sick.legs.len()), (NumberKind::TollFree, 2));
        for leg in config.numbers.iter().flat_map(|entry| &entry.legs) {
            assert!(config.connections.iter().any(|connection| connection.id == *leg));
        }
    }

    #[test]
    fn secrets_follow_from_the_seed() {
        let token =
            |seed| config(Path::new("x"), seed).connections[0].auth.auth_tokens[0].expose().to_owned();
        assert_eq!(token(1), token(1));
        assert_ne!(token(1), token(2));
    }
}
