//! libc's own table of symbols, whose entries for what is in front of libc lead to it.
//!
//! An object that is opened with `RTLD_DEEPBIND` finds first what its own libraries have, libc's `malloc`
//! among it. With two allocators in one program a block of the one comes to the `free` of the other, which
//! ends it (PHP opens its extensions so). So before the first such object is opened the loader is told
//! in libc's table what it finds everywhere else. Nothing else of what the object finds is changed.
//!
//! From then on `dlsym` behind this heap finds the heap: whatever is called there is known before, and
//! nothing is led here while another allocator is behind, or the heap stands aside.

use core::sync::atomic::{AtomicU8, Ordering};

use super::modules::{self, Object};
use super::{entry_points, next, start, system};

const UNTOUCHED: u8 = 0;
const UNDER_WAY: u8 = 1;
const LEADS_HERE: u8 = 2;
const CANNOT: u8 = 3;

static STATE: AtomicU8 = AtomicU8::new(UNTOUCHED);

/// Has libc's table lead here, once; whether it does.
pub(crate) fn leads_here() -> bool {
    let (acquire, relaxed) = (Ordering::AcqRel, Ordering::Acquire);
    if STATE.compare_exchange(UNTOUCHED, UNDER_WAY, acquire, relaxed).is_ok() {
        let led = lead().map_or(CANNOT, |()| LEADS_HERE);
        STATE.store(led, Ordering::Release);
    }
    // Another thread may be about it: nobody waits, it may have been lost in a fork.
    STATE.load(Ordering::Acquire) == LEADS_HERE
}

fn lead() -> Option<()> {
    if !start::is_ready() || !start::leads_here() || next::other_malloc().is_some() {
        return None;
    }
    let libc = Object::find(system::function_of_libc())?;
    let own = Object::find(modules::is_own as *const () as usize)?;
    let (of_libc, ours) = (libc.symbols()?, own.symbols()?);
    let mut led = Some(());
    for name in entry_points::names() {
        let mut here = None;
        ours.each(name.as_bytes(), |it| here = Some(it.value.load(Ordering::Relaxed)));
        let Some(here) = here else { continue };
        let value = here.wrapping_add(own.bias as u64).wrapping_sub(libc.bias as u64);
        of_libc.each(name.as_bytes(), |it| {
            let at = (&raw const it.value).addr();
            // SAFETY: it is an entry of libc's table, in memory that is only read; the loader reads the
            // word at once, and finds one function or the other.
            let is_written =
                libc.only_reads(at) && unsafe { system::store_where_read(&it.value, value) };
            led = led.filter(|()| is_written);
        });
    }
    led
}
