//! What the traffic promises: repeatable, complete, honest about what it says.

use std::collections::{BTreeMap, BTreeSet};

use http_body_util::BodyExt;

use super::*;
use crate::simulate::scene;

const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);

fn traffic(options: Options) -> Traffic {
    let config = scene::config(std::path::Path::new("unused"), 7);
    Traffic::new(&config, "http://127.0.0.1:8080", options).unwrap()
}

fn all(options: Options) -> Vec<Webhook> {
    let mut traffic = traffic(options);
    std::iter::from_fn(|| traffic.next(NOW)).collect()
}

async fn body(webhook: &Webhook) -> String {
    let bytes = webhook.request.body().clone().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn noisy(seed: u64) -> Options {
    Options {
        seed,
        messages: Some(500),
        inbound: 0.1,
        order: Order::Shuffled(300),
        duplicates: 0.3,
        forged: 0.05,
        corrections: 0.05,
        batch: 7,
        ..Options::default()
    }
}

#[tokio::test]
async fn the_same_seed_says_the_same_and_another_something_else() {
    let said = async |seed| {
        let mut texts = Vec::new();
        for webhook in all(noisy(seed)) {
            texts.push((webhook.request.uri().clone(), body(&webhook).await));
        }
        texts
    };
    let (one, again, other) = (said(1).await, said(1).await, said(2).await);
    assert!(one.len() > 500);
    assert_eq!(one, again);
    assert_ne!(one, other);
}

#[test]
fn every_message_is_told_to_its_end() {
    let told: BTreeSet<u32> =
        all(noisy(3)).iter().flat_map(|webhook| webhook.facts.to_vec()).map(|fact| fact.message).collect();
    assert_eq!(told.len(), 500);
}

#[test]
fn forgeries_claim_nothing() {
    let webhooks = all(noisy(4));
    let forged: Vec<_> = webhooks.iter().filter(|w| w.expect == Expect::Refusal).collect();
    assert!(!forged.is_empty() && forged.iter().all(|webhook| webhook.facts.is_empty()));
}

#[test]
fn a_message_is_sent_before_it_arrives_unless_shuffled() {
    let mut seen: BTreeMap<u32, u8> = BTreeMap::new();
    for webhook in all(Options { messages: Some(300), ..Options::default() }) {
        for fact in webhook.facts.iter() {
            let before = seen.insert(fact.message, fact.state.rank()).unwrap_or(0);
            assert!(before <= fact.state.rank());
        }
    }
    assert_eq!(seen.len(), 300);
}

#[test]
fn batches_hold_at_most_what_was_asked_for() {
    let largest = all(Options { messages: Some(3000), batch: 20, ..Options::default() })
        .iter()
        .map(|webhook| webhook.facts.len())
        .max();
    assert_eq!(largest, Some(20));
}

#[test]
fn the_delivery_rate_is_the_share_of_delivered_and_failed() {
    let options =
        Options { messages: Some(20_000), delivery_rate: 0.8, corrections: 0.0, ..Options::default() };
    let facts: Vec<_> = all(options).iter().flat_map(|webhook| webhook.facts.to_vec()).collect();
    let count = |state| facts.iter().filter(|fact| fact.state == state).count();
    let (delivered, failed) = (count(super::super::State::Delivered), count(super::super::State::Failed));
    let per_mille = delivered * 1000 / (delivered + failed);
    assert!((785..=815).contains(&per_mille), "{per_mille}");
}

#[tokio::test]
async fn infobips_batches_are_json() {
    for webhook in all(Options { messages: Some(200), batch: 5, inbound: 0.5, ..Options::default() }) {
        if webhook.request.headers()["content-type"] == "application/json" {
            let text = body(&webhook).await;
            assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
        }
    }
}

#[test]
fn ids_do_not_collide() {
    let ids: BTreeSet<u128> = (0..50_000).map(|index| mix::id(9, index)).collect();
    assert_eq!(ids.len(), 50_000);
    assert_ne!(mix::id(9, 0), mix::id(10, 0));
}
