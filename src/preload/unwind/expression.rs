//! DWARF expressions (DWARF 5, 2.5), as far as unwind tables can use them.
//!
//! Invariant: an evaluation ends after [`MAX_STEPS`] operations, keeps at most [`DEPTH`] values,
//! and reads memory through the function that it is given.

use super::window::Cursor;

/// Values that an expression may hold at a time.
const DEPTH: usize = 32;

/// Operations that one evaluation may take: branches can loop.
const MAX_STEPS: usize = 512;

struct Values {
    values: [usize; DEPTH],
    len: usize,
}

impl Values {
    fn push(&mut self, value: usize) -> Option<()> {
        *self.values.get_mut(self.len)? = value;
        self.len = self.len.checked_add(1)?;
        Some(())
    }

    fn pop(&mut self) -> Option<usize> {
        self.len = self.len.checked_sub(1)?;
        self.values.get(self.len).copied()
    }

    /// The value `depth` below the top.
    fn pick(&self, depth: usize) -> Option<usize> {
        self.values.get(self.len.checked_sub(depth.checked_add(1)?)?).copied()
    }

    fn unary(&mut self, apply: impl FnOnce(usize) -> usize) -> Option<()> {
        let value = self.pop()?;
        self.push(apply(value))
    }

    /// Replaces the two on top by one; the second operand is the top.
    fn binary(&mut self, apply: impl FnOnce(usize, usize) -> Option<usize>) -> Option<()> {
        let second = self.pop()?;
        let first = self.pop()?;
        self.push(apply(first, second)?)
    }

    fn compare(&mut self, holds: impl FnOnce(isize, isize) -> bool) -> Option<()> {
        self.binary(|first, second| {
            Some(usize::from(holds(first.cast_signed(), second.cast_signed())))
        })
    }
}

/// The value of the expression `code`, which starts with `initial` on its stack. `register` gives
/// the value of a column, `memory` the eight bytes at a multiple of eight.
pub(crate) fn evaluate(
    code: Cursor<'_>,
    initial: Option<usize>,
    register: impl Fn(u64) -> Option<usize>,
    memory: impl Fn(usize) -> Option<usize>,
) -> Option<usize> {
    let mut values = Values { values: [0; DEPTH], len: 0 };
    if let Some(initial) = initial {
        values.push(initial)?;
    }
    let whole = code;
    let mut code = code;
    for _ in 0..MAX_STEPS {
        if code.is_empty() {
            return values.pop();
        }
        operation(&mut values, &mut code, &whole, &register, &memory)?;
    }
    None
}

fn operation<'a>(
    values: &mut Values,
    code: &mut Cursor<'a>,
    whole: &Cursor<'a>,
    register: &impl Fn(u64) -> Option<usize>,
    memory: &impl Fn(usize) -> Option<usize>,
) -> Option<()> {
    let opcode = code.u8()?;
    match opcode {
        // addr, const1u to const8s, constu, consts
        0x03 | 0x0e | 0x0f => values.push(code.value(0x4)?),
        0x08 => values.push(usize::from(code.u8()?)),
        0x09 => values.push(isize::from(code.u8()?.cast_signed()).cast_unsigned()),
        0x0a => values.push(code.value(0x2)?),
        0x0b => values.push(code.value(0xa)?),
        0x0c => values.push(code.value(0x3)?),
        0x0d => values.push(code.value(0xb)?),
        0x10 => values.push(code.value(0x1)?),
        0x11 => values.push(code.value(0x9)?),
        // deref, deref_size
        0x06 => {
            let at = values.pop()?;
            values.push(load(memory, at, 8)?)
        }
        0x94 => {
            let size = code.u8()?;
            let at = values.pop()?;
            values.push(load(memory, at, size)?)
        }
        // dup, drop, over, pick, swap, rot
        0x12 => values.push(values.pick(0)?),
        0x13 => values.pop().map(drop),
        0x14 => values.push(values.pick(1)?),
        0x15 => {
            let depth = usize::from(code.u8()?);
            values.push(values.pick(depth)?)
        }
        0x16 => {
            let (first, second) = (values.pop()?, values.pop()?);
            values.push(first)?;
            values.push(second)
        }
        0x17 => {
            let (first, second, third) = (values.pop()?, values.pop()?, values.pop()?);
            values.push(first)?;
            values.push(third)?;
            values.push(second)
        }
        // abs, neg, not, plus_uconst
        0x19 => values.unary(|value| value.cast_signed().unsigned_abs()),
        0x1f => values.unary(usize::wrapping_neg),
        0x20 => values.unary(|value| !value),
        0x23 => {
            let by = code.value(0x1)?;
            values.unary(|value| value.wrapping_add(by))
        }
        // and, div (signed), minus, mod (unsigned), mul, or, plus, shl, shr, shra, xor
        0x1a => values.binary(|a, b| Some(a & b)),
        0x1b => values
            .binary(|a, b| Some(a.cast_signed().checked_div(b.cast_signed())?.cast_unsigned())),
        0x1c => values.binary(|a, b| Some(a.wrapping_sub(b))),
        0x1d => values.binary(usize::checked_rem),
        0x1e => values.binary(|a, b| Some(a.wrapping_mul(b))),
        0x21 => values.binary(|a, b| Some(a | b)),
        0x22 => values.binary(|a, b| Some(a.wrapping_add(b))),
        0x24 => values.binary(|a, b| Some(shift(b).map_or(0, |b| a.wrapping_shl(b)))),
        0x25 => values.binary(|a, b| Some(shift(b).map_or(0, |b| a.wrapping_shr(b)))),
        0x26 => values.binary(|a, b| {
            let by = shift(b).unwrap_or(usize::BITS.wrapping_sub(1));
            Some(a.cast_signed().wrapping_shr(by).cast_unsigned())
        }),
        0x27 => values.binary(|a, b| Some(a ^ b)),
        // bra, skip
        0x28 => {
            let by = code.u16()?.cast_signed();
            if values.pop()? != 0 {
                *code = code.moved(whole, by)?;
            }
            Some(())
        }
        0x2f => {
            let by = code.u16()?.cast_signed();
            *code = code.moved(whole, by)?;
            Some(())
        }
        // eq, ge, gt, le, lt, ne
        0x29 => values.compare(|a, b| a == b),
        0x2a => values.compare(|a, b| a >= b),
        0x2b => values.compare(|a, b| a > b),
        0x2c => values.compare(|a, b| a <= b),
        0x2d => values.compare(|a, b| a < b),
        0x2e => values.compare(|a, b| a != b),
        // lit0 to lit31
        0x30..=0x4f => values.push(usize::from(opcode.wrapping_sub(0x30))),
        // reg0 to reg31, breg0 to breg31, regx, bregx
        0x50..=0x6f => values.push(register(u64::from(opcode.wrapping_sub(0x50)))?),
        0x70..=0x8f => {
            let by = code.value(0x9)?;
            values.push(register(u64::from(opcode.wrapping_sub(0x70)))?.wrapping_add(by))
        }
        0x90 => values.push(register(code.uleb()?)?),
        0x92 => {
            let column = code.uleb()?;
            let by = code.value(0x9)?;
            values.push(register(column)?.wrapping_add(by))
        }
        // nop
        0x96 => Some(()),
        // GNU_encoded_addr
        0xf1 => {
            let encoding = code.u8()?;
            values.push(code.pointer(encoding, 0)?)
        }
        _ => None,
    }
}

/// A shift by `by` where it is less than the width of a value.
fn shift(by: usize) -> Option<u32> {
    u32::try_from(by).ok().filter(|by| *by < usize::BITS)
}

/// `size` bytes at `at`, which don't cross a multiple of eight.
fn load(memory: &impl Fn(usize) -> Option<usize>, at: usize, size: u8) -> Option<usize> {
    let (skipped, size) = (at & 7, usize::from(size));
    if !matches!(size, 1 | 2 | 4 | 8) || skipped.checked_add(size)? > 8 {
        return None;
    }
    let word = memory(at & !7)?.to_le_bytes();
    let mut bytes = [0; 8];
    bytes.get_mut(..size)?.copy_from_slice(word.get(skipped..)?.get(..size)?);
    Some(usize::from_le_bytes(bytes))
}

#[cfg(test)]
#[allow(clippy::expect_used, clippy::arithmetic_side_effects, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::preload::unwind::window::Window;

    fn run(code: &[u8], initial: Option<usize>) -> Option<usize> {
        let cursor = Window::new(0, code).cursor(0).expect("it starts there");
        let memory = |at: usize| (0x1000..0x2000).contains(&at).then_some(at * 2);
        evaluate(cursor, initial, |column| usize::try_from(column * 100).ok(), memory)
    }

    #[test]
    fn a_stub_of_the_linkage_table_has_two_heights() {
        // breg7 8; breg16 0; lit15; and; lit11; ge; lit3; shl; plus
        let code = [0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22];
        for (address, height) in [(0x1006_usize, 8), (0x100b, 16)] {
            let cursor = Window::new(0, &code).cursor(0).expect("it starts there");
            let register = |column| Some(if column == 16 { address } else { 0x7000 });
            assert_eq!(evaluate(cursor, None, register, |_| None), Some(0x7000 + height));
        }
    }

    #[test]
    fn operations_do_what_the_standard_says() {
        let minus = |value: usize| value.wrapping_neg();
        for (code, value) in [
            (&[0x31, 0x4f][..], 31),
            (&[0x09, 0xff], usize::MAX),
            (&[0x0b, 0xfe, 0xff], minus(2)),
            (&[0x0d, 0xfd, 0xff, 0xff, 0xff], minus(3)),
            (&[0x11, 0x7f], minus(1)),
            (&[0x10, 0x80, 0x01], 128),
            (&[0x31, 0x32, 0x33, 0x17, 0x13], 1),
            (&[0x31, 0x32, 0x33, 0x17, 0x13, 0x13], 3),
            (&[0x31, 0x32, 0x16], 1),
            (&[0x31, 0x32, 0x14], 1),
            (&[0x35, 0x32, 0x33, 0x15, 2], 5),
            (&[0x37, 0x1f, 0x19], 7),
            (&[0x37, 0x32, 0x1d], 1),
            (&[0x37, 0x1f, 0x32, 0x1b], minus(3)),
            (&[0x31, 0x08, 64, 0x24], 0),
            (&[0x31, 0x1f, 0x08, 99, 0x26], usize::MAX),
            (&[0x0a, 0, 0x10, 0x06], 0x2000),
            (&[0x0a, 1, 0x10, 0x94, 1], 0x20),
            (&[0x31, 0x28, 1, 0, 0x00, 0x35], 5),
            (&[0x57], 700),
            (&[0x92, 3, 4], 304),
        ] {
            assert_eq!(run(code, None), Some(value), "{code:02x?}");
        }
        assert_eq!(run(&[0x23, 5], Some(10)), Some(15));
    }

    #[test]
    fn nonsense_ends() {
        for code in [
            &[][..],
            &[0x22],
            &[0x31, 0x30, 0x1b],
            &[0x31, 0x30, 0x1d],
            &[0x06],
            &[0x31, 0x06],
            &[0x0a, 4, 0x10, 0x06],
            &[0x2f, 0xfd, 0xff],
            &[0x2f, 0xf0, 0xff],
            &[0x00],
            &[0x31, 0x12, 0x2f, 0xfc, 0xff],
        ] {
            assert_eq!(run(code, None), None, "{code:02x?}");
        }
    }
}
