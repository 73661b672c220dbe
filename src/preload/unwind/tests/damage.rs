//! Damaged tables and damaged stacks: every walk ends, and nothing is read that wasn't given.
//!
//! The generator is seeded: a failure comes again. A stack is an array of integers.

use crate::preload::unwind::frame::Fast;
use crate::preload::unwind::input::{STACK, Table, by_rows, walk_bytes};
use crate::preload::unwind::window::Window;

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
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// Walks a stack of words that are mostly addresses of code and of the stack itself.
fn wander(table: &mut Table<'_>, code: &[usize], random: &mut Random) -> usize {
    let words: Vec<usize> = (0..256)
        .map(|_| match random.below(4) {
            0 | 1 => code[random.below(code.len())] + 1 + random.below(40),
            2 => STACK + random.below(256) * 8,
            _ => random.next() as usize,
        })
        .collect();
    let start = Fast {
        pc: code[random.below(code.len())] + random.below(64),
        sp: STACK + random.below(200) * 8,
        fp: words[random.below(256)],
        fp_is_saved: false,
    };
    by_rows(table, start, &words)
}

/// A piece of libc's segment around its unwind data, and addresses of functions in it.
fn sample() -> (super::Library, Vec<usize>) {
    let library = super::libc();
    let mut code = Vec::new();
    let window = library.window();
    let rows = library.header + 12;
    for index in (0..2000).step_by(7) {
        let Some(mut row) = window.cursor(rows + index * 8) else { break };
        code.extend(row.pointer(crate::preload::unwind::window::encoding::TABLE, library.header));
    }
    (library, code)
}

#[test]
fn any_stack_is_walked_to_an_end() {
    let (library, code) = sample();
    let mut random = Random(0x1eaf);
    let mut table = Table { window: library.window(), header: library.header };
    let frames: usize = (0..3000).map(|_| wander(&mut table, &code, &mut random)).sum();
    assert!(frames > 6000, "walks get somewhere: {frames}");
}

#[test]
fn any_table_is_read_to_an_end() {
    let (library, code) = sample();
    let mut random = Random(0x5eed);
    let bytes = &library.data[library.range.clone()];
    let mut damaged = bytes.to_vec();
    let frames = library.header - library.start;
    for _ in 0..1500 {
        let changes: Vec<usize> = (0..1 + random.below(400))
            .map(|_| frames + random.below(bytes.len() - frames))
            .collect();
        for at in &changes {
            damaged[*at] = random.next() as u8;
        }
        // The header's own bytes as well, now and then.
        let at = frames + random.below(12);
        if random.below(4) == 0 {
            damaged[at] = random.next() as u8;
        }
        let len = if random.below(4) == 0 { random.below(bytes.len()) } else { bytes.len() };
        let window = Window::new(library.start, &damaged[..len]);
        let mut table = Table { window, header: library.header };
        for _ in 0..4 {
            wander(&mut table, &code, &mut random);
        }
        for at in changes.into_iter().chain([at]) {
            damaged[at] = bytes[at];
        }
    }
}

#[test]
fn a_table_of_noise_is_read_to_an_end() {
    let mut random = Random(0xbad);
    for _ in 0..20_000 {
        let mut bytes: Vec<u8> = (0..300).map(|_| random.next() as u8).collect();
        // Often enough a header and lengths that lead on.
        bytes[..4].copy_from_slice(&[1, 0x1b, 0x03, [0x3b, 0x1b][random.below(2)]]);
        if random.below(2) == 0 {
            for word in bytes.chunks_exact_mut(4).skip(1) {
                if random.below(3) == 0 {
                    word.copy_from_slice(&[random.below(200) as u8, 0, 0, 0]);
                }
            }
        }
        let mut table = Table { window: Window::new(0x1000, &bytes), header: 0x1000 };
        wander(&mut table, &[0x1000, 0x1040, 0x2000], &mut random);
    }
}

/// What the fuzz target starts from walks somewhere, and none of what it found stops a walk from
/// ending.
#[test]
fn the_fuzz_target_s_inputs_are_walked_to_an_end() {
    let frames: Vec<_> =
        super::corpus().into_iter().map(|(name, bytes)| (name, walk_bytes(&bytes))).collect();
    // Registers have other numbers on each machine; x86-64 knows no handler's end by its code.
    let expected: &[_] = if cfg!(target_arch = "x86_64") {
        &[("program", 4), ("expression", 3)]
    } else {
        &[("program_aarch64", 4), ("expression_aarch64", 3), ("handler_aarch64", 4)]
    };
    for (name, count) in expected {
        assert!(frames.contains(&((*name).into(), Some(*count))), "{name}: {frames:?}");
    }
}
