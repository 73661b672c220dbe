//! The child's side: what one allocation pays for.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use leaksnap::internals::child::{Caller, Ledger, Site};

use crate::{Random, ratio, time};

const DEPTHS: [usize; 2] = [10, 30];
const LIVE: [usize; 3] = [1_000, 100_000, 1_000_000];

/// Functions that call each other: frames of several sizes and return addresses, as in a program.
macro_rules! frames {
    ($($name:ident($words:literal) -> $next:ident;)*) => {
        $(#[inline(never)]
        fn $name(depth: usize, work: &mut dyn FnMut()) {
            let words = black_box([depth; $words]);
            match depth {
                0 => work(),
                _ => $next(depth - 1, work),
            }
            black_box(words);
        })*
    };
}

frames! {
    first(3) -> second;
    second(12) -> third;
    third(1) -> fourth;
    fourth(30) -> fifth;
    fifth(6) -> first;
}

/// How long `runs` calls of `f` take, below `depth` frames; `f` gets the innermost of them.
fn deep<T>(depth: usize, runs: u64, mut f: impl FnMut(Caller) -> T) -> Duration {
    let mut took = Duration::ZERO;
    first(depth, &mut || {
        Caller::with(|caller| took = time(runs, || f(caller)));
    });
    took
}

fn by_rules(depth: usize, runs: u64) -> Duration {
    let mut addresses = [0; 64];
    deep(depth, runs, |caller| {
        let found = caller.walk(&mut addresses[..depth]);
        assert_eq!(found, depth);
        addresses[0]
    })
}

/// The same number of frames with the `backtrace` crate, which asks libgcc.
fn by_libgcc(depth: usize, runs: u64) -> Duration {
    let mut addresses = [0; 64];
    deep(depth, runs, |_| {
        let mut found = 0;
        backtrace::trace(|frame| {
            addresses[found] = frame.ip() as usize;
            found += 1;
            found < depth
        });
        assert_eq!(found, depth);
        addresses[0]
    })
}

/// A walk by rules that are known, and libgcc's.
pub(crate) fn unwind(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("unwind");
    for depth in DEPTHS {
        group.bench_function(BenchmarkId::new("rules", depth), |bencher| {
            bencher.iter_custom(|runs| by_rules(depth, runs));
        });
        group.bench_function(BenchmarkId::new("libgcc", depth), |bencher| {
            bencher.iter_custom(|runs| by_libgcc(depth, runs));
        });
        let name = format!("unwind, {depth} frames: libgcc / rules");
        ratio(&name, 5_000, |runs| by_libgcc(depth, runs), |runs| by_rules(depth, runs));
    }
}

/// The site of a backtrace that the thread has seen before.
pub(crate) fn trace_cache(criterion: &mut Criterion) {
    let ledger = Ledger::new(1 << 20, 1 << 16);
    let hit = |depth, runs| deep(depth, runs, |caller| caller.site(&ledger));
    let mut group = criterion.benchmark_group("trace cache");
    for depth in DEPTHS {
        group.bench_function(BenchmarkId::new("hit", depth), |bencher| {
            bencher.iter_custom(|runs| hit(depth, runs));
        });
        let name = format!("trace cache, {depth} frames and what is outside: rules / hit");
        ratio(&name, 5_000, |runs| by_rules(depth, runs), |runs| hit(depth, runs));
    }
}

/// A ledger with `live` blocks, 64 bytes apart in the mean, and where they lie, in no order.
fn filled(live: usize) -> (Ledger, Vec<(u64, u64)>) {
    let ledger = Ledger::new(live as u64 * 112 + (1 << 20), 1 << 16);
    let mut random = Random(7);
    let mut granule = 0;
    let mut blocks: Vec<(u64, u64)> = (0..live)
        .map(|_| {
            let size = 1 + random.below(112);
            let block = (granule, size);
            ledger.enter(granule, 1, size);
            granule += Ledger::granules(size + 15);
            block
        })
        .collect();
    for last in (1..live).rev() {
        let other = random.below(last as u64 + 1);
        blocks.swap(last, usize::try_from(other).expect("an index"));
    }
    (ledger, blocks)
}

/// A block leaves the book and another one enters it.
pub(crate) fn book(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("book");
    let books = LIVE.map(filled);
    let replace = |(ledger, blocks): &(Ledger, Vec<(u64, u64)>), runs| {
        let mut next = blocks.iter().cycle();
        time(runs, || {
            let (granule, size) = *next.next().expect("it goes round");
            let removed = ledger.remove(granule);
            ledger.enter(granule, 1, size);
            removed
        })
    };
    for (live, book) in LIVE.iter().zip(&books) {
        group.bench_function(BenchmarkId::new("remove and enter", live), |bencher| {
            bencher.iter_custom(|runs| replace(book, runs));
        });
    }
    let [small, .., large] = &books;
    let name = "book: with 1,000,000 live / with 1,000 live";
    ratio(name, 1_000_000, |runs| replace(large, runs), |runs| replace(small, runs));
}

/// Backtraces of this many frames are interned.
const PATH: u64 = 30;
/// The frames of a new one that others have too.
const SHARED: u64 = 20;

fn intern_path(ledger: &Ledger, inner: u64) -> Site {
    (0..PATH).fold(Site::ROOT, |parent, frame| {
        let offset = if frame < SHARED { frame } else { inner * PATH + frame };
        ledger.intern(parent, 1, offset).expect("the ledger has room")
    })
}

/// A path that is in the tree, and one whose inner third is not.
pub(crate) fn intern(criterion: &mut Criterion) {
    const NODES: u32 = 1 << 20;
    let ledger = Ledger::new(1 << 20, NODES);
    let known = |runs| time(runs, || intern_path(&ledger, 1));
    let new = |runs: u64| {
        let most = u64::from(NODES) / (PATH - SHARED) - PATH;
        let mut took = Duration::ZERO;
        let mut left = runs;
        while left > 0 {
            let now = left.min(most);
            let ledger = Ledger::new(1 << 20, NODES);
            let mut inner = 0;
            took += time(now, || {
                inner += 1;
                intern_path(&ledger, inner)
            });
            left -= now;
        }
        took
    };
    let mut group = criterion.benchmark_group("intern");
    group.bench_function("30 frames, known", |bencher| bencher.iter_custom(known));
    group.bench_function("30 frames, 10 of them new", |bencher| bencher.iter_custom(new));
    ratio("intern, 30 frames: 10 of them new / all known", 20_000, new, known);
}
