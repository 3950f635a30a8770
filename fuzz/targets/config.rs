//! Whatever is written in a configuration: TOML in, nothing out. Every mistake has a place and a
//! remedy, and what is accepted makes a registry.

#![no_main]

use sounder::config::{Source, load_to_serve};
use sounder::registry::Registry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    // Files are nobody's business here: a device would be read as a secret.
    if text.contains("file") {
        return;
    }
    match load_to_serve(&Source::of(text)) {
        Ok(config) => drop(Registry::new(&config)),
        Err(mistakes) => {
            assert!(!mistakes.mistakes.is_empty() && !mistakes.to_string().is_empty());
        }
    }
});
