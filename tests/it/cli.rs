//! What the command line and the receiver say to what is wrong.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Answer, Child, Fate, Setting, cm, eventually, infobip_body, lime, twilio, twilio_form};

/// A command that needs no configuration of its own.
fn sounder(setting: &Setting, arguments: &str) -> Child {
    setting.spawn(&arguments.split_whitespace().collect::<Vec<_>>())
}

#[tokio::test]
async fn commands_that_only_print_end_with_0() {
    let setting = Setting::embedded();
    sounder(&setting, "").ends().await.with(0).saying("Usage:");
    sounder(&setting, "--version").ends().await.with(0).saying("sounder ");
    sounder(&setting, "schema").ends().await.with(0).saying("\"receipt\": {");
    sounder(&setting, "check").ends().await.with(0).saying("configuration is fine");
    let secrets = [(); 2].map(|()| sounder(&setting, "secret new").ends());
    let [one, other] = secrets;
    let (one, other) = (one.await.with(0).stdout, other.await.with(0).stdout);
    assert!(one.trim().len() >= 32 && one != other, "{one}{other}");
}

#[tokio::test]
async fn a_wrong_command_line_ends_with_64() {
    let setting = Setting::embedded();
    sounder(&setting, "serve --rolle all").ends().await.with(64).saying("--role");
    sounder(&setting, "serve --role boss").ends().await.with(64).saying("observe");
    sounder(&setting, "sevre").ends().await.with(64).saying("serve");
}

#[tokio::test]
async fn every_mistake_in_a_configuration_is_told_at_once() {
    let broken = Setting::embedded().with(
        "[[connection]]\nid = \"acme-twilio\"\nprovider = \"twillio\"\npath_secrets = [\"0123456789abcdef\"]\n\
         [[list]]\nid = \"other\"\nnumbers = [\"+12025550142\"]\ncolour = \"red\"\n",
    );
    for command in ["check", "serve"] {
        let ended = sounder(&broken, command).ends().await.with(64);
        for told in ["twillio", "is the id of another connection", "colour", "+12025550142", "line "] {
            assert!(ended.stderr.contains(told), "{told} is not in\n{}", ended.stderr);
        }
    }
}

#[tokio::test]
async fn the_example_configuration_is_fine() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/config/sounder.example.toml");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sounder"));
    command.args(["check", "--config", example]);
    command.env("TWILIO_AUTH_TOKEN", "0123456789abcdef").env("ACME_PATH_SECRET", "0123456789abcdef-path");
    let checked = command.output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[tokio::test]
async fn a_connection_whose_secret_is_not_there_is_closed_and_the_others_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    let setting = Setting::embedded().with(&format!(
        "[[connection]]\nid = \"later\"\nprovider = \"cm\"\npath_secrets = [\"file:{}\"]\n",
        secret.display()
    ));
    sounder(&setting, "check").ends().await.with(64).saying("cannot be read");
    let daemon = setting.serve().await;
    let path = "/hooks/later/0123456789abcdef-here";
    let answered = async || daemon.request(Method::POST, path).body("{}").send().await.unwrap();
    let closed = answered().await;
    assert_eq!((closed.status().as_u16(), closed.headers().contains_key("retry-after")), (503, true));
    assert_eq!(daemon.takes(&twilio("1", Fate::Delivered)).await.status, 204);
    assert!(daemon.is_ready_now().await, "the others are taken");
    assert!(daemon.trouble_with("connections").await.unwrap().contains("later"));
    fs::write(&secret, "0123456789abcdef-here\n").unwrap();
    daemon.signal("HUP");
    eventually("the connection is open", async || (answered().await.status() == 200).then_some(())).await;
    assert_eq!(daemon.trouble_with("connections").await, None);
    // A secret that goes away again closes nothing.
    fs::remove_file(&secret).unwrap();
    daemon.signal("HUP");
    eventually("it is said", async || daemon.stderr().matches("cannot be read").nth(1).map(drop)).await;
    assert_eq!(answered().await.status(), 200);
    daemon.terminate().await.with(0);
}

#[tokio::test]
async fn a_port_that_is_taken_ends_with_64() {
    let setting = Setting::embedded();
    for (port, key) in [(setting.receive, "receive.listen"), (setting.admin, "admin.listen")] {
        let _taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let ended = sounder(&setting, "serve").ends().await.with(64);
        ended.saying(key).saying(&port.to_string()).saying("choose another address");
    }
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_written_ends_with_64() {
    let setting = Setting::embedded();
    // Root may write anywhere, but nobody below a file.
    fs::write(setting.data(), "in the way").unwrap();
    sounder(&setting, "serve").ends().await.with(64).saying("data directory").saying("stream.dir");
}

#[tokio::test]
async fn a_data_directory_in_use_is_refused_with_a_sentence() {
    let setting = Setting::embedded();
    let _daemon = setting.serve().await;
    let other = Setting::embedded().sharing_data_with(&setting);
    let ended = sounder(&other, "serve").ends().await;
    assert!(matches!(ended.code, Some(64 | 69)), "{ended:?}");
    ended.saying("another");
}

#[tokio::test]
async fn a_redis_that_does_not_answer_ends_with_69() {
    let nobody = format!("127.0.0.1:{}", crate::harness::free_port());
    let redis = Setting::on(Some(crate::harness::brokers()), Some(format!("redis://{nobody}")));
    sounder(&redis, "serve").ends().await.with(69).saying("check that Redis runs");
}

#[tokio::test]
async fn backends_and_roles_that_do_not_go_together_end_with_64() {
    let embedded = Setting::embedded();
    sounder(&embedded, "serve --role receive").ends().await.with(64).saying("stream.kind = \"kafka\"");
    let redis = Setting::on(None, Some("redis://127.0.0.1:1".into()));
    sounder(&redis, "serve").ends().await.with(64).saying("embedded");
}

#[tokio::test]
async fn nothing_can_be_told_from_how_a_stranger_is_refused() {
    let setting = Setting::embedded();
    let daemon = setting.serve().await;
    let fine = twilio("1", Fate::Delivered);
    let unsigned = daemon.takes(&fine.clone().without("x-twilio-signature")).await;
    assert_eq!(unsigned.status, 401);
    for stranger in [
        fine.clone().with("x-twilio-signature", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        fine.clone().at("/hooks/acme-unknown"),
        fine.clone().at("/hooks/acme-twilio/secret"),
        lime("1", Fate::Delivered).without("authorization"),
        lime("1", Fate::Delivered).at("/hooks/acme-lime/0123456789abcdef-wrong"),
        cm("1", Fate::Delivered).at("/hooks/acme-cm"),
        infobip_body("{}".into()).with("x-hub-signature", "SHA256=00"),
    ] {
        assert_eq!(daemon.takes(&stranger).await, unsigned, "{stranger:?}");
    }
    assert_eq!(daemon.takes(&fine).await.status, 204);
}

#[tokio::test]
async fn paths_methods_and_sizes_that_do_not_do_are_refused() {
    let setting = Setting::embedded();
    let daemon = setting.serve().await;
    let status = async |method, path| daemon.request(method, path).send().await.unwrap().status().as_u16();
    assert_eq!(status(Method::POST, "/").await, 404);
    assert_eq!(status(Method::POST, "/metrics").await, 404);
    assert_eq!(status(Method::PUT, "/hooks/acme-twilio").await, 405);
    assert_eq!(status(Method::DELETE, "/hooks/acme-cm/0123").await, 405);
    let head = "POST /hooks/acme-twilio HTTP/1.1\r\nHost: x\r\n";
    let declared = raw(&setting, &format!("{head}Content-Length: 65537\r\n\r\n")).await;
    assert!(declared.starts_with("HTTP/1.1 413"), "{declared}");
    let chunk = format!("10001\r\n{}\r\n0\r\n\r\n", "x".repeat(0x1_0001));
    let chunked = raw(&setting, &format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunk}")).await;
    assert!(chunked.starts_with("HTTP/1.1 413"), "{chunked}");
    let packed =
        raw(&setting, &format!("{head}Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc")).await;
    assert!(packed.starts_with("HTTP/1.1 415"), "{packed}");
    let slow = raw(&setting, &format!("{head}Content-Length: 10\r\n\r\nabc")).await;
    assert!(slow.starts_with("HTTP/1.1 408"), "{slow}");
    let ledger = daemon.read("/api/v1/ledger").await;
    assert_eq!(ledger["balanced"], true, "{ledger}");
    assert_eq!(
        (&ledger["webhooks"]["refused"]["too_large"], &ledger["webhooks"]["lost"]),
        (&2.into(), &0.into())
    );
}

/// Sends bytes to the receiver and reads the beginning of what it answers.
async fn raw(setting: &Setting, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", setting.receive)).await.unwrap();
    // It may answer and close before it has read everything.
    drop(stream.write_all(request.as_bytes()).await);
    let mut answer = vec![0; 1024];
    let read =
        tokio::time::timeout(Duration::from_secs(20), stream.read(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

#[tokio::test]
async fn what_is_verified_and_unreadable_is_answered_as_usual_and_kept_as_a_dead_letter() {
    let setting = Setting::embedded();
    let daemon = setting.serve().await;
    let unreadable = [
        twilio_form(&[("MessageStatus", "delivered")]),
        infobip_body("{\"results\": \"what\"}".into()),
        infobip_body("not even JSON".into()),
        cm_saying("{\"messages\": []}"),
    ];
    for webhook in &unreadable {
        let Answer { status, body, .. } = daemon.takes(webhook).await;
        assert!(matches!(status, 200 | 204), "{status} {body} to {webhook:?}");
    }
    eventually("the dead letters are in the account", async || {
        let ledger = daemon.read("/api/v1/ledger").await;
        let durable = ledger["events"]["durable"]["embedded"] == unreadable.len();
        (durable && ledger["consumed"]["total"] == unreadable.len() && ledger["balanced"] == true)
            .then_some(())
    })
    .await;
    let metrics = daemon.get("/metrics").await.body;
    assert!(metrics.contains("kind=\"deadletter.v1\""), "{metrics}");
}

fn cm_saying(body: &str) -> crate::harness::Webhook {
    let mut webhook = cm("1", Fate::Delivered);
    body.clone_into(&mut webhook.body);
    webhook
}
