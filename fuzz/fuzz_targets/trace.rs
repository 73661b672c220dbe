//! Two saved traces of any bytes: they are compared or refused.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = leaksnap::internals::damage::compare_traces(bytes);
});
