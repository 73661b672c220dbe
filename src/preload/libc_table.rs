//! libc's own table of symbols, whose entries for what is in front of libc lead to it.
//!
//! An object that is opened with `RTLD_DEEPBIND` finds first what its own libraries have, libc's `malloc`
//! among it. With two allocators in one program a block of the one comes to the `free` of the other, which
//! ends it (PHP opens its extensions so). So before the first such object is opened the loader is told
//! in libc's table what it finds everywhere else. Nothing else of what the object finds is changed.
//!
//! From then on `dlsym` behind this heap finds the heap: whatever is called there is known before, and
//! nothing is led here while another allocator is behind, or the heap stands aside.

use core::sync::atomic::{AtomicBool, Ordering};

use super::modules::{self, Object};
use super::{entry_points, next, start, system};

static IS_LED: AtomicBool = AtomicBool::new(false);

/// Has libc's table lead here, once. Another thread may be about it: nobody waits, it may have been lost
/// in a fork.
pub(crate) fn lead_here() {
    if !IS_LED.swap(true, Ordering::AcqRel) {
        lead();
    }
}

/// `None` where nothing can be led, or should be.
fn lead() -> Option<()> {
    if !start::is_ready() || !start::leads_here() || next::other_malloc().is_some() {
        return None;
    }
    let libc = Object::find(system::function_of_libc())?;
    let own = Object::find(modules::is_own as *const () as usize)?;
    let (of_libc, ours) = (libc.symbols()?, own.symbols()?);
    for name in entry_points::names() {
        let mut here = None;
        ours.each(name.as_bytes(), |it| here = Some(it.value.load(Ordering::Relaxed)));
        let Some(here) = here else { continue };
        let value = here.wrapping_add(own.bias as u64).wrapping_sub(libc.bias as u64);
        of_libc.each(name.as_bytes(), |it| {
            if libc.only_reads((&raw const it.value).addr()) {
                // SAFETY: it is an entry of libc's table, in memory that is only read; the loader reads
                // the word at once, and finds one function or the other.
                unsafe { system::store_where_read(&it.value, value) };
            }
        });
    }
    Some(())
}
