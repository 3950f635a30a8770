//! `sounder` as a child process: started, asked, killed, told to stop. Whatever it printed is kept,
//! and must hold no secret and no recipient's number.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::provider::{Answer, Webhook};
use super::secrecy::{kept, pages};
use super::{eventually, leaks};

/// A running `sounder`. It is killed when a test ends before it does.
pub(crate) struct Child {
    process: std::process::Child,
    dir: TempDir,
    receive: String,
    admin: String,
    client: reqwest::Client,
    /// Where it keeps its data.
    data: PathBuf,
    /// What its admin listener showed before it was told to end; none while nothing was asked of it.
    shown: Option<String>,
    /// Whether a number that its admin listener shows may be anybody's.
    is_told_nonsense: bool,
}

/// A `sounder` that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code; none when it was killed.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Child {
    pub(super) fn start(mut command: Command, (receive, admin): (&str, &str), data: PathBuf) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let out = |name| Stdio::from(File::create(dir.path().join(name)).unwrap());
        let process = command.stdin(Stdio::null()).stdout(out("stdout")).stderr(out("stderr")).spawn();
        let client = reqwest::Client::builder().timeout(Duration::from_secs(15)).build().unwrap();
        let (receive, admin, process) = (receive.into(), admin.into(), process.unwrap());
        Self { process, dir, receive, admin, client, data, shown: None, is_told_nonsense: false }
    }

    /// What it has printed to standard error.
    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.dir.path().join("stderr")).unwrap()
    }

    /// Waits until it says that it is ready.
    pub(crate) async fn is_ready(&mut self) {
        eventually("the daemon is ready", async || {
            if let Some(status) = self.process.try_wait().unwrap() {
                panic!("the daemon ended with {status}:\n{}", self.stderr());
            }
            self.is_ready_now().await.then_some(())
        })
        .await;
        self.shown = Some(String::new());
    }

    /// Whether `/readyz` answers 200.
    pub(crate) async fn is_ready_now(&self) -> bool {
        let answer = self.client.get(format!("{}/readyz", self.admin)).send().await;
        answer.is_ok_and(|answer| answer.status() == 200)
    }

    /// What `/readyz` says of one thing: nothing when all is well, else what is wrong.
    pub(crate) async fn trouble_with(&self, name: &str) -> Option<String> {
        let readiness = self.read("/readyz").await;
        let checks = readiness["checks"].as_array().cloned().unwrap_or_default();
        let check = checks.into_iter().find(|check| check["name"] == name)?;
        check["detail"].as_str().map(str::to_owned)
    }

    /// An admin page, whatever its status.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        let answer = self.client.get(format!("{}{path}", self.admin)).send().await.unwrap();
        Answer::of(answer).await
    }

    /// An admin page's JSON.
    pub(crate) async fn read(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{path} is no JSON: {answer:?}"))
    }

    /// A number's totals, once they hold this many delivered and failed messages.
    pub(crate) async fn counts(&self, number: &str, delivered: u64, failed: u64) -> Value {
        let path = format!("/api/v1/health/numbers/{}", number.replace('+', "%2B"));
        eventually(&format!("{number} has {delivered} delivered, {failed} failed"), async || {
            let health = self.read(&path).await;
            let totals = &health["totals"];
            (totals["delivered"] == delivered && totals["failed"] == failed).then_some(health)
        })
        .await
    }

    /// Waits until so many webhooks are answered 2xx.
    pub(crate) async fn has_accepted(&self, webhooks: u64) {
        eventually(&format!("{webhooks} webhooks are accepted"), async || {
            (self.accepted().await >= webhooks).then_some(())
        })
        .await;
    }

    /// Webhooks answered 2xx so far.
    pub(crate) async fn accepted(&self) -> u64 {
        let metrics = self.get("/metrics").await.body;
        let of = |line: &str| line.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok());
        let accepted =
            |line: &&str| line.starts_with("sounder_webhooks_total") && line.contains("outcome=\"accepted\"");
        metrics.lines().filter(accepted).filter_map(of).sum()
    }

    /// Sends what a provider would.
    pub(crate) async fn takes(&self, webhook: &Webhook) -> Answer {
        Answer::of(webhook.request(&self.client, &self.receive).send().await.unwrap()).await
    }

    /// What a provider would send, not sent yet.
    pub(crate) fn request_of(&self, webhook: &Webhook) -> reqwest::RequestBuilder {
        webhook.request(&self.client, &self.receive)
    }

    /// Memory of the process that is in use, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The same, of a daemon that may be gone before it answers, and then has no status.
    pub(crate) async fn attempts(&self, webhook: &Webhook) -> Option<u16> {
        let answer = webhook.request(&self.client, &self.receive).send().await;
        answer.ok().map(|answer| answer.status().as_u16())
    }

    /// Whether it has ended by itself.
    pub(crate) fn is_gone(&mut self) -> bool {
        self.process.try_wait().unwrap().is_some()
    }

    /// Files and connections that the process has open.
    pub(crate) fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.process.id())).unwrap().count()
    }

    /// Asks something of the admin API.
    pub(crate) async fn ask(&self, method: reqwest::Method, path: &str, body: &Value) -> Answer {
        let request = self.client.request(method, format!("{}{path}", self.admin)).json(body);
        Answer::of(request.send().await.unwrap()).await
    }

    /// Sends a request to the receiver that no provider would.
    pub(crate) fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.receive))
    }

    /// Kills it as a power cut would.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Sends SIGTERM and waits for its end.
    pub(crate) async fn terminate(mut self) -> Ended {
        self.look();
        self.signal("TERM");
        self.ends().await
    }

    /// Lets it show numbers that look like recipients': whoever is proved, and spoils what is said, may
    /// name one where a sender stands.
    pub(crate) const fn is_told_nonsense(&mut self) {
        self.is_told_nonsense = true;
    }

    /// Looks at all that a daemon shows, as long as it can be seen.
    fn look(&mut self) {
        if let Some(shown) = &mut self.shown {
            shown.push_str(&pages(&self.admin));
        }
    }

    /// Waits until it is no more, where another is to take its place.
    pub(crate) async fn has_ended(&mut self) {
        eventually("the process ends", async || self.process.try_wait().unwrap()).await;
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {id}")]).status().unwrap();
        assert!(sent.success(), "the signal was not sent");
    }

    /// Waits for its end.
    pub(crate) async fn ends(mut self) -> Ended {
        let status = eventually("the process ends", async || self.process.try_wait().unwrap()).await;
        let stdout = fs::read_to_string(self.dir.path().join("stdout")).unwrap();
        Ended { code: status.code(), stdout, stderr: self.stderr() }
    }
}

impl Drop for Child {
    #[expect(clippy::print_stderr, reason = "shown beside the test's failure")]
    fn drop(&mut self) {
        if !std::thread::panicking() && matches!(self.process.try_wait(), Ok(None)) {
            self.look();
        }
        // It may have ended already.
        drop(self.process.kill());
        drop(self.process.wait());
        let printed = self.stderr();
        if std::thread::panicking() {
            let end: Vec<_> = printed.lines().rev().take(40).collect();
            eprintln!(
                "--- the end of what it printed:\n{}",
                end.into_iter().rev().collect::<Vec<_>>().join("\n")
            );
            return;
        }
        let leaked = leaks(&printed);
        assert!(leaked.is_empty(), "it printed {leaked:?}");
        let Some(shown) = &self.shown else { return };
        let told = fs::read_to_string(self.dir.path().join("stdout")).unwrap();
        let is_number = |leaked: &String| leaked.bytes().all(|byte| byte.is_ascii_digit());
        let shown = leaks(shown).into_iter().filter(|leaked| !(self.is_told_nonsense && is_number(leaked)));
        let leaked = [shown.collect(), leaks(&told), kept(&self.data)].concat();
        assert!(leaked.is_empty(), "it showed or kept {leaked:?}");
    }
}

impl Ended {
    /// Asserts how it ended, showing what it said when it did not end so.
    pub(crate) fn with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that it said this, on either stream.
    pub(crate) fn saying(self, words: &str) -> Self {
        assert!(
            self.stdout.contains(words) || self.stderr.contains(words),
            "{words:?} is not in\n{}\n{}",
            self.stdout,
            self.stderr
        );
        self
    }
}
