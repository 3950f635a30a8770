//! Holds what `deny.toml` says of dependencies: `cargo metadata` in, sentences out that say which one
//! breaks a rule. It reads the file cargo-deny reads, and no advisories: those need a database.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde::Deserialize;

/// The platform that is built for.
const TARGET: &str = "x86_64-unknown-linux-gnu";

#[derive(Deserialize)]
struct Rules {
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    skip: Vec<Skipped>,
}

#[derive(Deserialize)]
struct Skipped {
    #[serde(rename = "crate")]
    krate: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
    root: String,
}

#[derive(Deserialize)]
struct Node {
    id: String,
}

#[derive(Clone, Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
}

/// The rules, and every dependency of the platform: those of tests and builds too.
fn dependencies() -> (Rules, Vec<Package>) {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let arguments = ["metadata", "--format-version", "1", "--locked", "--filter-platform", TARGET];
    let told =
        Command::new(env!("CARGO")).args(arguments).args(["--manifest-path", manifest]).output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let metadata: Metadata = serde_json::from_slice(&told.stdout).unwrap();
    let used: BTreeSet<String> = metadata.resolve.nodes.into_iter().map(|node| node.id).collect();
    let root = metadata.resolve.root;
    let packages = metadata.packages.into_iter().filter(|p| used.contains(&p.id) && p.id != root).collect();
    let rules = toml::from_str(include_str!("../deny.toml")).unwrap();
    (rules, packages)
}

/// Whether a licence can be complied with by complying with allowed ones only. An SPDX expression, or
/// one of the older kind with a slash for “or”.
fn is_allowed(license: &str, allow: &[String]) -> bool {
    let spaced = license.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let allowed = any_of(&mut words, allow);
    allowed && words.next().is_none()
}

type Words<'w> = std::iter::Peekable<std::str::SplitWhitespace<'w>>;

fn any_of(words: &mut Words<'_>, allow: &[String]) -> bool {
    let mut allowed = all_of(words, allow);
    while words.next_if_eq(&"OR").is_some() {
        allowed |= all_of(words, allow);
    }
    allowed
}

fn all_of(words: &mut Words<'_>, allow: &[String]) -> bool {
    let mut allowed = one(words, allow);
    while words.next_if_eq(&"AND").is_some() {
        allowed &= one(words, allow);
    }
    allowed
}

fn one(words: &mut Words<'_>, allow: &[String]) -> bool {
    match words.next() {
        Some("(") => any_of(words, allow) & words.next_if_eq(&")").is_some(),
        Some(name) => {
            // An exception allows more than the licence it is to.
            let exception = words.next_if_eq(&"WITH").and_then(|_| words.next());
            let with = exception.map(|exception| format!("{name} WITH {exception}"));
            allow.iter().any(|known| known == name || Some(known) == with.as_ref())
        }
        None => false,
    }
}

/// Versions of what is there more than once, without those that may be; and what needs no leave any more.
fn doubled(packages: &[Package], skipped: &[String]) -> Vec<String> {
    let mut versions = BTreeMap::<&str, Vec<&str>>::new();
    for package in packages {
        versions.entry(&package.name).or_default().push(&package.version);
    }
    let excused = |name: &str, version: &str| skipped.contains(&format!("{name}@{version}"));
    let twice = versions.iter().filter(|(name, all)| all.iter().filter(|v| !excused(name, v)).count() > 1);
    let told = twice.map(|(name, all)| format!("{name} is there as {}", all.join(" and ")));
    let idle = skipped.iter().filter(|skip| {
        let found = skip.split_once('@').and_then(|(name, version)| Some((versions.get(name)?, version)));
        !found.is_some_and(|(all, version)| all.len() > 1 && all.contains(&version))
    });
    told.chain(idle.map(|skip| format!("deny.toml skips {skip}, which is not there twice"))).collect()
}

#[test]
fn every_licence_is_allowed() {
    let (rules, packages) = dependencies();
    assert!(packages.len() > 100, "only {} dependencies", packages.len());
    let allowed = |package: &&Package| {
        package.license.as_deref().is_some_and(|license| is_allowed(license, &rules.licenses.allow))
    };
    let wrong = packages.iter().filter(|package| !allowed(package));
    let told: Vec<String> = wrong
        .map(|p| format!("{} {}: {}", p.name, p.version, p.license.as_deref().unwrap_or("none")))
        .collect();
    assert!(told.is_empty(), "licences that deny.toml does not allow: {told:#?}");
}

#[test]
fn everything_comes_from_the_registry() {
    let (rules, packages) = dependencies();
    let known: Vec<String> =
        rules.sources.allow_registry.iter().map(|url| format!("registry+{url}")).collect();
    let wrong: Vec<&str> = packages
        .iter()
        .filter(|package| package.source.as_ref().is_none_or(|source| !known.contains(source)))
        .map(|package| package.name.as_str())
        .collect();
    assert!(wrong.is_empty(), "from elsewhere: {wrong:?}");
}

#[test]
fn nothing_is_there_twice_but_what_may_be() {
    let (rules, packages) = dependencies();
    assert!(rules.bans.skip.iter().all(|skip| !skip.reason.is_empty()));
    let skipped: Vec<String> = rules.bans.skip.into_iter().map(|skip| skip.krate).collect();
    let told = doubled(&packages, &skipped);
    assert!(told.is_empty(), "{told:#?}");
}

#[test]
fn the_rules_notice_what_breaks_them() {
    let allow: Vec<String> = ["MIT", "Apache-2.0", "ISC"].map(str::to_owned).to_vec();
    for (license, expected) in [
        ("MIT", true),
        ("GPL-3.0-only", false),
        ("MIT OR GPL-3.0-only", true),
        ("GPL-2.0-only/MIT", true),
        ("MIT AND GPL-3.0-only", false),
        ("(MIT OR GPL-3.0-only) AND ISC", true),
        ("(MIT OR ISC) AND GPL-3.0-only", false),
        ("GPL-3.0-only AND MIT OR ISC", true),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("GPL-3.0-only WITH Classpath-exception-2.0", false),
        ("(MIT", false),
        ("MIT ISC", false),
        ("", false),
    ] {
        assert_eq!(is_allowed(license, &allow), expected, "{license}");
    }
    let package = |name: &str, version: &str| Package {
        id: String::new(),
        name: name.into(),
        version: version.into(),
        license: None,
        source: None,
    };
    let packages = [package("a", "1.0.0"), package("a", "2.0.0"), package("b", "1.0.0")];
    let skip = |krate: &str| vec![krate.to_owned()];
    assert_eq!(doubled(&packages, &[]), ["a is there as 1.0.0 and 2.0.0"]);
    assert_eq!(doubled(&packages, &skip("a@1.0.0")), Vec::<String>::new());
    assert_eq!(doubled(&packages, &skip("a@3.0.0")).len(), 2);
    assert_eq!(
        doubled(&packages[..1], &skip("a@1.0.0")),
        ["deny.toml skips a@1.0.0, which is not there twice"]
    );
}
