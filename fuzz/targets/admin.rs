//! Whatever is posted to the API: a byte that picks the address, then a body in, nothing out. See
//! [`sounder_fuzz::admin`].

#![no_main]

use sounder_fuzz::admin;

libfuzzer_sys::fuzz_target!(|data: &[u8]| admin::holds(data));
