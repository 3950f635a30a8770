//! The receiver ends TLS itself, tells clients by their certificates, and takes renewed certificates
//! over. The certificates in `tls/` belong to nobody and are good for a hundred years.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::fs;
use std::sync::Arc;

use reqwest::{Client, Identity, Method};
use tokio_rustls::{TlsConnector, rustls};

use crate::harness::{Setting, eventually};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/tls");
/// SHA-256 of `client.pem`.
const FINGERPRINT: &str =
    "56:F4:06:BF:03:11:4D:8E:6A:85:66:15:69:F2:FB:4A:55:6F:B0:FA:6F:06:AF:C6:1C:07:90:92:A8:98:6B:F4";

fn pem(name: &str) -> Vec<u8> {
    [fs::read(format!("{FOLDER}/{name}.pem")).unwrap(), fs::read(format!("{FOLDER}/{name}.key")).unwrap()]
        .concat()
}

/// A client with this certificate of its own, which believes whatever server it meets.
fn client(certificate: Option<&str>) -> Client {
    let builder = Client::builder().use_rustls_tls().danger_accept_invalid_certs(true).tls_info(true);
    let builder = match certificate {
        Some(name) => builder.identity(Identity::from_pem(&pem(name)).unwrap()),
        None => builder,
    };
    builder.build().unwrap()
}

#[tokio::test]
async fn a_connection_is_opened_by_a_certificate_and_certificates_are_renewed() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let install = |name: &str| {
        fs::copy(format!("{FOLDER}/{name}.pem"), &cert).unwrap();
        fs::copy(format!("{FOLDER}/{name}.key"), &key).unwrap();
    };
    install("server");
    let setting = Setting::embedded().with(&format!(
        "[receive.tls]\ncert = \"{}\"\nkey = \"{}\"\n\
         [[connection]]\nid = \"by-certificate\"\nprovider = \"infobip\"\nclient_certificates = [\"{FINGERPRINT}\"]\n",
        cert.display(),
        key.display()
    ));
    let daemon = setting.serve().await;
    let url = format!("https://127.0.0.1:{}/hooks/by-certificate", setting.receive);
    let answer = async |client: &Client| client.post(&url).body("{\"results\":[]}").send().await.unwrap();
    let known = client(Some("client"));
    assert_eq!(answer(&known).await.status(), 200);
    assert_eq!(answer(&client(Some("other"))).await.status(), 401);
    assert_eq!(answer(&client(None)).await.status(), 401);
    let plain = daemon.request(Method::POST, "/hooks/by-certificate").body("{}").send().await;
    assert!(plain.is_err(), "no plain HTTP where TLS is spoken");

    let shown = async || {
        let answer = answer(&client(Some("client"))).await;
        answer.extensions().get::<reqwest::tls::TlsInfo>().unwrap().peer_certificate().unwrap().to_vec()
    };
    let before = shown().await;
    install("other");
    daemon.signal("HUP");
    eventually("the renewed certificate is shown", async || (shown().await != before).then_some(())).await;
    // What cannot be read is not taken over.
    let renewed = shown().await;
    fs::write(&cert, "no certificate").unwrap();
    daemon.signal("HUP");
    eventually("it is said", async || daemon.stderr().contains("were not reloaded").then_some(())).await;
    assert_eq!(shown().await, renewed);
    setting.spawn(&["check"]).ends().await.with(64).saying("receive.tls.cert");
    daemon.terminate().await.with(0);
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_cut_off() {
    let files = ["pem", "key"].map(|kind| format!("{FOLDER}/server.{kind}"));
    let [cert, key] = files;
    let setting = Setting::embedded().with(&format!("[receive.tls]\ncert = \"{cert}\"\nkey = \"{key}\"\n"));
    let daemon = setting.serve().await;
    let mut silent = tokio::net::TcpStream::connect(("127.0.0.1", setting.receive)).await.unwrap();
    let mut byte = [0; 1];
    let read = tokio::io::AsyncReadExt::read(&mut silent, &mut byte);
    let closed = tokio::time::timeout(std::time::Duration::from_secs(30), read).await.unwrap();
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    daemon.terminate().await.with(0);
}

/// What a handshake comes to for a client that offers these protocols and believes no certificate.
async fn offering(port: u16, protocols: &[&str]) -> String {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let client = client.unwrap().with_root_certificates(rustls::RootCertStore::empty());
    let mut client = client.with_no_client_auth();
    client.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(Arc::new(client)).connect(name, stream).await.unwrap_err().to_string()
}

#[tokio::test]
async fn whoever_speaks_http_2_alone_is_told_so_in_the_handshake() {
    let [cert, key] = ["pem", "key"].map(|kind| format!("{FOLDER}/server.{kind}"));
    let setting = Setting::embedded().with(&format!("[receive.tls]\ncert = \"{cert}\"\nkey = \"{key}\"\n"));
    let daemon = setting.serve().await;
    // RFC 7301 §3.2: the answer to a client none of whose protocols the server speaks.
    let refused = offering(setting.receive, &["h2"]).await;
    assert!(refused.contains("NoApplicationProtocol"), "{refused}");
    // These come as far as the certificate.
    for protocols in [&["h2", "http/1.1"][..], &["http/1.1"], &[]] {
        let reached = offering(setting.receive, protocols).await;
        assert!(reached.contains("UnknownIssuer"), "{protocols:?}: {reached}");
    }
    daemon.terminate().await.with(0);
}
