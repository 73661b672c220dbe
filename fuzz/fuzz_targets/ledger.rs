//! A damaged ledger: what the parent reads is judged or refused.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = leaksnap::internals::damage::judge_ledger(bytes);
});
