//! What a configuration may say, and what is said about one that is wrong.

use std::collections::BTreeMap;

use super::*;

const EXAMPLE: &str = include_str!("../../config/sounder.example.toml");

/// A mistake of nearly every kind.
const WRONG: &str = r#"
[receive]
lisetn = "0.0.0.0:80"
body_timeout = "10 weeks"
public_url = "https://x.example/?a=1"
trusted_proxies = ["10.0.0.0/8", "10.0.0.0/40"]
tls = { cert = "a" }

[[connection]]
id = "a"
provider = "cm"
allow_from = ["10.0.0.1"]

[[connection]]
id = "a"
provider = "twillio"
path_secrets = ["env:SHORT", "env:NOWHERE", "file:/nonexistent/secret"]

[[list]]
id = "one"
numbers = ["+18005550100"]

[[list]]
id = "two"
numbers = ["+18005550100", "<script>"]

[[number]]
number = "+12125550100"
legs = ["a", "b"]

[health]
thresholds = { healthy = 90.0, degraded = 95.0, critical = 80.0 }
gate = "volumes"
min_volume = "many"

[admin]
listen = "0.0.0.0:9090"
"#;

fn with(text: &str, environment: &[(&str, &str)]) -> Result<Config, Mistakes> {
    let pairs = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load(&Source { environment: pairs.collect(), ..Source::of(text) })
}

fn example(text: &str) -> Result<Config, Mistakes> {
    with(
        text,
        &[
            ("TWILIO_AUTH_TOKEN", "t0ken"),
            ("ACME_PATH_SECRET", "0123456789abcdef"),
            ("ACME_PASSWORD", "p"),
            ("ACME_HMAC", "h"),
            ("ACME_API_KEY", "0123456789abcdef"),
            ("ACME_TOKEN", "0123456789abcdef"),
            ("ACME_SHARED_KEY", "0123456789abcdef"),
            ("ACME_SVIX", "s"),
            ("DISCORD_WEBHOOK", "https://discord.com/api/webhooks/1/abc"),
            ("SOUNDER_PRIVACY_KEY", "0123456789abcdef0123456789abcdef"),
        ],
    )
}

fn mistakes(text: &str) -> String {
    with(text, &[("SHORT", "short")]).unwrap_err().to_string()
}

#[test]
fn the_example_is_loaded_as_it_is() {
    let config = example(EXAMPLE).unwrap();
    assert_eq!((config.connections.len(), config.lists.len(), config.numbers.len()), (4, 1, 2));
    assert_eq!(config.warnings, Vec::<String>::new());
    assert!(config.numbers.iter().any(|number| number.kind == NumberKind::ShortCode));
}

#[test]
fn every_default_in_the_example_is_the_built_in_one() {
    let of_example = example(EXAMPLE).unwrap();
    let built_in = with("", &[]).unwrap();
    let kafka = |config: &str| example(&config.replace("kind = \"embedded\"", "kind = \"kafka\"")).unwrap();
    let bare = Config { connections: vec![], lists: vec![], numbers: vec![], ..of_example.clone() };
    assert_eq!(format!("{bare:#?}"), format!("{built_in:#?}"));
    let shown = format!("{:#?}", kafka(&kafka_only()).stream);
    let shortest = format!(
        "{:#?}",
        kafka("stream = { kind = \"embedded\" }\nprivacy = { recipients = \"clear\" }").stream
    );
    assert_eq!(shown, shortest);
    let lime = of_example.connections.last().unwrap();
    assert_eq!(format!("{:?}", lime.mapping), format!("{:?}", Mapping::default()));
    assert_eq!(lime.timezone, "UTC");
}

/// The example's sections on the stream, and a privacy that needs no key.
fn kafka_only() -> String {
    let start = EXAMPLE.find("[stream]").unwrap();
    let end = EXAMPLE.find("[state]").unwrap();
    format!("{}\n[privacy]\nrecipients = \"clear\"", &EXAMPLE[start..end])
}

#[test]
fn what_the_example_comments_out_is_right_too() {
    let uncomment = |line: &str| match line.strip_prefix("# ") {
        Some(rest) if rest.starts_with('[') => rest.to_owned(),
        Some(rest)
            if rest
                .split_once(" = ")
                .is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')) =>
        {
            rest.to_owned()
        }
        _ => line.to_owned(),
    };
    let whole: Vec<String> = EXAMPLE.lines().map(uncomment).collect();
    let config = example(&whole.join("\n")).unwrap();
    assert!(config.alert.discord.is_some() && config.connections[1].auth.hmac.is_some());
    assert_eq!(config.health.settle_of(crate::event::Provider::Cm), std::time::Duration::from_secs(1200));
}

#[test]
fn every_key_is_in_the_example() {
    let text = "nokeyatall = 1\n[receive]\nnokeyatall = 1\n[stream]\nnokeyatall = 1\n[stream.kafka]\nnokeyatall = 1
        [state]\nnokeyatall = 1\n[[connection]]\nnokeyatall = 1\n[[list]]\nnokeyatall = 1\n[[number]]\nnokeyatall = 1
        [health]\nnokeyatall = 1\n[health.thresholds]\nnokeyatall = 1
        [health.reminders]\nnokeyatall = 1\n[health.limits]\nnokeyatall = 1\n[health.provider.cm]\nnokeyatall = 1\n[alert.discord]\nnokeyatall = 1
        [admin]\nnokeyatall = 1\n[[admin.tokens]]\nnokeyatall = 1\n[privacy]\nnokeyatall = 1\n[keywords]\nnokeyatall = 1
        [[connection]]\nhmac = { nokeyatall = 1 }\nbasic = { nokeyatall = 1 }\nmapping = { nokeyatall = 1 }
        shared_keys = [{ nokeyatall = 1 }]\nheader_token = { nokeyatall = 1 }\nbody_token = { nokeyatall = 1 }
        svix = { nokeyatall = 1 }";
    let wrong = with(text, &[]).unwrap_err();
    let lists: Vec<&str> =
        wrong.mistakes.iter().filter_map(|m| m.remedy.split_once("known here: ")).map(|(_, l)| l).collect();
    assert_eq!(lists.len(), 25);
    for key in lists.iter().flat_map(|list| list.split(", ")) {
        let is_shown = ["= ", ".", "]"].iter().any(|end| {
            [format!("{key} {end}"), format!("[{key}{end}"), format!(".{key}{end}")]
                .iter()
                .any(|shown| EXAMPLE.contains(shown))
        });
        assert!(is_shown, "{key}");
    }
}

#[test]
fn every_mistake_is_reported_at_once_with_its_line_and_remedy() {
    insta::assert_snapshot!(mistakes(WRONG), @r#"
    configuration has 19 mistakes
      line 3: receive.lisetn is not a known key
        did you mean listen?
      line 4: receive.body_timeout is not a duration: "10 weeks"
        write a number and its unit, ms, s, m, h or d, as in "500ms", "10m" or "35d"
      line 5: receive.public_url must have no query and no fragment
        write scheme, host and perhaps a path, as in "https://hooks.example.com"
      line 6: receive.trusted_proxies[1] is not a network: "10.0.0.0/40"
        write addresses in CIDR form, as in "35.90.102.128/25"
      line 7: receive.tls.key is missing
        write tls = { cert = "cert.pem", key = "key.pem" }
      line 9: connection.a has no way to authenticate: allow_from alone is none, addresses are shared and spoofed
        write path_secrets (make one with `sounder secret new`) or basic
      line 15: connection.a.id is the id of another connection
        give each its own: it is in its URL
      line 16: connection.a.provider is not one of twilio, infobip, cm, lime: "twillio"
        did you mean "twilio"?
      line 17: connection.a.path_secrets[0] is shorter than 16 characters
        make one with `sounder secret new`
      line 17: connection.a.path_secrets[1] names the environment variable NOWHERE, which is not set
        set NOWHERE, or use file:PATH
      line 17: connection.a.path_secrets[2] names the file /nonexistent/secret, which cannot be read (entity not found)
        give the path of a readable text file that holds the secret and nothing else
      line 25: list.two.numbers names +18005550100, which is already on one
        keep a number on one list, once: its messages count there
      line 25: list.two.numbers[1] is not a sending number: "<script>"
        write E.164 as in "+18005550100", a short code of 3 to 8 digits, or an alphanumeric sender
      line 29: number.+12125550100.legs names b, which is no connection
        declare it with [[connection]], or correct the id
      line 29: number.+12125550100.legs names two connections, and the number is not toll-free
        only a toll-free number has two legs, with two different providers
      line 32: health.thresholds.degraded is not below healthy
        keep healthy > degraded > critical > 0
      line 33: health.gate is not one of confidence, wilson, volume: "volumes"
        did you mean "volume"?
      line 34: health.min_volume must be a whole number, not a string
        write a number from 1 to 1000000
      line 36: admin.tokens has none, while admin.listen = "0.0.0.0:9090" can be reached from elsewhere
        listen on 127.0.0.1, or write tokens = [{ name = "me", role = "admin", token = "env:SOUNDER_ADMIN_TOKEN" }]
    "#);
}

#[test]
fn several_mistakes_of_syntax_are_reported_and_nothing_that_only_follows_from_them() {
    insta::assert_snapshot!(mistakes("[receive]\nlisten = \n[[connection]]\nid = \"a\nprovider = \"cm\"\n[health]\nsettle = \"1x\"\n"), @r#"
    configuration has 3 mistakes
      line 2: is not TOML: string values must be quoted, expected literal string
        correct this line
      line 4: is not TOML: invalid basic string, expected `"`
        correct this line
      line 7: health.settle is not a duration: "1x"
        write a number and its unit, ms, s, m, h or d, as in "500ms", "10m" or "35d"
    "#);
}

#[test]
fn variables_override_the_file_and_their_mistakes_name_them() {
    let text = "[receive]\nlisten = \"127.0.0.1:1\"";
    let config = with(
        text,
        &[
            ("SOUNDER__RECEIVE__LISTEN", "0.0.0.0:8081"),
            ("SOUNDER__HEALTH__MIN_VOLUME", "7"),
            ("SOUNDER__STREAM__KAFKA__TOPIC_PREFIX", "42"),
            ("SOUNDER__STREAM__KIND", "kafka"),
            ("SOUNDER__PRIVACY__RECIPIENTS", "clear"),
            ("SOUNDER__RECEIVE__TRUSTED_PROXIES", "[\"10.0.0.0/8\"]"),
        ],
    )
    .unwrap();
    assert_eq!((config.receive.listen.port(), config.health.min_volume), (8081, 7));
    assert_eq!(config.receive.trusted_proxies.len(), 1);
    assert!(matches!(config.stream.kind, StreamKind::Kafka(kafka) if kafka.topic_prefix == "42"));
    let wrong = with(text, &[("SOUNDER__RECEIVE__LISTEN__X", "1"), ("SOUNDER__HEALTH__GATE", "maybe")]);
    insta::assert_snapshot!(wrong.unwrap_err(), @r#"
    configuration has 2 mistakes
      environment SOUNDER__HEALTH__GATE: health.gate is not one of confidence, wilson, volume: "maybe"
        choose one of confidence, wilson, volume
      environment SOUNDER__RECEIVE__LISTEN__X: reaches into listen, which is no section
        give listen as a whole, in TOML, or change the file
    "#);
}

#[test]
fn a_secret_is_never_repeated() {
    let text = r#"
[state]
kind = "redis"
url = "hunter2hunter2://:hunter2hunter2@host"
[[connection]]
id = "a"
provider = "lime"
path_secrets = ["hunter2hunter2/?", "hunter2"]
[alert.discord]
webhook_url = "https://evil.example/hunter2"
"#;
    let shown = mistakes(text);
    assert!(!shown.contains("hunter2") && shown.matches("line").count() >= 4, "{shown}");
}

#[test]
fn every_provider_needs_its_way_to_authenticate() {
    let connection = |provider: &str, way: &str| {
        with(&format!("[[connection]]\nid = \"a\"\nprovider = \"{provider}\"\n{way}"), &[]).is_ok()
    };
    let basic = "basic = { user = \"u\", password = \"p\" }";
    let path = "path_secrets = [\"0123456789abcdef\"]";
    for provider in ["twilio", "infobip", "cm", "lime"] {
        assert!(connection(provider, basic) && connection(provider, path), "{provider}");
        assert!(
            !connection(provider, "") && !connection(provider, "allow_from = [\"10.0.0.0/8\"]"),
            "{provider}"
        );
        assert!(!connection(provider, "path_secrets = []"), "{provider}");
        for (way, whose) in [
            ("auth_tokens = [\"t\"]", "twilio"),
            ("shared_keys = [{ key = \"webhooks_sharedkey_1\", secret = \"0123456789abcdef\" }]", "twilio"),
            ("hmac = { secrets = [\"s\"] }", "infobip"),
            ("header_token = { secrets = [\"0123456789abcdef\"] }", "infobip"),
            ("body_token = { field = \"token\", secrets = [\"0123456789abcdef\"] }", "cm"),
            ("svix = { secrets = [\"s\"] }", "cm"),
        ] {
            assert_eq!(connection(provider, way), provider == whose, "{provider} {way}");
            assert!(!connection(provider, &way.replace("secret", "sekret").replace("tokens", "tokenz")));
        }
        for short in ["header_token = { secrets = [\"short\"] }", "body_token = { secrets = [\"short\"] }"] {
            assert!(!connection(provider, short), "{provider} {short}");
        }
    }
}

#[test]
fn a_secret_that_cannot_be_read_closes_its_connection_and_no_other() {
    let text = r#"
        [[connection]]
        id = "gone"
        provider = "infobip"
        path_secrets = ["0123456789abcdef"]
        hmac = { secrets = ["env:NOT_SET"] }
        [[connection]]
        id = "there"
        provider = "cm"
        path_secrets = ["0123456789abcdef"]
    "#;
    let config = load_to_serve(&Source::of(text)).unwrap();
    let closed: Vec<bool> = config.connections.iter().map(|found| found.auth.is_unreadable).collect();
    assert_eq!(closed, [true, false]);
    let [unreadable] = config.unreadable.as_slice() else { panic!("{:?}", config.unreadable) };
    assert!(unreadable.what.contains("NOT_SET") && unreadable.key == "connection.gone.hmac.secrets[0]");
    assert!(load(&Source::of(text)).unwrap_err().to_string().contains("NOT_SET"), "check says it");
    let both = format!("{text}\n[privacy]\nkey = \"env:NEITHER\"");
    let mistakes = load_to_serve(&Source::of(both)).unwrap_err();
    assert_eq!(mistakes.mistakes.len(), 2, "{mistakes}");
}

#[test]
fn two_legs_are_for_toll_free_numbers_with_two_providers() {
    let number = |number: &str, legs: &str| {
        let path = "path_secrets = [\"0123456789abcdef\"]";
        let connections: String = [("a", "cm"), ("b", "lime"), ("c", "lime")]
            .map(|(id, provider)| {
                format!("[[connection]]\nid = \"{id}\"\nprovider = \"{provider}\"\n{path}\n")
            })
            .concat();
        with(&format!("{connections}[[number]]\nnumber = \"{number}\"\nlegs = {legs}"), &[]).is_ok()
    };
    assert!(number("+18005550100", r#"["a", "b"]"#) && number("+12125550100", r#"["a"]"#));
    assert!(!number("+12125550100", r#"["a", "b"]"#) && !number("+18005550100", r#"["b", "c"]"#));
    assert!(!number("+18005550100", r#"["a", "b", "c"]"#) && !number("+18005550100", r#"["d"]"#));
}

#[test]
fn backends_and_roles_that_do_not_go_together_are_refused() {
    let refused = |stream: &str, state: &str, role: Role| {
        let text = format!(
            "stream.kind = \"{stream}\"\nprivacy.recipients = \"clear\"\n[state]\nkind = \"{state}\"\nurl = \"redis://h\""
        );
        with(&text, &[]).map_or(true, |config| config.refuse(role).is_some())
    };
    for role in [Role::All, Role::Receive, Role::Observe] {
        assert_eq!(refused("embedded", "embedded", role), role != Role::All);
        assert!(refused("embedded", "redis", role));
        assert!(!refused("kafka", "embedded", role) && !refused("kafka", "redis", role));
    }
}

#[test]
fn a_privacy_key_is_kept_when_serving_and_only_when_nothing_else_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let source = |text: &str, privacy_key| Source {
        privacy_key,
        environment: BTreeMap::from([("SOUNDER__STREAM__DIR".to_owned(), data.display().to_string())]),
        ..Source::of(text)
    };
    load(&source("", PrivacyKey::LeaveAlone)).unwrap();
    load(&source("nonsense = 1", PrivacyKey::Keep)).unwrap_err();
    assert!(!data.exists());
    let published = || load(&source("", PrivacyKey::Keep)).unwrap().privacy.publish("+15005550001");
    assert_eq!(published(), published());
    assert!(data.join("privacy.key").exists());
}

#[test]
fn a_device_or_a_directory_is_no_secret_and_is_not_read_for_ever() {
    let shown = mistakes(
        "[[connection]]\nid = \"a\"\nprovider = \"cm\"\npath_secrets = [\"file:/dev/zero\", \"file:/\"]\n",
    );
    assert!(shown.contains("/dev/zero, which is too large") && shown.contains("cannot be read"), "{shown}");
}

#[test]
fn kafka_needs_a_key_that_all_receivers_share_and_keeps_its_promises_to_itself() {
    insta::assert_snapshot!(mistakes("[stream]\nkind = \"kafka\"\n[stream.kafka]\nack = \"disk\"\nmin_insync_replicas = 2\nproperties = { acks = \"0\", \"linger.ms\" = 5 }"), @r#"
    configuration has 3 mistakes
      line 5: stream.kafka.min_insync_replicas is more than replication_factor, so nothing could ever be acknowledged
        lower it, or raise replication_factor
      line 6: stream.kafka.properties.acks is set by Sounder, whose promises depend on it
        remove it
      privacy.key is missing
        with kafka every receiver must hash alike: write key = "env:SOUNDER_PRIVACY_KEY", made with `sounder secret new`
    "#);
}

#[test]
fn a_key_or_a_table_that_is_written_twice_is_a_mistake_of_its_line() {
    let shown = mistakes("[receive]\nlisten = \"127.0.0.1:1\"\nlisten = \"127.0.0.1:2\"\n[admin]\n[admin]");
    assert!(shown.contains("line 3: ") && shown.contains("line 5: "), "{shown}");
}

#[test]
fn a_source_shows_neither_its_text_nor_its_environment() {
    let source = Source::of("[state]\nurl = \"redis://:hunter2@h\"");
    assert_eq!(format!("{source:?}"), "Source { name: \"configuration\", .. }");
}

#[test]
fn an_event_is_spooled_before_kafka_gives_it_up_and_that_before_the_answer() {
    let late = mistakes("[stream.kafka]\nspool_after = \"3s\"");
    assert!(
        late.contains("line 2: stream.kafka.spool_after is not shorter than message.timeout.ms"),
        "{late}"
    );
    let properties = "properties = { \"message.timeout.ms\" = 4000 }";
    let later = mistakes(&format!("[stream.kafka]\nspool_after = \"1s\"\n{properties}"));
    assert!(later.contains("not shorter than receive.answer_deadline (4000 ms)"), "{later}");
    let in_order = format!("[receive]\nanswer_deadline = \"5s\"\n[stream.kafka]\n{properties}");
    assert!(with(&in_order, &[]).is_ok());
}
