//! A frame, and the one outside it.

use core::cell::Cell;

use super::arch::{
    COLUMNS, FRAME_POINTER, PROGRAM_COUNTER, Registers, STACK_POINTER, return_address,
};
use super::expression::evaluate;
use super::frame_table::Function;
use super::row::{Cfa, Code, Row, Saved};
use super::stack::Stack;

/// The registers that rules work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fast {
    /// Where the frame goes on.
    pub(crate) pc: usize,
    /// The stack pointer.
    pub(crate) sp: usize,
    /// The frame pointer, or whatever else the register holds.
    pub(crate) fp: usize,
    /// `fp` is not the value but the address where it was saved: most are never asked for, and
    /// what was not read is nothing that a backtrace depends on.
    pub(crate) fp_is_saved: bool,
}

impl Fast {
    /// The frame pointer.
    #[inline]
    pub(crate) fn frame_pointer(&self, word: impl Fn(usize) -> Option<usize>) -> Option<usize> {
        if self.fp_is_saved { word(self.fp) } else { Some(self.fp) }
    }
}

/// One frame's registers, as far as they are known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    values: [usize; COLUMNS],
    known: u64,
    /// The address is that of the instruction that a signal interrupted, not a return address.
    pub(crate) exact: bool,
}

const _: () = assert!(COLUMNS <= 64, "a bit for each column");

/// Code that returns from a signal's handler and for which nobody has unwind data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HandlerEnd {
    /// Its instructions.
    pub(crate) code: [u32; 2],
    /// Bytes from the stack pointer there to what was interrupted: a word for each column.
    pub(crate) registers_at: usize,
}

/// What lies outside a frame.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a step is taken apart at once")]
pub(crate) enum Step {
    /// Its caller.
    Caller(Frame),
    /// Nothing: it is the outermost.
    Outermost,
    /// The answer is in a register whose value nobody followed.
    Unfollowed,
    /// Nobody knows: no unwind data, or none that make sense.
    Lost,
}

impl Frame {
    /// The frame of `registers`.
    pub(crate) fn new(registers: &Registers) -> Self {
        let mut frame = Self { values: [0; COLUMNS], known: 0, exact: false };
        for (column, value) in registers.values() {
            frame.set(column, value);
        }
        frame
    }

    /// The frame of which only the registers are known that rules work on.
    pub(crate) fn of(fast: Fast, word: impl Fn(usize) -> Option<usize>) -> Self {
        let mut frame = Self { values: [0; COLUMNS], known: 0, exact: false };
        frame.set(PROGRAM_COUNTER, fast.pc);
        frame.set(STACK_POINTER, fast.sp);
        if let Some(fp) = fast.frame_pointer(word) {
            frame.set(FRAME_POINTER, fp);
        }
        frame
    }

    /// The registers that rules work on, where they are known.
    pub(crate) fn fast(&self) -> Option<Fast> {
        let (pc, sp) = (self.get(PROGRAM_COUNTER)?, self.get(STACK_POINTER)?);
        Some(Fast { pc, sp, fp: self.get(FRAME_POINTER)?, fp_is_saved: false })
    }

    /// Where the frame goes on.
    pub(crate) fn pc(&self) -> usize {
        self.get(PROGRAM_COUNTER).unwrap_or_default()
    }

    /// The instruction whose row of the unwind table holds: a return address can be the first of
    /// the next function.
    pub(crate) fn instruction(&self) -> usize {
        self.pc().wrapping_sub(usize::from(!self.exact))
    }

    fn get(&self, column: usize) -> Option<usize> {
        let known = self.known.checked_shr(u32::try_from(column).ok()?)? & 1 != 0;
        self.values.get(column).copied().filter(|_| known)
    }

    fn set(&mut self, column: usize, value: usize) {
        if let Some(place) = self.values.get_mut(column) {
            *place = value;
            self.known |= bit(column);
        }
    }

    /// The caller of this frame, by the row of `function` that holds for it.
    pub(crate) fn caller<S: Stack>(
        &self,
        function: &Function<'_>,
        row: &Row,
        stack: &mut S,
    ) -> Step {
        let unfollowed = Cell::new(false);
        match self.step(function, row, stack, &unfollowed) {
            Some(step) => step,
            None if unfollowed.get() => Step::Unfollowed,
            None => Step::Lost,
        }
    }

    /// The frame that a signal interrupted, this one being at the `end` of its handler.
    pub(crate) fn interrupted<S: Stack>(&self, end: HandlerEnd, stack: &mut S) -> Step {
        let mut caller = *self;
        let at = self.get(STACK_POINTER).map(|sp| sp.wrapping_add(end.registers_at));
        for column in 0..COLUMNS {
            let place = at.map(|at| at.wrapping_add(column.wrapping_mul(size_of::<usize>())));
            let Some(value) = place.and_then(|place| stack.word(place)) else { return Step::Lost };
            caller.set(column, value);
        }
        caller.exact = true;
        caller.settle(stack, None);
        Step::Caller(caller)
    }

    /// Has `stack` be the one that this frame is on, which may be `other`.
    fn settle<S: Stack>(&self, stack: &mut S, other: Option<S>) {
        if let Some(sp) = self.get(STACK_POINTER).filter(|sp| !stack.holds(*sp)) {
            *stack = other.filter(|other| other.holds(sp)).unwrap_or_else(|| S::unknown(sp));
        }
    }

    fn step<S: Stack>(
        &self,
        function: &Function<'_>,
        row: &Row,
        stack: &mut S,
        unfollowed: &Cell<bool>,
    ) -> Option<Step> {
        let return_column = usize::try_from(function.common.return_column).ok()?;
        if row.saved(return_column)? == Saved::Undefined {
            return Some(Step::Outermost);
        }
        let register = |column: u64| {
            let value = self.get(usize::try_from(column).ok()?);
            unfollowed.set(unfollowed.get() || value.is_none());
            value
        };
        let here = |at: usize| stack.word(at);
        let cfa = match row.cfa {
            Cfa::Register { column, offset } => {
                register(u64::from(column))?.wrapping_add_signed(offset as isize)
            }
            Cfa::Expression(code) => {
                evaluate(code.cursor(&function.window)?, None, register, here)?
            }
        };
        // Where code switched stacks, the caller's words are on its own.
        let other = (!stack.holds(cfa)).then(|| S::unknown(cfa));
        let word = |at: usize| here(at).or_else(|| other.as_ref()?.word(at));
        let expression =
            |code: Code| evaluate(code.cursor(&function.window)?, Some(cfa), register, word);
        let mut caller = *self;
        caller.set(STACK_POINTER, cfa);
        for column in 0..COLUMNS {
            let offset = |by: i32| cfa.wrapping_add_signed(by as isize);
            let value = match row.saved(column)? {
                Saved::Same | Saved::Undefined => continue,
                Saved::At(by) => word(offset(by)),
                Saved::Value(by) => Some(offset(by)),
                Saved::Register(from) => self.get(usize::from(from)),
                Saved::AtExpression(code) => expression(code).and_then(word),
                Saved::ValueExpression(code) => expression(code),
            };
            match value {
                Some(value) => caller.set(column, value),
                // It matters only where something asks for it.
                None => caller.known &= !bit(column),
            }
        }
        // These are asked for: they may be in a register that nobody followed.
        let asked = |column: usize| {
            let value = caller.get(column);
            unfollowed.set(unfollowed.get() || value.is_none());
            value
        };
        let pc = return_address(asked(return_column)?);
        asked(STACK_POINTER)?;
        if pc == 0 {
            return Some(Step::Outermost);
        }
        caller.set(PROGRAM_COUNTER, pc);
        caller.exact = function.common.signal;
        caller.settle(stack, other);
        Some(Step::Caller(caller))
    }
}

fn bit(column: usize) -> u64 {
    1_u64.wrapping_shl(u32::try_from(column).unwrap_or_default())
}
