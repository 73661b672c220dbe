//! Every row of every function: what is read here is what gimli reads, and a rule says the same
//! as its row.

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, EhFrame, LittleEndian, Register, RegisterRule, UnwindContext,
    UnwindSection, UnwindTableRow,
};

use super::{BTreeMap, Library, PathBuf};
use crate::preload::unwind::arch::{COLUMNS, FRAME_POINTER, Rule, STACK_POINTER};
use crate::preload::unwind::frame::Fast;
use crate::preload::unwind::frame_table;
use crate::preload::unwind::row::{Cfa, Code, Row, Saved};

/// What was compared.
#[derive(Debug, Default)]
struct Tally {
    rows: u64,
    /// At the first and the last address of each row: those that have a rule.
    rules: u64,
    /// Functions that gimli does not read to the end.
    unread: u64,
}

fn same_code(library: &Library, ours: Code, theirs: gimli::UnwindExpression<usize>) -> bool {
    let ours = ours.cursor(&library.window()).expect("it is inside");
    ours.at() == library.frames.start + theirs.offset
}

fn same_cfa(library: &Library, ours: Cfa, theirs: &CfaRule<usize>) -> bool {
    match (ours, theirs.clone()) {
        (Cfa::Register { column, offset }, CfaRule::RegisterAndOffset { register, offset: by }) => {
            u16::from(column) == register.0 && i64::from(offset) == by
        }
        (Cfa::Expression(ours), CfaRule::Expression(theirs)) => same_code(library, ours, theirs),
        _ => false,
    }
}

fn same_place(library: &Library, ours: Saved, theirs: Option<RegisterRule<usize>>) -> bool {
    match (ours, theirs) {
        (Saved::Same, None | Some(RegisterRule::SameValue))
        | (Saved::Undefined, Some(RegisterRule::Undefined)) => true,
        (Saved::At(ours), Some(RegisterRule::Offset(theirs)))
        | (Saved::Value(ours), Some(RegisterRule::ValOffset(theirs))) => i64::from(ours) == theirs,
        (Saved::Register(ours), Some(RegisterRule::Register(theirs))) => {
            u16::from(ours) == theirs.0
        }
        (Saved::AtExpression(ours), Some(RegisterRule::Expression(theirs)))
        | (Saved::ValueExpression(ours), Some(RegisterRule::ValExpression(theirs))) => {
            same_code(library, ours, theirs)
        }
        _ => false,
    }
}

/// What gimli's row makes of three registers, on a stack where each word is its own address.
fn follow(row: &UnwindTableRow<usize>, return_column: usize, frame: Fast) -> Fast {
    let CfaRule::RegisterAndOffset { register, offset } = row.cfa() else {
        panic!("a rule for an expression")
    };
    let from = match usize::from(register.0) {
        STACK_POINTER => frame.sp,
        FRAME_POINTER => frame.fp,
        other => panic!("a rule from register {other}"),
    };
    let cfa = from.wrapping_add_signed(*offset as isize);
    let value = |column: usize, now: usize| match row.register(Register(column as u16)) {
        None | Some(RegisterRule::SameValue) => now,
        Some(RegisterRule::Offset(by)) => cfa.wrapping_add_signed(by as isize),
        other => panic!("a rule for {other:?}"),
    };
    assert_eq!(value(STACK_POINTER, cfa), cfa, "a rule where the stack pointer is saved");
    Fast {
        pc: value(return_column, 0),
        sp: cfa,
        fp: value(FRAME_POINTER, frame.fp),
        fp_is_saved: false,
    }
}

fn compare(library: &Library) -> Tally {
    let section = EhFrame::new(library.frame_bytes(), LittleEndian);
    let bases = BaseAddresses::default()
        .set_eh_frame(library.frames.start as u64)
        .set_eh_frame_hdr(library.header as u64);
    let mut tally = Tally::default();
    let mut context = UnwindContext::new();
    let mut entries = section.entries(&bases);
    while let Some(entry) = entries.next().expect("gimli reads it") {
        let CieOrFde::Fde(partial) = entry else { continue };
        let entry = partial.parse(EhFrame::cie_from_offset).expect("gimli reads it");
        let mut rows = entry.rows(&section, &bases, &mut context).expect("gimli reads it");
        loop {
            let row = match rows.next_row() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(error) => {
                    let at = entry.initial_address();
                    println!("{at:x}: gimli says {error}");
                    tally.unread += 1;
                    break;
                }
            };
            if row.start_address() == row.end_address() {
                continue;
            }
            tally.rows += 1;
            for address in [row.start_address(), row.end_address() - 1] {
                let address = address as usize;
                let function = frame_table::find(library.window(), library.header, address)
                    .unwrap_or_else(|| panic!("no function at {address:x}"));
                assert_eq!(function.start as u64, entry.initial_address());
                assert_eq!(function.end as u64, entry.end_address());
                assert_eq!(function.common.signal, entry.is_signal_trampoline());
                let ours = Row::find(&function, address)
                    .unwrap_or_else(|| panic!("no row at {address:x}"));
                assert!(same_cfa(library, ours.cfa, row.cfa()), "{address:x}: {ours:?} {row:?}");
                for column in 0..COLUMNS {
                    let theirs = row.register(Register(column as u16));
                    let ours = ours.saved(column).expect("it is followed");
                    assert!(same_place(library, ours, theirs), "{address:x}, {column}: {ours:?}");
                }
                let column = function.common.return_column as usize;
                let Some(rule) = Rule::compile(&ours, column) else { continue };
                tally.rules += 1;
                let frame = Fast { pc: address, sp: 1 << 40, fp: 1 << 41, fp_is_saved: false };
                let rule = Rule::decode(rule.encode());
                // A saved frame pointer is where it was saved: here, that is its value.
                let ours = rule.apply(frame, Some).map(|fast| Fast { fp_is_saved: false, ..fast });
                assert_eq!(ours, Some(follow(row, column, frame)), "{address:x}");
            }
        }
    }
    tally
}

/// Compares the libraries at `paths`, and says what each has.
fn compare_all(paths: impl IntoIterator<Item = PathBuf>) -> BTreeMap<PathBuf, Tally> {
    let compared = |path: PathBuf| {
        let tally = compare(&Library::read(&path)?);
        println!("{}: {tally:?}", path.display());
        Some((path, tally))
    };
    paths.into_iter().filter_map(compared).collect()
}

#[track_caller]
fn has_rows(tallies: &BTreeMap<PathBuf, Tally>, least: u64) {
    let rows: u64 = tallies.values().map(|tally| tally.rows).sum();
    let rules: u64 = tallies.values().map(|tally| tally.rules).sum();
    let unread: u64 = tallies.values().map(|tally| tally.unread).sum();
    assert!(rows > least && unread == 0, "{tallies:?}");
    assert!(rules > rows, "most rows are rules, at both ends: {tallies:?}");
}

#[test]
fn every_row_of_libc_is_gimli_s() {
    has_rows(&compare_all([super::libc_path()]), 10_000);
}

#[test]
fn every_row_of_libcrypto_is_gimli_s() {
    has_rows(&compare_all(super::beside_libc("libcrypto.so.")), 10_000);
}

/// A distribution links it into the executable, or has it as a library, or both.
#[test]
fn every_row_of_python_is_gimli_s() {
    let program = PathBuf::from("/usr/bin/python3").canonicalize();
    let libraries = super::beside_libc("libpython");
    has_rows(&compare_all(libraries.into_iter().chain(program)), 10_000);
}

#[test]
fn every_row_of_the_runtime_is_gimli_s() {
    let names = ["ld-linux", "libgcc_s.so.", "libm.so.", "libssl.so.", "libstdc++.so."];
    has_rows(&compare_all(names.into_iter().flat_map(super::beside_libc)), 10_000);
}

#[test]
#[ignore = "takes minutes"]
fn every_row_of_every_library_is_gimli_s() {
    let tallies = compare_all(super::beside_libc("lib"));
    let rows: u64 = tallies.values().map(|tally| tally.rows).sum();
    println!("{} libraries, {rows} rows", tallies.len());
    assert!(rows > 100_000);
}
