//! A scenario file of any bytes: it is one, or refused with its line.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = leaksnap::internals::damage::read_scenario(bytes);
});
