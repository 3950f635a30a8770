//! Whatever is found on the disk: edits of a whole segment, or the bytes of a record in, nothing out.
//! What is read at an offset is what was written there or nothing, and a damaged log goes on.

#![no_main]

use sounder_fuzz::stream;

libfuzzer_sys::fuzz_target!(|data: &[u8]| match data {
    [0, edits @ ..] => stream::damaged(edits),
    [_, record @ ..] => stream::record(record),
    [] => {}
});
