//! What is counted. Each thread has a shard of its own, so that counting is a plain store to a
//! line that nobody else writes; but for the parent, which may have the most that was live
//! counted anew while the process stands still.
//!
//! What a thread allocated and freed is added to the header's live bytes in batches. The most
//! that was live at a time is exact while one thread works; with more, each may be off by a
//! [`BATCH`].

use core::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::header::Header;

/// Shards of a ledger: threads that have one at the same time.
pub(crate) const SHARDS: usize = 256;

/// Bytes of a shard: a line of the processor's cache.
pub(crate) const SHARD: u64 = 64;

/// The most bytes that a thread keeps to itself.
pub(crate) const BATCH: i64 = 64 << 10;

/// The counters of one thread. Only the thread that owns it writes it, so that a load and a store
/// are as good as an addition.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub(crate) struct Shard {
    allocations: AtomicU64,
    frees: AtomicU64,
    /// Requested bytes that were allocated less those that were freed, since they were last
    /// added to the header.
    bytes: AtomicI64,
    /// The most that `bytes` was since then.
    most: AtomicI64,
    /// Where the thread's cache of backtraces begins and ends: it holds stack words that were
    /// once read, which keep no block alive.
    cache: [AtomicU64; 2],
}

const _: () = assert!(size_of::<Shard>() as u64 == SHARD, "as the layout says");

impl Shard {
    /// Counts an allocation of `size` bytes, if the batch takes them.
    #[inline(always)]
    pub(crate) fn takes_allocated(&self, size: u64) -> bool {
        let bytes = self.bytes.load(Ordering::Relaxed).wrapping_add(size.cast_signed());
        if bytes > BATCH {
            return false;
        }
        add(&self.allocations, 1);
        self.bytes.store(bytes, Ordering::Relaxed);
        if bytes > self.most.load(Ordering::Relaxed) {
            self.most.store(bytes, Ordering::Relaxed);
        }
        true
    }

    /// Counts a free of `size` bytes, if the batch takes them.
    #[inline(always)]
    pub(crate) fn takes_freed(&self, size: u64) -> bool {
        let bytes = self.bytes.load(Ordering::Relaxed).wrapping_sub(size.cast_signed());
        if bytes < -BATCH {
            return false;
        }
        add(&self.frees, 1);
        self.bytes.store(bytes, Ordering::Relaxed);
        true
    }

    /// Counts an allocation of `size` bytes.
    pub(crate) fn allocated(&self, size: u64, header: &Header) {
        if !self.takes_allocated(size) {
            add(&self.allocations, 1);
            self.publish(size.cast_signed(), header);
        }
    }

    /// Counts a free of `size` bytes.
    pub(crate) fn freed(&self, size: u64, header: &Header) {
        if !self.takes_freed(size) {
            add(&self.frees, 1);
            self.publish(size.cast_signed().wrapping_neg(), header);
        }
    }

    /// Takes one [`freed`](Self::freed) back.
    pub(crate) fn restored(&self, size: u64) {
        add(&self.frees, u64::MAX);
        let bytes = self.bytes.load(Ordering::Relaxed).wrapping_add(size.cast_signed());
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// The thread's cache of backtraces is from `start` to `end`.
    pub(crate) fn set_cache(&self, start: u64, end: u64) {
        let [from, to] = &self.cache;
        from.store(start, Ordering::Relaxed);
        to.store(end, Ordering::Relaxed);
    }

    /// Where that cache begins and ends; twice 0 where no thread has had the shard.
    pub(crate) fn cache(&self) -> (u64, u64) {
        let [from, to] = &self.cache;
        (from.load(Ordering::Relaxed), to.load(Ordering::Relaxed))
    }

    /// The most starts anew, with what is live now; its thread stands still.
    pub(crate) fn restart_most(&self) {
        self.most.store(self.bytes.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// How often its threads allocated.
    pub(crate) fn allocations(&self) -> u64 {
        self.allocations.load(Ordering::Relaxed)
    }

    /// Adds the batch and `more` to the header.
    #[cold]
    #[inline(never)]
    fn publish(&self, more: i64, header: &Header) {
        let bytes = self.bytes.swap(0, Ordering::Relaxed).wrapping_add(more);
        let most = self.most.swap(0, Ordering::Relaxed).max(bytes);
        let live = header.live_bytes.fetch_add(bytes, Ordering::Relaxed);
        header.peak_bytes.fetch_max(live.wrapping_add(most), Ordering::Relaxed);
    }
}

#[inline(always)]
fn add(word: &AtomicU64, by: u64) {
    word.store(word.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
}

/// What all threads counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    /// Traced allocations since the start.
    pub(crate) allocations: u64,
    /// Traced frees since the start.
    pub(crate) frees: u64,
    /// Requested bytes that are live now.
    pub(crate) live_bytes: u64,
    /// The most that was live at a time.
    pub(crate) peak_bytes: u64,
}

impl Counts {
    /// The sum over `header`, where threads without a shard count, and `shards`. A child may have
    /// written anything there: the sums wrap, they don't fail.
    pub(crate) fn of(header: &Header, shards: &[Shard]) -> Self {
        let mut counts = Self {
            allocations: header.allocations.load(Ordering::Relaxed),
            frees: header.frees.load(Ordering::Relaxed),
            ..Self::default()
        };
        let published = header.live_bytes.load(Ordering::Relaxed);
        let mut live = published;
        let mut peak = header.peak_bytes.load(Ordering::Relaxed);
        for shard in shards {
            let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
            counts.allocations = counts.allocations.wrapping_add(load(&shard.allocations));
            counts.frees = counts.frees.wrapping_add(load(&shard.frees));
            live = live.wrapping_add(shard.bytes.load(Ordering::Relaxed));
            peak = peak.max(published.wrapping_add(shard.most.load(Ordering::Relaxed)));
        }
        counts.live_bytes = u64::try_from(live).unwrap_or_default();
        counts.peak_bytes = u64::try_from(peak.max(live)).unwrap_or_default();
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_s_peak_is_exact() {
        let (header, shards) = (Header::default(), [Shard::default()]);
        let mut live = 0;
        let mut peak = 0;
        let mut random = 1_u64;
        for round in 0..if cfg!(miri) { 2000 } else { 100_000_u64 } {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let size = (random >> 33) % if round % 1000 == 0 { 1 << 20 } else { 3000 };
            if live < size || random >> 63 == 0 {
                shards[0].allocated(size, &header);
                live += size;
                peak = peak.max(live);
            } else {
                shards[0].freed(size, &header);
                live -= size;
            }
            let counts = Counts::of(&header, &shards);
            assert_eq!((counts.live_bytes, counts.peak_bytes), (live, peak), "round {round}");
        }
    }

    #[test]
    fn what_one_thread_frees_of_another_s_is_not_negative() {
        let (header, shards) = (Header::default(), [Shard::default(), Shard::default()]);
        for _ in 0..1000 {
            shards[0].allocated(1000, &header);
            shards[1].freed(1000, &header);
        }
        let counts = Counts::of(&header, &shards);
        assert_eq!((counts.allocations, counts.frees, counts.live_bytes), (1000, 1000, 0));
        assert!(counts.peak_bytes <= 2 * BATCH.cast_unsigned() + 1000, "{counts:?}");
    }

    #[test]
    fn threads_without_a_shard_count_too() {
        let (header, shards) = (Header::default(), [Shard::default()]);
        header.allocated(100);
        shards[0].allocated(10, &header);
        header.freed(100);
        let counts = Counts { allocations: 2, frees: 1, live_bytes: 10, peak_bytes: 100 };
        assert_eq!(Counts::of(&header, &shards), counts);
    }

    #[test]
    fn a_free_that_is_taken_back_never_was() {
        let (header, shards) = (Header::default(), [Shard::default()]);
        shards[0].allocated(10, &header);
        shards[0].freed(10, &header);
        shards[0].restored(10);
        let counts = Counts { allocations: 1, frees: 0, live_bytes: 10, peak_bytes: 10 };
        assert_eq!(Counts::of(&header, &shards), counts);
    }
}
