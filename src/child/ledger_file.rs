//! The parent's side of the ledger: the memfd, and readings of it.
//!
//! A reading is a checked copy. The child may write while it is taken, may have been killed
//! in the middle of a store, or may have scribbled over all of it: sizes are this process's own,
//! numbers read from the file are checked before they are used, and what makes no sense is an
//! error, never a panic.

mod entries;
mod frames;

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};
use rustix::process::{Resource, getrlimit};

pub(crate) use self::entries::Live;
pub(crate) use self::frames::Frames;
use crate::ledger::entry::MAX_EPOCH;
use crate::ledger::header::{Header, MAGIC, VERSION};
use crate::ledger::layout::{ENTRY, Layout, MODULES};
use crate::ledger::module::{
    BUILD_ID_AT, BUILD_ID_LEN_AT, MAX_BUILD_ID, MAX_PATH, PATH_AT, PATH_LEN_AT, RECORD,
};
use crate::ledger::shard::{Counts, SHARDS, Shard};
use crate::ledger::site::NODE;
use crate::symbols::Module;

/// Distinct frames that a ledger holds where nobody asks for more.
pub(crate) const DEFAULT_NODES: u32 = 4 << 20;

/// Why a ledger can't be made or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LedgerError {
    /// The kernel refused.
    #[error("make the ledger: {0}")]
    Make(#[source] rustix::io::Errno),
    /// A file may not be so large: the kernel would end this process with SIGXFSZ.
    #[error(
        "make the ledger: the limit of file sizes (`ulimit -f`) is {} KiB, and it takes {} KiB; raise \
         the limit, or lower the heap",
        limit >> 10,
        len.div_ceil(1 << 10)
    )]
    FileSize { limit: u64, len: u64 },
    /// No ledger has these sizes.
    #[error("make a ledger for a heap of {heap} bytes and {nodes} distinct frames")]
    Size { heap: u64, nodes: u32 },
    /// The file could not be read.
    #[error("read the ledger: {0}")]
    Read(#[from] std::io::Error),
    /// The child's memory could not be read.
    #[error("read the program's memory: {0}")]
    Memory(#[source] std::io::Error),
    /// The child wrote what no preload heap writes.
    #[error("the program overwrote its ledger: {0}")]
    Damaged(String),
}

/// The ledger of one child.
#[derive(Debug)]
pub(crate) struct LedgerFile {
    file: File,
    layout: Layout,
    counters: Counters,
}

/// The mapped header and shards.
///
/// Invariant: `at` is a shared mapping of the file's first `len` bytes, which hold both and which
/// the seals keep from shrinking, until the drop.
#[derive(Debug)]
struct Counters {
    at: *mut std::ffi::c_void,
    len: usize,
    shards_at: usize,
}

/// An entry is one word, a node two.
const WORD: usize = 8;
const _: () = assert!(ENTRY == WORD as u64 && NODE == 2 * ENTRY, "as layout.rs and site.rs say");

// SAFETY: the pages are made of atomics; any thread may use them.
unsafe impl Send for Counters {}
// SAFETY: as above.
unsafe impl Sync for Counters {}

impl Counters {
    fn map(fd: &OwnedFd, layout: &Layout) -> Result<Self, rustix::io::Errno> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let [len, shards_at] = [layout.modules_at, layout.shards_at]
            .map(|offset| usize::try_from(offset).unwrap_or_default());
        // SAFETY: a new mapping, where the kernel likes.
        let at = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), len, protection, MapFlags::SHARED, fd, 0)
        }?;
        Ok(Self { at, len, shards_at })
    }

    fn header(&self) -> &Header {
        // SAFETY: the type's invariant; a header is atomics, valid with any content.
        unsafe { &*self.at.cast::<Header>() }
    }

    fn shards(&self) -> &[Shard] {
        let at = self.at.wrapping_byte_add(self.shards_at).cast::<Shard>();
        // SAFETY: the type's invariant; shards are atomics, valid with any content.
        unsafe { std::slice::from_raw_parts(at, SHARDS) }
    }
}

impl Drop for Counters {
    fn drop(&mut self) {
        // SAFETY: the mapping is this object's, and its references end with it.
        let _ = unsafe { rustix::mm::munmap(self.at, self.len) };
    }
}

impl LedgerFile {
    /// A ledger for a heap of `heap` bytes and `nodes` distinct frames.
    ///
    /// # Errors
    /// Where the kernel has no memfd of that size, or the limit of file sizes is below it.
    pub(crate) fn create(heap: u64, nodes: u32) -> Result<Self, LedgerError> {
        let layout = Layout::new(heap, nodes).ok_or(LedgerError::Size { heap, nodes })?;
        let limit = getrlimit(Resource::Fsize).current.filter(|limit| *limit < layout.len);
        if let Some(limit) = limit {
            return Err(LedgerError::FileSize { limit, len: layout.len });
        }
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = rustix::fs::memfd_create("leaksnap-ledger", flags).map_err(LedgerError::Make)?;
        rustix::fs::ftruncate(&fd, layout.len).map_err(LedgerError::Make)?;
        // A child that shrank the file would turn the parent's reads into SIGBUS.
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&fd, seals).map_err(LedgerError::Make)?;
        let counters = Counters::map(&fd, &layout).map_err(LedgerError::Make)?;
        let words = counters.header();
        words.parent_version.store(VERSION, Ordering::Relaxed);
        words.heap_size.store(heap, Ordering::Relaxed);
        words.nodes.store(nodes, Ordering::Relaxed);
        words.magic.store(MAGIC, Ordering::Release);
        Ok(Self { file: File::from(fd), layout, counters })
    }

    /// The path by which a child opens it while this process lives.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    /// An empty one with the same sizes.
    ///
    /// # Errors
    /// Where the kernel has no further memfd.
    pub(crate) fn another(&self) -> Result<Self, LedgerError> {
        Self::create(self.layout.heap_size, self.layout.nodes)
    }

    /// This process's descriptor of it.
    pub(crate) fn descriptor(&self) -> u32 {
        self.file.as_raw_fd().unsigned_abs()
    }

    /// The file's number, as the kernel's list of mappings has it.
    pub(crate) fn inode(&self) -> u64 {
        self.file.metadata().map_or(0, |metadata| metadata.ino())
    }

    /// The first page. The child may write anything there at any time.
    pub(crate) fn header(&self) -> &Header {
        self.counters.header()
    }

    /// What the child's threads counted.
    pub(crate) fn counts(&self) -> Counts {
        Counts::of(self.counters.header(), self.counters.shards())
    }

    /// The most bytes that were live at a time are counted anew, from what is live now: of a child
    /// that stands still, with one thread that has allocated.
    pub(crate) fn restart_most(&self) {
        let live = self.counts().live_bytes;
        self.counters.shards().iter().for_each(Shard::restart_most);
        self.header().peak_bytes.store(live.cast_signed(), Ordering::Relaxed);
    }

    /// How often each of the child's threads allocated.
    pub(crate) fn allocations(&self) -> Vec<u64> {
        self.counters.shards().iter().map(Shard::allocations).collect()
    }

    /// Where the child's threads keep the backtraces they have seen.
    pub(crate) fn caches(&self) -> Vec<(u64, u64)> {
        self.counters.shards().iter().map(Shard::cache).filter(|(start, end)| start < end).collect()
    }

    /// The epoch of what is allocated from now on.
    pub(crate) fn set_epoch(&self, epoch: u32) {
        self.header().epoch.store(epoch.min(MAX_EPOCH), Ordering::Release);
    }

    /// The modules by number; number 0 is none.
    ///
    /// # Errors
    /// Where the file can't be read.
    pub(crate) fn modules(&self) -> Result<Vec<Option<Module>>, LedgerError> {
        let count = self.header().module_count.load(Ordering::Acquire).clamp(1, MODULES);
        let mut modules = vec![None];
        for number in 1..u64::from(count) {
            let mut record = [0; RECORD];
            self.file
                .read_exact_at(&mut record, self.layout.modules_at + number * RECORD as u64)?;
            let field = |at: usize| usize::from(u16::from_le_bytes([record[at], record[at + 1]]));
            let path = &record[PATH_AT..][..field(PATH_LEN_AT).min(MAX_PATH)];
            let build_id = &record[BUILD_ID_AT..][..field(BUILD_ID_LEN_AT).min(MAX_BUILD_ID)];
            modules.push(Some(Module {
                path: PathBuf::from(OsStr::from_bytes(path)),
                build_id: build_id.to_vec(),
            }));
        }
        Ok(modules)
    }

    /// Gives the memory of the side table back: nobody asks any more what is live.
    pub(crate) fn close_table(&self) {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let (at, len) = (self.layout.table_at, self.layout.len - self.layout.table_at);
        // Where the kernel refuses, the table stays.
        let _ = rustix::fs::fallocate(&self.file, flags, at, len);
    }

    fn node_count(&self) -> u32 {
        self.header().node_count.load(Ordering::Acquire).min(self.layout.nodes)
    }
}

fn word_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|word| word.try_into().ok()).map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::entry::Entry;
    use crate::ledger::layout::GRANULE;
    use crate::ledger::site::ROOT;

    const HEAP: u64 = 64 << 20;

    /// A ledger whose words the test writes, as a child would.
    fn ledger() -> LedgerFile {
        let ledger = LedgerFile::create(HEAP, 100).expect("the kernel has memfds");
        ledger.header().heap_base.store(0x10_0000, Ordering::Relaxed);
        ledger.header().node_count.store(10, Ordering::Relaxed);
        ledger.header().module_count.store(1, Ordering::Relaxed);
        ledger
    }

    fn write(ledger: &LedgerFile, at: u64, word: u64) {
        ledger.file.write_all_at(&word.to_le_bytes(), at).expect("the memfd is writable");
    }

    fn enter(ledger: &LedgerFile, granule: u64, entry: Entry) {
        let (word, next) = entry.encode();
        write(ledger, ledger.layout.table_at + granule * ENTRY, word);
        if let Some(next) = next {
            write(ledger, ledger.layout.table_at + (granule + 1) * ENTRY, next);
        }
    }

    /// In anonymous memory, which Miri maps.
    #[test]
    fn the_counters_are_read_while_threads_write_them() {
        let layout = Layout::new(1 << 20, 100).expect("the sizes are fine");
        let [len, shards_at] = [layout.modules_at, layout.shards_at]
            .map(|offset| usize::try_from(offset).expect("it fits"));
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping, where the kernel likes.
        let at = unsafe {
            rustix::mm::mmap_anonymous(std::ptr::null_mut(), len, protection, MapFlags::PRIVATE)
        };
        let counters = Counters { at: at.expect("there is memory"), len, shards_at };
        let count = || Counts::of(counters.header(), counters.shards());
        std::thread::scope(|scope| {
            for shard in [&counters.shards()[0], &counters.shards()[SHARDS - 1]] {
                let header = counters.header();
                scope.spawn(move || (0..100).for_each(|_| shard.allocated(16, header)));
            }
            for _ in 0..10 {
                assert!(count().live_bytes <= 3200);
            }
        });
        assert_eq!((count().allocations, count().live_bytes), (200, 3200));
    }

    #[test]
    fn entries_are_read_by_address() {
        let ledger = ledger();
        let small = Entry { site: 3, epoch: 1, size: 24 };
        let large = Entry { site: 4, epoch: 2, size: 33 << 20 };
        enter(&ledger, 100_000, large);
        enter(&ledger, 5, small);
        let live = ledger.live().expect("it makes sense");
        let address = |granule: u64| 0x10_0000 + granule * GRANULE;
        assert_eq!(
            live,
            [
                Live { address: address(5), entry: small },
                Live { address: address(100_000), entry: large }
            ]
        );
    }

    #[test]
    fn a_large_block_at_a_chunk_s_end_keeps_its_size() {
        let ledger = ledger();
        let large = Entry { site: 4, epoch: 2, size: 17 << 20 };
        let last_of_chunk = entries::CHUNK as u64 / ENTRY - 1;
        enter(&ledger, last_of_chunk, large);
        let live = ledger.live().expect("it makes sense");
        assert_eq!(live.len(), 1, "the size is not taken for an entry");
        assert_eq!(live[0].entry, large);
    }

    #[test]
    fn a_size_alone_is_no_entry() {
        let ledger = ledger();
        // What a child leaves that is killed between the two words of a large block.
        let (_, size) = Entry { site: 4, epoch: 2, size: 17_867_658 }.encode();
        write(&ledger, ledger.layout.table_at + 7 * ENTRY, size.expect("it is large"));
        assert_eq!(ledger.live().expect("it makes sense"), []);
    }

    #[test]
    fn nonsense_is_an_error() {
        for (granule, entry) in [
            (5, Entry { site: 99, epoch: 0, size: 1 }),
            (HEAP / GRANULE - 1, Entry { site: 1, epoch: 0, size: 4096 }),
            (5, Entry { site: 1, epoch: 0, size: u64::MAX >> 1 }),
        ] {
            let ledger = ledger();
            enter(&ledger, granule, entry);
            assert!(matches!(ledger.live(), Err(LedgerError::Damaged(_))), "{entry:?}");
        }
        let ledger = ledger();
        ledger.header().heap_base.store(u64::MAX, Ordering::Relaxed);
        assert!(matches!(ledger.live(), Err(LedgerError::Damaged(_))));
    }

    #[test]
    fn a_chain_that_does_not_end_is_an_error() {
        let ledger = ledger();
        let at = |number: u64| ledger.layout.nodes_at + number * NODE;
        write(&ledger, at(5), 5);
        write(&ledger, at(6), 3);
        let mut frames = Frames::new(&ledger);
        assert!(matches!(frames.get(5), Err(LedgerError::Damaged(_))));
        assert!(matches!(frames.get(77), Err(LedgerError::Damaged(_))));
        assert_eq!(frames.get(6).expect("it makes sense").map(|node| node.parent), Some(3));
        assert_eq!(frames.get(3).expect("it makes sense").map(|node| node.parent), Some(ROOT));
        assert_eq!(frames.get(ROOT).expect("the root is none"), None);
    }

    #[test]
    fn a_child_can_not_shrink_the_file() {
        let ledger = ledger();
        let other = File::options().write(true).open(ledger.path()).expect("the path opens it");
        assert!(other.set_len(0).is_err());
    }
}
