//! A file of suppressions of any bytes: they are read and matched, or refused.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = leaksnap::internals::damage::read_suppressions(bytes);
});
