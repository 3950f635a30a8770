//! A broker of one's own, to be stopped, killed, emptied and given back.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use sounder::config::{Kafka, Secret};
use sounder::publish::probe;
use tokio::time::timeout;

/// How long a broker may take to come up on a laden machine.
const START_MAX: Duration = Duration::from_secs(180);
/// Its disks. Partitions are spread over both, so that one can fail while the broker goes on.
const DISKS: [(&str, &str); 2] = [("one", "c291bmRlci10ZXN0cy1vbg"), ("two", "c291bmRlci10ZXN0cy10dw")];

/// What a guarded broker lets in.
pub(crate) const BROKER_PASSWORD: &str = "broker-password";
const GUARD: &str = r#"
listener.security.protocol.map=CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT
security.inter.broker.protocol=SASL_PLAINTEXT
sasl.mechanism.inter.broker.protocol=PLAIN
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="broker" password="broker-password" user_broker="broker-password";
"#;

/// A broker that only one test uses, so that it may be stopped and killed.
pub(crate) struct Broker {
    dir: tempfile::TempDir,
    classpath: String,
    process: Child,
    pub(crate) address: String,
    /// What a client must say to be let in.
    access: BTreeMap<String, Secret>,
}

impl Broker {
    /// None when tests/run was given a broker: then there is nothing to start one from, and
    /// somebody's own broker is nothing to stop and kill.
    pub(crate) fn start() -> Option<Self> {
        Self::with(|settings| settings)
    }

    /// One that lets nobody in but `broker` with [`BROKER_PASSWORD`].
    pub(crate) fn start_guarded() -> Option<Self> {
        let mut broker =
            Self::with(|settings| settings.replace("=PLAINTEXT://", "=SASL_PLAINTEXT://") + GUARD)?;
        let access = [
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", "broker"),
            ("sasl.password", BROKER_PASSWORD),
        ];
        broker.access = access.map(|(key, value)| (key.to_owned(), Secret::new(value.to_owned()))).into();
        Some(broker)
    }

    fn with(change: fn(String) -> String) -> Option<Self> {
        #[expect(clippy::disallowed_methods, reason = "tests are told where Kafka's jars are")]
        let classpath = std::env::var("SOUNDER_TEST_KAFKA_CLASSPATH").unwrap_or_default();
        if classpath.is_empty() {
            // Past the test harness, which keeps to itself what a passing test prints.
            let said = "SKIPPED: no broker is stopped; SOUNDER_TEST_KAFKA_CLASSPATH names no jars\n";
            std::io::stderr().write_all(said.as_bytes()).unwrap();
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        format(dir.path());
        let held: Vec<_> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<_> = held.iter().map(|held| held.local_addr().unwrap().port().to_string()).collect();
        drop(held);
        let disks = DISKS.map(|(name, _)| dir.path().join(name).display().to_string()).join(",");
        let settings = include_str!("../../setup/kafka/server.properties")
            .replace("@BROKER@", &ports[0])
            .replace("@CONTROLLER@", &ports[1])
            .replace("@DIR@", &disks);
        fs::write(dir.path().join("server.properties"), change(settings)).unwrap();
        let process = java(&classpath, dir.path());
        Some(Self {
            dir,
            classpath,
            process,
            address: format!("127.0.0.1:{}", ports[0]),
            access: BTreeMap::new(),
        })
    }

    /// Waits until it takes clients.
    pub(crate) async fn answers(&self) {
        let (brokers, properties) = (self.address.clone(), self.access.clone());
        let kafka = Kafka { brokers, properties, ..Kafka::default() };
        let asked = async { while probe(&kafka).await.is_err() {} };
        timeout(START_MAX, asked).await.expect("the broker does not come up");
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Kills it as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it on what it kept.
    pub(crate) fn restart(&mut self) {
        self.process = java(&self.classpath, self.dir.path());
    }

    /// Deletes a topic, with all that is in it.
    pub(crate) async fn deletes(&self, topic: &str) {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.address).create().unwrap();
        let deleted = admin.delete_topics(&[topic], &AdminOptions::new()).await.unwrap();
        assert!(deleted.iter().all(Result::is_ok), "{deleted:?}");
    }

    /// Takes from a killed broker all it ever kept: topics, events, groups.
    pub(crate) fn forget(&mut self) {
        for (name, _) in DISKS {
            fs::remove_dir_all(self.dir.path().join(name)).unwrap();
        }
        format(self.dir.path());
    }

    /// Takes its second disk away: within some seconds it notices, and the partitions there have no
    /// leader until it is restarted with the disk in its place.
    pub(crate) fn loses_a_disk(&self) {
        fs::rename(self.second_disk(), self.dir.path().join("away")).unwrap();
    }

    /// Puts the second disk back, and restarts the broker so that it looks.
    pub(crate) fn gets_its_disk_back(&mut self) {
        self.kill();
        // What it may have tried to write there since.
        fs::remove_dir_all(self.second_disk()).ok();
        fs::rename(self.dir.path().join("away"), self.second_disk()).unwrap();
        self.restart();
    }

    fn second_disk(&self) -> PathBuf {
        self.dir.path().join(DISKS[1].0)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// A fresh disk is formatted by its meta.properties; that saves starting Java twice.
fn format(dir: &Path) {
    for (name, id) in DISKS {
        let meta = format!("version=1\ncluster.id=c291bmRlci10ZXN0cy1vaw\nnode.id=1\ndirectory.id={id}\n");
        fs::create_dir_all(dir.join(name)).unwrap();
        fs::write(dir.join(name).join("meta.properties"), meta).unwrap();
    }
}

fn java(classpath: &str, dir: &Path) -> Child {
    let log = Stdio::from(fs::File::options().create(true).append(true).open(dir.join("log")).unwrap());
    Command::new("java")
        .args(["-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", classpath])
        .args(["kafka.Kafka", dir.join("server.properties").to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}
