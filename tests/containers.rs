//! Looks at `Dockerfile` and `compose.yaml` without an engine: text in, and whether the two, and
//! the configuration they run, fit together. It never builds or starts anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use sounder::config::{AdminRole, Config, Role, Source, StateKind, StreamKind, load};

/// What the build may see of the repository.
const COPIED: [&str; 5] = ["Cargo.toml", "Cargo.lock", ".cargo", "benches", "src"];
/// Tags that name whatever is newest.
const MOVING: [&str; 6] = ["", "latest", "stable", "slim", "alpine", "edge"];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A Dockerfile's instructions, continued lines joined.
fn instructions(dockerfile: &str) -> Vec<(String, String)> {
    let joined = dockerfile.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let split = lines.filter_map(|line| line.split_once(' '));
    split.map(|(word, rest)| (word.to_owned(), rest.trim().to_owned())).collect()
}

/// What stands after this instruction, wherever it is given.
fn all<'a>(instructions: &'a [(String, String)], word: &'a str) -> impl Iterator<Item = &'a str> {
    instructions.iter().filter(move |(of, _)| of == word).map(|(_, rest)| rest.as_str())
}

/// The rest of each line that has this key.
fn values<'a>(yaml: &'a str, key: &str) -> Vec<&'a str> {
    let lines = yaml.lines().map(|line| line.trim_start().trim_start_matches("- "));
    lines.filter_map(|line| line.strip_prefix(key)?.strip_prefix(": ").map(str::trim)).collect()
}

/// The lines of one service.
fn service(yaml: &str, name: &str) -> String {
    let lines = yaml.lines().skip_while(|line| *line != format!("  {name}:")).skip(1);
    let own = lines
        .take_while(|line| line.is_empty() || line.starts_with("    ") || line.trim_start().starts_with('#'));
    own.fold(String::new(), |text, line| text + line + "\n")
}

fn is_pinned(image: &str) -> bool {
    let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
    !MOVING.contains(&tag)
}

/// The configuration that compose mounts, with every variable it asks for.
fn composed() -> Config {
    let keys = ["SOUNDER_PRIVACY_KEY", "SOUNDER_ADMIN_TOKEN"];
    let environment: BTreeMap<_, _> = keys.map(|key| (key.to_owned(), "0123456789abcdef".repeat(2))).into();
    let source = Source { environment, ..Source::of(read("config/compose.toml")) };
    load(&source).unwrap_or_else(|mistakes| panic!("config/compose.toml: {mistakes}"))
}

#[test]
fn the_image_runs_without_root_from_pinned_bases() {
    let instructions = instructions(&read("Dockerfile"));
    let all = |word| all(&instructions, word);
    for base in all("FROM").filter_map(|base| base.split_whitespace().next()) {
        assert!(is_pinned(base), "{base} moves: name a version or a release");
    }
    let user = all("USER").last().expect("the image must not run as root");
    assert!(
        user.parse::<u32>().is_ok_and(|id| id > 0),
        "USER {user}: use a number, which Kubernetes can check"
    );
    assert_eq!((all("ENV").count(), all("ARG").count()), (0, 0), "what is built in, everybody can read");
    assert!(all("HEALTHCHECK").any(|check| check.contains("/readyz") && check.contains("/9090")));
    assert!(all("RUN").any(|run| run.contains("cargo build --profile dist --locked")));
}

#[test]
fn the_build_sees_only_what_it_needs() {
    let instructions = instructions(&read("Dockerfile"));
    let copies = instructions.iter().filter(|(word, rest)| word == "COPY" && !rest.starts_with("--from="));
    for (_, copy) in copies {
        let mut paths: Vec<&str> = copy.split_whitespace().collect();
        paths.pop();
        assert!(
            paths.iter().all(|path| COPIED.contains(path)),
            "COPY {copy}: name only what the build needs"
        );
    }
    let ignored = read(".dockerignore");
    for path in [".git", "target", "data", ".env", "*.pem"] {
        assert!(ignored.lines().any(|line| line == path), ".dockerignore lacks {path}");
    }
}

#[test]
fn compose_pins_its_images_and_holds_no_secret() {
    let compose = read("compose.yaml");
    for image in values(&compose, "image") {
        assert!(is_pinned(image), "{image} moves: name a version");
    }
    let secrets = ["PASSWORD", "TOKEN", "SECRET", "KEY"];
    let settings = compose.lines().filter(|line| !line.trim_start().starts_with('#'));
    for (key, value) in settings.filter_map(|line| line.trim().split_once(": ")) {
        let is_asked_for = value.starts_with("${") && value.contains(":?");
        assert!(is_asked_for || !secrets.iter().any(|word| key.contains(word)), "{key} belongs into .env");
    }
    // A secret that is written out in the configuration is a warning.
    assert_eq!(composed().warnings, Vec::<String>::new());
}

#[test]
fn compose_gives_the_configuration_what_it_asks_for() {
    let (compose, text) = (read("compose.yaml"), read("config/compose.toml"));
    let sounder = service(&compose, "sounder");
    assert!(sounder.contains("- ./config/compose.toml:/etc/sounder/sounder.toml:ro"));
    assert!(sounder.contains(r#""--config", "/etc/sounder/sounder.toml""#));
    let written = text.lines().filter(|line| !line.starts_with('#'));
    let asked: BTreeSet<&str> =
        written.filter_map(|line| line.split_once("\"env:")?.1.split('"').next()).collect();
    for name in &asked {
        assert!(!values(&sounder, name).is_empty(), "compose.yaml does not hand {name} in");
    }
    assert_eq!(asked.len(), 2);
}

#[test]
fn the_services_meet_where_the_configuration_says() {
    let (config, compose) = (composed(), read("compose.yaml"));
    assert_eq!(config.refuse(Role::All), None);
    let StreamKind::Kafka(kafka) = &config.stream.kind else { panic!("compose runs Kafka") };
    assert_eq!(
        values(&service(&compose, "kafka"), "KAFKA_ADVERTISED_LISTENERS"),
        [format!("PLAINTEXT://{}", kafka.brokers)]
    );
    assert!(matches!(config.state.kind, StateKind::Redis(_)));
    assert!(read("config/compose.toml").contains("url = \"redis://redis:6379\""));
    let sounder = service(&compose, "sounder");
    for listen in [config.receive.listen, config.admin.listen] {
        assert!(listen.ip().is_unspecified(), "{listen} cannot be reached from outside the container");
        assert!(
            sounder.contains(&format!("- \"127.0.0.1:{0}:{0}\"", listen.port())),
            "{listen} is not published"
        );
    }
    assert_eq!(config.admin.tokens.iter().map(|token| token.role).collect::<Vec<_>>(), [AdminRole::Admin]);
    assert!(sounder.contains(&format!("- sounder:{}", config.stream.dir.display())));
}

#[test]
fn the_services_keep_what_they_hold_and_get_time_to_stop() {
    let compose = read("compose.yaml");
    let redis = service(&compose, "redis");
    assert!(
        redis.contains(r#""--appendonly", "yes""#) && redis.contains(r#""--maxmemory-policy", "noeviction""#)
    );
    for (name, volume) in [("kafka", "kafka:/var/lib/kafka/data"), ("redis", "redis:/data")] {
        let service = service(&compose, name);
        assert!(service.contains("healthcheck:") && service.contains(volume), "{name}");
    }
    let sounder = service(&compose, "sounder");
    let grace = values(&sounder, "stop_grace_period");
    let seconds: u64 = grace[0].trim_end_matches('s').parse().unwrap();
    let receive = composed().receive;
    assert!(seconds > (receive.drain_notice + receive.shutdown_timeout).as_secs());
}

#[test]
fn one_version_of_kafka_is_run_everywhere() {
    let compose = read("compose.yaml");
    let kafka = service(&compose, "kafka");
    let version = values(&kafka, "image")[0].rsplit(':').next().unwrap();
    for path in ["tests/setup/kafka/pom.xml", "tests/setup/services.sh"] {
        assert!(read(path).contains(version), "{path} runs another version than compose.yaml, {version}");
    }
}

#[test]
fn the_eyes_of_these_tests_are_open() {
    let yaml = "services:\n  a:\n    image: redis\n\n    # why\n    ports: x\n  b:\n    image: redis:7.4\n";
    assert_eq!(values(&service(yaml, "a"), "image"), ["redis"]);
    assert_eq!(values(&service(yaml, "b"), "ports"), [""; 0]);
    assert_eq!(
        ["redis", "redis:latest", "redis:7.4", "debian:bookworm-slim"].map(is_pinned),
        [false, false, true, true]
    );
    assert_eq!(instructions("# no\nRUN a \\\n  b\n"), [("RUN".to_owned(), "a    b".to_owned())]);
}
