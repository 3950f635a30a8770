//! What the disk gives back. In: edits of a segment that was whole, or bytes in a record's place.
//! Out: nothing; it panics when anything is read that was not written.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use sounder::clock::Timestamp;
use sounder::config::{Source, load};
use sounder::event::{Provider, Record, Topic};
use sounder::publish::Log;
use sounder::registry::Registry;
use sounder::tally::touch;
use tokio::runtime::{Builder, Runtime};

/// Records in the segment.
const RECORDS: usize = 12;
/// The segment's name: that of its first offset.
const NAME: &str = "00000000000000000000.log";

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime"));
static REGISTRY: LazyLock<Registry> =
    LazyLock::new(|| Registry::new(&load(&Source::of("")).expect("nothing is a configuration")));

/// A whole segment, and what was written into it.
static WHOLE: LazyLock<(Vec<u8>, Vec<Record>)> = LazyLock::new(|| {
    let dir = directory();
    let records: Vec<Record> = (0..RECORDS).map(written).collect();
    append(&opened(dir.path()), &records);
    (fs::read(dir.path().join(NAME)).expect("a segment"), records)
});

fn written(number: usize) -> Record {
    Record {
        topic: Topic::ALL[number % Topic::ALL.len()],
        key: format!("key-{number}"),
        id: "i".repeat(number),
        source: "/connections/acme-twilio".into(),
        time: Timestamp::from_millis(1_795_428_000_000),
        traceparent: None,
        value: Bytes::from(vec![b'v'; number * 7]),
    }
}

/// Memory rather than a disk: nothing here is to outlive a power cut.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory")
}

fn opened(dir: &Path) -> Log {
    Log::open(dir, Duration::from_secs(3600), 1 << 30).expect("a damaged log opens")
}

fn append(log: &Log, records: &[Record]) {
    RUNTIME.block_on(log.append(records)).expect("a log goes on");
}

/// Edits of four bytes: what to do, where (two bytes), and with what.
pub fn damaged(edits: &[u8]) {
    let (whole, records) = &*WHOLE;
    let mut bytes = whole.clone();
    for edit in edits.chunks_exact(4).take(64) {
        let [what, high, low, with] = *edit else { return };
        let at = usize::from(u16::from_be_bytes([high, low])) % (bytes.len() + 1);
        let to = (at + usize::from(with)).min(bytes.len());
        match what % 6 {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..to)),
            2 => bytes[at..to].fill(0),
            3 => bytes.splice(at..at, whole[at.min(whole.len())..].iter().copied().take(to - at)).for_each(drop),
            4 => bytes.insert(at, with),
            _ if at < bytes.len() => bytes[at] ^= with,
            _ => {}
        }
        bytes.truncate(1 << 16);
    }
    // A whole header of another version is refused with a sentence: a case for the unit tests.
    if bytes.starts_with(&whole[..8]) && bytes.get(8..12) != Some(&whole[8..12]) {
        return;
    }
    let dir = directory();
    fs::write(dir.path().join(NAME), &bytes).expect("a segment");
    let log = opened(dir.path());
    let end = log.end();
    append(&log, &records[..1]);
    for (offset, record) in log.read(0, 1 << 12).expect("a damaged log is read") {
        let Some(record) = record else { continue };
        let expected = if offset == end { 0 } else { usize::try_from(offset).unwrap_or(usize::MAX) };
        assert_eq!(Some(&record), records.get(expected), "offset {offset} of {end}");
    }
    let last = log.read(end, 1).expect("a damaged log is read");
    assert_eq!(last, [(end, Some(records[0].clone()))]);
}

/// What decodes is what was encoded, and can be counted or said to be unreadable.
pub fn record(bytes: &[u8]) {
    let Some(record) = Record::decode(Bytes::copy_from_slice(bytes)) else { return };
    touch(&record, &REGISTRY);
    let mut again = Vec::new();
    record.encode(&mut again);
    assert_eq!(again, bytes);
}

/// Seeds: a few edits, and a record of each vector.
pub fn seeds() -> Vec<Vec<u8>> {
    let edits: [&[u8]; 6] = [
        &[0, 0, 1, 0, 0],
        &[0, 1, 0, 40, 9],
        &[0, 2, 0, 90, 30],
        &[0, 3, 0, 32, 60],
        &[0, 4, 0, 50, 7],
        &[0, 5, 0, 36, 1, 5, 2, 0, 255],
    ];
    let mut seeds: Vec<Vec<u8>> = edits.map(<[u8]>::to_vec).to_vec();
    for record in Provider::ALL.into_iter().flat_map(crate::webhook::records) {
        let mut bytes = vec![1];
        record.encode(&mut bytes);
        seeds.push(bytes);
    }
    seeds
}
