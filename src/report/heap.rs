//! The heap as VPP's `show memory main-heap` lays it out, without what has no meaning here: what
//! VPP calls fastbins, and the flags that are never true of this heap.
//!
//! ```text
//!   total      the region                        used       requested bytes that are live
//!   free       what nobody has asked for          trimmable  of it, what is in no page of blocks
//!   free chunks  blocks that are carved out and not in use
//! ```

use std::fmt::Write as _;

/// What is known of a heap at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Heap {
    /// The name of the thread that the process began with.
    pub(crate) thread: String,
    /// Where it lies.
    pub(crate) base: u64,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// Allocations are traced.
    pub(crate) traced: bool,
    /// Bytes of a page.
    pub(crate) page_size: u64,
    /// Pages of the region.
    pub(crate) pages: u64,
    /// Those in memory.
    pub(crate) mapped: u64,
    /// Those of which the kernel does not tell.
    pub(crate) unknown: u64,
    /// Those in memory, by node.
    pub(crate) nodes: Vec<(u32, u64)>,
    /// Requested bytes that are live, traced or not.
    pub(crate) used: u64,
    /// Bytes that are in no page of blocks and hold nothing of the heap's own.
    pub(crate) trimmable: u64,
    /// Blocks that are carved out and not in use.
    pub(crate) free_chunks: u64,
    /// The most requested bytes of traced blocks that were live at a time.
    pub(crate) most: u64,
    /// By how much that may be off, either way: 0 where one thread has allocated.
    pub(crate) most_within: u64,
}

/// The lines on `heap`, in front of the table.
pub(crate) fn write(heap: &Heap) -> String {
    let Heap { base, size, page_size, pages, mapped, unknown, used, trimmable, .. } = *heap;
    let traced = if heap.traced { ", traced" } else { "" };
    let mut text = format!(
        "Thread 0 {}\n  base {base:#x}, size {}{traced}, name 'main heap'\n    page stats: \
         page-size {}, total {pages}, mapped {mapped}, not-mapped {}, unknown {unknown}\n",
        heap.thread,
        whole(size).to_lowercase(),
        whole(page_size),
        pages.saturating_sub(mapped).saturating_sub(unknown),
    );
    for (node, pages) in &heap.nodes {
        let bytes = amount(pages.saturating_mul(page_size)).to_lowercase();
        // Writing to a String can't fail.
        let _ = writeln!(text, "      numa {node}: {pages} pages, {bytes} bytes");
    }
    let [total, free] = [size, size.saturating_sub(used)].map(amount);
    let (used, trimmable) = (amount(used), amount(trimmable));
    let _ = writeln!(
        text,
        "    total: {total}, used: {used}, free: {free}, trimmable: {trimmable}\n      \
         free chunks {}",
        heap.free_chunks
    );
    let within = match heap.most_within {
        0 => String::new(),
        bytes => format!(", give or take {}", whole(bytes)),
    };
    let _ = writeln!(text, "      max traced {}{within}", amount(heap.most));
    text
}

const UNITS: [(&str, u32); 3] = [("G", 30), ("M", 20), ("K", 10)];

/// `bytes` in the largest unit of which there is one, with two decimals.
pub(crate) fn amount(bytes: u64) -> String {
    match UNITS.into_iter().find(|(_, shift)| bytes >> shift > 0) {
        Some((unit, shift)) => format!("{:.2}{unit}", bytes as f64 / f64::from(1_u32 << shift)),
        None => bytes.to_string(),
    }
}

/// `bytes` in the largest unit that divides it.
pub(crate) fn whole(bytes: u64) -> String {
    let divides = |shift: u32| bytes > 0 && bytes.trailing_zeros() >= shift;
    match UNITS.into_iter().find(|(_, shift)| divides(*shift)) {
        Some((unit, shift)) => format!("{}{unit}", bytes >> shift),
        None => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_that_of_vpp_s_session() {
        let heap = Heap {
            thread: "vpp_main".to_owned(),
            base: 0x7f81_83c1_5000,
            size: 512 << 20,
            traced: true,
            page_size: 4096,
            pages: 131_072,
            mapped: 11_878,
            unknown: 0,
            nodes: vec![(0, 11_878)],
            used: (39 << 20) + (266 << 10),
            trimmable: 465 << 20,
            free_chunks: 122,
            most: 1 << 30,
            most_within: 0,
        };
        let text = "Thread 0 vpp_main
  base 0x7f8183c15000, size 512m, traced, name 'main heap'
    page stats: page-size 4K, total 131072, mapped 11878, not-mapped 119194, unknown 0
      numa 0: 11878 pages, 46.40m bytes
    total: 512.00M, used: 39.26M, free: 472.74M, trimmable: 465.00M
      free chunks 122
      max traced 1.00G
";
        assert_eq!(write(&heap), text);
        let other = Heap { traced: false, nodes: Vec::new(), most_within: 512 << 10, ..heap };
        let other = write(&other);
        assert!(other.contains("size 512m, name 'main heap'"), "{other}");
        assert!(!other.contains("numa"), "{other}");
        assert!(other.ends_with("  max traced 1.00G, give or take 512K\n"), "{other}");
    }

    #[test]
    fn amounts_have_the_largest_unit_that_fits() {
        let cases = [
            (0, "0", "0"),
            (1023, "1023", "1023"),
            (1024, "1.00K", "1K"),
            (1536, "1.50K", "1536"),
            (3 << 20, "3.00M", "3M"),
            ((1 << 30) + (1 << 20), "1.00G", "1025M"),
        ];
        for (bytes, rounded, exact) in cases {
            assert_eq!((amount(bytes).as_str(), whole(bytes).as_str()), (rounded, exact));
        }
    }
}
