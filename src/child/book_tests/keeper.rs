//! The program that keeps a book (fixtures/programs/keeps_a_book.c), and the comparison of its
//! book with the ledger.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::PATIENCE;
use crate::child::invocation::Invocation;
use crate::child::launch::INHERITED;
use crate::child::ledger_file::{LedgerFile, Live};
use crate::child::process::{Event, Group, Look, Process};

const HEAP: u64 = 1 << 30;
const NODES: u32 = 1 << 16;

/// The words in front of the book's lines, in the order of `struct book` in keeps_a_book.c.
#[derive(Debug, Clone, Copy)]
pub(super) enum Word {
    Ready,
    Go,
    Hold,
    Stop,
    Held,
    Operations,
    Damaged,
    Allocations,
    Frees,
    Children,
    FailedChildren,
    Opened,
    TakenOver,
}

const LINES_AT: usize = (Word::TakenOver as usize + 1) * 8;
const LINE: usize = 40;
/// Lines that the threads share; each one behind them is a module's.
const SHARED: usize = 4096;

/// A program that keeps a book, waiting with its threads for the word.
pub(super) struct BookKeeper {
    pub(super) child: Process,
    book: File,
    threads: usize,
    /// What the heap held before the threads began: libc's own.
    baseline: BTreeMap<u64, u64>,
    counts_before: Counts,
    /// The program, and the modules that it opens.
    makers: Vec<PathBuf>,
    _folder: tempfile::TempDir,
}

/// A block as the book has it.
#[derive(Debug)]
struct Written {
    size: u64,
    /// Whose code asked for it: an index of the makers.
    maker: usize,
}

/// The book as it was at some moment.
pub(super) struct Reading {
    /// By address.
    blocks: BTreeMap<u64, Written>,
    /// How many lines a thread was at.
    pub(super) claimed: usize,
    /// Modules that keep a block.
    open_modules: usize,
}

impl Reading {
    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }
}

/// What the ledger counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    allocations: u64,
    frees: u64,
    live_bytes: u64,
}

impl BookKeeper {
    pub(super) fn start(threads: usize, operations: u64, seed: u64) -> Self {
        Self::start_with(threads, operations, seed, &[])
    }

    /// The same with `modules` to open and close, and with children.
    pub(super) fn start_with(
        threads: usize,
        operations: u64,
        seed: u64,
        modules: &[PathBuf],
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("book");
        let numbers = [threads as u64, operations, seed].map(|word| word.to_string());
        let invocation = Invocation::of(program()).with([&path]).with(numbers).with(modules);
        let ledger = LedgerFile::create(HEAP, NODES).expect("the kernel has memfds");
        let child = Process::start(invocation, INHERITED, ledger, Look::AtExit, Group::Ours)
            .expect("the program starts");
        let deadline = Instant::now() + PATIENCE;
        let book = loop {
            let book = File::options().read(true).write(true).open(&path);
            if let Some(book) = book.ok().filter(|book| word(book, Word::Ready) == Some(1)) {
                break book;
            }
            assert!(Instant::now() < deadline, "the program is not ready");
            std::thread::sleep(Duration::from_millis(1));
        };
        let baseline = live(&child).iter().map(|live| (live.address, live.entry.size)).collect();
        let counts_before = counts(&child);
        let makers = [&[program().to_path_buf()], modules].concat();
        Self { child, book, threads, baseline, counts_before, makers, _folder: folder }
    }

    pub(super) fn go(&self) {
        self.set(Word::Go, 1);
    }

    /// Has the threads stand between two operations, and looks.
    pub(super) fn hold(&mut self) -> Reading {
        self.set(Word::Hold, 1);
        self.wait_for_held(self.threads as u64);
        self.read()
    }

    /// Lets them go on.
    pub(super) fn resume(&mut self) {
        self.set(Word::Hold, 0);
        self.wait_for_held(0);
    }

    fn wait_for_held(&mut self, threads: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.word(Word::Held) != threads {
            let pause = Instant::now() + Duration::from_millis(1);
            let event = self.child.wait(Some(pause), None).expect("it can be waited for");
            assert_eq!(event, Event::TimedOut, "the program ended");
            assert!(Instant::now() < deadline, "its threads don't come");
        }
    }

    /// Has the threads end.
    pub(super) fn stop(&self) {
        self.set(Word::Stop, 1);
    }

    fn set(&self, which: Word, value: u64) {
        let at = which as u64 * 8;
        self.book.write_all_at(&value.to_ne_bytes(), at).expect("the book is writable");
    }

    pub(super) fn word(&self, which: Word) -> u64 {
        word(&self.book, which).expect("the book has the word")
    }

    pub(super) fn read(&self) -> Reading {
        let len = self.book.metadata().expect("it is there").len();
        let mut bytes = vec![0; usize::try_from(len).expect("it fits")];
        self.book.read_exact_at(&mut bytes, 0).expect("the book is readable");
        let mut reading = Reading { blocks: BTreeMap::new(), claimed: 0, open_modules: 0 };
        for (index, line) in bytes[LINES_AT..].chunks_exact(LINE).enumerate() {
            let field = |index: usize| {
                u64::from_ne_bytes(line[index * 8..][..8].try_into().expect("eight bytes"))
            };
            let (claimed, address, size) = (field(0), field(1), field(2));
            let maker = usize::try_from(field(3)).expect("it is small");
            if claimed != 0 {
                reading.claimed += 1;
            } else if address != 0 {
                reading.open_modules += usize::from(index >= SHARED);
                let other = reading.blocks.insert(address, Written { size, maker });
                assert!(other.is_none(), "the heap gave {address:#x} twice");
            }
        }
        reading
    }

    /// Compares ledger and book, which may differ in the claimed lines alone, and in what the
    /// loader keeps for open modules.
    pub(super) fn compare(&self, reading: &Reading, context: &str) {
        let ledger = live(&self.child);
        let asked_by = self.asked_by(&ledger);
        let entries: BTreeMap<_, _> =
            ledger.iter().map(|live| (live.address, live.entry)).collect();
        for (address, written) in &reading.blocks {
            let entry = entries.get(address);
            let size = entry.map(|entry| entry.size);
            assert_eq!(size, Some(written.size), "{context}: block {address:#x} in the ledger");
            let path = entry.and_then(|entry| asked_by[&entry.site].as_deref());
            let expected = Some(self.makers[written.maker].as_path());
            assert_eq!(path, expected, "{context}: who asked for block {address:#x}");
        }
        let of_the_loader = |site: u32| {
            let name = asked_by[&site].as_ref().and_then(|path| path.file_name()?.to_str());
            name.is_some_and(|name| name.starts_with("ld-"))
        };
        let more: Vec<_> = entries
            .iter()
            .filter(|(address, _)| !reading.blocks.contains_key(address))
            .filter(|(address, entry)| self.baseline.get(address) != Some(&entry.size))
            .filter(|(_, entry)| reading.open_modules == 0 || !of_the_loader(entry.site))
            .collect();
        let claimed = reading.claimed;
        assert!(claimed <= self.threads, "{context}: one line per thread");
        assert!(
            more.len() <= claimed,
            "{context}: {claimed} in flight, {} not in the book: {:x?}",
            more.len(),
            &more[..more.len().min(5)]
        );
    }

    /// The object whose code asked for the blocks of each site.
    fn asked_by(&self, ledger: &[Live]) -> HashMap<u32, Option<PathBuf>> {
        let modules = self.child.ledger().modules().expect("they can be read");
        let sites: BTreeSet<_> = ledger.iter().map(|live| live.entry.site).collect();
        let path = |site: u32| {
            let frames = self.child.ledger().backtrace(site).ok()?;
            modules[usize::from(frames.first()?.module)].as_ref().map(|module| module.path.clone())
        };
        sites.into_iter().map(|site| (site, path(site))).collect()
    }

    /// Compares what the ledger counts with its entries and with the book, while nothing is in
    /// flight. Only in a program without modules nobody else allocates.
    pub(super) fn compare_counts(&self, context: &str) {
        let (before, now) = (self.counts_before, counts(&self.child));
        let ledger = live(&self.child);
        let entries: Vec<_> = ledger.iter().filter(|live| !live.is_paused()).collect();
        let bytes: u64 = entries.iter().map(|live| live.entry.size).sum();
        assert_eq!(now.live_bytes, bytes, "{context}: bytes of {} entries", entries.len());
        let left = now.allocations - now.frees;
        assert_eq!(left, entries.len() as u64, "{context}: {now:?}");
        let counted = [now.allocations - before.allocations, now.frees - before.frees];
        let written = [self.word(Word::Allocations), self.word(Word::Frees)];
        if self.makers.len() == 1 {
            assert_eq!(counted, written, "{context}: allocations and frees");
        } else {
            let enough = counted.iter().zip(written).all(|(counted, written)| *counted >= written);
            assert!(enough, "{context}: {counted:?} counted, {written:?} in the book");
        }
    }
}

/// What the ledger's header says.
fn counts(child: &Process) -> Counts {
    let counts = child.ledger().counts();
    let (allocations, frees) = (counts.allocations, counts.frees);
    Counts { allocations, frees, live_bytes: counts.live_bytes }
}

fn word(book: &File, which: Word) -> Option<u64> {
    let mut bytes = [0; 8];
    book.read_exact_at(&mut bytes, which as u64 * 8).ok()?;
    Some(u64::from_ne_bytes(bytes))
}

fn live(child: &Process) -> Vec<Live> {
    child.ledger().live().expect("the ledger makes sense")
}

/// The compiled program.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = PROGRAM.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keeps_a_book");
        compile("keeps_a_book.c", &path, &["-pthread"]);
        (folder, path)
    });
    path
}

/// Compiles `source` of the fixtures to `path`.
pub(super) fn compile(source: &str, path: &Path, options: &[&str]) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/programs").join(source);
    let mut compiler = Command::new("cc");
    compiler.arg("-O2").args(options).arg("-o").args([path, &source]);
    let status = compiler.status().expect("there is a C compiler (apt install gcc libc6-dev)");
    assert!(status.success(), "{} compiles", source.display());
}
