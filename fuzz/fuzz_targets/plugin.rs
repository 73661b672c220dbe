//! Texts of a plugin of any bytes: the host takes or refuses them.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = leaksnap::internals::damage::run_commands(bytes);
});
