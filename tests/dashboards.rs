//! Holds `dashboards/` to the metrics that exist: queries in, whether Sounder exports the series
//! and the labels they name. Whether a query parses is for promtool, which CI runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;
use sounder::event::Topic;

/// Every series Sounder exports, with its labels.
type Series = BTreeMap<String, BTreeSet<String>>;

/// What shows and what wakes.
const FILES: [&str; 3] = ["sounder.json", "sounder.rules.yaml", "sounder.rules.test.yaml"];
/// Labels that Prometheus adds to every series, and an alert's own.
const ADDED: [&str; 3] = ["instance", "job", "severity"];
/// Series of one histogram.
const OF_A_HISTOGRAM: [&str; 3] = ["_bucket", "_sum", "_count"];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What `src/metrics/mod.rs` registers: `make.kind("name", "help", &["label", …], …)?`.
fn registered(source: &str) -> Series {
    let tight: String = source.split_whitespace().collect();
    let calls = tight.split("make.").skip(1).filter_map(|call| call.split_once(")?")?.0.split_once('('));
    calls.flat_map(|(kind, arguments)| series(kind, arguments)).collect()
}

fn series(kind: &str, arguments: &str) -> Series {
    let mut texts = arguments.split('"').skip(1).step_by(2).map(str::to_owned);
    let Some(name) = texts.next() else { return Series::new() };
    let mut labels: BTreeSet<String> = texts.skip(1).collect();
    let mut suffixes = vec![""];
    if kind.starts_with("histogram") {
        labels.insert("le".to_owned());
        suffixes = OF_A_HISTOGRAM.to_vec();
    }
    suffixes.into_iter().map(|suffix| (format!("sounder_{name}{suffix}"), labels.clone())).collect()
}

/// Every name in a text that begins with the prefix.
fn named(text: &str) -> BTreeSet<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_name(c)).filter(|word| word.starts_with("sounder_")).collect()
}

/// Labels that a query groups by or selects on.
fn labels(query: &str) -> BTreeSet<&str> {
    let groups = query.split("by (").skip(1).filter_map(|rest| rest.split_once(')'));
    let grouped = groups.flat_map(|(group, _)| group.split(',')).map(str::trim);
    let selectors = query.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    let selected =
        selectors.flat_map(|(selector, _)| selector.split(',')).filter(|matcher| matcher.contains('='));
    let selected = selected.filter_map(|matcher| matcher.split(['=', '!']).next()).map(str::trim);
    grouped.chain(selected).collect()
}

/// What a query names that Sounder does not export.
fn unknown(query: &str, exported: &Series) -> Vec<String> {
    let names = named(query);
    let missing =
        names.iter().filter(|name| !exported.contains_key(**name)).map(|name| format!("the series {name}"));
    let of_names = names.iter().filter_map(|name| exported.get(*name)).flatten();
    let known: BTreeSet<&str> = of_names.map(String::as_str).chain(ADDED).collect();
    let strange = labels(query).into_iter().filter(|label| !known.contains(label));
    missing.chain(strange.map(|label| format!("the label {label} in {query}"))).collect()
}

fn dashboard() -> Value {
    serde_json::from_str(&read("dashboards/sounder.json"))
        .unwrap_or_else(|error| panic!("sounder.json: {error}"))
}

fn panels(dashboard: &Value) -> &[Value] {
    dashboard["panels"].as_array().map_or(&[], Vec::as_slice)
}

fn queries(panel: &Value) -> impl Iterator<Item = &str> {
    panel["targets"].as_array().into_iter().flatten().filter_map(|target| target["expr"].as_str())
}

#[test]
fn every_series_that_is_named_exists() {
    let exported = registered(&read("src/metrics/mod.rs"));
    assert!(exported.len() > 20, "only {} series found in src/metrics/mod.rs", exported.len());
    for file in FILES {
        let text = read(&format!("dashboards/{file}"));
        let missing: Vec<_> = named(&text).into_iter().filter(|name| !exported.contains_key(*name)).collect();
        assert!(
            missing.is_empty(),
            "dashboards/{file} names what src/metrics/mod.rs does not register: {missing:?}"
        );
    }
}

#[test]
fn every_query_uses_labels_that_its_series_have() {
    let exported = registered(&read("src/metrics/mod.rs"));
    let dashboard = dashboard();
    for panel in panels(&dashboard) {
        let wrong: Vec<_> = queries(panel).flat_map(|query| unknown(query, &exported)).collect();
        assert!(wrong.is_empty(), "panel {}: correct {wrong:?}", panel["title"]);
    }
    for file in &FILES[1..] {
        let text = read(&format!("dashboards/{file}"));
        for line in text.lines().filter(|line| !named(line).is_empty()) {
            // A series of promtool's stands in braces of its own.
            let wrong = unknown(line.trim_start_matches([' ', '-', '{']), &exported);
            assert!(wrong.is_empty(), "dashboards/{file}: correct {wrong:?}");
        }
    }
}

#[test]
fn the_tests_of_the_rules_use_topics_that_exist() {
    let topics: Vec<&str> = Topic::ALL.iter().map(|topic| topic.name()).collect();
    for topic in read("dashboards/sounder.rules.test.yaml").split("topic=\"").skip(1) {
        let topic = topic.split('"').next().unwrap();
        assert!(topics.contains(&topic), "{topic} is none of {topics:?}");
    }
}

#[test]
fn every_rule_is_tested() {
    let tests = read("dashboards/sounder.rules.test.yaml");
    for rule in
        read("dashboards/sounder.rules.yaml").lines().filter_map(|line| line.trim().strip_prefix("- alert: "))
    {
        assert!(
            tests.contains(&format!("alertname: {rule}")),
            "{rule} has no test in sounder.rules.test.yaml"
        );
    }
}

#[test]
fn every_panel_says_what_it_shows_and_has_its_place() {
    let dashboard = dashboard();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: another panel has this id");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
        assert!(x + w <= 24, "{title} is wider than the page");
        let fields = (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y)));
        assert!(fields.into_iter().all(|field| taken.insert(field)), "{title} lies on another panel");
        if panel["type"] != "row" {
            assert!(
                panel["description"].as_str().is_some_and(|text| !text.is_empty()),
                "{title} explains nothing"
            );
            assert!(queries(panel).count() > 0, "{title} asks nothing");
        }
    }
}

#[test]
fn the_eyes_of_these_tests_are_open() {
    let source = r#"a: make.counters("a_total", "Help, all", &["kind"])?, b: make
        .histogram("b_seconds", "To b", FAST)?, c: make.gauge("c", "C")?"#;
    let exported = registered(source);
    assert_eq!(exported.len(), 5);
    assert!(
        unknown("sum by (le) (rate(sounder_b_seconds_bucket{instance=\"a\"}[5m]))", &exported).is_empty()
    );
    assert_eq!(unknown("sounder_b_seconds", &exported), ["the series sounder_b_seconds"]);
    assert_eq!(unknown("sum by (kind, band) (sounder_a_total{sort!=\"x\"})", &exported).len(), 2);
    assert_eq!(labels("x{a=\"1\", b=~\"2|3\", c!=\"\"}"), BTreeSet::from(["a", "b", "c"]));
}
