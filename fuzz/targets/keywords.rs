//! Whatever somebody replies: text in, nothing out. It means the same whenever it is heard, what is
//! heard is a listed word, and where nothing is listed nothing is heard.

#![no_main]

use std::sync::LazyLock;

use sounder::config::Keywords;
use sounder::provider::keyword::{Meaning, classify};

static BUILT_IN: LazyLock<Keywords> = LazyLock::new(Keywords::default);
static NONE: LazyLock<Keywords> =
    LazyLock::new(|| Keywords { languages: Vec::new(), ..Keywords::default() });

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let meaning = classify(&text, &BUILT_IN);
    assert_eq!(meaning, classify(&text, &BUILT_IN));
    if let Some((_, heard)) = meaning.asks() {
        assert!(!heard.keyword.is_empty() && heard.keyword.len() < 64, "{heard:?}");
    }
    assert_eq!(classify(&text, &NONE), Meaning::Reply);
});
