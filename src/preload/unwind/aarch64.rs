//! Registers, entry and rule form of aarch64 (Procedure Call Standard, 6.1; DWARF for the ABI,
//! 4.1).

use core::cell::Cell;

use super::frame::{Fast, HandlerEnd};
use super::row::{Cfa, Row, Saved};

/// Columns that are followed: the general registers, the stack pointer, the program counter.
pub(crate) const COLUMNS: usize = 33;
/// sp.
pub(crate) const STACK_POINTER: usize = 31;
/// x29.
pub(crate) const FRAME_POINTER: usize = 29;
/// pc.
pub(crate) const PROGRAM_COUNTER: usize = 32;

/// x30, where a call leaves its return address.
const LINK: usize = 30;

/// What [`with_registers`] leaves on the stack: the caller's callee-saved registers, x19 to x30;
/// the last is where it returns to. The stack pointer of the caller is behind it.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Registers {
    callee_saved: [usize; 12],
}

impl Registers {
    /// The caller's stack pointer.
    pub(crate) fn sp(&self) -> usize {
        core::ptr::from_ref(self).addr().wrapping_add(size_of::<Self>())
    }

    /// The columns whose values are known, with their values.
    pub(crate) fn values(&self) -> impl Iterator<Item = (usize, usize)> {
        let [.., link] = self.callee_saved;
        let saved = (19..=LINK).zip(self.callee_saved);
        saved.chain([(STACK_POINTER, self.sp()), (PROGRAM_COUNTER, return_address(link))])
    }
}

/// The body of a naked function of as many arguments as the first number says: it adds the
/// caller's stack pointer, x29 and the return address, and branches to the second.
macro_rules! go_on_with_caller {
    (1, $to:path) => {
        go_on_with_caller!("x1", "x2", "x3", $to)
    };
    (2, $to:path) => {
        go_on_with_caller!("x2", "x3", "x4", $to)
    };
    (3, $to:path) => {
        go_on_with_caller!("x3", "x4", "x5", $to)
    };
    ($sp:literal, $fp:literal, $pc:literal, $to:path) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            concat!("mov ", $sp, ", sp"),
            concat!("mov ", $fp, ", x29"),
            concat!("mov ", $pc, ", x30"),
            "b {to}",
            ".cfi_endproc",
            to = sym $to,
        )
    };
}
pub(crate) use go_on_with_caller;

/// The body of a naked function of one argument: it calls the first function with it, and then
/// branches to the second with what that returned, the argument, and what [`go_on_with_caller`]
/// adds. Nothing but the argument has to outlive the call.
macro_rules! call_and_go_on_with_caller {
    ($first:path, $to:path) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            "stp x0, x30, [sp, #-16]!",
            ".cfi_adjust_cfa_offset 16",
            ".cfi_offset x30, -8",
            "bl {first}",
            "ldp x1, x30, [sp], #16",
            ".cfi_adjust_cfa_offset -16",
            ".cfi_restore x30",
            "mov x2, sp",
            "mov x3, x29",
            "mov x4, x30",
            "b {to}",
            ".cfi_endproc",
            first = sym $first,
            to = sym $to,
        )
    };
}
pub(crate) use call_and_go_on_with_caller;

/// Calls `visit(argument, registers)` with the registers that the caller has.
///
/// # Safety
/// `visit` may be called with `argument`.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn with_registers<T>(
    argument: *mut T,
    visit: unsafe extern "C" fn(*mut T, &Registers),
) {
    core::arch::naked_asm!(
        ".cfi_startproc",
        "sub sp, sp, #96",
        ".cfi_adjust_cfa_offset 96",
        "stp x19, x20, [sp, #0]",
        "stp x21, x22, [sp, #16]",
        "stp x23, x24, [sp, #32]",
        "stp x25, x26, [sp, #48]",
        "stp x27, x28, [sp, #64]",
        "stp x29, x30, [sp, #80]",
        ".cfi_offset x29, -16",
        ".cfi_offset x30, -8",
        "mov x2, x1",
        "mov x1, sp",
        "blr x2",
        "ldp x29, x30, [sp, #80]",
        "add sp, sp, #96",
        ".cfi_adjust_cfa_offset -96",
        ".cfi_restore x29",
        ".cfi_restore x30",
        "ret",
        ".cfi_endproc",
    )
}

/// Four words as they were.
#[repr(C, align(16))]
#[derive(Debug)]
pub(crate) struct Four(pub(crate) [Cell<usize>; 4]);

/// The bits in which words differ from what they were.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Difference(usize);

impl Difference {
    /// Of no words.
    #[inline(always)]
    pub(crate) fn none() -> Self {
        Self(0)
    }

    /// With that of the words `offsets` bytes above `base` from `four`.
    ///
    /// # Safety
    /// The words can be read.
    #[inline(always)]
    pub(crate) unsafe fn with(self, base: usize, offsets: [usize; 4], four: &Four) -> Self {
        let pairs = offsets.into_iter().zip(&four.0);
        Self(pairs.fold(self.0, |difference, (offset, kept)| {
            let at = base.wrapping_add(offset) as *const usize;
            // SAFETY: the caller's promise.
            difference | (unsafe { at.read_volatile() } ^ kept.get())
        }))
    }

    /// Whether there is none.
    #[inline(always)]
    pub(crate) fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// Has what `of` refers to brought into the processor's caches.
#[inline(always)]
pub(crate) fn prefetch<T>(of: &T) {
    // SAFETY: a hint, which changes nothing that a program sees.
    unsafe {
        core::arch::asm!(
            "prfm pldl1keep, [{at}]",
            at = in(reg) core::ptr::from_ref(of),
            options(nostack, readonly, preserves_flags),
        );
    }
}

/// The address that a return address names, without the signature that may be in its upper bits.
pub(crate) fn return_address(word: usize) -> usize {
    let address: usize;
    // SAFETY: `xpaclri`, which is a no-op where the processor has no signatures, changes x30.
    unsafe {
        core::arch::asm!(
            "mov x30, {word}", "hint #7", "mov {address}, x30",
            word = in(reg) word, address = out(reg) address, out("x30") _,
            options(nostack, pure, nomem),
        );
    }
    address
}

/// The kernel's object has it, from Linux 5.8 on without unwind data: unwinders are to know it by its
/// instructions, `mov x8, #139` and `svc #0`. Behind 128 bytes of `siginfo_t` lies the `ucontext_t`,
/// in which 176 bytes and the fault's address come before the registers, in the columns' order.
pub(crate) const HANDLER_END: Option<HandlerEnd> =
    Some(HandlerEnd { code: [0xd280_1168, 0xd400_0001], registers_at: 128 + 176 + 8 });

/// A frame that two registers describe: `CFA = sp or x29 + cfa`, and either x29 at `CFA - at`
/// with the return address behind it, or x29 unchanged and the return address at `CFA - at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The CFA counts from x29, not from sp.
    pub(crate) from_frame_pointer: bool,
    /// x29 was saved, beside the return address.
    pub(crate) saves_frame_pointer: bool,
    /// Bytes from there to the CFA.
    pub(crate) cfa: usize,
    /// Bytes below the CFA where the first of what was saved is.
    pub(crate) at: usize,
}

/// Bits of an encoded rule.
pub(crate) const RULE_BITS: u32 = 29;

const WORD: usize = 8;
const FIELD: u32 = 13;

/// Bits of an encoded rule of which each rule has at least one: no frame has no size.
pub(crate) const SIZE: u64 = (1 << FIELD) - 1;

impl Rule {
    /// The rule of `row`, whose return address is in column `return_column`; `None` where it is
    /// not of that form.
    pub(crate) fn compile(row: &Row, return_column: usize) -> Option<Self> {
        let Cfa::Register { column, offset } = row.cfa else { return None };
        let from_frame_pointer = match usize::from(column) {
            FRAME_POINTER => true,
            STACK_POINTER => false,
            _ => return None,
        };
        if row.saved(STACK_POINTER)? != Saved::Same || return_column != LINK {
            return None;
        }
        let cfa = words(offset).filter(|cfa| *cfa > 0)?;
        let Saved::At(link) = row.saved(LINK)? else { return None };
        let link = words(link.checked_neg()?).filter(|at| *at > 0)?;
        let (saves_frame_pointer, at) = match row.saved(FRAME_POINTER)? {
            Saved::Same => (false, link),
            Saved::At(offset) => {
                let at = words(offset.checked_neg()?)?;
                (true, (link.checked_add(WORD) == Some(at)).then_some(at)?)
            }
            _ => return None,
        };
        Some(Self { from_frame_pointer, saves_frame_pointer, cfa, at })
    }

    /// The rule in [`RULE_BITS`] bits.
    pub(crate) fn encode(self) -> u64 {
        let field = |bytes: usize| bytes as u64 >> WORD.trailing_zeros();
        let flags = u64::from(self.from_frame_pointer) | u64::from(self.saves_frame_pointer) << 1;
        field(self.cfa) | field(self.at) << FIELD | flags << (2 * FIELD)
    }

    /// The rule that was encoded as `bits`.
    #[inline]
    pub(crate) fn decode(bits: u64) -> Self {
        let field = |shift: u32| {
            let words = bits.wrapping_shr(shift) & ((1 << FIELD) - 1);
            (words as usize).wrapping_mul(WORD)
        };
        let flag = |bit: u32| bits.wrapping_shr(bit) & 1 != 0;
        Self {
            from_frame_pointer: flag(2 * FIELD),
            saves_frame_pointer: flag(2 * FIELD + 1),
            cfa: field(0),
            at: field(FIELD),
        }
    }

    /// Whether it reads the frame pointer to find the frame.
    pub(crate) fn reads_frame_pointer(self) -> bool {
        self.from_frame_pointer
    }

    /// One frame outwards: the registers of the caller. `word` reads the stack.
    #[inline]
    pub(crate) fn apply(self, frame: Fast, word: impl Fn(usize) -> Option<usize>) -> Option<Fast> {
        let from = if self.from_frame_pointer { frame.frame_pointer(&word)? } else { frame.sp };
        let cfa = from.wrapping_add(self.cfa);
        let at = cfa.wrapping_sub(self.at);
        let (fp, fp_is_saved, link) = if self.saves_frame_pointer {
            (at, true, word(at.wrapping_add(WORD))?)
        } else {
            (frame.fp, frame.fp_is_saved, word(at)?)
        };
        Some(Fast { pc: return_address(link), sp: cfa, fp, fp_is_saved })
    }
}

/// A non-negative number of bytes that is a number of words and fits its field.
fn words(bytes: i32) -> Option<usize> {
    let bytes = usize::try_from(bytes).ok()?;
    (bytes.is_multiple_of(WORD) && bytes < WORD << FIELD).then_some(bytes)
}
