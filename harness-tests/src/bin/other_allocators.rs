//! A check under a `#[global_allocator]` that puts a header around the system's blocks, or has an
//! arena of its own once `main` says so, for all blocks or for small or large ones.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::hint::black_box;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of the arena; nothing of it is ever freed.
const ARENA: usize = 64 << 20;

/// Bytes in front of each block of the system's, or as many as its alignment.
const HEADER: usize = 16;

/// Invariant: what is below `used` was given out, once each.
struct Other {
    /// Blocks from so many bytes on are its own,
    from: AtomicUsize,
    /// up to so many, which it has none of.
    below: AtomicUsize,
    used: AtomicUsize,
    arena: UnsafeCell<[u8; ARENA]>,
}

// SAFETY: threads get parts of the arena that do not overlap.
unsafe impl Sync for Other {}

#[global_allocator]
static OTHER: Other = Other {
    from: AtomicUsize::new(0),
    below: AtomicUsize::new(0),
    used: AtomicUsize::new(0),
    arena: UnsafeCell::new([0; ARENA]),
};

/// `layout` with its header, which is as large as it is aligned.
fn around(layout: Layout) -> Layout {
    let align = layout.align().max(HEADER);
    Layout::from_size_align(layout.size() + align, align).unwrap_or(layout)
}

// SAFETY: a block of the arena is given out once; the others are the system's, without their header.
unsafe impl GlobalAlloc for Other {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = self.arena.get().cast::<u8>();
        let own = self.from.load(Ordering::Relaxed)..self.below.load(Ordering::Relaxed);
        if own.contains(&layout.size()) {
            let size = layout.size() + layout.align();
            let from = self.used.fetch_add(size, Ordering::Relaxed);
            if from + size > ARENA {
                return ptr::null_mut();
            }
            let at = start.wrapping_add(from);
            return at.wrapping_add(at.align_offset(layout.align()));
        }
        // SAFETY: the layout has a size: that of the header.
        let block = unsafe { System.alloc(around(layout)) };
        if block.is_null() { block } else { block.wrapping_add(around(layout).align()) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let start = self.arena.get().cast::<u8>();
        if !(start..start.wrapping_add(ARENA)).contains(&block) {
            let block = block.wrapping_sub(around(layout).align());
            // SAFETY: it is the system's, of this layout.
            unsafe { System.dealloc(block, around(layout)) }
        }
    }
}

fn main() -> Result<(), leaksnap::Error> {
    let (from, below) = match std::env::var("ALLOCATOR").as_deref() {
        Ok("own") => (0, usize::MAX),
        Ok("small") => (0, 100),
        Ok("large") => (32 << 10, usize::MAX),
        _ => (0, 0),
    };
    OTHER.from.store(from, Ordering::Relaxed);
    OTHER.below.store(below, Ordering::Relaxed);
    let report =
        leaksnap::check(|run| run.repeat(8, || std::mem::forget(black_box(vec![1_u8; 24]))))?;
    print!("{report}");
    Ok(())
}
