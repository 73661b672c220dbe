//! The symbolizer on files that every test machine has: this executable and its libc.

use std::collections::BTreeSet;
use std::fs;

use blazesym::inspect::source::{Elf as InspectElf, Source as InspectSource};
use blazesym::inspect::{Inspector, SymInfo};

use super::*;

/// What is known where there is one module.
struct Only {
    module: Module,
    symbols: Symbols,
}

impl Only {
    fn symbolizer(&mut self) -> Symbolizer<'_> {
        self.symbols.of(vec![None, Some(self.module.clone())])
    }

    /// The frames of one address, innermost inlined function first.
    fn frames(&mut self, module: u16, offset: u64, exact: bool) -> Vec<Frame> {
        self.symbolizer().symbolize_all(&[(module, offset, exact)])[0].to_vec()
    }
}

#[inline(never)]
fn outer(value: u32) -> (usize, u32) {
    (inner(value), line!())
}

/// A return address in [`outer`] whose call stands here.
#[inline(always)]
fn inner(value: u32) -> usize {
    std::hint::black_box(value);
    let mut innermost = 0;
    backtrace::trace(|frame| {
        // Frames of the backtrace crate may come first.
        innermost = frame.ip() as usize;
        let start = frame.symbol_address() as usize;
        start != outer as fn(u32) -> (usize, u32) as usize
    });
    innermost
}

/// The file that is mapped under a name with `part`, and its bias.
fn mapped(part: &str) -> (PathBuf, u64) {
    let maps = fs::read_to_string("/proc/self/maps").expect("procfs is there");
    let line = maps.lines().find(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.len() == 6 && fields[2] == "00000000" && fields[5].contains(part)
    });
    let line = line.expect("the file is mapped");
    let (start, _) = line.split_once('-').expect("a range comes first");
    let path = line.split_whitespace().last().expect("a path comes last");
    (path.into(), u64::from_str_radix(start, 16).expect("a hexadecimal number"))
}

fn symbol_offset(path: &Path, name: &str) -> u64 {
    let source = InspectSource::Elf(InspectElf::new(path));
    let inspector = Inspector::new();
    let found = inspector.lookup(&source, &[name]).expect("the file has symbols");
    let symbol: &SymInfo<'_> = found[0].first().expect("the symbol is there");
    symbol.addr
}

fn only(path: &Path, build_id: &[u8]) -> Only {
    let module = Module { path: path.to_owned(), build_id: build_id.to_vec() };
    Only { module, symbols: Symbols::new(DebugFiles::Ignored) }
}

fn this_executable() -> PathBuf {
    std::env::current_exe().expect("it has a path")
}

#[test]
fn inlined_functions_come_first_and_the_function_last() {
    let executable = this_executable();
    let (path, bias) = mapped(&executable.to_string_lossy());
    let (address, line) = std::hint::black_box(outer(1));
    let offset = u64::try_from(address).expect("64 bits") - bias;
    let frames = only(&path, &[]).frames(1, offset, false);
    let seen: Vec<_> = frames.iter().map(|f| (f.function.as_deref(), f.inlined)).collect();
    let ours = &seen[seen.len() - 2..];
    assert_eq!(
        ours,
        [
            (Some("leaksnap::symbols::tests::inner"), true),
            (Some("leaksnap::symbols::tests::outer"), false)
        ]
    );
    let last = frames.last().expect("not empty");
    assert_eq!(last.module, base_name(&path));
    assert!(last.file.as_ref().is_some_and(|file| file.ends_with("src/symbols/tests.rs")));
    assert_eq!(last.line, Some(line));
}

#[test]
fn a_return_address_belongs_to_the_call_before_it() {
    let (libc, _) = mapped("/libc.so.6");
    // It has no other name.
    let start = symbol_offset(&libc, "qsort");
    let mut symbolizer = only(&libc, &[]);
    let describe = |frames: Vec<Frame>| {
        let frame = frames.last().expect("not empty").clone();
        (frame.function, frame.module, frame.offset)
    };
    let libc_name = Some("libc.so.6".into());
    let exact = describe(symbolizer.frames(1, start, true));
    assert_eq!((exact.0.as_deref(), &exact.1, exact.2), (Some("qsort"), &libc_name, 0));
    let behind = describe(symbolizer.frames(1, start + 5, false));
    assert_eq!((behind.0, behind.1, behind.2), (exact.0.clone(), libc_name, 5));
    let at_start = describe(symbolizer.frames(1, start, false));
    assert_ne!(at_start.0, exact.0, "the call ended the function before");
}

#[test]
fn another_build_has_no_names() {
    let (libc, _) = mapped("/libc.so.6");
    let start = symbol_offset(&libc, "malloc");
    let build_id = read_elf_build_id(&libc).expect("an ELF object").expect("it has a build id");
    let named = only(&libc, &build_id).frames(1, start, true);
    assert!(named.last().is_some_and(|frame| frame.function.is_some()));
    let cut = only(&libc, &build_id[..8]).frames(1, start, true);
    let names = |frames: &[Frame]| frames.iter().map(|it| it.function.clone()).collect::<Vec<_>>();
    assert_eq!(names(&cut), names(&named));
    let other = only(&libc, &[0xab; 20]).frames(1, start, true);
    let digits = Some("ab".repeat(20).into());
    assert_eq!(other, [unnamed(start, Some("libc.so.6".into()), digits)]);
}

#[test]
fn what_is_no_elf_object_has_no_names() {
    for path in ["/proc/self/maps", "/no/such/file.so", "/etc"] {
        let name = base_name(Path::new(path));
        let frames = only(Path::new(path), &[]).frames(1, 0x1234, false);
        assert_eq!(frames, [unnamed(0x1234, name, None)], "of {path}");
    }
}

#[test]
fn generated_code_keeps_its_address_alone() {
    let mut symbolizer = only(&this_executable(), &[]);
    assert_eq!(symbolizer.frames(0, 0x7f00_0000, false), [unnamed(0x7f00_0000, None, None)]);
    assert_eq!(symbolizer.frames(9, 0x10, true), [unnamed(0x10, None, None)]);
}

#[test]
fn many_addresses_are_the_same_as_each() {
    let (libc, _) = mapped("/libc.so.6");
    let start = symbol_offset(&libc, "calloc");
    let addresses = [(1, start + 4, false), (0, 5, false), (1, start, true), (1, start + 4, false)];
    let mut together = only(&libc, &[]);
    let mut symbolizer = together.symbolizer();
    let together = symbolizer.symbolize_all(&addresses);
    assert_eq!(together.len(), addresses.len());
    for ((module, offset, exact), together) in addresses.into_iter().zip(together) {
        let alone = only(&libc, &[]).frames(module, offset, exact);
        assert_eq!(together, alone);
    }
}

#[test]
fn what_is_shared_out_is_the_same_as_what_is_not() {
    let (executable, (libc, _)) = (this_executable(), mapped("/libc.so.6"));
    let starts = [symbol_offset(&libc, "calloc"), symbol_offset(&executable, "main")];
    // Shares end within modules and begin with others.
    let places = (0..5000_u64).map(|at| (at, 1 + u16::from(at % 5 == 0)));
    let place = |(at, module)| (module, starts[usize::from(module) - 1] + 7 * at, at % 2 == 0);
    let addresses: Vec<_> = places.map(place).collect();
    let module = |path: &Path| Some(Module { path: path.to_owned(), build_id: Vec::new() });
    let modules = vec![None, module(&libc), module(&executable)];
    let [mut all, mut few] = [(); 2].map(|()| Symbols::new(DebugFiles::Ignored));
    let (mut all, mut few) = (all.of(modules.clone()), few.of(modules));
    let together: Vec<_> =
        all.symbolize_all(&addresses).into_iter().map(<[Frame]>::to_vec).collect();
    let mut names = BTreeSet::new();
    for (share, together) in addresses.chunks(LEAST_SHARE).zip(together.chunks(LEAST_SHARE)) {
        assert_eq!(few.symbolize_all(share), together);
        names.extend(together.iter().filter_map(|frames| frames.first()?.function.clone()));
    }
    assert!(names.len() > 20, "{names:?}");
}

#[test]
fn processes_that_number_the_same_modules_otherwise_share_what_is_known() {
    let (libc, _) = mapped("/libc.so.6");
    let start = symbol_offset(&libc, "calloc");
    let module = |path: &Path| Some(Module { path: path.to_owned(), build_id: Vec::new() });
    let (libc, own) = (module(&libc), module(&this_executable()));
    let mut symbols = Symbols::new(DebugFiles::Ignored);
    let mut frames = |modules: [&Option<Module>; 3], number: u16| {
        let mut symbolizer = symbols.of(modules.into_iter().cloned().collect());
        symbolizer.symbolize_all(&[(number, start, true)])[0].to_vec()
    };
    let first = frames([&None, &libc, &own], 1);
    assert!(first.last().is_some_and(|frame| frame.function.is_some()));
    assert_eq!(frames([&None, &own, &libc], 2), first);
    assert_ne!(frames([&None, &own, &libc], 1), first, "another module at that offset");
    assert_eq!((symbols.files.len(), symbols.known.len()), (2, 2), "each was looked at once");
}

#[test]
fn debug_files_lie_below_their_build_id() {
    let path = debug_file(&[0xab, 0x01, 0xff]);
    assert_eq!(path, Some("/usr/lib/debug/.build-id/ab/01ff.debug".into()));
    assert_eq!(debug_file(&[]), None);
}

#[test]
fn a_pipe_in_place_of_a_module_is_not_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, mode).expect("a pipe");
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(only(&path, &[]).frames(1, 0x10, true)));
    let frames = is_done.recv_timeout(std::time::Duration::from_secs(20)).expect("it goes on");
    assert_eq!((frames.len(), frames[0].function.is_none(), frames[0].offset), (1, true, 0x10));
}

#[test]
fn offsets_that_no_code_has_are_named_by_themselves_or_the_nearest() {
    let (libc, _) = mapped("/libc.so.6");
    let mut symbolizer = only(&libc, &[]);
    for offset in [0, 1, u64::from(u32::MAX), i64::MAX.cast_unsigned(), u64::MAX - 1, u64::MAX] {
        for exact in [false, true] {
            assert_eq!(symbolizer.frames(1, offset, exact).len(), 1, "{offset:#x}");
        }
    }
}
