//! A ledger for each process that the traced program starts: where the parent follows, it keeps a few
//! spare ones ready, and the first program's ledger says by which descriptors.
//!
//! ```text
//!   ledger of the first program        spares: [9, 0, 12, …]   descriptors of the parent; 0: taken
//!   claimed by somebody else already   -> take one, open it by /proc/PARENT/fd/N, claim it, tell
//! ```
//! Invariants: a spare is taken by one exchange, so by one process alone; whoever took one tells the
//! parent by `news`, which makes another.

use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use super::{exec, system};
use crate::ledger::header::{Header, follow};

/// Seconds that a process waits for the parent to have a spare.
const PATIENCE: i64 = 10;

/// The first program's header, where the parent follows.
static FIRST: AtomicPtr<Header> = AtomicPtr::new(core::ptr::null_mut());

/// Whether this process has taken a spare ledger.
static HAS_SPARE: AtomicBool = AtomicBool::new(false);

/// This process is the first one, with `header`.
pub(crate) fn begin(header: &'static Header) {
    if header.follow.load(Ordering::Acquire) != 0 {
        FIRST.store(core::ptr::from_ref(header).cast_mut(), Ordering::Release);
    }
}

/// A spare of `first`, the header of a ledger that another process has; `None` where nobody
/// follows, or there is none.
pub(crate) fn spare(first: &'static Header) -> Option<system::File> {
    let watcher = first.watcher.load(Ordering::Relaxed);
    // Others' news wakes whoever waits here: time counts, not turns.
    let end = system::seconds().saturating_add(PATIENCE);
    while system::seconds() < end {
        match first.follow.load(Ordering::Acquire) {
            follow::WANTED => {}
            follow::OVER => break,
            _ => return None,
        }
        let news = first.news.load(Ordering::Acquire);
        let mut taken = first.spares.iter().map(|spare| spare.swap(0, Ordering::AcqRel));
        if let Some(descriptor) = taken.find(|descriptor| *descriptor != 0) {
            FIRST.store(core::ptr::from_ref(first).cast_mut(), Ordering::Release);
            HAS_SPARE.store(true, Ordering::Release);
            let mut path = Path::default();
            return path.of(watcher, descriptor).and_then(system::File::open);
        }
        if !system::exists(watcher) {
            return None;
        }
        system::futex_wait(&first.news, news, 1);
    }
    first.missed.fetch_add(1, Ordering::Relaxed);
    None
}

/// Writes down whose ledger `own` is to be, before it is claimed.
pub(crate) fn introduce(own: &Header) {
    let Some(first) = first() else { return };
    exec::arrive(first);
    let order = first.taken.fetch_add(1, Ordering::Relaxed);
    own.order.store(order, Ordering::Relaxed);
    for (word, bytes) in own.name.iter().zip(system::program_name().chunks(8)) {
        let mut whole = [0; 8];
        for (to, from) in whole.iter_mut().zip(bytes) {
            *to = *from;
        }
        word.store(u64::from_le_bytes(whole), Ordering::Relaxed);
    }
}

/// Tells the parent that there is something to see; where this process is not followed, nothing.
pub(crate) fn tell() {
    if let Some(first) = first() {
        first.news.fetch_add(1, Ordering::AcqRel);
        system::futex_wake(&first.news);
    }
}

/// Whether the parent is still there to look at this process; `None` where it is not followed.
pub(crate) fn is_watched() -> Option<bool> {
    let first = first().filter(|_| HAS_SPARE.load(Ordering::Acquire))?;
    Some(system::exists(first.watcher.load(Ordering::Relaxed)))
}

/// The first program's header; `None` where nobody follows.
pub(crate) fn first() -> Option<&'static Header> {
    // SAFETY: null, or the first page of a ledger, which is mapped for good and made of atomics.
    unsafe { FIRST.load(Ordering::Acquire).as_ref() }
}

/// Room for `/proc/PID/fd/N` and its end.
#[derive(Debug, Default)]
pub(super) struct Path {
    bytes: [u8; 32],
    len: usize,
}

impl Path {
    /// That of `descriptor` of `process`.
    pub(super) fn of(&mut self, process: u32, descriptor: u32) -> Option<&CStr> {
        self.text(b"/proc/");
        self.number(process);
        self.text(b"/fd/");
        self.number(descriptor);
        CStr::from_bytes_until_nul(&self.bytes).ok()
    }

    fn text(&mut self, text: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(self.len).zip(text) {
            *to = *from;
        }
        self.len = self.len.saturating_add(text.len());
    }

    fn number(&mut self, number: u32) {
        const DIGITS: [u8; 10] = *b"0123456789";
        if let Some(more) = number.checked_div(10).filter(|more| *more > 0) {
            self.number(more);
        }
        let last = usize::try_from(number.wrapping_rem(10)).unwrap_or_default();
        self.text(DIGITS.get(last).map(core::slice::from_ref).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spare_s_path_is_that_of_the_descriptor() {
        let path = |process, descriptor| {
            let mut path = Path::default();
            path.of(process, descriptor).map(|path| path.to_string_lossy().into_owned())
        };
        assert_eq!(path(1, 0).as_deref(), Some("/proc/1/fd/0"));
        assert_eq!(path(4_194_304, 1023).as_deref(), Some("/proc/4194304/fd/1023"));
        let longest = Some(format!("/proc/{0}/fd/{0}", u32::MAX));
        assert_eq!(path(u32::MAX, u32::MAX), longest.filter(|path| path.len() < 32));
    }

    #[test]
    fn nobody_takes_a_spare_where_nobody_follows() {
        let header: &'static Header = Box::leak(Box::default());
        header.spares[0].store(3, Ordering::Relaxed);
        assert!(spare(header).is_none());
        assert_eq!(header.spares[0].load(Ordering::Relaxed), 3);
    }
}
