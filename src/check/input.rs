//! A ledger made of bytes, read and judged as a child's is. For tests and fuzz targets.
//!
//! ```text
//!   [heap: 1][nodes: 2] and then pieces: [part: 1][place: 2][len: 1][bytes]
//!
//!   part  0 header    1 shards    2 modules    3 nodes    4 side table    5 the heap's content
//!         6 the parent reads a mark
//! ```
//! The heap has `4096 << heap % 15` bytes. A place counts words of four bytes from where its part
//! starts, of eight in nodes, side table and content; all numbers are little-endian. What has no
//! room in its part is written all the same: the next part begins there.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;

use super::tally::{Marks, Tally};
use super::{Room, activity, completeness, modules, notes, tracing};
use crate::child::ledger_file::{LedgerError, LedgerFile, Live};
use crate::child::reach::{self, Block, Origin, Root};
use crate::child::view::Reached;
use crate::ledger::layout::Layout;
use crate::report::table::{self, Memory};
use crate::report::{Exit, Group, History, Report, json, text};
use crate::symbols::{DebugFiles, Symbols};
use crate::verdict::Window;

/// Bytes of the largest heap.
const LARGEST: u64 = 4096 << 14;

/// The most bytes of the heap that have content.
const CONTENT: usize = 1 << 16;

/// A ledger with what lies in the heap, and the marks that were read while it was written.
struct Written {
    ledger: LedgerFile,
    content: Vec<u8>,
    marks: Marks,
}

/// Writes a ledger as `bytes` say and judges what it holds; how many groups that are.
///
/// # Errors
/// Where the ledger makes no sense.
///
/// # Panics
/// Where a reading is none of the ledger: a block is outside of the heap, or counted twice.
pub(crate) fn judge(bytes: &[u8]) -> Result<usize, LedgerError> {
    let Some(mut written) = write(bytes)? else { return Ok(0) };
    let Written { ledger, marks, .. } = &mut written;
    let live = ledger.live()?;
    assert_eq!(ledger.has_live()?, live.iter().any(|block| !block.is_inherited()));
    let header = ledger.header();
    let base = header.heap_base.load(Ordering::Relaxed);
    let _ = (
        activity(header, 1, || "it is silent".into()),
        completeness(header, Room::of_scenario(1 << 20)),
        ledger.caches(),
    );
    marks.read_whole(ledger)?;
    marks.read_again(ledger)?;
    let inside = |block: &Live| block.address >= base && block.address - base < LARGEST;
    assert!(live.iter().all(inside), "blocks are in the heap");
    let reached = mark(&written, &live);
    let Written { ledger, marks, .. } = &written;
    let mut symbols = Symbols::new(DebugFiles::Ignored);
    let mut tally = Tally::new(ledger, Some("host"), &mut symbols)?;
    let all = tally.by_reachability(&live, Some(&reached), true)?;
    let counted = live.iter().filter(|block| !block.is_paused()).count();
    assert_eq!(all.iter().map(|group| group.blocks).sum::<u64>(), counted as u64);
    let window = Window { warmup: 1, repeat: 2 };
    let aged = tally.by_age(marks, window, Some(&reached))?.groups;
    let count = all.len() + aged.len();
    let memory = tally.memory(&live, 1)?;
    show(ledger, all, &memory);
    show(ledger, aged, &memory);
    Ok(count)
}

/// What the registers in the header lead to.
fn mark(written: &Written, live: &[Live]) -> Reached {
    let Written { ledger, content, .. } = written;
    let header = ledger.header();
    let base = header.heap_base.load(Ordering::Relaxed);
    let blocks: Vec<_> =
        live.iter().map(|live| Block { address: live.address, size: live.entry.size }).collect();
    let roots = header.exit_registers.iter().zip(0..).map(|(word, number)| Root {
        word: word.load(Ordering::Relaxed),
        origin: Origin::Register(number),
    });
    let read = |address: u64, buffer: &mut [u8]| {
        let at = usize::try_from(address - base).unwrap_or(usize::MAX);
        let there = content.get(at..).unwrap_or_default();
        let len = there.len().min(buffer.len());
        buffer[..len].copy_from_slice(&there[..len]);
        len
    };
    reach::mark(&blocks, &[roots.collect()], read).into()
}

/// Everything that a report says of `groups`.
fn show(ledger: &LedgerFile, groups: Vec<Group>, memory: &Memory) {
    let report = Report {
        scenario: None,
        program: Vec::new(),
        exit: Exit::default(),
        tracing: tracing(ledger),
        iterations: 2,
        groups,
        notes: notes(ledger.header()),
        history: History::default(),
        descendants: None,
    };
    let _ = (text::write(&report, true), json::write(&report, true), modules([ledger]));
    let _ = (table::heap(memory), table::write(&memory.rows, 10));
}

/// The ledger that `bytes` describe; `None` where they start with no sizes of one.
fn write(bytes: &[u8]) -> Result<Option<Written>, LedgerError> {
    let Some(([heap, low, high], mut rest)) = bytes.split_first_chunk() else { return Ok(None) };
    let heap = 4096_u64 << (heap % 15);
    let nodes = u32::from(u16::from_le_bytes([*low, *high]));
    let ledger = LedgerFile::create(heap, nodes)?;
    let Some(layout) = Layout::new(heap, nodes) else { return Ok(None) };
    let file = File::options().write(true).open(ledger.path())?;
    let mut written = Written { marks: Marks::new(0), ledger, content: Vec::new() };
    while let Some(([part, low, high, len], behind)) = rest.split_first_chunk() {
        let place = u64::from(u16::from_le_bytes([*low, *high]));
        let (piece, behind) = behind.split_at(behind.len().min(usize::from(*len)));
        rest = behind;
        let at = match part % 7 {
            0 => place * 4,
            1 => layout.shards_at + place * 4,
            2 => layout.modules_at + place * 4,
            3 => layout.nodes_at + place * 8,
            4 => layout.table_at + place * 8,
            5 => {
                let at = usize::try_from(place * 8).unwrap_or(CONTENT);
                let end = CONTENT.min(at + piece.len());
                if let Some(len) = end.checked_sub(at) {
                    written.content.resize(written.content.len().max(end), 0);
                    written.content[at..end].copy_from_slice(&piece[..len]);
                }
                continue;
            }
            _ => {
                written.marks.read(&written.ledger)?;
                continue;
            }
        };
        // The file can't grow: a child, too, writes no further.
        let len = usize::try_from(layout.len.saturating_sub(at)).unwrap_or(piece.len());
        file.write_all_at(&piece[..len.min(piece.len())], at)?;
    }
    Ok(Some(written))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::damage::{corpus, each_damaged};

    /// What the fuzz target starts from has groups, and no damage keeps the parent from an end.
    #[test]
    fn any_ledger_is_judged_or_refused() {
        for (name, bytes) in corpus("ledger") {
            // What a forked child inherited is its parent's to answer for.
            let has_groups = !name.starts_with("inherited");
            let expected = (!name.starts_with("refused")).then_some(has_groups);
            assert_eq!(judge(&bytes).ok().map(|groups| groups > 0), expected, "{name}");
        }
        let (mut judged, mut refused) = (0, 0);
        each_damaged("ledger", 1000, |bytes| match judge(bytes) {
            Ok(_) => judged += 1,
            Err(_) => refused += 1,
        });
        assert!(judged > 200 && refused > 200, "{judged} judged, {refused} refused");
    }
}
