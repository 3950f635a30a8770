//! The spool against a naive model, under a file layer that fails: random histories of appending,
//! draining, dying, torn writes, flipped bits and lost marks. Every record that was acknowledged comes
//! out again, in order, opt-outs first; but for what a flipped bit hit, and that is counted.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use super::segment::HEADER;
use super::spool::Spool;
use crate::clock::Timestamp;
use crate::event::{Record, Topic};

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// Records are made durable: so many receipts, so many opt-outs.
    Append(usize, usize),
    /// The process dies while it writes so many receipts, of which this share of the bytes is on disk.
    Torn(usize, f64),
    /// So many are drained.
    Drain(usize),
    /// So many are taken, and the process dies before it is noted.
    Die(usize),
    /// One bit on the disk is another: in the lane of opt-outs (0) or the other (1), this far in.
    Flip(usize, f64, u8),
    /// The note of how far all is drained is gone.
    Forget(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..8_usize, 0..4_usize).prop_map(|(receipts, opt_outs)| Step::Append(receipts, opt_outs)),
        2 => (1..5_usize, 0.0..1.0_f64).prop_map(|(count, share)| Step::Torn(count, share)),
        4 => (1..9_usize).prop_map(Step::Drain),
        1 => (1..9_usize).prop_map(Step::Die),
        1 => (0..2_usize, 0.0..1.0_f64, 0..8_u8).prop_map(|(lane, place, bit)| Step::Flip(lane, place, bit)),
        1 => (0..2_usize).prop_map(Step::Forget),
    ]
}

/// What the model knows: ids, by lane in the order they were appended.
struct Model {
    dir: tempfile::TempDir,
    spool: Option<Spool>,
    made: u64,
    /// Acknowledged.
    owed: BTreeSet<u64>,
    /// Written when the process died; they may come or not.
    doubtful: BTreeSet<u64>,
    drained: BTreeSet<u64>,
    /// The last one that came, by lane, since the spool was opened or its mark lost.
    last: [Option<u64>; 2],
    flips: usize,
}

const LANES: [&str; 2] = ["consent", "other"];

impl Model {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let spool = Some(Spool::open(dir.path(), u64::MAX).unwrap());
        let (owed, doubtful, drained) = Default::default();
        Self { dir, spool, made: 0, owed, doubtful, drained, last: [None, None], flips: 0 }
    }

    fn records(&mut self, topic: Topic, count: usize) -> Vec<Record> {
        let made = self.made;
        self.made += count as u64;
        (made..self.made).map(|id| record(topic, id)).collect()
    }

    fn segment(&self, lane: usize) -> PathBuf {
        let files =
            fs::read_dir(self.dir.path().join(LANES[lane])).unwrap().map(|entry| entry.unwrap().path());
        let segments = files.filter(|path| path.extension().is_some_and(|end| end == "log"));
        segments.max().unwrap_or_else(|| self.dir.path().join(LANES[lane]).join("none"))
    }

    fn reopen(&mut self) {
        self.spool = Some(Spool::open(self.dir.path(), u64::MAX).unwrap());
        self.last = [None, None];
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Append(receipts, opt_outs) => {
                let mut records = self.records(Topic::Receipts, receipts);
                records.extend(self.records(Topic::Consent, opt_outs));
                let ids: Vec<_> = records.iter().map(id).collect();
                self.spool.as_ref().unwrap().append(records).await.unwrap();
                self.owed.extend(ids);
            }
            Step::Torn(count, share) => self.tear(count, share).await,
            Step::Drain(max) => self.drain(max),
            Step::Die(max) => {
                drop(self.spool.as_ref().unwrap().take(max).unwrap());
                self.spool = None;
                self.reopen();
            }
            Step::Flip(lane, place, bit) => self.flip(lane, place, bit),
            Step::Forget(lane) => {
                self.spool = None;
                fs::remove_file(self.dir.path().join(LANES[lane]).join("mark")).ok();
                self.reopen();
            }
        }
        let account = self.spool.as_ref().unwrap().account();
        assert_eq!(account.imbalance(), 0, "{account:?}");
    }

    async fn tear(&mut self, count: usize, share: f64) {
        let (segment, before) =
            (self.segment(1), fs::metadata(self.segment(1)).map_or(HEADER, |file| file.len()));
        let records = self.records(Topic::Receipts, count);
        self.doubtful.extend(records.iter().map(id));
        self.spool.as_ref().unwrap().append(records).await.unwrap();
        self.spool = None;
        // It may have begun another segment, whose header is durable before anything else.
        let before = if self.segment(1) == segment { before } else { HEADER };
        let segment = fs::File::options().write(true).open(self.segment(1)).unwrap();
        let written = segment.metadata().unwrap().len() - before;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of some bytes")]
        segment.set_len(before + (written as f64 * share) as u64).unwrap();
        self.reopen();
    }

    fn flip(&mut self, lane: usize, place: f64, bit: u8) {
        self.spool = None;
        if let Ok(mut bytes) = fs::read(self.segment(lane)) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a place in the file"
            )]
            let at = (place * bytes.len() as f64) as usize;
            bytes[at] ^= 1 << bit;
            fs::write(self.segment(lane), bytes).unwrap();
            self.flips += 1;
        }
        self.reopen();
    }

    fn drain(&mut self, max: usize) {
        let spool = self.spool.as_ref().unwrap();
        let Some(portion) = spool.take(max).unwrap() else { return };
        let lane = usize::from(portion.records.iter().any(|record| record.topic != Topic::Consent));
        for record in &portion.records {
            assert_eq!(usize::from(record.topic != Topic::Consent), lane, "lanes are not mixed");
            let id = id(record);
            assert!(self.last[lane].is_none_or(|last| last < id), "{id} came after {:?}", self.last[lane]);
            assert!(self.owed.contains(&id) || self.doubtful.contains(&id), "{id} is invented");
            self.last[lane] = Some(id);
            self.drained.insert(id);
        }
        spool.settle(&portion, 0);
    }

    /// Nothing is left, and nothing is missing but what was damaged.
    fn ends(mut self) {
        while self.spool.as_ref().unwrap().account().in_spool > 0 {
            self.drain(3);
        }
        let missing = self.owed.difference(&self.drained).count();
        assert!(missing <= self.flips, "{missing} are missing, {} bits were flipped", self.flips);
    }
}

fn record(topic: Topic, id: u64) -> Record {
    Record {
        topic,
        key: "k".into(),
        id: id.to_string(),
        source: "/connections/a".into(),
        time: Timestamp::from_seconds(1),
        traceparent: None,
        value: bytes::Bytes::from_static(b"{}"),
    }
}

fn id(record: &Record) -> u64 {
    record.id.parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_happens_to_the_files_what_was_acknowledged_comes_out(
        steps in prop::collection::vec(step(), 1..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut model = Model::new();
            for step in steps {
                model.take(step).await;
            }
            model.ends();
        });
    }
}
