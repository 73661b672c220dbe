//! Scenarios that are closures: each in a child process of its own.

use std::hint::black_box;

leaksnap::main!("tests/closures", snapshots: "../snapshots/closures", scenarios: [
    leaksnap::scenario("frees_all", |run| run.repeat(8, || drop(black_box(vec![1_u8; 100])))),
    leaksnap::scenario("forgets_a_box", |run| run.warmup(1).repeat(4, forget_a_box)),
    leaksnap::scenario("returns_a_result", |run| {
        let number: u32 = "17".parse()?;
        run.repeat(2, || black_box(number.to_string()).parse::<u32>())?;
        Ok::<(), Box<dyn std::error::Error>>(())
    }),
]);

#[inline(never)]
fn forget_a_box() {
    std::mem::forget(black_box(Box::new([0_u8; 40])));
}
