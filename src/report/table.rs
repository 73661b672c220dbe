//! The memory table: every traceback with live allocations, whatever their verdict.
//!
//! The columns are those of VPP's `show memory verbose`, so that tools for one read the other.

use std::cmp::Reverse;
use std::fmt::Write as _;

use super::Frame;
use crate::traceback;

const HEADER: &str = "  Bytes    Count     Sample   Traceback";

/// One traceback's live allocations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableRow {
    /// Requested bytes.
    pub(crate) bytes: u64,
    /// Live allocations.
    pub(crate) count: u64,
    /// The address of one of them.
    pub(crate) sample: u64,
    /// The traceback, innermost first.
    pub(crate) frames: Vec<Frame>,
}

/// The live allocations of a child as its memory table shows them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Memory {
    /// Where the heap lies.
    pub(crate) base: u64,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// Requested bytes that are live.
    pub(crate) live_bytes: u64,
    /// The most requested bytes that were live at a time.
    pub(crate) peak_bytes: u64,
    /// A row for each traceback, told apart by its offsets too.
    pub(crate) rows: Vec<TableRow>,
}

/// The lines on the heap itself, in front of the table.
pub(crate) fn heap(memory: &Memory) -> String {
    let Memory { base, size, live_bytes, peak_bytes, .. } = memory;
    format!(
        "  base {base:#x}, size {}m, traced, name 'main heap'\n    \
         live: {live_bytes} bytes, most at a time: {peak_bytes} bytes\n",
        size >> 20
    )
}

/// The table of the `most` largest of `rows`; the closing line counts them all.
pub(crate) fn write(rows: &[TableRow], most: usize) -> String {
    let mut text = format!("{HEADER}\n");
    for row in sorted(rows).into_iter().take(most) {
        let numbers = format!("{:9} {:8} {:#14x}", row.bytes, row.count, row.sample);
        let width = numbers.len();
        let mut left = numbers;
        for frame in &row.frames {
            // Writing to a String can't fail.
            let _ = write!(text, "{left:width$} ");
            symbol(frame, &mut text);
            text.push('\n');
            left.clear();
        }
        if !left.is_empty() {
            let _ = writeln!(text, "{left}");
        }
    }
    let total: u64 = rows.iter().map(|row| row.count).fold(0, u64::saturating_add);
    let _ = writeln!(text, "{total} total traced objects");
    text
}

/// `rows`, the largest first; those that are as large by their tracebacks.
pub(crate) fn sorted(rows: &[TableRow]) -> Vec<&TableRow> {
    let mut sorted: Vec<&TableRow> = rows.iter().collect();
    sorted.sort_unstable_by(|one, other| {
        let numbers = |row: &TableRow| (Reverse(row.bytes), Reverse(row.count));
        numbers(one)
            .cmp(&numbers(other))
            .then_with(|| one.frames.iter().map(place).cmp(other.frames.iter().map(place)))
            .then(one.sample.cmp(&other.sample))
    });
    sorted
}

/// What frames are sorted by.
fn place(frame: &Frame) -> (Option<&str>, Option<&str>, u64) {
    (frame.function.as_deref(), frame.module.as_deref(), frame.offset)
}

/// Adds `frame` to `text`, as the table and saved traces have it.
pub(crate) fn symbol(frame: &Frame, text: &mut String) {
    let name = frame.function.as_ref().or(frame.module.as_ref());
    // Writing to a String can't fail.
    let _ = match name {
        // It has no start of its own to count from.
        Some(name) if frame.inlined => write!(text, "{name} (inlined)"),
        Some(name) => write!(text, "{name} + {:#x}", frame.offset),
        None => write!(text, "{}", traceback::line(frame)),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: Option<&str>, module: Option<&str>, offset: u64) -> Frame {
        Frame {
            function: function.map(Into::into),
            module: module.map(Into::into),
            offset,
            file: Some("a.c".into()),
            line: Some(1),
            inlined: false,
            build_id: None,
        }
    }

    fn rows() -> Vec<TableRow> {
        let row = |bytes, count, sample, frames| TableRow { bytes, count, sample, frames };
        vec![
            row(
                96,
                1,
                0x7f81_8548_2550,
                vec![
                    frame(Some("CRYPTO_zalloc"), Some("libcrypto.so.3"), 9),
                    frame(None, Some("libcrypto.so.3"), 0x1f7acd),
                    frame(None, None, 0x7f00),
                ],
            ),
            row(
                6496,
                12,
                0x7f81_8559_7f00,
                vec![
                    frame(Some("_vec_resize_internal"), None, 0xd4),
                    frame(Some("vnet_crypto_key_add"), None, 0x1dd),
                ],
            ),
            row(96, 2, 0x1000, vec![]),
        ]
    }

    #[test]
    fn the_largest_come_first_in_vpp_s_columns() {
        let text = "  Bytes    Count     Sample   Traceback
     6496       12 0x7f8185597f00 _vec_resize_internal + 0xd4
                                  vnet_crypto_key_add + 0x1dd
       96        2         0x1000
       96        1 0x7f8185482550 CRYPTO_zalloc + 0x9
                                  libcrypto.so.3 + 0x1f7acd
                                  <generated code>
15 total traced objects
";
        assert_eq!(write(&rows(), 50), text);
    }

    #[test]
    fn rows_above_the_most_are_counted_alone() {
        let text = "  Bytes    Count     Sample   Traceback
     6496       12 0x7f8185597f00 _vec_resize_internal + 0xd4
                                  vnet_crypto_key_add + 0x1dd
15 total traced objects
";
        assert_eq!(write(&rows(), 1), text);
        let empty = "  Bytes    Count     Sample   Traceback\n0 total traced objects\n";
        assert_eq!(write(&[], 50), empty);
    }
}
