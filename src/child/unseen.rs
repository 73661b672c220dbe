//! What of a process's memory the preload heap can't see: what an allocator of the program's own may
//! hand out, of memory that it asked the kernel for.

use std::path::Path;
use std::sync::atomic::Ordering;

use super::ledger_file::LedgerFile;
use super::memory::Stopped;
pub(crate) use super::own_allocator::library::Apart;
use super::own_allocator::library::{apart, apart_of};
use super::own_allocator::own_allocator;
use super::proc_file;
use super::view::Reached;

/// Less than this in mappings of a process's own is nothing to tell of: libc, the loader and Rust's
/// threads have some tens of KiB there (measured: see ARCHITECTURE.md).
pub(crate) const LEAST: u64 = 1 << 20;

/// What there is of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Unseen {
    /// The symbol of an allocator in the program's file, which hands out memory of its own.
    pub(crate) allocator: Option<String>,
    /// The same of a plugin, with the name of its file.
    pub(crate) plugin: Option<(String, String)>,
    /// Libraries that hand out memory of their own.
    pub(crate) libraries: Apart,
    /// Bytes in memory that the process made for itself, beside the heap, stacks and modules' data;
    /// 0 where they are less than [`LEAST`], or could not be counted.
    pub(crate) bytes: u64,
}

/// That of process `pid`, which has `ledger` and stands; what was `seen` of it as it stands is not asked
/// for again.
pub(crate) fn of_standing(pid: u32, ledger: &LedgerFile, seen: Option<&Reached>) -> Unseen {
    let told = |bytes| if bytes < LEAST { 0 } else { bytes };
    // A process has code: else it was not looked at.
    let Some(seen) = seen.filter(|seen| seen.code().next().is_some()) else {
        let bytes = if anonymous(pid) < LEAST { 0 } else { own_bytes(pid, ledger) };
        return Unseen { bytes: told(bytes), ..of_running(pid) };
    };
    let libraries = apart_of(pid, seen.code());
    let (bytes, allocator) = (told(seen.own_bytes()), allocator(pid));
    Unseen { bytes, libraries, allocator, plugin: None }
}

/// That of process `pid`, which goes on, as far as it shows without a stop.
pub(crate) fn of_running(pid: u32) -> Unseen {
    Unseen { allocator: allocator(pid), libraries: apart(pid), ..Unseen::default() }
}

/// That of process `pid`, whose own allocations were proved to be seen, and which has opened `plugins`.
pub(crate) fn of_host<'a>(pid: u32, mut plugins: impl Iterator<Item = &'a Path>) -> Unseen {
    let plugin = plugins.find_map(|path| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        Some((name, own_allocator(path)?))
    });
    Unseen { plugin, libraries: apart(pid), ..Unseen::default() }
}

fn allocator(pid: u32) -> Option<String> {
    own_allocator(Path::new(&format!("/proc/{pid}/exe")))
}

/// Bytes of anonymous memory that `pid` has in memory, its heap and its stacks among them
/// (proc_pid_status(5)).
fn anonymous(pid: u32) -> u64 {
    let status = proc_file::text(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    number.map_or(0, |kib: u64| kib << 10)
}

fn own_bytes(pid: u32, ledger: &LedgerFile) -> u64 {
    // Where it can't be stopped, a whole program is "not checked" anyway.
    let Ok(stopped) = Stopped::new(pid) else { return 0 };
    let header = ledger.header();
    let base = header.heap_base.load(Ordering::Relaxed);
    let heap = (base, base.saturating_add(header.heap_size.load(Ordering::Relaxed)));
    let bytes = stopped.own_memory(heap, &ledger.caches()).unwrap_or(0);
    bytes.saturating_sub(header.tables.load(Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_has_in_memory_is_the_kernel_s_to_say() {
        // What other tests have at the same time comes on top.
        let block = std::hint::black_box(vec![1_u8; 64 << 20]);
        let all = anonymous(std::process::id());
        assert!(all >= block.len() as u64 && all < 64 << 30, "{all}");
        drop(block);
        assert_eq!(anonymous(0), 0);
    }
}
