//! The parent's side: readings and verdicts, reachability, symbols.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use super::child::Ledger;
use crate::check::tally::{Marks, Tally};
use crate::child::invocation::Invocation;
use crate::child::launch::Stream;
use crate::child::ledger_file::{Frames, LedgerFile};
use crate::child::memory::Memory;
use crate::child::process::{Group as ProcessGroup, Look, Process};
use crate::child::reach::{self, Block, Origin, Root};
use crate::ledger::site::flag;
use crate::report::{Group, Reachability, table};
use crate::symbols::{CodeAddress, DebugFiles, Module, Symbols};
use crate::trace::saved;
use crate::verdict::Window;

impl Ledger {
    /// Reads every live allocation; how many there are.
    ///
    /// # Panics
    /// Where the ledger makes no sense.
    #[must_use]
    pub fn read(&self) -> usize {
        self.file.live().expect("it makes sense").len()
    }

    /// Reads the ledger as at the window's start and at the end of each of `repeat` iterations, and
    /// judges by age.
    ///
    /// # Panics
    /// Where the ledger makes no sense.
    #[must_use]
    pub fn judge_by_age(&self, warmup: u32, repeat: u32) -> Vec<Group> {
        let mut marks = Marks::new(0);
        (0..repeat).for_each(|_| marks.read(&self.file).expect("it makes sense"));
        marks.read_whole(&self.file).expect("it makes sense");
        let window = Window { warmup, repeat };
        self.tally(&mut symbols()).by_age(&marks, window, None).expect("it makes sense").groups
    }

    /// Reads the ledger once and judges by reachability: every second block is lost.
    ///
    /// # Panics
    /// Where the ledger makes no sense.
    #[must_use]
    pub fn judge_by_reachability(&self) -> Vec<Group> {
        let live = self.file.live().expect("it makes sense");
        let states = [Reachability::Lost, Reachability::Reachable];
        let reached: Vec<_> = states.into_iter().cycle().take(live.len()).collect();
        let reached = reach::Reached::from(reached).into();
        let mut symbols = symbols();
        let mut tally = self.tally(&mut symbols);
        tally.by_reachability(&live, Some(&reached), true).expect("it makes sense")
    }

    /// The memory table with all rows, read and written; how many bytes it has.
    ///
    /// # Panics
    /// Where the ledger makes no sense.
    #[must_use]
    pub fn show(&self) -> usize {
        table::write(&self.memory().rows, usize::MAX).len()
    }

    /// The saved trace, read and written to nowhere.
    ///
    /// # Panics
    /// Where the ledger makes no sense.
    pub fn save(&self) {
        saved::write(&self.memory().rows, std::io::sink()).expect("nowhere is never full");
    }

    fn memory(&self) -> table::Memory {
        let live = self.file.live().expect("it makes sense");
        self.tally(&mut symbols()).memory(&live, 0).expect("it makes sense")
    }

    fn tally<'a>(&'a self, symbols: &'a mut Symbols) -> Tally<'a> {
        Tally::new(&self.file, None, symbols).expect("it makes sense")
    }
}

fn symbols() -> Symbols {
    Symbols::new(DebugFiles::Ignored)
}

/// Marks what `roots` lead to in `blocks`, pairs of address and size by address, whose content is
/// read from this process; how many are lost, indirect and reachable.
///
/// # Panics
/// Where a process may not read its own memory.
#[must_use]
pub fn mark(blocks: &[(u64, u64)], roots: &[u64]) -> [usize; 3] {
    let block = |&(address, size): &(u64, u64)| Block { address, size };
    let blocks: Vec<_> = blocks.iter().map(block).collect();
    let root = |word: &u64| Root { word: *word, origin: Origin::Register(0) };
    let memory = Memory::open(std::process::id(), std::process::id()).expect("it is its own");
    let read = |address, buffer: &mut [u8]| memory.read(address, buffer);
    let reached = reach::mark(&blocks, &[roots.iter().map(root).collect()], read);
    [Reachability::Lost, Reachability::Indirect, Reachability::Reachable]
        .map(|state| (0..blocks.len()).filter(|block| reached.state(*block) == state).count())
}

/// Symbolizes `offsets` of the file at `module` with a new symbolizer; how many frames they are,
/// inlined ones included.
#[must_use]
pub fn symbolize(module: &Path, offsets: &[u64]) -> usize {
    let module = Module { path: module.to_owned(), build_id: Vec::new() };
    let mut symbols = symbols();
    let mut symbolizer = symbols.of(vec![None, Some(module)]);
    let addresses: Vec<_> = offsets.iter().map(|offset| (1, *offset, true)).collect();
    symbolizer.symbolize_all(&addresses).into_iter().map(<[_]>::len).sum()
}

/// The places in the code that a program allocated from.
#[derive(Debug)]
pub struct Places {
    modules: Vec<Option<Module>>,
    codes: Vec<CodeAddress>,
    backtraces: usize,
}

impl Places {
    /// Those in the backtraces of `program` with `arguments`, which runs on the heap to its end, with no
    /// output: of the first ones, until they have `most`.
    ///
    /// # Panics
    /// Where it can't be started, or leaves no ledger that makes sense.
    #[must_use]
    pub fn of(program: &Path, arguments: &[&str], most: usize) -> Self {
        let invocation = Invocation::of(program).with(arguments);
        let streams = [Stream::Null, Stream::Null, Stream::Null];
        let ledger = LedgerFile::create(512 << 20, 1 << 20).expect("the kernel has memfds");
        let mut child =
            Process::start(invocation, streams, ledger, Look::WhenAsked, ProcessGroup::Ours)
                .expect("the program can be started");
        child.finish(Duration::from_secs(60)).expect("it can be waited for");
        let mut frames = Frames::new(child.ledger());
        let (mut known, mut codes) = (HashSet::new(), Vec::new());
        // Whoever called no other frame is a backtrace's innermost.
        let (mut seen, mut callers) = (0, HashSet::new());
        for site in 1..frames.count() {
            let Some(node) = frames.get(site).expect("it makes sense") else { continue };
            let code = (node.module, node.offset, node.flags & flag::EXACT != 0);
            if known.insert(code) {
                if codes.len() == most {
                    break;
                }
                codes.push(code);
            }
            seen += 1;
            callers.insert(node.parent);
        }
        let inner = callers.iter().filter(|caller| **caller > 0).count();
        let modules = child.ledger().modules().expect("it makes sense");
        Self { modules, codes, backtraces: seen - inner }
    }

    /// How many places there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.codes.len()
    }

    /// Of how many backtraces they are.
    #[must_use]
    pub fn backtraces(&self) -> usize {
        self.backtraces
    }

    /// Symbolizes them with a new symbolizer; how many frames they are, inlined ones included.
    #[must_use]
    pub fn symbolize(&self) -> usize {
        let mut symbols = symbols();
        let mut symbolizer = symbols.of(self.modules.clone());
        symbolizer.symbolize_all(&self.codes).into_iter().map(<[_]>::len).sum()
    }
}
