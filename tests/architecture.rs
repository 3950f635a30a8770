//! Holds the house's rules: sources in, sentences out that say what breaks a rule and what to do
//! about it. It reads text alone and never needs the crate to compile; every rule is also tried on
//! made-up sources that break it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

#[path = "architecture/reading.rs"]
mod reading;

use reading::{TEST_ONLY, bare, item_length, segments, without_tests, words};

/// What every stage may use.
const RAILS: [&str; 8] =
    ["failpoint", "clock", "event", "config", "registry", "ledger", "metrics", "telemetry"];
/// The stages, in the order in which a webhook travels; a stage may use the ones before it.
const STAGES: [&str; 9] =
    ["receive", "provider", "publish", "consume", "tally", "health", "alert", "admin", "simulate"];
/// What sees the whole line: all stages, and what stands before it here.
const ENDS: [&str; 3] = ["pipeline", "app", "command"];
/// Files that calculate only; so does everything under `src/health/`.
const PURE: [&str; 6] = ["signature.rs", "payload.rs", "codes.rs", "message.rs", "window.rs", "card.rs"];
/// What a pure file may not name, whatever it is written after.
const IMPURE_WORDS: [&str; 4] = ["Clock", "Metrics", "tokio", "reqwest"];
/// Modules of `std` that a pure file may not use.
const IMPURE_STD: [&str; 5] = ["fs", "net", "env", "process", "thread"];
/// Names that say nothing about what is inside.
const SHAPELESS: [&str; 6] = ["utils", "common", "helpers", "types", "manager", "processor"];
/// What the top level holds, beside dotfiles and what git ignores.
const TOP: [&str; 16] = [
    "Cargo.toml",
    "Cargo.lock",
    "deny.toml",
    "src",
    "config",
    "dashboards",
    "docs",
    "tests",
    "benches",
    "fuzz",
    "Dockerfile",
    "compose.yaml",
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "LICENSE",
];
const IGNORED: [&str; 3] = ["target", "data", "sounder.toml"];
/// Lines of a file without its tests.
const LINES_MAX: usize = 400;
/// Lines of `main.rs`.
const MAIN_LINES_MAX: usize = 40;

/// A source file.
struct Source {
    /// From the repository's top, with slashes: `src/tally/window.rs`.
    path: String,
    /// As written.
    text: String,
    /// Without comments and without what strings hold.
    code: String,
    /// `code` without what only tests see.
    live: String,
}

impl Source {
    fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let (path, text) = (path.into(), text.into());
        let code = bare(&text);
        let live = without_tests(&code);
        Self { path, text, code, live }
    }

    /// The modules from the top: `src/tally/window.rs` is `tally`, `window`.
    fn modules(&self) -> Vec<&str> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        path.split('/').filter(|part| *part != "mod").collect()
    }

    /// The stage, or whatever stands at the top.
    fn room(&self) -> &str {
        self.modules().first().copied().unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    fn is_pure(&self) -> bool {
        PURE.contains(&self.name()) || self.room() == "health"
    }
}

// The rules.

fn opens_with_its_contract(source: &Source) -> Vec<String> {
    let is_open = source.text.starts_with("//!");
    Vec::from_iter((!is_open).then(|| {
        format!(
            "{} does not open with `//!`: say what comes in, what goes out, what it must never do",
            source.path
        )
    }))
}

fn imports_backwards(source: &Source) -> Vec<String> {
    let user = source.room();
    let mut used = segments(&source.code, "crate");
    used.extend(above(source));
    used.remove(user);
    used.iter()
        .filter_map(|used| forbidden(user, used))
        .map(|why| format!("{}: {why}", source.path))
        .collect()
}

/// Why a room may not use another, if it may not.
fn forbidden(user: &str, used: &str) -> Option<String> {
    let stage = |room: &str| STAGES.iter().chain(&ENDS).position(|known| *known == room);
    match (RAILS.contains(&user), stage(user), stage(used)) {
        _ if RAILS.contains(&used) || ["lib", "main"].contains(&user) => None,
        (_, _, None) => Some(format!(
            "`crate::{used}` is no room of this house; import from a module, or give it a place in lib.rs and here"
        )),
        (true, ..) if (user, used) == ("ledger", "receive") => None,
        (true, ..) => Some(format!(
            "the rail `{user}` imports the stage `{used}`, which every stage would then depend on; move what it needs into a rail"
        )),
        _ if (user, used) == ("simulate", "provider") => Some(
            "`simulate` imports `provider`, so the one would confirm the other's mistakes; write it here a second time".into(),
        ),
        (_, Some(at), Some(to)) if to < at => None,
        (_, Some(_), Some(_)) => Some(format!(
            "`{user}` imports `{used}`, which comes later; hand it in as an argument, or move what both need to an earlier stage"
        )),
        (_, None, _) => {
            Some(format!("`{user}` has no place in the order; give it one in lib.rs and in tests/architecture.rs"))
        }
    }
}

fn proves_in_provider_only(source: &Source) -> Vec<String> {
    let proves = [".prove(", "::prove("].iter().any(|call| source.live.contains(call));
    Vec::from_iter((proves && source.room() != "provider").then(|| {
        format!(
            "{} calls `prove`; only `provider` turns raw bytes into verified ones: call `provider::verify`",
            source.path
        )
    }))
}

fn promises_in_publish_only(source: &Source) -> Vec<String> {
    let promises = source.live.split_whitespace().collect::<Vec<_>>().windows(2).any(|pair| {
        pair[0].rsplit("::").next().is_some_and(|name| name == "DurableProof") && pair[1] == "for"
    });
    Vec::from_iter((promises && source.room() != "publish").then(|| {
        format!(
            "{} implements DurableProof, with which a 2xx could leave before its events are durable; use `publish::Durable`",
            source.path
        )
    }))
}

fn calculates_only(source: &Source) -> Vec<String> {
    if !source.is_pure() {
        return Vec::new();
    }
    let words: BTreeSet<&str> = words(&source.live).collect();
    let std = segments(&source.live, "std");
    let named = IMPURE_WORDS.iter().filter(|word| words.contains(*word)).map(|word| (*word).to_owned());
    let used =
        IMPURE_STD.iter().filter(|module| std.contains(**module)).map(|module| format!("std::{module}"));
    let asked = source.live.contains(".now()").then(|| ".now()".to_owned());
    let told = |what| {
        format!(
            "{} names `{what}` but is pure: take `now` or the value as an argument, act in the caller",
            source.path
        )
    };
    named.chain(used).chain(asked).map(told).collect()
}

fn leaves_nothing_undone(source: &Source) -> Vec<String> {
    let path = &source.path;
    let allows = ["#[allow(", "#![allow("].iter().any(|allow| source.code.contains(allow));
    let undone = ["todo!", "unimplemented!"].iter().any(|stub| source.code.contains(stub))
        || words(&source.text).any(|word| word == "FIXME");
    let mut wrong = Vec::from_iter(allows.then(|| {
        format!("{path} has an `#[allow]`: repair the cause, or write `#[expect(…, reason = \"…\")]`")
    }));
    wrong
        .extend(Vec::from_iter(undone.then(|| {
            format!("{path} leaves something undone: finish it, or open an issue and take it out")
        })));
    wrong
}

fn stays_short(source: &Source) -> Vec<String> {
    let max = if source.path == "src/main.rs" { MAIN_LINES_MAX } else { LINES_MAX };
    let lines = source.live.lines().count();
    Vec::from_iter((lines > max).then(|| {
        format!("{} has {lines} lines without its tests, {max} are the most: split it by noun", source.path)
    }))
}

fn has_a_telling_name(source: &Source) -> Vec<String> {
    let shapeless = source.modules().into_iter().find(|module| SHAPELESS.contains(module));
    Vec::from_iter(shapeless.is_some().then(|| {
        format!("{} says nothing about what is inside: name it after what it holds or does", source.path)
    }))
}

fn lists_in_travel_order(lib: &Source) -> Vec<String> {
    let listed: Vec<&str> =
        lib.live.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let order: Vec<&str> = RAILS.iter().chain(&STAGES).chain(&ENDS).copied().collect();
    Vec::from_iter((listed != order).then(|| {
        format!("{} does not list the modules in travel order: write them as {}", lib.path, order.join(", "))
    }))
}

fn belongs_at_the_top(name: &str) -> Vec<String> {
    let belongs = name.starts_with('.') || TOP.contains(&name) || IGNORED.contains(&name);
    Vec::from_iter((!belongs).then(|| {
        format!(
            "{name} does not belong at the repository's top: put it into src, config, dashboards, docs or tests"
        )
    }))
}

/// What holds for every source file by itself.
const RULES: [fn(&Source) -> Vec<String>; 8] = [
    opens_with_its_contract,
    imports_backwards,
    proves_in_provider_only,
    promises_in_publish_only,
    calculates_only,
    leaves_nothing_undone,
    stays_short,
    has_a_telling_name,
];

// Reading the tree.

/// Rooms reached by climbing to the top with `super::`.
fn above(source: &Source) -> BTreeSet<String> {
    let chain = vec!["super"; source.modules().len()].join("::");
    let rooms = |name: &String| RAILS.iter().chain(&STAGES).chain(&ENDS).any(|room| room == name);
    segments(&source.live, &chain).into_iter().filter(rooms).collect()
}

/// Files that only tests see, because their `mod` stands under `#[cfg(test)]`.
fn test_files(source: &Source) -> Vec<String> {
    let dir = match source.path.strip_suffix("/mod.rs") {
        Some(dir) => dir.to_owned(),
        None if ["src/lib.rs", "src/main.rs"].contains(&source.path.as_str()) => "src".to_owned(),
        None => source.path.trim_end_matches(".rs").to_owned(),
    };
    let items = source.code.match_indices(TEST_ONLY).map(|(at, _)| &source.code[at + TEST_ONLY.len()..]);
    let declared =
        items.filter_map(|item| item[..item_length(item)].trim().strip_suffix(';')?.split("mod ").nth(1));
    declared.flat_map(|name| [format!("{dir}/{name}.rs"), format!("{dir}/{name}/mod.rs")]).collect()
}

fn top() -> &'static Path {
    Path::new(option_env!("CARGO_MANIFEST_DIR").unwrap_or("."))
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// Every source file, in the order of names; nothing of a file that only tests see is live.
fn tree() -> io::Result<Vec<Source>> {
    let mut paths = Vec::new();
    rust_files(&top().join("src"), &mut paths)?;
    paths.sort();
    let mut sources = Vec::new();
    for path in paths {
        let short = path.strip_prefix(top()).unwrap_or(&path).display().to_string().replace('\\', "/");
        sources.push(Source::new(short, fs::read_to_string(&path)?));
    }
    let tests: BTreeSet<String> = sources.iter().flat_map(test_files).collect();
    sources.iter_mut().filter(|source| tests.contains(&source.path)).for_each(|source| source.live.clear());
    Ok(sources)
}

// The tests: first the tree, then whether the rules notice anything at all.

fn nothing(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} rules of the house are broken:\n- {}", wrong.len(), wrong.join("\n- "));
}

#[test]
fn every_source_keeps_the_rules() {
    let tree = tree().unwrap();
    assert!(tree.len() > 50, "only {} sources found in {}", tree.len(), top().display());
    nothing(&tree.iter().flat_map(|source| RULES.iter().flat_map(|rule| rule(source))).collect::<Vec<_>>());
}

#[test]
fn lib_lists_the_modules_in_travel_order() {
    let tree = tree().unwrap();
    nothing(
        &tree
            .iter()
            .filter(|source| source.path == "src/lib.rs")
            .flat_map(lists_in_travel_order)
            .collect::<Vec<_>>(),
    );
}

#[test]
fn the_top_level_holds_what_belongs_there() {
    let names =
        fs::read_dir(top()).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    nothing(&names.flat_map(|name| belongs_at_the_top(&name)).collect::<Vec<_>>());
}

/// What a rule says about a made-up file.
fn told(rule: fn(&Source) -> Vec<String>, path: &str, text: &str) -> usize {
    rule(&Source::new(path, text)).len()
}

#[test]
fn a_forward_import_is_noticed_however_it_is_written() {
    let count = |path, text| told(imports_backwards, path, text);
    assert_eq!(count("src/tally/mod.rs", "use crate::health::Band;"), 1);
    assert_eq!(count("src/tally/mod.rs", "use crate::{clock::{Clock, Timestamp}, alert::Desk, health};"), 2);
    assert_eq!(count("src/tally/mod.rs", "fn f() -> crate::alert::Desk { todo() }"), 1);
    assert_eq!(count("src/tally/cell.rs", "use super::super::health::Band;"), 1);
    assert_eq!(count("src/ledger.rs", "use super::tally::Cells; use crate::receive::Answer;"), 1);
    assert_eq!(count("src/clock.rs", "use crate::receive::Answer;"), 1);
    assert_eq!(count("src/health/band.rs", "#[cfg(test)] mod tests { use crate::simulate::Scene; }"), 1);
    assert_eq!(count("src/simulate/mod.rs", "use crate::{provider, tally};"), 1);
    assert_eq!(count("src/pipeline/mod.rs", "use crate::app::App;"), 1);
    assert_eq!(count("src/alert/mod.rs", "use crate::*;"), 1);
    assert_eq!(count("src/attic.rs", "use crate::tally::Cells;"), 1);
}

#[test]
fn a_backward_import_is_none_and_neither_is_a_comment_or_a_string() {
    let count = |path, text| told(imports_backwards, path, text);
    assert_eq!(count("src/alert/desk.rs", "use crate::{clock, health::{self, Band}, alert::card};"), 0);
    assert_eq!(
        count("src/alert/desk.rs", "use super::card; use super::super::clock; use mycrate::app::X;"),
        0
    );
    assert_eq!(
        count("src/tally/mod.rs", "/// [`Desk`](crate::alert::Desk)\n/* crate::app /* */ crate::app */"),
        0
    );
    assert_eq!(
        count(
            "src/tally/mod.rs",
            r##"const A: &str = r#"" crate::app"#; const B: char = '"'; const C: &str = "\" crate::app";"##
        ),
        0
    );
    assert_eq!(
        count("src/command/serve.rs", "use crate::{app, pipeline, simulate}; use crate::provider;"),
        0
    );
    assert_eq!(count("src/main.rs", "use crate::app::App;"), 0);
}

#[test]
fn proofs_are_noticed_outside_their_stages() {
    assert_eq!(
        told(proves_in_provider_only, "src/receive/webhook.rs", "fn f() { raw.prove(|_| Ok(())); }"),
        1
    );
    assert_eq!(told(proves_in_provider_only, "src/provider/mod.rs", "fn f() { raw.prove(|_| Ok(())); }"), 0);
    assert_eq!(told(proves_in_provider_only, "src/receive/webhook.rs", "fn prove(self) {}"), 0);
    assert_eq!(
        told(promises_in_publish_only, "src/receive/a.rs", "impl<T> crate::receive::DurableProof for T {}"),
        1
    );
    assert_eq!(told(promises_in_publish_only, "src/publish/a.rs", "impl DurableProof for Durable {}"), 0);
    let test = "#[cfg(test)]\n#[expect(dead_code)]\nmod tests { impl DurableProof for Proof {} }";
    assert_eq!(told(promises_in_publish_only, "src/ledger.rs", test), 0);
    assert_eq!(
        told(promises_in_publish_only, "src/ledger.rs", &format!("{test} impl DurableProof for Late {{}}")),
        1
    );
}

#[test]
fn impurity_is_noticed_in_pure_files_only() {
    let impure =
        "use std::{fmt, fs}; use tokio::net; fn f(c: &Clock, m: &Metrics) { c.now(); std::net::lookup(); }";
    assert_eq!(told(calculates_only, "src/provider/cm/codes.rs", impure), 6);
    assert_eq!(told(calculates_only, "src/health/sums.rs", impure), 6);
    assert_eq!(told(calculates_only, "src/tally/mirror.rs", impure), 0);
    let pure = "use std::fmt; struct ClockFace; #[cfg(test)] mod tests { use std::fs; }";
    assert_eq!(told(calculates_only, "src/tally/window.rs", pure), 0);
}

#[test]
fn the_smaller_rules_notice_too() {
    assert_eq!(told(opens_with_its_contract, "src/a.rs", "use std::fmt;\n//! Late."), 1);
    assert_eq!(told(leaves_nothing_undone, "src/a.rs", "#![allow(dead_code)] fn f() { todo!() }"), 2);
    assert_eq!(told(leaves_nothing_undone, "src/a.rs", "// FIXME: later"), 1);
    assert_eq!(
        told(leaves_nothing_undone, "src/a.rs", "/// Never `todo!`, no `#[allow(…)]`.\n#[expect(x)]"),
        0
    );
    assert_eq!(told(stays_short, "src/a.rs", &"x;\n".repeat(401)), 1);
    assert_eq!(
        told(
            stays_short,
            "src/a.rs",
            &format!("{}{TEST_ONLY} mod t {{\n{}}}", "x;\n".repeat(399), "y;\n".repeat(99))
        ),
        0
    );
    assert_eq!(told(stays_short, "src/main.rs", &"x;\n".repeat(41)), 1);
    assert_eq!(told(has_a_telling_name, "src/alert/utils.rs", ""), 1);
    assert_eq!(told(has_a_telling_name, "src/common/mod.rs", ""), 1);
    assert_eq!(told(lists_in_travel_order, "src/lib.rs", "pub mod event;\npub mod clock;\n"), 1);
    assert_eq!((belongs_at_the_top("notes.txt").len(), belongs_at_the_top(".ci").len()), (1, 0));
}

#[test]
fn files_of_tests_are_found_by_their_declaration() {
    let parent =
        Source::new("src/health/mod.rs", "mod band;\n#[cfg(test)]\npub(crate) mod story;\nmod sums;");
    assert_eq!(test_files(&parent)[0], "src/health/story.rs");
    assert!(parent.live.contains("mod sums;") && !parent.live.contains("story"), "{}", parent.live);
    let import = Source::new("src/a.rs", "#[cfg(test)]\nuse std::{fs, io};\nfn live() {}");
    assert_eq!(import.live.trim(), "fn live() {}");
}
