//! The pages behind a child's addresses, as the kernel counts them: `smaps` says what each mapping
//! has in memory, `numa_maps` on which node. Both are read while the child's threads may run.

use std::io;
use std::path::{Path, PathBuf};

use super::proc_file;

/// A mapping, and what of it is in memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Mapped {
    /// Where it starts.
    pub(crate) start: u64,
    /// Where it ends.
    pub(crate) end: u64,
    /// Its file, or the kernel's word for it; empty where nobody has named it.
    pub(crate) name: String,
    /// Bytes of a page.
    pub(crate) page_size: u64,
    /// Bytes of it that are in memory.
    pub(crate) resident: u64,
}

/// The pages of a range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Pages {
    /// Bytes of a page.
    pub(crate) page_size: u64,
    /// All of them.
    pub(crate) total: u64,
    /// In memory.
    pub(crate) mapped: u64,
    /// The kernel counts them together with others.
    pub(crate) unknown: u64,
    /// By the number of the node, those in memory; empty where the kernel knows no nodes.
    pub(crate) nodes: Vec<(u32, u64)>,
}

/// Every mapping of process `pid`.
///
/// # Errors
/// Where the kernel does not tell.
pub(crate) fn mappings(pid: u32) -> io::Result<Vec<Mapped>> {
    proc_file::text(proc(pid).join("smaps")).map(|text| read_smaps(&text))
}

/// The pages of process `pid` from `start` to `end`.
///
/// # Errors
/// Where the kernel does not tell.
pub(crate) fn of(pid: u32, start: u64, end: u64) -> io::Result<Pages> {
    let mappings = mappings(pid)?;
    // A kernel without nodes has no such file.
    let by_node = proc_file::text(proc(pid).join("numa_maps")).unwrap_or_default();
    Ok(count(&mappings, &by_node, start, end))
}

fn proc(pid: u32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

fn count(mappings: &[Mapped], by_node: &str, start: u64, end: u64) -> Pages {
    let touching: Vec<&Mapped> =
        mappings.iter().filter(|at| at.start < end && start < at.end).collect();
    let page_size = touching.first().map_or(4096, |at| at.page_size.max(1));
    let total = (end - start) / page_size;
    // What the kernel has merged with a neighbour is counted with it.
    if touching.iter().any(|at| at.start < start || end < at.end) {
        return Pages { page_size, total, unknown: total, ..Pages::default() };
    }
    let nodes = nodes(by_node, start, end);
    let mapped = match nodes.as_slice() {
        [] => touching.iter().map(|at| at.resident).sum::<u64>() / page_size,
        nodes => nodes.iter().map(|(_, pages)| pages).sum(),
    };
    Pages { page_size, total, mapped, unknown: 0, nodes }
}

/// The pages of the mappings that start from `start` to `end`, by node (numa_maps(5)).
fn nodes(text: &str, start: u64, end: u64) -> Vec<(u32, u64)> {
    let mut nodes = std::collections::BTreeMap::new();
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace();
        let at = fields.next().and_then(|at| u64::from_str_radix(at, 16).ok());
        if !at.is_some_and(|at| (start..end).contains(&at)) {
            continue;
        }
        for field in fields {
            let count = field.strip_prefix('N').and_then(|field| field.split_once('='));
            let count = count.and_then(|(node, pages)| {
                Some((node.parse::<u32>().ok()?, pages.parse::<u64>().ok()?))
            });
            count.into_iter().for_each(|(node, pages)| *nodes.entry(node).or_default() += pages);
        }
    }
    nodes.into_iter().collect()
}

fn read_smaps(text: &str) -> Vec<Mapped> {
    let mut mappings: Vec<Mapped> = Vec::new();
    for line in text.lines() {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        let range = first.split_once('-').and_then(|(start, end)| {
            let number = |text| u64::from_str_radix(text, 16).ok();
            Some((number(start)?, number(end)?))
        });
        if let Some((start, end)) = range {
            // Permissions, offset, device and inode stand in front of the name.
            let name = rest.splitn(5, ' ').nth(4).unwrap_or_default().trim_start().to_owned();
            mappings.push(Mapped { start, end, name, ..Mapped::default() });
            continue;
        }
        let kibibytes = || rest.trim().strip_suffix(" kB")?.parse::<u64>().ok();
        if let (Some(mapping), Some(kibibytes)) = (mappings.last_mut(), kibibytes()) {
            match first {
                "KernelPageSize:" => mapping.page_size = kibibytes << 10,
                "Rss:" => mapping.resident = kibibytes << 10,
                _ => {}
            }
        }
    }
    mappings
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
1000-9000 rw-p 00000000 00:00 0 
Size:                 32 kB
KernelPageSize:        4 kB
Rss:                  12 kB
VmFlags: rd wr mr mw me ac 
9000-b000 r-xp 00001000 08:01 12      /lib/a b.so (deleted)
KernelPageSize:        4 kB
Rss:                   8 kB
";

    #[test]
    fn mappings_have_names_and_what_is_in_memory() {
        let mapped = |start, end, name: &str, resident| Mapped {
            start,
            end,
            name: name.into(),
            page_size: 4096,
            resident,
        };
        let expected = [
            mapped(0x1000, 0x9000, "", 12 << 10),
            mapped(0x9000, 0xb000, "/lib/a b.so (deleted)", 8 << 10),
        ];
        assert_eq!(read_smaps(SMAPS), expected);
        assert_eq!(read_smaps("nonsense\nRss: 8 kB\n"), []);
    }

    #[test]
    fn pages_are_counted_by_node_where_the_kernel_knows_nodes() {
        let by_node = "1000 default anon=3 dirty=3 N0=1 N10=2 kernelpagesize_kB=4\n\
                       9000 default file=/lib/a N0=2 kernelpagesize_kB=4\n";
        let pages = |by_node, start, end| count(&read_smaps(SMAPS), by_node, start, end);
        let whole = Pages { page_size: 4096, total: 8, mapped: 3, unknown: 0, nodes: Vec::new() };
        assert_eq!(pages("", 0x1000, 0x9000), whole);
        assert_eq!(
            pages(by_node, 0x1000, 0x9000),
            Pages { nodes: vec![(0, 1), (10, 2)], ..whole.clone() }
        );
        let unknown = Pages { mapped: 0, total: 7, unknown: 7, ..whole };
        assert_eq!(pages(by_node, 0x2000, 0x9000), unknown, "a part of a mapping");
    }

    #[test]
    fn this_process_s_own_stack_is_in_memory() {
        let local = 0_u8;
        let at = &raw const local as u64;
        let mappings = mappings(std::process::id()).expect("it is its own");
        let stack = mappings.iter().find(|mapping| (mapping.start..mapping.end).contains(&at));
        let stack = stack.expect("it is mapped");
        assert!(stack.resident >= stack.page_size && stack.page_size >= 4096, "{stack:?}");
        assert!(of(u32::MAX, 0, 4096).is_err(), "there is no such process");
    }
}
