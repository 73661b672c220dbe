//! Bytes that know their address: how unwind data is read.
//!
//! Invariant: a [`Window`] and every [`Cursor`] of it read the slice that they were given and
//! nothing else, whatever the bytes say; what isn't there is `None`.

/// Bytes and the address of the first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window<'a> {
    start: usize,
    bytes: &'a [u8],
}

impl<'a> Window<'a> {
    /// `bytes`, which lie at `start`.
    pub(crate) fn new(start: usize, bytes: &'a [u8]) -> Self {
        Self { start, bytes }
    }

    /// The address of the first byte.
    pub(crate) fn start(&self) -> usize {
        self.start
    }

    /// The `N` bytes at address `at`.
    pub(crate) fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.cursor(at)?.take()
    }

    /// What follows from address `at`.
    pub(crate) fn cursor(&self, at: usize) -> Option<Cursor<'a>> {
        let rest = self.bytes.get(at.checked_sub(self.start)?..)?;
        Some(Cursor { at, rest })
    }
}

/// A place in a window, from which values are read one after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    at: usize,
    rest: &'a [u8],
}

/// `DW_EH_PE_*` of the Linux Standard Base, Core, 10.5: how a pointer is written.
pub(crate) mod encoding {
    /// Eight bytes, absolute.
    pub(crate) const ABSOLUTE: u8 = 0x00;
    /// There is none.
    pub(crate) const OMITTED: u8 = 0xff;
    /// Four signed bytes, from the address of the data (`.eh_frame_hdr`).
    pub(crate) const TABLE: u8 = 0x3b;
    /// The bits that say how wide the value is.
    pub(crate) const WIDTH: u8 = 0x0f;
}

impl<'a> Cursor<'a> {
    /// The address of the next byte.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `N` bytes.
    pub(crate) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        self.at = self.at.wrapping_add(N);
        Some(*head)
    }

    /// The next `len` bytes, as a cursor that ends there.
    pub(crate) fn split(&mut self, len: usize) -> Option<Cursor<'a>> {
        let (head, rest) = self.rest.split_at_checked(len)?;
        let part = Cursor { at: self.at, rest: head };
        self.rest = rest;
        self.at = self.at.wrapping_add(len);
        Some(part)
    }

    /// Moves by `by` bytes inside `whole`, whose end is this cursor's end.
    pub(crate) fn moved(&self, whole: &Cursor<'a>, by: i16) -> Option<Cursor<'a>> {
        let at = self.at.checked_add_signed(isize::from(by))?;
        let rest = whole.rest.get(at.checked_sub(whole.at)?..)?;
        Some(Cursor { at, rest })
    }

    /// The next byte.
    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take().map(|[byte]| byte)
    }

    /// The next two bytes.
    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    /// The next four bytes.
    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    /// The next eight bytes.
    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    /// An unsigned number in LEB128 (DWARF 5, 7.6); what passes 64 bits is no number.
    pub(crate) fn uleb(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            value |= bits.wrapping_shl(shift);
            if byte & 0x80 == 0 {
                return (shift < 63 || bits <= 1).then_some(value);
            }
        }
        None
    }

    /// A signed number in LEB128.
    pub(crate) fn sleb(&mut self) -> Option<i64> {
        let mut value = 0_i64;
        for shift in (0..64_u32).step_by(7) {
            let byte = self.u8()?;
            value |= i64::from(byte & 0x7f).wrapping_shl(shift);
            if byte & 0x80 == 0 {
                let unused = 57_u32.saturating_sub(shift);
                return Some(value.wrapping_shl(unused).wrapping_shr(unused));
            }
        }
        None
    }

    /// A pointer written as `encoding` says; `data` is what the data-relative ones are from.
    /// Indirect pointers are `None`: nothing that unwinding needs is written so.
    pub(crate) fn pointer(&mut self, encoding: u8, data: usize) -> Option<usize> {
        let at = self.at;
        let value = self.value(encoding)?;
        match encoding & !encoding::WIDTH {
            0x00 => Some(value),
            0x10 => Some(at.wrapping_add(value)),
            0x30 => Some(data.wrapping_add(value)),
            _ => None,
        }
    }

    /// The bare value of a pointer, sign-extended where its width says so.
    pub(crate) fn value(&mut self, encoding: u8) -> Option<usize> {
        let signed = |value: i64| value.cast_unsigned();
        let value = match encoding & encoding::WIDTH {
            0x0 | 0x4 | 0xc => self.u64()?,
            0x1 => self.uleb()?,
            0x2 => u64::from(self.u16()?),
            0x3 => u64::from(self.u32()?),
            0x9 => signed(self.sleb()?),
            0xa => signed(i64::from(self.u16()?.cast_signed())),
            0xb => signed(i64::from(self.u32()?.cast_signed())),
            _ => return None,
        };
        usize::try_from(value).ok()
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn cursor(bytes: &[u8]) -> Cursor<'_> {
        Window::new(0x1000, bytes).cursor(0x1000).expect("it starts there")
    }

    #[test]
    fn numbers_are_those_of_the_standard_s_examples() {
        // DWARF 5, tables C.1 and C.2 (appendix C).
        for (bytes, value) in
            [(&[2][..], 2), (&[127], 127), (&[0x80, 1], 128), (&[0xb9, 0x64], 12857)]
        {
            assert_eq!(cursor(bytes).uleb(), Some(value));
        }
        for (bytes, value) in [
            (&[2][..], 2),
            (&[0x7e], -2),
            (&[0xff, 0], 127),
            (&[0x81, 0x7f], -127),
            (&[0x80, 0x7f], -128),
        ] {
            assert_eq!(cursor(bytes).sleb(), Some(value));
        }
        let mut least = [0x80_u8; 10];
        least[9] = 0x7f;
        assert_eq!(cursor(&least).sleb(), Some(i64::MIN));
        assert_eq!(cursor(&[0xff; 9]).uleb(), None, "it doesn't end");
        assert_eq!(cursor(&[0xff; 12]).uleb(), None, "it is too long");
        assert_eq!(cursor(&[0xff; 12]).sleb(), None);
    }

    #[test]
    fn nothing_is_read_outside() {
        let window = Window::new(0x1000, &[1, 2, 3, 4]);
        assert_eq!(window.read::<4>(0x1000), Some([1, 2, 3, 4]));
        assert_eq!(window.read::<4>(0x1001), None);
        assert_eq!(window.read::<1>(0xfff), None);
        assert_eq!(window.read::<1>(usize::MAX), None);
        assert!(window.cursor(0x1004).is_some_and(|end| end.is_empty()));
        assert!(window.cursor(0x1005).is_none());
        let whole = cursor(&[1, 2, 3]);
        assert!(whole.moved(&whole, -1).is_none());
        assert!(whole.moved(&whole, 4).is_none());
    }

    #[test]
    fn pointers_are_relative_to_what_they_say() {
        let minus_two = [0xfe, 0xff, 0xff, 0xff];
        assert_eq!(cursor(&minus_two).pointer(0x1b, 0), Some(0xffe));
        assert_eq!(cursor(&minus_two).pointer(encoding::TABLE, 0x2000), Some(0x1ffe));
        assert_eq!(cursor(&minus_two).pointer(0x03, 0), Some(0xffff_fffe));
        assert_eq!(cursor(&minus_two).pointer(0x9b, 0), None, "indirect");
    }
}
