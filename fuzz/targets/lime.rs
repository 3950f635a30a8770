//! Whatever is sent to a connection of Lime's: bytes in, nothing out. See [`sounder_fuzz::webhook`].

#![no_main]

use sounder::event::Provider;
use sounder_fuzz::webhook;

libfuzzer_sys::fuzz_target!(|data: &[u8]| webhook::holds(Provider::Lime, data));
