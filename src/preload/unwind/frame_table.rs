//! Finding the unwind data of one address: `.eh_frame_hdr` and `.eh_frame` (Linux Standard Base,
//! Core, 10.6), read through a [`Window`].
//!
//! ```text
//!   .eh_frame_hdr  [version][encodings][.eh_frame][count] ([code address][FDE address])*, sorted
//!   .eh_frame      CIE: what functions have in common    FDE: one function, points to its CIE
//! ```

use super::window::{Cursor, Window, encoding};

/// What several functions share: a common information entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Common<'a> {
    /// What locations in the instructions are multiplied by.
    pub(crate) code_align: u64,
    /// What factored offsets are multiplied by.
    pub(crate) data_align: i64,
    /// The column of the return address.
    pub(crate) return_column: u64,
    /// The frame was made by a signal: its caller's address is exact.
    pub(crate) signal: bool,
    pointers: u8,
    augmented: bool,
    /// The instructions that every function starts with.
    pub(crate) instructions: Cursor<'a>,
}

/// The unwind data of one function: a frame description entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Function<'a> {
    /// Where the bytes lie: expressions are kept by their place in it.
    pub(crate) window: Window<'a>,
    /// What it shares with others.
    pub(crate) common: Common<'a>,
    /// Its first address.
    pub(crate) start: usize,
    /// The address behind its last.
    pub(crate) end: usize,
    /// Its instructions.
    pub(crate) instructions: Cursor<'a>,
}

impl Common<'_> {
    /// How its functions write addresses.
    pub(crate) fn pointers(&self) -> u8 {
        self.pointers
    }
}

/// One entry of `.eh_frame`, of either kind.
struct Record<'a> {
    body: Cursor<'a>,
    /// Where the field is that says how far back the common entry lies.
    back_at: usize,
    back: u32,
    next: usize,
}

/// The unwind data for the instruction at `address`, by the `.eh_frame_hdr` that starts at
/// `header`. `None` where no function covers it, and where the data make no sense.
pub(crate) fn find(window: Window<'_>, header: usize, address: usize) -> Option<Function<'_>> {
    let mut fields = window.cursor(header)?;
    let [version, frames, count, table] = fields.take()?;
    if version != 1 {
        return None;
    }
    let frames = fields.pointer(frames, header)?;
    let function = if table == encoding::TABLE && count != encoding::OMITTED {
        let count = fields.pointer(count, header)?;
        let at = search(window, header, fields.at(), count, address)?;
        function(window, at)?
    } else {
        scan(window, frames, address)?
    };
    (address >= function.start && address < function.end).then_some(function)
}

/// The address of the last entry that starts at or below `address`.
fn search(
    window: Window<'_>,
    header: usize,
    table: usize,
    count: usize,
    address: usize,
) -> Option<usize> {
    let row = |index: usize| {
        let mut row = window.cursor(table.checked_add(index.checked_mul(8)?)?)?;
        let code = row.pointer(encoding::TABLE, header)?;
        Some((code, row.pointer(encoding::TABLE, header)?))
    };
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        if row(middle)?.0 <= address {
            low = middle.checked_add(1)?;
        } else {
            high = middle;
        }
    }
    Some(row(low.checked_sub(1)?)?.1)
}

/// Looks through all of `.eh_frame`, for an object whose table isn't sorted.
fn scan(window: Window<'_>, frames: usize, address: usize) -> Option<Function<'_>> {
    let mut at = frames;
    loop {
        let record = record(window, at)?;
        at = record.next;
        if record.back == 0 {
            continue;
        }
        let function = describe(window, record)?;
        if address >= function.start && address < function.end {
            return Some(function);
        }
    }
}

fn record(window: Window<'_>, at: usize) -> Option<Record<'_>> {
    let mut cursor = window.cursor(at)?;
    let len = match cursor.u32()? {
        0 => return None,
        u32::MAX => usize::try_from(cursor.u64()?).ok()?,
        len => len as usize,
    };
    let mut body = cursor.split(len)?;
    let back_at = body.at();
    let back = body.u32()?;
    Some(Record { body, back_at, back, next: cursor.at() })
}

/// The frame description entry at `at`.
fn function(window: Window<'_>, at: usize) -> Option<Function<'_>> {
    let record = record(window, at)?;
    if record.back == 0 { None } else { describe(window, record) }
}

fn describe<'a>(window: Window<'a>, record: Record<'a>) -> Option<Function<'a>> {
    let common = common(window, record.back_at.checked_sub(record.back as usize)?)?;
    let mut body = record.body;
    let start = body.pointer(common.pointers, 0)?;
    let end = start.checked_add(body.value(common.pointers)?)?;
    if common.augmented {
        let len = usize::try_from(body.uleb()?).ok()?;
        body.split(len)?;
    }
    Some(Function { window, common, start, end, instructions: body })
}

/// The common information entry at `at`.
fn common(window: Window<'_>, at: usize) -> Option<Common<'_>> {
    let record = record(window, at)?;
    let mut body = record.body;
    let version = body.u8()?;
    if record.back != 0 || !matches!(version, 1 | 3) {
        return None;
    }
    let mut letters = body;
    let mut len = 0_usize;
    while body.u8()? != 0 {
        len = len.checked_add(1)?;
    }
    let mut letters = letters.split(len)?;
    let code_align = body.uleb()?;
    let data_align = body.sleb()?;
    let return_column = if version == 1 { u64::from(body.u8()?) } else { body.uleb()? };
    let (mut pointers, mut signal) = (encoding::ABSOLUTE, false);
    let augmented = !letters.is_empty();
    if augmented {
        // Without the leading 'z' nobody knows how long the data are.
        if letters.u8()? != b'z' {
            return None;
        }
        let len = usize::try_from(body.uleb()?).ok()?;
        let mut data = body.split(len)?;
        while let Some(letter) = letters.u8() {
            match letter {
                b'R' => pointers = data.u8()?,
                b'L' => drop(data.u8()?),
                b'P' => {
                    let encoding = data.u8()?;
                    data.value(encoding)?;
                }
                b'S' => signal = true,
                // Keys that sign return addresses, memory tags (aarch64): nothing to read.
                b'B' | b'G' => {}
                _ => return None,
            }
        }
    }
    let instructions = body;
    Some(Common {
        code_align,
        data_align,
        return_column,
        signal,
        pointers,
        augmented,
        instructions,
    })
}
