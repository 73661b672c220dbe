//! The parent's side: what one report pays for.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::Criterion;
use leaksnap::internals::child::{Ledger, Site};
use leaksnap::internals::parent;
use object::{Object, ObjectSymbol, SymbolKind};

use crate::{Random, ratio, time};

const BLOCKS: u64 = 1_000_000;
const SITES: u64 = 20_000;
/// Frames of each site.
const DEPTH: u32 = 20;
/// Distinct places in the code at each depth.
const PLACES: u64 = 300;
const WARMUP: u32 = 2;
const REPEAT: u32 = 8;

/// A ledger with a million live blocks of twenty thousand sites. The module has no file: names are
/// measured by themselves.
fn ledger() -> Ledger {
    let ledger = Ledger::new(128 << 20, 1 << 20);
    let module = ledger.add_module(Path::new("/nowhere/libapp.so")).expect("there is room");
    let sites: Vec<u32> = (0..SITES)
        .map(|site| {
            let site = (0..DEPTH).fold(Site::ROOT, |parent, depth| {
                // Each depth has twice the callers of the one outside it, until each site has its own.
                let caller = site >> 15_u32.saturating_sub(depth);
                let place = caller / PLACES.pow(depth.saturating_sub(15).min(1)) % PLACES;
                let offset = u64::from(depth) << 20 | place << 4;
                ledger.intern(parent, module, offset).expect("there is room")
            });
            site.number()
        })
        .collect();
    let mut random = Random(11);
    let mut granule = 0;
    for _ in 0..BLOCKS {
        let size = 1 + random.below(112);
        let site = sites[usize::try_from(random.below(SITES)).expect("an index")];
        let epoch = u32::try_from(1 + random.below(u64::from(WARMUP + REPEAT))).expect("small");
        ledger.begin(epoch);
        ledger.enter(granule, site, size);
        granule += Ledger::granules(size + 15);
    }
    ledger
}

/// Readings of a large ledger, and what they say.
pub(crate) fn verdict(criterion: &mut Criterion) {
    let ledger = ledger();
    let groups = ledger.judge_by_age(WARMUP, REPEAT).len();
    println!("verdict: {} live blocks, {groups} groups", ledger.read());
    let mut group = criterion.benchmark_group("1M live, 20,000 sites");
    group.sample_size(10).measurement_time(Duration::from_secs(4));
    group.bench_function("read", |bencher| bencher.iter(|| ledger.read()));
    group.bench_function("by age, 1 mark", |bencher| {
        bencher.iter(|| ledger.judge_by_age(WARMUP, 1));
    });
    group.bench_function("by age, 8 marks", |bencher| {
        bencher.iter(|| ledger.judge_by_age(WARMUP, REPEAT));
    });
    group.bench_function("by reachability", |bencher| {
        bencher.iter(|| ledger.judge_by_reachability());
    });
}

/// What the console shows and saves of that ledger, beside the reading that both begin with.
pub(crate) fn memory(criterion: &mut Criterion) {
    const RUNS: u64 = 1;
    let ledger = ledger();
    println!("memory: a table of {} bytes", ledger.show());
    let read = |runs| time(runs, || ledger.read());
    ratio("table of 20,000 sites / 1M live read", RUNS, |runs| time(runs, || ledger.show()), read);
    ratio("trace of 20,000 sites / 1M live read", RUNS, |runs| time(runs, || ledger.save()), read);
    let mut group = criterion.benchmark_group("1M live, 20,000 sites, shown");
    group.sample_size(10).measurement_time(Duration::from_secs(4));
    group.bench_function("table", |bencher| bencher.iter(|| ledger.show()));
    group.bench_function("saved trace", |bencher| bencher.iter(|| ledger.save()));
}

/// A random graph: each block points to two others, which may be itself.
pub(crate) fn mark(criterion: &mut Criterion) {
    const WORD: u64 = 8;
    let mut random = Random(13);
    let sizes: Vec<u64> = (0..BLOCKS).map(|_| 16 + 16 * random.below(8)).collect();
    let total: u64 = sizes.iter().sum();
    let mut heap = vec![0_u64; usize::try_from(total / WORD).expect("it fits")];
    let base = heap.as_ptr() as u64;
    let mut at = base;
    let blocks: Vec<(u64, u64)> = sizes
        .iter()
        .map(|size| {
            at += size;
            (at - size, *size)
        })
        .collect();
    let any =
        |random: &mut Random| blocks[usize::try_from(random.below(BLOCKS)).expect("an index")].0;
    for (address, _) in &blocks {
        let word = usize::try_from((address - base) / WORD).expect("an index");
        // A block in ten points nowhere, so that not everything is reached.
        if random.below(10) > 0 {
            heap[word] = any(&mut random);
            heap[word + 1] = any(&mut random);
        }
    }
    let roots: Vec<u64> = (0..1000).map(|_| any(&mut random)).collect();
    black_box(&mut heap);
    let [lost, indirect, reachable] = parent::mark(&blocks, &roots);
    println!("mark: {lost} lost, {indirect} indirect, {reachable} reachable, {total} bytes");
    let mut group = criterion.benchmark_group("mark");
    group.sample_size(10).measurement_time(Duration::from_secs(4));
    group.bench_function("1M blocks", |bencher| {
        bencher.iter(|| parent::mark(&blocks, &roots));
    });
}

/// Places of a program in Rust with line tables and inlined functions: the command itself, which runs
/// a program, reads debug information and writes a report.
fn traced(most: usize) -> parent::Places {
    let command = env!("CARGO_BIN_EXE_leaksnap");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/vpp");
    let traces = ["warm.json", "warm-plus-10.json"].map(|trace| format!("{folder}/{trace}"));
    let [before, after] = [&*traces[0], &*traces[1]];
    let arguments = ["exec", "--all", "--", command, "diff", before, after];
    parent::Places::of(Path::new(command), &arguments, most)
}

/// A thousand places in this executable at random, which are in most of its debug information, and
/// a thousand that one program's allocations came from.
pub(crate) fn symbols(criterion: &mut Criterion) {
    const PLACES: usize = 1000;
    let path = std::env::current_exe().expect("it has a path");
    let data = std::fs::read(&path).expect("it can be read");
    let file = object::File::parse(&*data).expect("it is an ELF object");
    let functions: Vec<(u64, u64)> = file
        .symbols()
        .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 64)
        .map(|symbol| (symbol.address(), symbol.size()))
        .collect();
    let mut random = Random(17);
    let offsets: Vec<u64> = (0..PLACES)
        .map(|_| {
            let index = random.below(functions.len() as u64);
            let (start, size) = functions[usize::try_from(index).expect("an index")];
            start + random.below(size)
        })
        .collect();
    println!("symbols: {} frames", parent::symbolize(&path, &offsets));
    let mut group = criterion.benchmark_group("symbols");
    group.sample_size(20).measurement_time(Duration::from_secs(4));
    group.bench_function("1000 addresses by DWARF, cold", |bencher| {
        bencher.iter(|| parent::symbolize(&path, &offsets));
    });
    let places = traced(PLACES);
    let (count, backtraces) = (places.count(), places.backtraces());
    println!("symbols: {count} places of {backtraces} backtraces: {} frames", places.symbolize());
    group.bench_function("1000 places of a program's backtraces, cold", |bencher| {
        bencher.iter(|| places.symbolize());
    });
}
