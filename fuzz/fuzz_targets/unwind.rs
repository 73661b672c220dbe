//! The unwinder on damaged unwind data and damaged stacks: a walk ends, and panics at nothing.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = leaksnap::internals::damage::walk(bytes);
});
