//! What blocks hold: copied a chunk at a time, since a system call for each block would take
//! longer than all the rest.
//!
//! Invariant: at most [`KEPT`] bytes are kept; what has no place is read block by block.

/// Bytes of a chunk, and what its start is a multiple of.
const CHUNK: u64 = 16 << 10;

/// The most that is kept.
const KEPT: u64 = 256 << 20;

/// The widest range of addresses whose chunks get places.
const WIDEST: u64 = 64 << 30;

const PAGE: u64 = 4096;

/// The content of a range of addresses, read by `read`: it fills its buffer from an address on, as
/// far as that can be read, and says how many bytes that were.
pub(super) struct Content<R> {
    read: R,
    /// Where the first chunk starts.
    start: u64,
    end: u64,
    chunks: Vec<Option<Box<[u8]>>>,
    /// Bytes that may still be kept.
    left: u64,
    buffer: Vec<u8>,
}

impl<R: FnMut(u64, &mut [u8]) -> usize> Content<R> {
    pub(super) fn new((start, end): (u64, u64), read: R) -> Self {
        let start = start - start % CHUNK;
        let places = if end - start <= WIDEST { (end - start).div_ceil(CHUNK) } else { 0 };
        let mut chunks = Vec::new();
        chunks.resize_with(usize::try_from(places).unwrap_or_default(), || None);
        Self { read, start, end, chunks, left: KEPT, buffer: Vec::new() }
    }

    /// Has the processor fetch what is known of `addresses`: all at once takes as long as one.
    pub(super) fn touch(&self, addresses: impl Iterator<Item = u64>) {
        let known = addresses.filter_map(|address| {
            let place = usize::try_from(address.checked_sub(self.start)? / CHUNK).ok()?;
            self.chunks.get(place)?.as_ref()?.get(len(address % CHUNK))
        });
        std::hint::black_box(known.fold(0, |sum, byte| sum ^ byte));
    }

    /// Calls `each` with the bytes from `address` to `end`, in pieces; what can't be read is zero.
    pub(super) fn pieces(&mut self, address: u64, end: u64, mut each: impl FnMut(&[u8])) {
        let mut at = address;
        while at < end {
            let chunk = at - at % CHUNK;
            let to = end.min(chunk.saturating_add(CHUNK));
            let place = at.checked_sub(self.start).map(|offset| offset / CHUNK);
            let place = place.and_then(|place| usize::try_from(place).ok());
            let place = place.and_then(|place| self.chunks.get_mut(place));
            let piece = match place {
                Some(place) if place.is_some() || self.left >= CHUNK => {
                    let bytes = place.get_or_insert_with(|| {
                        self.left -= CHUNK;
                        let mut bytes = vec![0; len(CHUNK)].into_boxed_slice();
                        let until = self.end.saturating_sub(chunk).min(CHUNK);
                        fill(&mut self.read, chunk, &mut bytes[..len(until)]);
                        bytes
                    });
                    &bytes[len(at - chunk)..len(to - chunk)]
                }
                _ => {
                    self.buffer.clear();
                    self.buffer.resize(len(to - at), 0);
                    fill(&mut self.read, at, &mut self.buffer);
                    &self.buffer[..]
                }
            };
            each(piece);
            at = to;
        }
    }
}

/// Fills `bytes` from `address` on; a page that can't be read is left out.
fn fill(read: &mut impl FnMut(u64, &mut [u8]) -> usize, address: u64, bytes: &mut [u8]) {
    let (mut at, end) = (address, address.saturating_add(bytes.len() as u64));
    while at < end {
        let count = read(at, &mut bytes[len(at - address)..]);
        at = match count {
            0 => at.saturating_add(PAGE - at % PAGE),
            _ => at.saturating_add(count as u64),
        };
    }
}

/// A number of bytes, of which there are never more than a chunk has.
fn len(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 0x1_2340;

    /// What was read of memory in which each byte tells its address; a page of it is missing.
    fn collect(left: u64, ranges: &[(u64, u64)]) -> (Vec<Vec<u8>>, usize) {
        let mut reads = 0;
        let memory = |at: u64, buffer: &mut [u8]| {
            reads += 1;
            let stop = if at < 0x1_8000 { 0x1_8000 } else { u64::MAX };
            if (0x1_8000..0x1_9000).contains(&at) {
                return 0;
            }
            let count = buffer.len().min(len(stop - at));
            for (byte, address) in buffer[..count].iter_mut().zip(at..) {
                *byte = u8::try_from(address % 251).expect("it fits");
            }
            count
        };
        let mut content = Content::new((BASE, BASE + 100_000), memory);
        content.left = left;
        let all = ranges
            .iter()
            .map(|&(start, end)| {
                let mut bytes = Vec::new();
                content.pieces(start, end, |piece| bytes.extend_from_slice(piece));
                bytes
            })
            .collect();
        (all, reads)
    }

    #[test]
    fn the_bytes_are_the_same_whether_chunks_are_kept_or_not() {
        let ranges = [
            (BASE, BASE + 16),
            (BASE + 16, BASE + 40),
            (BASE + 5, BASE + 90_000),
            (0x1_7ff0, 0x1_9010),
            (BASE + 99_000, BASE + 100_000),
        ];
        let (kept, few) = collect(KEPT, &ranges);
        let (single, many) = collect(0, &ranges);
        let (mixed, _) = collect(CHUNK, &ranges);
        assert!(few < many, "{few} reads, {many} without chunks");
        assert_eq!(kept, single);
        assert_eq!(kept, mixed);
        for ((start, end), bytes) in ranges.into_iter().zip(&kept) {
            assert_eq!(bytes.len() as u64, end - start);
            for (at, byte) in (start..end).zip(bytes) {
                let missing = (0x1_8000..0x1_9000).contains(&at);
                let told = if missing { 0 } else { at % 251 };
                assert_eq!(u64::from(*byte), told, "{at:#x}");
            }
        }
    }
}
