//! What it costs to take a webhook: bare hyper answering 204, Sounder whole on its embedded stream
//! (which counts what it takes in the same process), and Sounder's receiver on Kafka (librdkafka's
//! in-process mock, which lives in this process and keeps 5 MiB a partition, silently), in turn, on
//! the same cores, under the same closed loop of signed Twilio status callbacks.
//!
//! `cargo bench --bench ingest -- [--connections 256] [--seconds 5] [--rounds 3]` measures what
//! `cargo build --release` makes, and with `--profile dist` what the image holds; either with the
//! tests' failpoints in it, unarmed.
//!
//! Printed per server, from the round that took the least CPU: requests per second, CPU microseconds per
//! request (user + system, from /proc) of the server's own process and their ratio to bare hyper's,
//! those of this process (the generator and the mock broker), the requests per second at which both
//! together fill two cores, and the server's largest resident memory. On a busy machine only the
//! microseconds say something.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures the wall")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that cannot run should stop")]

use std::convert::Infallible;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use base64::Engine as _;
use bytes::Bytes;
use hmac::{KeyInit, Mac};
use http_body_util::{BodyExt, Empty};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use sounder::event::Topic;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const PARTITIONS: i32 = 4;
const PUBLIC_URL: &str = "https://hooks.example.com";

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).is_some_and(|arg| arg == "serve-bare") {
        return runtime().block_on(serve_bare());
    }
    let option = |name: &str, default: u64| {
        let at = args.iter().position(|arg| arg == name);
        at.and_then(|at| args.get(at + 1)).and_then(|value| value.parse().ok()).unwrap_or(default)
    };
    let load =
        Load { connections: option("--connections", 256), span: Duration::from_secs(option("--seconds", 5)) };
    let cluster = broker();
    let servers: [(&str, Start<'_>); 3] = [
        ("bare hyper", &|_| Server::bare()),
        ("sounder, embedded, all", &|dir| Server::sounder(dir, None)),
        ("sounder, kafka, receive", &|dir| Server::sounder(dir, Some(&cluster.bootstrap_servers()))),
    ];
    let mut figures = vec![Vec::new(); servers.len()];
    for _ in 0..option("--rounds", 3) {
        for (at, (_, start)) in servers.iter().enumerate() {
            let dir = tempfile::tempdir().expect("a directory");
            let server = start(dir.path());
            figures[at].push(runtime().block_on(load.run(&server)));
        }
    }
    report(&servers.map(|(name, _)| name), &figures);
}

/// The mock broker creates no topic on request.
fn broker() -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).expect("a mock broker");
    for topic in Topic::ALL {
        cluster.create_topic(&format!("sms.{}", topic.name()), PARTITIONS, 1).expect("a topic");
    }
    cluster
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn report(names: &[&str], figures: &[Vec<Figures>]) {
    println!(
        "{:<24} {:>11} {:>12} {:>7} {:>12} {:>12} {:>8}",
        "server", "requests/s", "CPU us/req", "x bare", "us elsewhere", "2 cores, /s", "RSS MiB"
    );
    let mut bare = None;
    for (name, rounds) in names.iter().zip(figures) {
        // Neighbours only ever add to it.
        let Some(best) = rounds.iter().min_by(|a, b| a.cpu_micros.total_cmp(&b.cpu_micros)) else { return };
        let base = *bare.get_or_insert(best.cpu_micros);
        println!(
            "{name:<24} {:>11.0} {:>12.2} {:>7.2} {:>12.2} {:>12.0} {:>8.1}",
            best.per_second,
            best.cpu_micros,
            best.cpu_micros / base,
            best.own_micros,
            2e6 / (best.cpu_micros + best.own_micros),
            best.resident_mib
        );
    }
}

#[derive(Clone, Copy, Debug)]
struct Figures {
    per_second: f64,
    cpu_micros: f64,
    own_micros: f64,
    resident_mib: f64,
}

/// The CPU time a process has used.
fn cpu(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // USER_HZ is 100 on every Linux this runs on.
    Duration::from_millis(ticks * 10)
}

/// Starts a server with a directory of its own.
type Start<'a> = &'a dyn Fn(&Path) -> Server;

/// A server process, ended when dropped.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn bare() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("serve-bare")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the bare server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { address: line.trim().parse().expect("an address"), child }
    }

    fn sounder(dir: &Path, brokers: Option<&str>) -> Self {
        let (address, admin) = (free_address(), free_address());
        let stream = brokers.map_or_else(String::new, |brokers| {
            format!("kind = \"kafka\"\n[stream.kafka]\nbrokers = \"{brokers}\"\npartitions = {PARTITIONS}\n")
        });
        let config = format!(
            "[receive]\nlisten = \"{address}\"\npublic_url = \"{PUBLIC_URL}\"\n\
             [admin]\nlisten = \"{admin}\"\n\
             [privacy]\nkey = \"0123456789abcdef0123456789abcdef\"\n\
             [[connection]]\nid = \"bench\"\nprovider = \"twilio\"\nauth_tokens = [\"{TOKEN}\"]\n\
             [stream]\ndir = \"{}\"\n{stream}",
            dir.join("data").display()
        );
        fs::write(dir.join("sounder.toml"), config).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_sounder"))
            .args(["--config", "sounder.toml", "serve"])
            .args(["--role", if brokers.is_some() { "receive" } else { "all" }])
            .current_dir(dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sounder starts");
        Self { child, address }
    }

    fn resident_mib(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_address() -> SocketAddr {
    StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A closed loop: every connection sends its next request when it has read an answer.
struct Load {
    connections: u64,
    span: Duration,
}

impl Load {
    async fn run(&self, server: &Server) -> Figures {
        connect(server.address).await;
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut tasks = tokio::task::JoinSet::new();
        for connection in 0..self.connections {
            let (stop, answered, address) = (Arc::clone(&stop), Arc::clone(&answered), server.address);
            tasks.spawn(async move { drive(address, connection, &stop, &answered).await });
        }
        // The first second warms caches, allocators and the producer up.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let used = || (cpu(server.child.id()), cpu(std::process::id()));
        let (before, count, started) = (used(), answered.load(Relaxed), Instant::now());
        tokio::time::sleep(self.span).await;
        let (after, count) = (used(), answered.load(Relaxed) - count);
        let per_second = count as f64 / started.elapsed().as_secs_f64();
        stop.store(true, Relaxed);
        while let Some(ended) = tasks.join_next().await {
            ended.expect("no request failed");
        }
        Figures {
            per_second,
            cpu_micros: (after.0 - before.0).as_secs_f64() * 1e6 / count as f64,
            own_micros: (after.1 - before.1).as_secs_f64() * 1e6 / count as f64,
            resident_mib: server.resident_mib(),
        }
    }
}

/// The server may still be starting: its address answers within ten seconds, or it never will.
async fn connect(address: SocketAddr) -> TcpStream {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match TcpStream::connect(address).await {
            Ok(stream) => return stream,
            Err(error) if Instant::now() > deadline => panic!("{address}: {error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn drive(address: SocketAddr, connection: u64, stop: &AtomicBool, answered: &AtomicU64) {
    let mut stream = connect(address).await;
    stream.set_nodelay(true).unwrap();
    let (mut request, mut answer) = (Vec::new(), [0; 4096]);
    for message in 0.. {
        if stop.load(Relaxed) {
            break;
        }
        signed_request(&mut request, connection << 32 | message);
        stream.write_all(&request).await.expect("the server reads");
        let mut read = 0;
        while !answer[..read].ends_with(b"\r\n\r\n") {
            let more = stream.read(&mut answer[read..]).await.expect("the server answers");
            assert!(more > 0, "the server hung up");
            read += more;
        }
        assert!(answer.starts_with(b"HTTP/1.1 204"), "{}", String::from_utf8_lossy(&answer[..read]));
        answered.fetch_add(1, Relaxed);
    }
}

/// A status callback as Twilio sends it, its message never seen before.
fn signed_request(into: &mut Vec<u8>, message: u64) {
    let sid = format!("SM{message:032x}");
    let recipient = format!("+1415{:07}", message % 10_000_000);
    let sorted = [
        ("AccountSid", "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ("ApiVersion", "2010-04-01"),
        ("From", "+18005550100"),
        ("MessageSid", &sid),
        ("MessageStatus", "delivered"),
        ("RawDlrDoneDate", "2602031005"),
        ("SmsSid", &sid),
        ("SmsStatus", "delivered"),
        ("To", &recipient),
    ];
    let mut mac = hmac::Hmac::<sha1::Sha1>::new_from_slice(TOKEN.as_bytes()).unwrap();
    mac.update(PUBLIC_URL.as_bytes());
    mac.update(b"/hooks/bench");
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    let signature = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    let body = sorted.map(|(name, value)| format!("{name}={}", value.replace('+', "%2B"))).join("&");
    into.clear();
    into.extend_from_slice(
        format!(
            "POST /hooks/bench HTTP/1.1\r\nHost: hooks.example.com\r\nUser-Agent: TwilioProxy/1.1\r\n\
             Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\nContent-Length: {}\r\n\
             X-Twilio-Signature: {signature}\r\nI-Twilio-Idempotency-Token: {sid}\r\nAccept: */*\r\n\r\n{body}",
            body.len()
        )
        .as_bytes(),
    );
}

/// The floor: hyper reads the request and its body and answers 204.
async fn serve_bare() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        tokio::spawn(async move {
            let service = service_fn(|request: Request<hyper::body::Incoming>| async {
                drop(request.into_body().collect().await);
                let mut answer = Response::new(Empty::<Bytes>::new());
                *answer.status_mut() = StatusCode::NO_CONTENT;
                Ok::<_, Infallible>(answer)
            });
            drop(
                http1::Builder::new()
                    .pipeline_flush(true)
                    .serve_connection(TokioIo::new(stream), service)
                    .await,
            );
        });
    }
}
