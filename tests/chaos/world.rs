//! Everything that runs: a broker, a Redis, a stand-in for Discord, a fleet, the providers; and what
//! must be true of it whenever all is whole and still.

use std::sync::Arc;
use std::time::Duration;

use sounder::simulate::discord::Standin;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::fleet::Member;
use crate::harness::{Broker, SENDERS, Setting};
use crate::oracle::read_stream;
use crate::providers::Providers;
use crate::redis::Redis;

/// How long all may take to be answered, drained, counted and told once nothing is broken.
const STILL_MAX: Duration = Duration::from_secs(180);
/// So many lost events are told one by one.
const LOST_TOLD: usize = 20;
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A fleet and all it stands on.
pub(crate) struct World {
    pub(crate) broker: Mutex<Broker>,
    pub(crate) address: String,
    pub(crate) prefix: String,
    pub(crate) redis: Mutex<Redis>,
    pub(crate) discord: Standin,
    pub(crate) members: Vec<Arc<Member>>,
    /// Observes only, and only now and then.
    pub(crate) guest: Arc<Member>,
    pub(crate) providers: Providers,
}

impl World {
    /// None where there is nothing to start a broker from.
    pub(crate) async fn start(rate: u32, seed: u64) -> Option<Self> {
        let broker = Broker::start()?;
        broker.answers().await;
        let redis = Redis::start().await;
        let discord = Standin::start(([127, 0, 0, 1], 0).into()).await.unwrap();
        let first = Setting::on(Some(broker.address.clone()), Some(redis.url())).telling(&discord);
        let (second, third) = (first.sibling(), first.sibling());
        let prefix = first.shared.topic_prefix.clone();
        let members = [first, second].map(|setting| Member::new(setting, "all")).to_vec();
        let guest = Member::new(third, "observe");
        guest.hold();
        for member in members.iter().chain([&guest]) {
            tokio::spawn(Arc::clone(member).supervise());
        }
        let receivers = members.iter().map(|member| member.setting.receive_url()).collect();
        let providers = Providers::start(receivers, rate, seed);
        let address = broker.address.clone();
        let (broker, redis) = (Mutex::new(broker), Mutex::new(redis));
        let world = Self { broker, address, prefix, redis, discord, members, guest, providers };
        for member in &world.members {
            until("the fleet is up", async || member.is_ready().await).await.unwrap();
        }
        Some(world)
    }

    /// Waits until every webhook is answered and every event drained and counted, and compares. Nobody
    /// pushes any more until the providers are resumed.
    pub(crate) async fn is_whole(&self) -> Result<(), String> {
        self.providers.pause();
        until("every webhook is acknowledged", async || self.providers.outstanding() == 0).await?;
        let deadline = Instant::now() + STILL_MAX;
        loop {
            let wrong = self.wrong().await;
            if wrong.is_empty() {
                break;
            }
            if Instant::now() > deadline {
                return Err(wrong.join("\n"));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// What is not as it must be when all is still.
    async fn wrong(&self) -> Vec<String> {
        let mut wrong = self.providers.book(|book| book.wrong.clone());
        for member in &self.members {
            wrong.extend(
                self.wrong_with(member)
                    .await
                    .into_iter()
                    .map(|said| format!("{}: {said}", member.setting.admin_url())),
            );
        }
        wrong
    }

    async fn wrong_with(&self, member: &Member) -> Vec<String> {
        let mut wrong = member.complaints();
        let Some(ledger) = member.read("/api/v1/ledger").await else {
            wrong.push("it does not answer".into());
            return wrong;
        };
        let still = ledger["balanced"] == true && ledger["lag"] == 0 && ledger["spool"]["in_spool"] == 0;
        if !still {
            wrong.push(format!("its ledger: {ledger}"));
        }
        if member.metric("ledger_imbalance").await != Some(0.0) {
            wrong.push("ledger_imbalance is not 0".into());
        }
        if member.metric("alerts_pending").await != Some(0.0) {
            wrong.push("alerts wait".into());
        }
        for number in SENDERS {
            let path = format!("/api/v1/health/numbers/{}", number.replace('+', "%2B"));
            let health = member.read(&path).await.unwrap_or_default();
            let counted = |state: &str| health["totals"][state].as_u64().unwrap_or(0);
            let counted = (counted("delivered"), counted("failed"));
            let expected = self.providers.book(|book| book.counts.get(number).copied().unwrap_or_default());
            if counted != expected {
                let totals = &health["totals"];
                wrong.push(format!("{number} has {counted:?} and should have {expected:?}; in all {totals}"));
            }
        }
        wrong
    }

    /// Every acknowledged event is in the stream; the world must be whole, and nobody pushing. Then they
    /// are settled, and the stream may forget them.
    pub(crate) async fn audit(&self) -> Result<(), String> {
        let (brokers, prefix) = (self.address.clone(), self.prefix.clone());
        let there = tokio::task::spawn_blocking(move || read_stream(&brokers, &prefix)).await.unwrap()?;
        let lost = self.providers.book(|book| book.settle(&there));
        let told: Vec<_> = lost.iter().take(LOST_TOLD).map(|one| format!("{one:?}")).collect();
        match lost.len() {
            0 => Ok(()),
            count => Err(format!("{count} acknowledged events are lost, as\n{}", told.join("\n"))),
        }
    }

    /// Every incident there ever was has been told of.
    pub(crate) async fn is_told(&self) -> Result<usize, String> {
        let incidents = self.members[0].read("/api/v1/incidents").await.unwrap_or_default();
        let listed =
            incidents["incidents"].as_array().or_else(|| incidents.as_array()).cloned().unwrap_or_default();
        let posted = self.discord.messages().to_string();
        let told = |id: &str| posted.contains(id);
        match listed.iter().filter_map(|incident| incident["id"].as_str()).find(|id| !told(id)) {
            None => Ok(listed.len()),
            Some(id) => Err(format!("incident {id} was not told")),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.providers.end();
        for member in self.members.iter().chain([&self.guest]) {
            member.ends();
        }
    }
}

/// Looks again and again, but not for ever.
pub(crate) async fn until(what: &str, mut look: impl AsyncFnMut() -> bool) -> Result<(), String> {
    let deadline = Instant::now() + STILL_MAX;
    while !look().await {
        if Instant::now() > deadline {
            return Err(format!("it never came true that {what}"));
        }
        tokio::time::sleep(LOOK_EVERY / 4).await;
    }
    Ok(())
}
