//! What the rooms take, each by itself: `cargo bench --features internals --bench rooms`.
//!
//! Nanoseconds are a machine's own. What may be quoted are the ratios, printed as `ratio: ...`:
//! both sides of each are measured in turns, in the same run.

#[path = "rooms/child.rs"]
mod child;
#[path = "rooms/parent.rs"]
mod parent;

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};

/// How often `over` and `under` take turns.
const ROUNDS: usize = 21;

/// Prints how many times as long as `under` `over` takes, by the medians of both; each is given
/// how often it is to run and says how long that took.
fn ratio(
    name: &str,
    runs: u64,
    mut over: impl FnMut(u64) -> Duration,
    mut under: impl FnMut(u64) -> Duration,
) {
    let mut times: [Vec<Duration>; 2] = Default::default();
    for _ in 0..ROUNDS {
        times[0].push(over(runs));
        times[1].push(under(runs));
    }
    let [over, under] = times.map(|mut times| {
        times.sort_unstable();
        times[ROUNDS / 2].as_secs_f64()
    });
    println!("ratio: {name}: {:.2}", over / under);
}

/// How long it takes to call `f` so many times.
fn time<T>(runs: u64, mut f: impl FnMut() -> T) -> Duration {
    let start = Instant::now();
    for _ in 0..runs {
        std::hint::black_box(f());
    }
    start.elapsed()
}

/// xorshift64* (Vigna, 2016): the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
    }
}

/// Two minutes for all of it.
fn short() -> Criterion {
    let times = (Duration::from_millis(500), Duration::from_secs(2));
    Criterion::default().warm_up_time(times.0).measurement_time(times.1).sample_size(50)
}

criterion_group! {
    name = rooms;
    config = short();
    targets = child::unwind, child::trace_cache, child::book, child::intern,
        parent::verdict, parent::memory, parent::mark, parent::symbols
}
criterion_main!(rooms);
