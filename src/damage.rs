//! Damaged copies of what the fuzz targets start from: the same ones in each run, so that a failure
//! comes again. Tests only.
//!
//! A target's inputs lie in `fuzz/corpus/NAME/`; what a fuzzer found a fault with is among them.

use std::fs;
use std::path::Path;

/// The inputs of `target`, by name.
pub(crate) fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(folder).expect("the folder of the inputs");
    let mut inputs: Vec<_> = entries
        .map(|entry| {
            let entry = entry.expect("an entry of the folder");
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read(entry.path()).expect("it is readable"))
        })
        .collect();
    inputs.sort();
    inputs
}

/// Calls `f` with every input of `target` as it is, and then with `times` damaged copies. Where it
/// panics, the input is printed.
pub(crate) fn each_damaged(target: &str, times: usize, mut f: impl FnMut(&[u8])) {
    let inputs = corpus(target);
    assert!(!inputs.is_empty(), "{target} starts from nothing");
    let mut call = |what: &str, bytes: &[u8]| {
        let shown = Shown { what, bytes };
        f(bytes);
        drop(shown);
    };
    inputs.iter().for_each(|(name, bytes)| call(name, bytes));
    let mut random = Random(0x1eaf_5eed);
    for number in 0..times {
        let mut bytes = inputs[random.below(inputs.len())].1.clone();
        for _ in 0..=random.below(4) {
            let (_, other) = &inputs[random.below(inputs.len())];
            damage(&mut bytes, other, &mut random);
        }
        call(&format!("damaged copy {number}"), &bytes);
    }
}

/// Prints an input while its test fails.
struct Shown<'a> {
    what: &'a str,
    bytes: &'a [u8],
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: b\"{}\"", self.what, self.bytes.escape_ascii());
        }
    }
}

/// xorshift64* (Vigna, 2016).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or_default()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[7]
    }
}

/// Numbers at which something ends.
const EDGES: [u64; 8] =
    [0, 1, 0x7f, 0xff, 0xffff, u32::MAX as u64, i64::MAX.cast_unsigned(), u64::MAX];

/// Damages `bytes` in one way; `other` is another input of the same target.
fn damage(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(bytes.len());
    let end = bytes.len().min(at + 1 + random.below(16));
    match random.below(8) {
        _ if bytes.is_empty() => bytes.extend_from_slice(other),
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.byte(),
        2 => {
            let edge = EDGES[random.below(EDGES.len())].to_le_bytes();
            bytes[at..end].iter_mut().zip(edge).for_each(|(byte, edge)| *byte = edge);
        }
        3 => drop(bytes.drain(at..end)),
        4 => bytes.truncate(at),
        5 => {
            let piece = bytes[at..end].repeat(1 + random.below(4));
            bytes.splice(at..at, piece);
        }
        6 => {
            let from = random.below(other.len());
            let len = random.below(64).min(other.len() - from);
            bytes.splice(at..end, other[from..from + len].iter().copied());
        }
        _ => {
            let to = random.below(bytes.len());
            bytes.swap(at, to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_differ_and_are_the_same_in_each_run() {
        let copies = || {
            let mut copies = Vec::new();
            each_damaged("unwind", 200, |bytes| copies.push(bytes.to_vec()));
            copies
        };
        let (first, again) = (copies(), copies());
        assert!(first == again);
        let whole = corpus("unwind").len();
        assert_eq!(first.len(), whole + 200);
        let changed = first[whole..].iter().filter(|copy| !first[..whole].contains(copy)).count();
        assert!(changed > 180, "{changed} of 200 are damaged");
    }
}
