//! The ledger's first page: the handshake, the status words, the counters.

use core::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};

use super::departure::{DEPARTURES, Departure};

/// The version of everything below `ledger/`; a child of another version refuses to write.
pub(crate) const VERSION: u32 = 12;

/// The first word of a ledger.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"leaksnap");

/// The variable that tells the child where its ledger is: a path that opens the memfd.
pub(crate) const LEDGER_VARIABLE: &str = "LEAKSNAP_LEDGER";

/// How the name of the preload heap's file starts; frames of such a module are the heap's own.
pub(crate) const PRELOAD_PREFIX: &str = ".leaksnap-";

/// The variable that keeps the preload heap from tracing, when it is `0`.
pub(crate) const TRACE_VARIABLE: &str = "LEAKSNAP_TRACE";

/// What the child said of itself, in [`Header::state`].
pub(crate) mod state {
    /// The preload heap has not reported.
    pub(crate) const SILENT: u32 = 0;
    /// The heap serves the program and the ledger is written.
    pub(crate) const ACTIVE: u32 = 1;
    /// The preload heap is of another version.
    pub(crate) const OTHER_VERSION: u32 = 2;
    /// The heap's region could not be reserved, or the ledger not mapped.
    pub(crate) const NO_REGION: u32 = 3;
    /// Another `malloc` is in front of the preload heap's.
    pub(crate) const INTERPOSED: u32 = 4;
    /// The heap serves and nothing is traced: the environment asked for that.
    pub(crate) const UNTRACED: u32 = 5;
    /// C++'s `new` and `delete` are those of another allocator, behind the preload heap.
    pub(crate) const OPERATORS: u32 = 6;
}

/// What went wrong while tracing, as bits of [`Header::trouble`]: the ledger is not complete.
pub(crate) mod trouble {
    /// More distinct frames than the ledger has nodes.
    pub(crate) const NODES_FULL: u32 = 1;
    /// More modules than the ledger has records.
    pub(crate) const MODULES_FULL: u32 = 1 << 1;
    /// The heap could not serve a request that libc could have.
    pub(crate) const HEAP_FULL: u32 = 1 << 2;
    /// An object was opened whose `malloc` is not this heap's.
    pub(crate) const APART: u32 = 1 << 3;
}

/// Where the child stands, in [`Header::mark`]; above the lowest byte, how many marks of its own it
/// stood at: who watches the word would not see the same one twice.
pub(crate) mod mark {
    /// It runs.
    pub(crate) const RUNNING: u32 = 0;
    /// It is about to exit and waits for the parent to look.
    pub(crate) const AT_EXIT: u32 = 1;
    /// The parent has looked; it may go on.
    pub(crate) const RELEASED: u32 = 2;
    /// It says that an iteration ended, and waits for the parent to look.
    pub(crate) const AT_MARK: u32 = 3;

    const KIND: u32 = 0xff;

    /// Which of these `word` is.
    pub(crate) fn kind(word: u32) -> u32 {
        word & KIND
    }

    /// The word of the next mark after `word`.
    pub(crate) fn next(word: u32) -> u32 {
        (word & !KIND).wrapping_add(KIND).wrapping_add(1) | AT_MARK
    }

    /// The word of a child that stands no longer where `word` says.
    pub(crate) fn released(word: u32) -> u32 {
        word & !KIND | RELEASED
    }
}

/// Ledgers that a parent that follows has ready.
pub(crate) const SPARES: usize = 8;

/// Bytes of [`Header::name`].
pub(crate) const NAME: usize = 64;

/// Whether processes that the first one starts have ledgers of their own, in [`Header::follow`].
pub(crate) mod follow {
    /// They have one, of [`Header::spares`](super::Header::spares).
    pub(crate) const WANTED: u32 = 1;
    /// There are no more.
    pub(crate) const OVER: u32 = 2;
}

/// The header; the child and the parent share it, so each word is an atomic.
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct Header {
    /// [`MAGIC`]; the parent's.
    pub(crate) magic: AtomicU64,
    /// [`VERSION`] of the parent.
    pub(crate) parent_version: AtomicU32,
    /// [`VERSION`] of the preload heap.
    pub(crate) child_version: AtomicU32,
    /// Bytes of the heap; the parent's.
    pub(crate) heap_size: AtomicU64,
    /// How many nodes fit; the parent's.
    pub(crate) nodes: AtomicU32,
    /// One of [`state`].
    pub(crate) state: AtomicU32,
    /// The process whose ledger this is: the first that claimed it.
    pub(crate) owner: AtomicU32,
    /// How many program images of that process claimed it, one after the other (`exec`).
    pub(crate) images: AtomicU32,
    /// The current epoch; the parent's.
    pub(crate) epoch: AtomicU32,
    /// Bits of [`trouble`].
    pub(crate) trouble: AtomicU32,
    /// Where the heap lies in the child.
    pub(crate) heap_base: AtomicU64,
    /// Allocations that libc served before the heap was ready.
    pub(crate) before_ready: AtomicU64,
    // Above is what every allocation reads, in one line of the processor's cache; below is what
    // many write.
    /// Nodes in use, the root included; may pass the capacity.
    pub(crate) node_count: AtomicU32,
    /// Modules in use, number 0 included; may pass the capacity.
    pub(crate) module_count: AtomicU32,
    /// Traced allocations of threads without a shard; see [`Counts`](super::shard::Counts).
    pub(crate) allocations: AtomicU64,
    /// Traced frees of such threads.
    pub(crate) frees: AtomicU64,
    /// Requested bytes that are live, without what the shards still hold.
    pub(crate) live_bytes: AtomicI64,
    /// The most that was live at a time, as far as it was seen here.
    pub(crate) peak_bytes: AtomicI64,
    /// One of [`mark`]; a futex word.
    pub(crate) mark: AtomicU32,
    /// Non-zero: the parent wants the child to stop at [`mark::AT_EXIT`].
    pub(crate) stop_at_exit: AtomicU32,
    /// Non-zero: the same at [`mark::AT_MARK`].
    pub(crate) stop_at_marks: AtomicU32,
    /// The thread that stands at [`mark::AT_EXIT`].
    pub(crate) exit_thread: AtomicU32,
    /// Where the live part of that thread's stack begins: the frame that called `exit`.
    pub(crate) exit_stack: AtomicU64,
    /// The callee-saved registers of that frame.
    pub(crate) exit_registers: [AtomicU64; 12],
    /// Backtraces that were compared with libgcc's, where the environment asks for it.
    pub(crate) unwinds_checked: AtomicU64,
    /// Those of them that were not the same.
    pub(crate) unwinds_wrong: AtomicU64,
    /// One of [`follow`].
    pub(crate) follow: AtomicU32,
    /// The parent's process number.
    pub(crate) watcher: AtomicU32,
    /// Descriptors of the parent, each of a ledger that nobody has yet; 0 once it was taken.
    pub(crate) spares: [AtomicU32; SPARES],
    /// Raised whenever a spare was taken or put there, and when a program with one comes to its exit;
    /// a futex word.
    pub(crate) news: AtomicU32,
    /// Programs that got none.
    pub(crate) missed: AtomicU32,
    /// Programs that took one.
    pub(crate) taken: AtomicU32,
    /// Children of `fork` that have not come yet to say what ledger they have.
    pub(crate) expected: AtomicU32,
    /// Of a program that was followed: the how many-th to take a ledger it is.
    pub(crate) order: AtomicU32,
    /// The name that it was called by, as far as it fits, and zeros.
    pub(crate) name: [AtomicU64; NAME / 8],
    /// Bytes that the preload heap has for itself, beside the heap and what threads' shards name.
    pub(crate) tables: AtomicU64,
    /// Of the first program, where its parent follows: who executes another program.
    pub(crate) departures: [Departure; DEPARTURES],
    /// How many more there were than places.
    pub(crate) crowded: AtomicU32,
    /// How often the process has forked, or tried to.
    pub(crate) forks: AtomicU32,
}

const _: () = assert!(size_of::<Header>() <= 4096, "a page, which every process maps");

const _: () = assert!(core::mem::offset_of!(Header, node_count) == 64, "a line of the cache");

impl Header {
    /// Counts an allocation of `size` bytes by a thread without a shard.
    pub(crate) fn allocated(&self, size: u64) {
        let size = size.cast_signed();
        self.allocations.fetch_add(1, Ordering::Relaxed);
        let live = self.live_bytes.fetch_add(size, Ordering::Relaxed).wrapping_add(size);
        self.peak_bytes.fetch_max(live, Ordering::Relaxed);
    }

    /// Counts a free of `size` bytes by such a thread.
    pub(crate) fn freed(&self, size: u64) {
        self.frees.fetch_add(1, Ordering::Relaxed);
        self.live_bytes.fetch_sub(size.cast_signed(), Ordering::Relaxed);
    }

    /// Takes one [`freed`](Self::freed) back.
    pub(crate) fn restored(&self, size: u64) {
        self.frees.fetch_sub(1, Ordering::Relaxed);
        self.live_bytes.fetch_add(size.cast_signed(), Ordering::Relaxed);
    }
}
