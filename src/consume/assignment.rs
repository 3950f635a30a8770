//! What librdkafka's callbacks tell → which partitions are read, from where, and how far they go.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use tokio::sync::Notify;

use super::trace::{Mark, Seen, Trace};
use super::{Partition, Positions};
use crate::clock::Timestamp;
use crate::event::{Record, Topic};
use crate::publish::{Brokers, Heard, scrub};

/// How far one assigned partition is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    /// Where reading started; none means the beginning.
    from: Option<u64>,
    /// The offset behind the last record taken.
    next: Option<u64>,
    /// The time of the last record taken.
    time: Option<Timestamp>,
    /// The offset the next record will get, as heard last.
    end: Option<u64>,
    /// Where librdkafka last found the partition's end.
    eof: Option<u64>,
}

impl Progress {
    /// True when everything there was has been taken: reading has passed the end, or found it
    /// without a record since.
    fn at_end(&self) -> bool {
        let Some(end) = self.end else { return false };
        self.next.or(self.from).is_some_and(|next| next >= end)
            || (self.eof == Some(end) && self.next.is_none())
    }
}

/// What the callbacks know.
pub(super) struct Assignment {
    prefix: String,
    positions: Positions,
    secrets: Vec<String>,
    known: Mutex<Known>,
    forsaken: Notify,
    replaced: Notify,
}

#[derive(Default)]
struct Known {
    partitions: BTreeMap<Partition, Progress>,
    /// A broker was connected when last heard of.
    up: bool,
    trouble: Option<String>,
    brokers: Brokers,
    trace: Trace,
    /// A topic was not there when it was asked for.
    missing: bool,
    /// Partitions found replaced, which are to be read from their beginning.
    replaced: Vec<Partition>,
}

impl Known {
    fn wait(&mut self, trouble: &str) {
        if self.trouble.is_none() {
            tracing::warn!(trouble, "consume.kafka waits");
        }
        self.up = false;
        self.trouble = Some(trouble.to_owned());
    }
}

impl Assignment {
    pub(super) fn new(prefix: String, positions: Positions, secrets: Vec<String>) -> Self {
        Self {
            prefix,
            positions,
            secrets,
            known: Mutex::default(),
            forsaken: Notify::new(),
            replaced: Notify::new(),
        }
    }

    /// The same, knowing what another client has taken.
    pub(super) fn knowing(self, trace: Trace) -> Self {
        self.known().trace = trace;
        self
    }

    /// Learns what others took last of the partitions that are not read here.
    pub(super) fn learn(&self, mut marks: BTreeMap<Partition, Mark>) {
        let mut known = self.known();
        marks.retain(|partition, _| !known.partitions.contains_key(partition));
        known.trace.learn(marks);
    }

    /// What the next process has to know of what was taken here.
    pub(super) fn marks(&self) -> BTreeMap<Partition, Mark> {
        let known = self.known();
        let mut marks = known.trace.marks();
        marks.retain(|partition, _| known.partitions.contains_key(partition));
        marks
    }

    /// What the next client has to know.
    pub(super) fn hand_over(&self) -> Trace {
        std::mem::take(&mut self.known().trace)
    }

    /// Whether brokers are there and this client may never read what it should: it has no partitions, or
    /// a topic was missing once. What is made anew under that name has lower leader epochs, which
    /// librdkafka takes for old news of the one it knew.
    pub(super) fn lacks(&self) -> bool {
        let known = self.known();
        known.up && (known.partitions.is_empty() || known.missing)
    }

    /// Resolves when this client will never find a broker again, so that only another one can.
    pub(super) async fn forsaken(&self) {
        self.forsaken.notified().await;
    }

    /// The partition a topic's name and index stand for.
    pub(super) fn partition(&self, topic: &str, index: i32) -> Option<Partition> {
        let name = topic.strip_prefix(&self.prefix)?;
        let topic = Topic::ALL.into_iter().find(|topic| topic.name() == name)?;
        Some(Partition { topic, index })
    }

    /// Resolves with partitions that are not what they were, and are to be read from their beginning.
    pub(super) async fn replaced(&self) -> Vec<Partition> {
        self.replaced.notified().await;
        std::mem::take(&mut self.known().replaced)
    }

    /// Notes a record, and says whether it is to be taken.
    pub(super) fn taken(&self, partition: Partition, offset: u64, record: Option<&Record>) -> bool {
        let mut known = self.known();
        match known.trace.take(partition, offset, record) {
            Seen::Next => {}
            Seen::Again => return false,
            Seen::Replaced => {
                known.replaced.push(partition);
                self.replaced.notify_one();
                return false;
            }
        }
        if let Some(progress) = known.partitions.get_mut(&partition) {
            progress.next = Some(offset + 1);
            progress.time = record.map(|record| record.time).or(progress.time);
        }
        true
    }

    /// Whether a partition is being read here.
    pub(super) fn has(&self, partition: Partition) -> bool {
        self.known().partitions.contains_key(&partition)
    }

    pub(super) fn ends(&self) -> BTreeMap<Partition, u64> {
        let known = self.known();
        known.partitions.iter().filter_map(|(partition, p)| p.end.map(|end| (*partition, end))).collect()
    }

    pub(super) fn caught_up(&self) -> bool {
        let known = self.known();
        known.up && !known.partitions.is_empty() && known.partitions.values().all(Progress::at_end)
    }

    /// How far each partition is that is read here. While no broker answers nobody knows what waits,
    /// so none counts as read to its end.
    pub(super) fn clocks(&self, now: Timestamp) -> BTreeMap<Partition, Option<Timestamp>> {
        let known = self.known();
        let clock = |p: &Progress| if known.up && p.at_end() { Some(now) } else { p.time };
        known.partitions.iter().map(|(partition, progress)| (*partition, clock(progress))).collect()
    }

    pub(super) fn ready(&self) -> Result<(), String> {
        self.known().trouble.clone().map_or(Ok(()), Err)
    }

    /// Notes what keeps records from coming, and logs it once.
    pub(super) fn note(&self, trouble: &str) {
        self.known().wait(trouble);
    }

    /// Notes that a topic is not there.
    pub(super) fn note_missing(&self, trouble: &str) {
        let mut known = self.known();
        known.missing = true;
        known.wait(trouble);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the store's position on each newly assigned partition, before anything is fetched.
    fn assign(&self, list: &mut TopicPartitionList) -> KafkaResult<()> {
        let names: Vec<_> = list.elements().iter().map(|e| (e.topic().to_owned(), e.partition())).collect();
        let positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (topic, index) in names {
            let Some(partition) = self.partition(&topic, index) else { continue };
            let from = positions.get(&partition).copied();
            let mut known = self.known();
            known.partitions.insert(partition, Progress { from, ..Progress::default() });
            let begin = known.trace.begin(partition, from);
            let offset =
                begin.and_then(|from| i64::try_from(from).ok()).map_or(Offset::Beginning, Offset::Offset);
            list.set_partition_offset(&topic, index, offset)?;
        }
        tracing::info!(partitions = list.count(), "consume.assigned");
        Ok(())
    }

    fn revoke(&self, list: &TopicPartitionList) {
        for element in list.elements() {
            if let Some(partition) = self.partition(element.topic(), element.partition()) {
                self.known().partitions.remove(&partition);
            }
        }
        tracing::info!(partitions = list.count(), "consume.revoked");
    }
}

impl ClientContext for Assignment {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, message = scrub(message, &self.secrets), "librdkafka");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let reason = scrub(reason, &self.secrets);
        match error.rdkafka_error_code() {
            Some(Code::AllBrokersDown) => self.note(&reason),
            // Told again, sorted, to whoever waits for records; or one broker of several.
            _ => tracing::debug!(reason, "librdkafka.error"),
        }
    }

    fn stats(&self, statistics: Statistics) {
        let mut known = self.known();
        // What a client was configured with is an address; a broker has a number.
        let heard = known.brokers.hear(&statistics, |broker| broker.nodeid >= 0);
        known.up = heard == Heard::Up;
        if heard == Heard::Forsaken {
            self.forsaken.notify_one();
        }
        if matches!(heard, Heard::Away | Heard::Forsaken) && known.trouble.is_none() {
            known.wait("no broker is connected");
        }
        if known.up && known.trouble.take().is_some() {
            tracing::info!("consume.kafka goes on");
        }
        for (name, topic) in &statistics.topics {
            for (index, heard) in &topic.partitions {
                let Some(partition) = self.partition(name, *index) else { continue };
                if let Some(progress) = known.partitions.get_mut(&partition) {
                    // Negative offsets are librdkafka's words for “not known yet”.
                    progress.end = u64::try_from(heard.hi_offset).ok().or(progress.end);
                    progress.eof = u64::try_from(heard.eof_offset).ok();
                    if progress.next.is_none()
                        && progress.eof.is_some_and(|end| known.trace.ends(partition, end))
                    {
                        known.replaced.push(partition);
                        self.replaced.notify_one();
                    }
                }
            }
        }
    }
}

impl ConsumerContext for Assignment {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let assigning = event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let done = match (assigning, cooperative) {
            (true, true) => self.assign(list).and_then(|()| consumer.incremental_assign(list)),
            (true, false) => self.assign(list).and_then(|()| consumer.assign(list)),
            (false, true) => {
                self.revoke(list);
                consumer.incremental_unassign(list)
            }
            (false, false) => {
                self.revoke(list);
                consumer.unassign()
            }
        };
        if let Err(error) = done {
            // What is read now is not what the group thinks is read.
            tracing::error!(%error, "consume.rebalance failed");
            self.forsaken.notify_one();
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        // The store's position is the one that counts; the group's is for people's tools.
        if let Err(error) = result {
            tracing::debug!(%error, "consume.commit failed");
        }
    }
}

impl fmt::Debug for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assignment").field("partitions", &self.known().partitions).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::{TICKS, statistics};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn record(seconds: i64) -> Record {
        Record {
            topic: Topic::Receipts,
            key: "k".into(),
            id: "i".into(),
            source: "/connections/a".into(),
            time: at(seconds),
            traceparent: None,
            value: bytes::Bytes::new(),
        }
    }

    #[test]
    fn a_partition_is_as_far_as_its_last_record_or_now_at_its_end() {
        let assignment = Assignment::new("sms.".into(), Positions::default(), Vec::new());
        let first = assignment.partition("sms.receipts.v1", 0).unwrap();
        let second = assignment.partition("sms.sends.v1", 1).unwrap();
        assert_eq!(assignment.partition("other.receipts.v1", 0), None);
        assert!(assignment.clocks(at(100)).is_empty());
        let clocks = |of| Vec::from_iter(Assignment::clocks(of, at(100)).into_values());
        let put = |partition, progress| assignment.known().partitions.insert(partition, progress);
        put(first, Progress { end: Some(5), ..Progress::default() });
        put(second, Progress { end: Some(0), eof: Some(0), ..Progress::default() });
        assignment.known().up = true;
        assert_eq!(clocks(&assignment), [None, Some(at(100))], "nothing is known of the first");
        assert!(assignment.taken(first, 3, Some(&record(50))));
        assert_eq!(clocks(&assignment), [Some(at(50)), Some(at(100))]);
        assert!(!assignment.caught_up());
        assert!(assignment.taken(first, 4, Some(&record(51))));
        assert_eq!(clocks(&assignment), [Some(at(100)); 2]);
        assert!(assignment.caught_up());
        assignment.note("no broker answers");
        assert_eq!(clocks(&assignment), [Some(at(51)), None], "nobody knows what waits in the second");
    }

    #[tokio::test]
    async fn a_forsaken_client_says_so() {
        let told = |brokers: &'static [(&str, &str, i64)]| async move {
            let assignment = Assignment::new("sms.".into(), Positions::default(), Vec::new());
            for _ in 0..TICKS {
                assignment.stats(statistics(brokers));
            }
            let forsaken = tokio::time::timeout(std::time::Duration::ZERO, assignment.forsaken()).await;
            (forsaken.is_ok(), assignment.ready().is_ok())
        };
        assert_eq!(told(&[]).await, (true, false));
        assert_eq!(told(&[("learned", "DOWN", 2_000_000)]).await, (false, false));
        assert_eq!(told(&[("learned", "UP", 7_000_000)]).await, (false, true));
    }
}
