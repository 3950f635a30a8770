//! The stand-in, seen by a client.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;

async fn standin() -> Standin {
    Standin::start("127.0.0.1:0".parse().unwrap()).await.unwrap()
}

async fn post(standin: &Standin, body: &Value) -> reqwest::Result<reqwest::Response> {
    let url = format!("{}?wait=true", standin.webhook_url());
    reqwest::Client::new().post(url).json(body).timeout(Duration::from_secs(10)).send().await
}

fn card(title: &str) -> Value {
    json!({
        "embeds": [{"title": title, "color": 0x00C0_392B, "fields": [{"name": "rate", "value": "87 %", "inline": true}]}],
        "allowed_mentions": {"parse": []},
    })
}

#[tokio::test]
async fn serenity_reads_what_was_posted() {
    let standin = standin().await;
    let text = post(&standin, &card("Critical")).await.unwrap().text().await.unwrap();
    let message: serenity::all::Message = serde_json::from_str(&text).unwrap();
    assert_eq!(message.embeds[0].title.as_deref(), Some("Critical"));
    assert_eq!(standin.posted()[0].id, message.id.to_string());
    assert_eq!(standin.posted()[0].allowed_mentions(), json!({"parse": []}));
}

#[tokio::test]
async fn an_edit_keeps_its_history_and_what_it_does_not_name() {
    let standin = standin().await;
    let mut news = standin.subscribe();
    let posted: Value = post(&standin, &card("Critical")).await.unwrap().json().await.unwrap();
    let url = format!(
        "{}/messages/{}",
        standin.webhook_url().replace("/api/", "/api/v10/"),
        posted["id"].as_str().unwrap()
    );
    let client = reqwest::Client::new();
    let edit = json!({"embeds": [{"title": "Resolved"}]});
    let edited = client.patch(&url).json(&edit).send().await.unwrap();
    assert_eq!(edited.status(), 200);
    let seen: serenity::all::Message = client.get(&url).send().await.unwrap().json().await.unwrap();
    assert_eq!(seen.embeds[0].title.as_deref(), Some("Resolved"));
    assert!(seen.edited_timestamp.is_some());

    let kept = &standin.posted()[0];
    assert_eq!((kept.versions.len(), kept.allowed_mentions()), (2, json!({"parse": []})));
    assert_eq!(standin.messages()[0]["edits"], 1);
    assert_eq!(standin.messages()[0]["history"][0]["body"]["embeds"][0]["title"], "Critical");
    assert_eq!(news.recv().await.unwrap().kind, NewsKind::Posted);
    assert_eq!(news.recv().await.unwrap().kind, NewsKind::Edited);
}

#[tokio::test]
async fn a_chart_comes_as_a_file_beside_the_card() {
    let standin = standin().await;
    let form = reqwest::multipart::Form::new()
        .text("payload_json", card("With a chart").to_string())
        .part("files[0]", reqwest::multipart::Part::bytes(vec![1, 13, 10, 2]).file_name("chart.png"));
    let request = reqwest::Client::new().post(standin.webhook_url()).multipart(form);
    assert_eq!(request.send().await.unwrap().status(), 204);
    let posted = &standin.posted()[0];
    assert_eq!(posted.versions[0].files, ["chart.png"]);
    assert_eq!(posted.embeds()[0]["title"], "With a chart");
}

#[tokio::test]
async fn faults_come_in_the_order_they_were_asked_for() {
    let standin = standin().await;
    for fault in
        [Fault::TooManyRequests(0.25), Fault::ServerError, Fault::NotFound, Fault::Drop, Fault::LoseAnswer]
    {
        standin.fail_next(fault);
    }
    let limited = post(&standin, &card("a")).await.unwrap();
    assert_eq!((limited.status().as_u16(), &limited.headers()["retry-after"]), (429, &"1".parse().unwrap()));
    assert_eq!(limited.json::<Value>().await.unwrap()["retry_after"], 0.25);
    assert_eq!(post(&standin, &card("b")).await.unwrap().status(), 500);
    assert_eq!(post(&standin, &card("c")).await.unwrap().status(), 404);
    assert!(post(&standin, &card("d")).await.is_err());
    assert!(standin.posted().is_empty());
    // Carried out all the same: the one case in which an alert may be doubled.
    assert!(post(&standin, &card("e")).await.is_err());
    assert_eq!((standin.posted().len(), standin.requests()), (1, 5));
    assert_eq!(post(&standin, &card("f")).await.unwrap().status(), 200);
}

#[tokio::test]
async fn nonsense_is_answered_as_discord_answers_it() {
    let standin = standin().await;
    let client = reqwest::Client::new();
    let broken = client.post(standin.webhook_url()).body("{").send().await.unwrap();
    assert_eq!(broken.status(), 400);
    let nowhere = client.get(format!("{}/users/@me", standin.api_url())).send().await.unwrap();
    assert_eq!(nowhere.status(), 404);
    let unknown = client.get(format!("{}/messages/1", standin.webhook_url())).send().await.unwrap();
    assert_eq!(unknown.json::<Value>().await.unwrap()["code"], 10008);
}

#[tokio::test]
async fn only_the_last_messages_are_kept() {
    let standin = standin().await;
    for nth in 0..MESSAGES_MAX + 1 {
        let version = Version {
            at: crate::clock::Timestamp::default(),
            body: serde_json::from_value(json!({"content": nth.to_string()})).unwrap(),
            files: Vec::new(),
        };
        standin.channel.post(version);
    }
    let posted = standin.posted();
    assert_eq!((posted.len(), posted[0].content()), (MESSAGES_MAX, "1".to_owned()));
}
