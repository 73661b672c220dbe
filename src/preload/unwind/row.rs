//! The row of a function's unwind table that holds at one address: where the caller's registers
//! are (DWARF 5, 6.4).
//!
//! Call frame instructions are run from the function's start to the address. Their number is
//! bounded by their bytes, the remembered states by [`REMEMBERED`].

use super::arch::COLUMNS;
use super::frame_table::Function;
use super::window::{Cursor, Window};

/// How many states may be remembered at a time; compilers nest one or two.
const REMEMBERED: usize = 4;

/// An expression, by its place in the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code {
    len: u16,
    /// Two halves, so that a [`Saved`] takes eight bytes.
    at: [u16; 2],
}

impl Code {
    fn new(window: &Window<'_>, cursor: &mut Cursor<'_>) -> Option<Self> {
        let len = u16::try_from(cursor.uleb()?).ok()?;
        let at = u32::try_from(cursor.at().checked_sub(window.start())?).ok()?;
        cursor.split(usize::from(len))?;
        let [a, b, c, d] = at.to_le_bytes();
        Some(Self { len, at: [u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])] })
    }

    /// Its bytes.
    pub(crate) fn cursor<'a>(&self, window: &Window<'a>) -> Option<Cursor<'a>> {
        let [low, high] = self.at.map(usize::from);
        let at = window.start().checked_add(low | high << 16)?;
        window.cursor(at)?.split(usize::from(self.len))
    }
}

/// How the canonical frame address is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cfa {
    /// A register's value and an offset.
    Register { column: u8, offset: i32 },
    /// An expression.
    Expression(Code),
}

/// Where the caller's value of a register is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Saved {
    /// Still in the register; said so, or nothing was said.
    Same,
    /// Nowhere: for a return address, the end of the stack.
    Undefined,
    /// In memory, at the canonical frame address and this.
    At(i32),
    /// It is the canonical frame address and this.
    Value(i32),
    /// In another register.
    Register(u8),
    /// In memory, where an expression says.
    AtExpression(Code),
    /// It is what an expression says.
    ValueExpression(Code),
}

const _: () = assert!(size_of::<Saved>() == 8 && size_of::<Cfa>() == 8, "rows lie on the stack");

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// The canonical frame address.
    pub(crate) cfa: Cfa,
    saved: [Saved; COLUMNS],
}

impl Row {
    const EMPTY: Self =
        Self { cfa: Cfa::Register { column: u8::MAX, offset: 0 }, saved: [Saved::Same; COLUMNS] };

    /// The row of `function` for the instruction at `address`; `None` where its instructions make
    /// no sense.
    pub(crate) fn find(function: &Function<'_>, address: usize) -> Option<Self> {
        let mut machine = Machine {
            function,
            row: Self::EMPTY,
            initial: Self::EMPTY,
            remembered: [Self::EMPTY; REMEMBERED],
            depth: 0,
            location: function.start,
            address,
        };
        machine.run(function.common.instructions)?;
        machine.initial = machine.row;
        machine.run(function.instructions)?;
        Some(machine.row)
    }

    /// Where the register of `column` is; `None` for a column that isn't followed.
    pub(crate) fn saved(&self, column: usize) -> Option<Saved> {
        self.saved.get(column).copied()
    }
}

struct Machine<'a, 'b> {
    function: &'b Function<'a>,
    row: Row,
    initial: Row,
    remembered: [Row; REMEMBERED],
    depth: usize,
    location: usize,
    address: usize,
}

impl<'a> Machine<'a, '_> {
    /// Runs until the location passes the address.
    fn run(&mut self, mut code: Cursor<'a>) -> Option<()> {
        while !code.is_empty() {
            let byte = code.u8()?;
            let low = byte & 0x3f;
            match byte >> 6 {
                1 => self.advance(u64::from(low))?,
                2 => {
                    let offset = code.uleb()?;
                    self.save(u64::from(low), Saved::At(self.factored(offset)?));
                }
                3 => self.restore(u64::from(low)),
                _ => self.extended(low, &mut code)?,
            }
            if self.location > self.address {
                break;
            }
        }
        Some(())
    }

    fn extended(&mut self, opcode: u8, code: &mut Cursor<'a>) -> Option<()> {
        match opcode {
            // nop
            0x00 => {}
            // set_loc
            0x01 => self.set_location(code.pointer(self.function.common.pointers(), 0)?)?,
            // advance_loc1, advance_loc2, advance_loc4
            0x02 => {
                let delta = code.u8()?;
                self.advance(u64::from(delta))?;
            }
            0x03 => {
                let delta = code.u16()?;
                self.advance(u64::from(delta))?;
            }
            0x04 => {
                let delta = code.u32()?;
                self.advance(u64::from(delta))?;
            }
            // offset_extended
            0x05 => {
                let (column, offset) = (code.uleb()?, code.uleb()?);
                self.save(column, Saved::At(self.factored(offset)?));
            }
            // restore_extended
            0x06 => self.restore(code.uleb()?),
            // undefined, same_value, register
            0x07 => self.save(code.uleb()?, Saved::Undefined),
            0x08 => self.save(code.uleb()?, Saved::Same),
            0x09 => {
                let (column, other) = (code.uleb()?, code.uleb()?);
                self.save(column, Saved::Register(u8::try_from(other).ok()?));
            }
            // remember_state, restore_state
            0x0a => {
                *self.remembered.get_mut(self.depth)? = self.row;
                self.depth = self.depth.checked_add(1)?;
            }
            0x0b => {
                self.depth = self.depth.checked_sub(1)?;
                self.row = *self.remembered.get(self.depth)?;
            }
            // def_cfa, def_cfa_register, def_cfa_offset, def_cfa_expression
            0x0c => {
                let (column, offset) = (code.uleb()?, code.uleb()?);
                self.define(Some(column), Some(i64::try_from(offset).ok()?))?;
            }
            0x0d => self.define(Some(code.uleb()?), None)?,
            0x0e => {
                let offset = code.uleb()?;
                self.define(None, Some(i64::try_from(offset).ok()?))?;
            }
            0x0f => self.row.cfa = Cfa::Expression(Code::new(&self.function.window, code)?),
            // expression
            0x10 => {
                let column = code.uleb()?;
                let expression = Code::new(&self.function.window, code)?;
                self.save(column, Saved::AtExpression(expression));
            }
            // offset_extended_sf
            0x11 => {
                let (column, offset) = (code.uleb()?, code.sleb()?);
                self.save(column, Saved::At(self.signed(offset)?));
            }
            // def_cfa_sf, def_cfa_offset_sf
            0x12 => {
                let (column, offset) = (code.uleb()?, code.sleb()?);
                let offset = i64::from(self.signed(offset)?);
                self.define(Some(column), Some(offset))?;
            }
            0x13 => {
                let offset = code.sleb()?;
                let offset = i64::from(self.signed(offset)?);
                self.define(None, Some(offset))?;
            }
            // val_offset, val_offset_sf, val_expression
            0x14 => {
                let (column, offset) = (code.uleb()?, code.uleb()?);
                self.save(column, Saved::Value(self.factored(offset)?));
            }
            0x15 => {
                let (column, offset) = (code.uleb()?, code.sleb()?);
                self.save(column, Saved::Value(self.signed(offset)?));
            }
            0x16 => {
                let column = code.uleb()?;
                let expression = Code::new(&self.function.window, code)?;
                self.save(column, Saved::ValueExpression(expression));
            }
            // AARCH64_negate_ra_state: signatures are stripped whether they are there or not
            0x2d if cfg!(target_arch = "aarch64") => {}
            // GNU_args_size: for landing pads, no frame moves by it
            0x2e => drop(code.uleb()?),
            // GNU_negative_offset_extended
            0x2f => {
                let (column, offset) = (code.uleb()?, code.uleb()?);
                let offset = i64::try_from(offset).ok()?.checked_neg()?;
                self.save(column, Saved::At(self.signed(offset)?));
            }
            _ => return None,
        }
        Some(())
    }

    fn advance(&mut self, delta: u64) -> Option<()> {
        let delta = delta.checked_mul(self.function.common.code_align)?;
        self.set_location(self.location.checked_add(usize::try_from(delta).ok()?)?)
    }

    /// Rows follow each other upwards.
    fn set_location(&mut self, location: usize) -> Option<()> {
        (location >= self.location).then(|| self.location = location)
    }

    fn save(&mut self, column: u64, saved: Saved) {
        let column = usize::try_from(column).unwrap_or(usize::MAX);
        if let Some(place) = self.row.saved.get_mut(column) {
            *place = saved;
        }
    }

    fn restore(&mut self, column: u64) {
        let at = usize::try_from(column).unwrap_or(usize::MAX);
        if let Some(saved) = self.initial.saved(at) {
            self.save(column, saved);
        }
    }

    fn define(&mut self, to: Option<u64>, by: Option<i64>) -> Option<()> {
        // What is defined as a whole replaces an expression; a part of it can't.
        let (column, offset) = match (self.row.cfa, to, by) {
            (Cfa::Register { column, offset }, ..) => (column, offset),
            (Cfa::Expression(_), Some(_), Some(_)) => (0, 0),
            (Cfa::Expression(_), ..) => return None,
        };
        let column = to.map_or(Some(column), |to| u8::try_from(to).ok())?;
        let offset = by.map_or(Some(offset), |by| i32::try_from(by).ok())?;
        self.row.cfa = Cfa::Register { column, offset };
        Some(())
    }

    fn factored(&self, offset: u64) -> Option<i32> {
        self.signed(i64::try_from(offset).ok()?)
    }

    fn signed(&self, offset: i64) -> Option<i32> {
        i32::try_from(offset.checked_mul(self.function.common.data_align)?).ok()
    }
}
