//! A daemon as a supervisor keeps it: started again whenever it ends, until it is told otherwise.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Setting, leaks};

/// How often a supervisor looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long it waits before it starts a daemon again.
const RESTART_AFTER: Duration = Duration::from_millis(200);
/// Room on a daemon's disk: for an hour of outages.
const DISK: &str = "size=192m";

/// A daemon of the fleet and its supervisor.
pub(crate) struct Member {
    pub(crate) setting: Setting,
    role: &'static str,
    client: reqwest::Client,
    /// Not to be started again for now.
    held: AtomicBool,
    over: AtomicBool,
    process: Mutex<Option<Child>>,
    /// Ends that nobody asked for, in the supervisor's words.
    complaints: Mutex<Vec<String>>,
    /// While not 0, an end of any kind is expected.
    pub(crate) excuses: AtomicUsize,
    /// Whether its disk is one of its own, which can be filled.
    pub(crate) has_disk: bool,
}

impl Member {
    /// One with a small disk of its own, where such a thing can be mounted.
    pub(crate) fn new(setting: Setting, role: &'static str) -> Arc<Self> {
        fs::create_dir_all(setting.data()).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", DISK, "tmpfs"])
            .arg(setting.data())
            .status()
            .is_ok_and(|status| status.success());
        let mut member = Self::made(setting, role);
        member.has_disk = mounted;
        Arc::new(member)
    }

    /// One with as much room as the machine has.
    pub(crate) fn with_room(setting: Setting, role: &'static str) -> Arc<Self> {
        Arc::new(Self::made(setting, role))
    }

    fn made(setting: Setting, role: &'static str) -> Self {
        Self {
            setting,
            role,
            client: reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap(),
            held: AtomicBool::new(false),
            over: AtomicBool::new(false),
            process: Mutex::default(),
            complaints: Mutex::default(),
            excuses: AtomicUsize::new(0),
            has_disk: false,
        }
    }

    /// Starts the daemon whenever it is not running, until [`Member::ends`].
    pub(crate) async fn supervise(self: Arc<Self>) {
        while !self.over.load(Relaxed) {
            let ended = {
                let mut process = self.process.lock().unwrap();
                match process.as_mut().map(|child| child.try_wait().unwrap()) {
                    Some(None) => None,
                    Some(Some(status)) => {
                        *process = None;
                        Some(Some(status))
                    }
                    None => Some(None),
                }
            };
            match ended {
                None => {}
                Some(Some(status)) => self.note(status),
                Some(None) if self.held.load(Relaxed) => {}
                Some(None) => {
                    tokio::time::sleep(RESTART_AFTER).await;
                    self.start();
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn start(&self) {
        if self.held.load(Relaxed) || self.over.load(Relaxed) {
            return;
        }
        let log = || File::options().create(true).append(true).open(self.log()).unwrap();
        let mut command = self.setting.command(&["serve", "--role", self.role, "--log-level", "info"]);
        command.env("FAILPOINTS_FILE", self.points());
        let child = command.stdout(log()).stderr(log()).spawn().unwrap();
        *self.process.lock().unwrap() = Some(child);
    }

    /// 0 it was told, 69 a service it needs is away, no code: a signal. Anything else is a fault of its own.
    fn note(&self, status: ExitStatus) {
        let is_usual = matches!(status.code(), None | Some(0 | 69));
        if !is_usual && self.excuses.load(Relaxed) == 0 {
            self.complaints.lock().unwrap().push(format!("{} ended with {status}", self.setting.admin_url()));
        }
    }

    fn log(&self) -> PathBuf {
        self.setting.data().with_file_name("log")
    }

    fn points(&self) -> PathBuf {
        self.setting.data().with_file_name("failpoints")
    }

    /// Arms its failpoints anew, whether it runs or not.
    pub(crate) fn arm(&self, script: &str) {
        let fresh = self.points().with_extension("new");
        fs::write(&fresh, script).unwrap();
        fs::rename(fresh, self.points()).unwrap();
    }

    /// Keeps it from being started again.
    pub(crate) fn hold(&self) {
        self.held.store(true, Relaxed);
    }

    pub(crate) fn release(&self) {
        self.held.store(false, Relaxed);
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.process.lock().unwrap().as_ref().map(Child::id);
        if let Some(id) = id {
            // It may have ended in between.
            drop(Command::new("kill").args([name, &id.to_string()]).status());
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        let mut process = self.process.lock().unwrap();
        process.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    pub(crate) fn id(&self) -> Option<u32> {
        self.process.lock().unwrap().as_ref().map(Child::id)
    }

    pub(crate) async fn is_ready(&self) -> bool {
        let answer = self.client.get(format!("{}/readyz", self.setting.admin_url())).send().await;
        answer.is_ok_and(|answer| answer.status() == 200)
    }

    /// A page of its admin API, if it answers.
    pub(crate) async fn read(&self, path: &str) -> Option<Value> {
        let answer = self.client.get(format!("{}{path}", self.setting.admin_url())).send().await.ok()?;
        answer.json().await.ok()
    }

    /// One of its metrics, all labels together.
    pub(crate) async fn metric(&self, name: &str) -> Option<f64> {
        let answer = self.client.get(format!("{}/metrics", self.setting.admin_url())).send().await.ok()?;
        let text = answer.text().await.ok()?;
        let is_it = |line: &&str| {
            line.strip_prefix("sounder_")
                .and_then(|line| line.strip_prefix(name))
                .is_some_and(|rest| rest.starts_with([' ', '{']))
        };
        Some(text.lines().filter(is_it).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// What is wrong with how it ended or with what it printed.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let printed = fs::read_to_string(self.log()).unwrap_or_default();
        let leaked = leaks(&printed).into_iter().map(|leaked| format!("it printed {leaked}"));
        self.complaints.lock().unwrap().drain(..).chain(leaked).collect()
    }

    /// The last lines it printed.
    pub(crate) fn last_words(&self) -> String {
        let printed = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<_> = printed.lines().rev().take(400).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Stops supervising and kills it.
    pub(crate) fn ends(&self) {
        self.over.store(true, Relaxed);
        if let Some(mut child) = self.process.lock().unwrap().take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.ends();
        if self.has_disk {
            Command::new("umount").arg(self.setting.data()).status().ok();
        }
    }
}
