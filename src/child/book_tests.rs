//! The ledger against a program's own book of its blocks: line by line, while it stands at its
//! exit and after it was killed at a random moment.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::ledger_file::LedgerFile;
use super::process::{Event, Process};
use crate::report::Exit;

const HEAP: u64 = 1 << 30;
const NODES: u32 = 1 << 16;
const OPERATIONS: u64 = 1_000_000;
const KILLS: u64 = 20;
const PATIENCE: Duration = Duration::from_secs(60);

// Where the words of `struct book` lie in keeps_a_book.c.
const READY: u64 = 0;
const GO: u64 = 8;
const OPERATIONS_DONE: u64 = 16;
const DAMAGED: u64 = 24;
const LINES: usize = 32;
const LINE: usize = 32;

/// A program that keeps a book, waiting with its threads for the word.
struct BookKeeper {
    child: Process,
    book: File,
    threads: usize,
    /// What the heap held before the threads began: libc's own.
    baseline: BTreeMap<u64, u64>,
    _folder: tempfile::TempDir,
}

/// The book as it was at some moment.
struct Reading {
    /// Blocks by address, with their sizes.
    blocks: BTreeMap<u64, u64>,
    /// How many lines a thread was at.
    claimed: usize,
}

impl BookKeeper {
    fn start(threads: usize, operations: u64, seed: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("book");
        let mut command = Command::new(program());
        command.arg(&path).args([threads as u64, operations, seed].map(|word| word.to_string()));
        let ledger = LedgerFile::create(HEAP, NODES).expect("the kernel has memfds");
        let child = Process::start(command, ledger, true).expect("the program starts");
        let deadline = Instant::now() + PATIENCE;
        let book = loop {
            let book = File::options().read(true).write(true).open(&path);
            if let Some(book) = book.ok().filter(|book| word(book, READY) == Some(1)) {
                break book;
            }
            assert!(Instant::now() < deadline, "the program is not ready");
            std::thread::sleep(Duration::from_millis(1));
        };
        let baseline = live(&child);
        Self { child, book, threads, baseline, _folder: folder }
    }

    fn go(&self) {
        self.book.write_all_at(&1_u64.to_ne_bytes(), GO).expect("the book is writable");
    }

    fn word(&self, at: u64) -> u64 {
        word(&self.book, at).expect("the book has the word")
    }

    fn read(&self) -> Reading {
        let len = self.book.metadata().expect("it is there").len();
        let mut bytes = vec![0; usize::try_from(len).expect("it fits")];
        self.book.read_exact_at(&mut bytes, 0).expect("the book is readable");
        let mut reading = Reading { blocks: BTreeMap::new(), claimed: 0 };
        for line in bytes[LINES..].chunks_exact(LINE) {
            let field = |index: usize| {
                u64::from_ne_bytes(line[index * 8..][..8].try_into().expect("eight bytes"))
            };
            let (claimed, address, size) = (field(0), field(1), field(2));
            if claimed != 0 {
                reading.claimed += 1;
            } else if address != 0 {
                let other = reading.blocks.insert(address, size);
                assert_eq!(other, None, "the heap gave {address:#x} twice");
            }
        }
        reading
    }

    /// Compares ledger and book, which may differ in the claimed lines alone.
    fn compare(&self, reading: &Reading, context: &str) {
        let ledger = live(&self.child);
        for (address, size) in &reading.blocks {
            let entry = ledger.get(address);
            assert_eq!(entry, Some(size), "{context}: block {address:#x} in the ledger");
        }
        let known: BTreeSet<_> = reading.blocks.keys().collect();
        let more: Vec<_> = ledger
            .iter()
            .filter(|(address, size)| {
                !known.contains(address) && self.baseline.get(address) != Some(size)
            })
            .collect();
        let claimed = reading.claimed;
        assert!(claimed <= self.threads, "{context}: one line per thread");
        assert!(
            more.len() <= claimed,
            "{context}: {claimed} in flight, not in the book: {more:x?}"
        );
    }
}

fn word(book: &File, at: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    book.read_exact_at(&mut bytes, at).ok()?;
    Some(u64::from_ne_bytes(bytes))
}

/// The ledger's live blocks with their sizes.
fn live(child: &Process) -> BTreeMap<u64, u64> {
    let live = child.ledger().live().expect("the ledger makes sense");
    live.iter().map(|live| (live.address, live.entry.size)).collect()
}

/// The compiled fixture.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = PROGRAM.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keeps_a_book");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/programs/keeps_a_book.c");
        let status = Command::new("cc")
            .args(["-O2", "-pthread", "-o"])
            .args([&path, &source])
            .status()
            .expect("there is a C compiler (apt install gcc libc6-dev)");
        assert!(status.success(), "{} compiles", source.display());
        (folder, path)
    });
    path
}

/// Where random choices start: `LEAKSNAP_TEST_SEED`, or something new.
fn seed() -> u64 {
    let given = std::env::var("LEAKSNAP_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        u64::from(now.map_or(1, |now| now.subsec_nanos()))
    });
    eprintln!("LEAKSNAP_TEST_SEED={seed}");
    seed
}

fn agrees_at_the_exit(threads: usize) {
    let seed = seed();
    let mut keeper = BookKeeper::start(threads, OPERATIONS, seed);
    keeper.go();
    let deadline = Instant::now() + PATIENCE;
    assert_eq!(
        keeper.child.wait(Some(deadline), None).expect("it can be waited for"),
        Event::AtExit
    );
    let reading = keeper.read();
    assert_eq!(keeper.word(DAMAGED), 0, "blocks whose content another one overwrote");
    assert!(keeper.word(OPERATIONS_DONE) >= OPERATIONS);
    assert_eq!(reading.claimed, 0, "nothing is in flight");
    assert!(reading.blocks.len() > 1000, "the book is not empty: {}", reading.blocks.len());
    keeper.compare(&reading, &format!("seed {seed}, {threads} threads"));
    keeper.child.release();
    let (exit, _) = keeper.child.finish(PATIENCE).expect("it ends");
    assert_eq!(exit, Exit { code: Some(0), signal: None });
}

fn agrees_after_a_kill(threads: usize) {
    let seed = seed();
    let mut moments = seed;
    let (mut in_flight, mut blocks) = (0, 0);
    for round in 0..KILLS {
        // Knuth's MMIX constants; the high bits are the random ones.
        moments =
            moments.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let moment = Duration::from_micros((moments >> 33) % 40_000);
        let mut keeper = BookKeeper::start(threads, 0, seed.wrapping_add(round));
        keeper.go();
        std::thread::sleep(moment);
        keeper.child.signal(Signal::SIGKILL);
        let (exit, _) = keeper.child.finish(PATIENCE).expect("it ends");
        assert_eq!(exit.signal, Some(Signal::SIGKILL as i32));
        let reading = keeper.read();
        keeper.compare(
            &reading,
            &format!("seed {seed}, {threads} threads, round {round}, killed after {moment:?}"),
        );
        assert_eq!(keeper.word(DAMAGED), 0);
        in_flight += reading.claimed;
        blocks += reading.blocks.len();
    }
    eprintln!("{threads} threads: {blocks} blocks compared, {in_flight} operations in flight");
    assert!(blocks > 0, "the program did something before it was killed");
}

#[test]
fn one_thread_s_book_agrees_at_the_exit() {
    agrees_at_the_exit(1);
}

#[test]
fn two_threads_book_agrees_at_the_exit() {
    agrees_at_the_exit(2);
}

#[test]
fn eight_threads_book_agrees_at_the_exit() {
    agrees_at_the_exit(8);
}

#[test]
fn one_thread_s_book_agrees_after_a_kill() {
    agrees_after_a_kill(1);
}

#[test]
fn two_threads_book_agrees_after_a_kill() {
    agrees_after_a_kill(2);
}

#[test]
fn eight_threads_book_agrees_after_a_kill() {
    agrees_after_a_kill(8);
}
