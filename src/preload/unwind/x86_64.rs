//! Registers, entry and rule form of x86-64 (System V AMD64 ABI, 3.6.2).

use core::arch::x86_64::__m128i;
use core::cell::Cell;

use super::frame::{Fast, HandlerEnd};
use super::row::{Cfa, Row, Saved};

/// Columns that are followed: the general registers and the return address.
pub(crate) const COLUMNS: usize = 17;
/// rsp.
pub(crate) const STACK_POINTER: usize = 7;
/// rbp.
pub(crate) const FRAME_POINTER: usize = 6;
/// The return address.
pub(crate) const PROGRAM_COUNTER: usize = 16;

/// What [`with_registers`] leaves on the stack: the caller's callee-saved registers, and where
/// it returns to. The stack pointer of the caller is behind it.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Registers {
    callee_saved: [usize; 6],
    /// The address after the call.
    pc: usize,
}

impl Registers {
    /// The caller's stack pointer.
    pub(crate) fn sp(&self) -> usize {
        core::ptr::from_ref(self).addr().wrapping_add(size_of::<Self>())
    }

    /// The columns whose values are known, with their values.
    pub(crate) fn values(&self) -> impl Iterator<Item = (usize, usize)> {
        const ORDER: [usize; 6] = [15, 14, 13, 12, 3, 6];
        let saved = ORDER.into_iter().zip(self.callee_saved);
        saved.chain([(STACK_POINTER, self.sp()), (PROGRAM_COUNTER, self.pc)])
    }
}

/// The body of a naked function of as many arguments as the first number says: it adds the
/// caller's stack pointer after the return, rbp and the return address, and jumps to the second.
macro_rules! go_on_with_caller {
    (1, $to:path) => {
        go_on_with_caller!("rsi", "rdx", "rcx", $to)
    };
    (2, $to:path) => {
        go_on_with_caller!("rdx", "rcx", "r8", $to)
    };
    (3, $to:path) => {
        go_on_with_caller!("rcx", "r8", "r9", $to)
    };
    ($sp:literal, $fp:literal, $pc:literal, $to:path) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            concat!("lea ", $sp, ", [rsp + 8]"),
            concat!("mov ", $fp, ", rbp"),
            concat!("mov ", $pc, ", [rsp]"),
            "jmp {to}",
            ".cfi_endproc",
            to = sym $to,
        )
    };
}
pub(crate) use go_on_with_caller;

/// The body of a naked function of one argument: it calls the first function with it, and then
/// jumps to the second with what that returned, the argument, and what [`go_on_with_caller`] adds.
/// Nothing but the argument has to outlive the call.
macro_rules! call_and_go_on_with_caller {
    ($first:path, $to:path) => {
        core::arch::naked_asm!(
            ".cfi_startproc",
            "push rdi",
            ".cfi_adjust_cfa_offset 8",
            "call {first}",
            "pop rsi",
            ".cfi_adjust_cfa_offset -8",
            "mov rdi, rax",
            "lea rdx, [rsp + 8]",
            "mov rcx, rbp",
            "mov r8, [rsp]",
            "jmp {to}",
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
        "push rbp",
        ".cfi_adjust_cfa_offset 8",
        "push rbx",
        ".cfi_adjust_cfa_offset 8",
        "push r12",
        ".cfi_adjust_cfa_offset 8",
        "push r13",
        ".cfi_adjust_cfa_offset 8",
        "push r14",
        ".cfi_adjust_cfa_offset 8",
        "push r15",
        ".cfi_adjust_cfa_offset 8",
        "mov rax, rsi",
        "mov rsi, rsp",
        "sub rsp, 8",
        ".cfi_adjust_cfa_offset 8",
        "call rax",
        "add rsp, 56",
        ".cfi_adjust_cfa_offset -56",
        "ret",
        ".cfi_endproc",
    )
}

/// Four words as they were; two share a register.
#[repr(C, align(16))]
#[derive(Debug)]
pub(crate) struct Four(pub(crate) [Cell<usize>; 4]);

/// The bits in which words differ from what they were. The processor waits for loads here, and
/// two words in a register are compared with one load less than one by one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Difference(__m128i);

const NONE: [u64; 2] = [0, 0];

impl Difference {
    /// Of no words.
    #[inline(always)]
    pub(crate) fn none() -> Self {
        // SAFETY: any bits are a vector.
        Self(unsafe { core::mem::transmute::<[u64; 2], __m128i>(NONE) })
    }

    /// With that of the words `offsets` bytes above `base` from `four`.
    ///
    /// # Safety
    /// The words can be read.
    #[inline(always)]
    pub(crate) unsafe fn with(self, base: usize, offsets: [usize; 4], four: &Four) -> Self {
        let [a, b, c, d] = offsets;
        let mut difference = self.0;
        // SAFETY: reads the words, by the caller's promise, and the four, which is aligned to 16
        // bytes; every x86-64 processor has these instructions.
        unsafe {
            core::arch::asm!(
                "movsd {ab}, qword ptr [{base} + {a}]",
                "movsd {cd}, qword ptr [{base} + {c}]",
                "movhpd {ab}, qword ptr [{base} + {b}]",
                "movhpd {cd}, qword ptr [{base} + {d}]",
                "pxor {ab}, xmmword ptr [{four}]",
                "pxor {cd}, xmmword ptr [{four} + 16]",
                "por {ab}, {cd}",
                "por {difference}, {ab}",
                base = in(reg) base,
                a = in(reg) a,
                b = in(reg) b,
                c = in(reg) c,
                d = in(reg) d,
                four = in(reg) four,
                ab = out(xmm_reg) _,
                cd = out(xmm_reg) _,
                difference = inout(xmm_reg) difference,
                options(nostack, readonly, preserves_flags, pure),
            );
        }
        Self(difference)
    }

    /// Whether there is none.
    #[inline(always)]
    pub(crate) fn is_none(self) -> bool {
        // SAFETY: a vector is these bits.
        let bits = unsafe { core::mem::transmute::<__m128i, [u64; 2]>(self.0) };
        bits == NONE
    }
}

/// Has what `of` refers to brought into the processor's caches.
#[inline(always)]
pub(crate) fn prefetch<T>(of: &T) {
    // SAFETY: a hint, which changes nothing that a program sees.
    unsafe {
        core::arch::asm!(
            "prefetcht0 byte ptr [{at}]",
            at = in(reg) core::ptr::from_ref(of),
            options(nostack, readonly, preserves_flags),
        );
    }
}

/// The address that a return address names: it is written as it is.
pub(crate) fn return_address(word: usize) -> usize {
    word
}

/// libc has it, with unwind data.
pub(crate) const HANDLER_END: Option<HandlerEnd> = None;

/// A frame that two registers describe:
/// `CFA = rsp or rbp + cfa`, return address at `CFA - 8`, rbp unchanged or at `CFA - fp_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The CFA counts from rbp, not from rsp.
    pub(crate) from_frame_pointer: bool,
    /// Bytes from there to the CFA.
    pub(crate) cfa: usize,
    /// Bytes below the CFA where rbp was saved; 0 where it is unchanged.
    pub(crate) fp_at: usize,
}

/// Bits of an encoded rule.
pub(crate) const RULE_BITS: u32 = 29;

const WORD: usize = 8;
const FIELD: u32 = 14;

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
        let fits = row.saved(STACK_POINTER)? == Saved::Same
            && return_column == PROGRAM_COUNTER
            && row.saved(PROGRAM_COUNTER)? == Saved::At(-8);
        let cfa = words(offset).filter(|cfa| fits && *cfa > 0)?;
        let fp_at = match row.saved(FRAME_POINTER)? {
            Saved::Same => 0,
            Saved::At(offset) => words(offset.checked_neg()?).filter(|at| *at > 0)?,
            _ => return None,
        };
        Some(Self { from_frame_pointer, cfa, fp_at })
    }

    /// The rule in [`RULE_BITS`] bits.
    pub(crate) fn encode(self) -> u64 {
        let field = |bytes: usize| bytes as u64 >> WORD.trailing_zeros();
        field(self.cfa)
            | field(self.fp_at) << FIELD
            | u64::from(self.from_frame_pointer) << (2 * FIELD)
    }

    /// The rule that was encoded as `bits`.
    #[inline]
    pub(crate) fn decode(bits: u64) -> Self {
        let field = |shift: u32| {
            let words = bits.wrapping_shr(shift) & ((1 << FIELD) - 1);
            (words as usize).wrapping_mul(WORD)
        };
        let from_frame_pointer = bits.wrapping_shr(2 * FIELD) & 1 != 0;
        Self { from_frame_pointer, cfa: field(0), fp_at: field(FIELD) }
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
        let pc = word(cfa.wrapping_sub(WORD))?;
        let (fp, fp_is_saved) = match self.fp_at {
            0 => (frame.fp, frame.fp_is_saved),
            at => (cfa.wrapping_sub(at), true),
        };
        Some(Fast { pc, sp: cfa, fp, fp_is_saved })
    }
}

/// A non-negative number of bytes that is a number of words and fits its field.
fn words(bytes: i32) -> Option<usize> {
    let bytes = usize::try_from(bytes).ok()?;
    (bytes.is_multiple_of(WORD) && bytes < WORD << FIELD).then_some(bytes)
}
