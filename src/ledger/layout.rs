//! Where each part of the ledger lies in its memfd.

use super::{header, module, shard, site};

/// Bytes of the heap that one entry of the side table stands for: the smallest block.
pub(crate) const GRANULE: u64 = 16;

/// Bytes of one entry of the side table.
pub(crate) const ENTRY: u64 = 8;

/// How many modules a ledger can name.
pub(crate) const MODULES: u32 = 4096;

const PAGE: u64 = 4096;
const SHARDS_LEN: u64 = shard::SHARDS as u64 * shard::SHARD;
const _: () = assert!(SHARDS_LEN.is_multiple_of(PAGE), "whole pages");

/// The sizes of a ledger's parts; both sides compute the same from the same two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Bytes of the heap that the side table covers.
    pub(crate) heap_size: u64,
    /// How many nodes fit, the root included.
    pub(crate) nodes: u32,
    /// File offset of the shards; they and the header are one piece.
    pub(crate) shards_at: u64,
    /// File offset of the modules.
    pub(crate) modules_at: u64,
    /// File offset of the nodes.
    pub(crate) nodes_at: u64,
    /// File offset of the side table.
    pub(crate) table_at: u64,
    /// Size of the file.
    pub(crate) len: u64,
}

impl Layout {
    /// Without a heap, there is nothing.
    pub(crate) const NONE: Self = Self {
        heap_size: 0,
        nodes: 0,
        shards_at: 0,
        modules_at: 0,
        nodes_at: 0,
        table_at: 0,
        len: 0,
    };

    /// The layout for a heap of `heap_size` bytes and `nodes` nodes; `None` where no ledger can
    /// have these sizes.
    pub(crate) fn new(heap_size: u64, nodes: u32) -> Option<Self> {
        if !(2..=site::INHERITED).contains(&nodes) || !(GRANULE..=1 << 46).contains(&heap_size) {
            return None;
        }
        let shards_at = page_up(size_of::<header::Header>() as u64)?;
        let modules_at = shards_at.checked_add(SHARDS_LEN)?;
        let modules = u64::from(MODULES).checked_mul(module::RECORD as u64)?;
        let nodes_at = page_up(modules_at.checked_add(modules)?)?;
        let node_bytes = u64::from(nodes).checked_mul(site::NODE)?;
        let table_at = page_up(nodes_at.checked_add(node_bytes)?)?;
        let table = heap_size.checked_div(GRANULE)?.checked_mul(ENTRY)?;
        let len = page_up(table_at.checked_add(table)?)?;
        Some(Self { heap_size, nodes, shards_at, modules_at, nodes_at, table_at, len })
    }

    /// How many granules the heap has.
    pub(crate) fn granules(&self) -> u64 {
        self.heap_size >> GRANULE.trailing_zeros()
    }
}

fn page_up(value: u64) -> Option<u64> {
    Some(value.checked_add(PAGE - 1)? & !(PAGE - 1))
}

const _: () = assert!(size_of::<header::Header>() as u64 <= PAGE, "the header is one page");
const _: () = assert!(PAGE.is_multiple_of(site::NODE), "a node doesn't cross a page");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_each_other_without_overlap() {
        let layout = Layout::new(64 << 20, 1000).expect("the sizes are fine");
        assert!(layout.shards_at >= size_of::<header::Header>() as u64);
        assert_eq!(layout.modules_at, layout.shards_at + 256 * 64);
        assert!(layout.nodes_at >= layout.modules_at + u64::from(MODULES) * 1024);
        assert!(layout.table_at >= layout.nodes_at + 1000 * 16);
        assert_eq!(layout.len, layout.table_at + (64 << 20) / 2);
        assert_eq!(layout.granules(), 4 << 20);
    }

    #[test]
    fn impossible_sizes_are_refused() {
        assert_eq!(Layout::new(0, 1000), None);
        assert_eq!(Layout::new(u64::MAX, 1000), None);
        assert_eq!(Layout::new(64 << 20, 0), None);
        assert_eq!(Layout::new(64 << 20, u32::MAX), None);
    }
}
