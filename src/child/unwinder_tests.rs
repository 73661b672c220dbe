//! The unwinder against libgcc's, in whole programs: every backtrace of a child is compared as it
//! is taken (`LEAKSNAP_CHECK_UNWINDER=1`), and the ledger's header counts.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use object::{Object, ObjectSymbol, SymbolKind};

use super::invocation::Invocation;
use super::launch::Stream;
use super::ledger_file::{DEFAULT_NODES, LedgerFile};
use super::process::{Event, Group, Look, Process};
use crate::ledger::site::{Node, flag};

/// How long a program may take: minutes, the long ones do.
const PATIENCE: Duration = Duration::from_secs(600);

/// Options of the compiler, and hazards that a program compiled so has not.
type Variant = (&'static [&'static str], &'static [&'static str]);

const VARIANTS: [Variant; 6] = [
    (&["-O2", "-fno-optimize-sibling-calls"], &[]),
    // Distributions compile so: return addresses are signed, stubs have a second part.
    (
        if cfg!(target_arch = "aarch64") {
            &["-O2", "-mbranch-protection=standard"]
        } else {
            &["-O2", "-fcf-protection=full"]
        },
        &[],
    ),
    (&["-O2", "-fno-omit-frame-pointer"], &[]),
    (&["-O3", "-fomit-frame-pointer", "-foptimize-sibling-calls"], &[]),
    (&["-O0"], &["cold parts"]),
    (&["-Os", "-fno-plt"], &["cold parts", "steps in a stub", "steps in a lazy stub"]),
];

/// Hazards that no program has where the tests run in an emulator of one process, which
/// `LEAKSNAP_TEST_EMULATOR=1` says: a child in its parent's memory has a copy there, and no module is
/// opened where another one was.
const BEYOND_AN_EMULATOR: [&str; 3] =
    ["children of vfork", "children of clone", "modules taken over"];

/// A program that ended well, none of its backtraces being wrong.
struct Ended {
    /// How many backtraces were compared.
    backtraces: u64,
    output: String,
    child: Process,
}

impl Ended {
    fn run(program: &str, arguments: &[&str], compare: bool, output: Stream) -> Self {
        let compare = if compare { "1" } else { "0" };
        let invocation = Invocation::of(program).with(arguments);
        let invocation = invocation.with_variable("LEAKSNAP_CHECK_UNWINDER", compare);
        let streams = [Stream::Null, output, Stream::Null];
        let ledger = LedgerFile::create(4 << 30, DEFAULT_NODES).expect("the kernel has memfds");
        let mut child = Process::start(invocation, streams, ledger, Look::WhenAsked, Group::Ours)
            .expect("it starts");
        let deadline = Instant::now() + PATIENCE;
        let event = child.wait(Some(deadline), None).expect("it can be waited for");
        let Event::Ended(exit) = event else { panic!("{program} did not end: {event:?}") };
        assert_eq!(exit.code, Some(0), "{program} {arguments:?}: {exit:?}");
        let header = child.ledger().header();
        let [backtraces, wrong] = [&header.unwinds_checked, &header.unwinds_wrong]
            .map(|word| word.load(Ordering::Relaxed));
        assert_eq!(wrong, 0, "wrong of {backtraces} backtraces in {program} {arguments:?}");
        let mut output = String::new();
        if let [Some(pipe), _] = child.outputs() {
            File::from(pipe).read_to_string(&mut output).expect("it prints text");
        }
        Self { backtraces, output, child }
    }

    /// The frames of the live block of `size` bytes, innermost first.
    fn frames(&self, size: u64) -> Vec<Node> {
        let ledger = self.child.ledger();
        let live = ledger.live().expect("the ledger makes sense");
        let mut blocks = live.iter().filter(|live| live.entry.size == size);
        let (block, more) = (blocks.next().expect("it is live"), blocks.next());
        assert_eq!(more, None, "one block of {size} bytes");
        ledger.backtrace(block.entry.site).expect("a site has frames")
    }

    /// The function that `frame` is in, by the symbols of its module.
    fn function(&self, frame: &Node) -> Option<String> {
        let modules = self.child.ledger().modules().expect("they can be read");
        let module = modules[usize::from(frame.module)].as_ref()?;
        let data = std::fs::read(&module.path).ok()?;
        let file = object::File::parse(&*data).ok()?;
        // The first address of a function is no return address in it.
        let before = file
            .symbols()
            .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.address() < frame.offset);
        let name = before.max_by_key(|symbol| symbol.address())?.name().ok()?.to_owned();
        Some(name)
    }
}

/// How many backtraces of a program were compared.
fn compared(program: &str, arguments: &[&str]) -> u64 {
    Ended::run(program, arguments, true, Stream::Null).backtraces
}

/// Compiles `sources` of the fixtures to `name` in `folder`; its path.
fn compiled(
    compiler: &str,
    folder: &Path,
    name: &str,
    sources: &[&str],
    options: &[&str],
) -> String {
    let path = folder.join(name).to_str().expect("temporary paths are text").to_owned();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/programs");
    let mut compiler = Command::new(compiler);
    compiler.args(options).args(["-o", &path]);
    compiler.args(sources.iter().map(|source| fixtures.join(source))).args(["-ldl", "-lpthread"]);
    assert!(compiler.status().expect("the compilers are there").success(), "{sources:?}");
    path
}

/// The two modules that the torture program opens.
fn modules(folder: &Path) -> [String; 2] {
    [("a.so", "-DMODULE=1"), ("b.so", "-DMODULE=2")].map(|(name, module)| {
        compiled("c++", folder, name, &["unwinds_hard.cpp"], &["-O2", "-shared", "-fPIC", module])
    })
}

/// The torture program, compiled with `options`. Comparing, it is not interrupted where libgcc
/// follows wrong unwind data to anywhere.
fn torture(folder: &Path, options: &[&str], rounds: &str, compare: bool) -> Ended {
    // Signals shall find stubs that are not bound yet, and cold parts are not everywhere apart.
    let options = [options, &["-Wl,-z,lazy", "-freorder-blocks-and-partition"]].concat();
    let parts = ["unwinds_hard.cpp", "unwinds_hard_signals.cpp"];
    let sources = [&parts[..], &["odd_frames.S", "odd_frames_aarch64.S"]].concat();
    let program = compiled("c++", folder, "program", &sources, &options);
    let [a, b] = modules(folder);
    let words = [rounds, &a, &b, "exceptions"];
    Ended::run(&program, &words[..if compare { 3 } else { 4 }], compare, Stream::Piped)
}

/// Compiles and runs the torture program in `variants`; how many backtraces were compared.
fn tortures(variants: &[Variant], rounds: &str) -> u64 {
    let folder = tempfile::tempdir().expect("a folder");
    let emulated = std::env::var_os("LEAKSNAP_TEST_EMULATOR").is_some_and(|value| value == "1");
    let beyond: &[_] = if emulated { &BEYOND_AN_EMULATOR } else { &[] };
    let run = |(options, lacks): &Variant| {
        let lacks = [lacks, beyond].concat();
        let Ended { backtraces, output, .. } = torture(folder.path(), options, rounds, true);
        let counts = output.lines().filter_map(|line| line.split_once(": "));
        let missing: Vec<_> =
            counts.filter(|(name, count)| *count == "0" && !lacks.contains(name)).collect();
        assert!(missing.is_empty(), "{options:?} lacks {missing:?}");
        assert!(output.lines().count() > 10, "{options:?} says what it did");
        println!("{options:?}: {backtraces} backtraces\n{output}");
        backtraces
    };
    variants.iter().map(run).sum()
}

fn throws(rounds: &str) -> u64 {
    let folder = tempfile::tempdir().expect("a folder");
    compared(&compiled("c++", folder.path(), "throws", &["throws.cpp"], &["-O2"]), &[rounds])
}

const JSON: &str = "import json\n\
    for i in range(3000): json.loads(json.dumps({'a': [i, {'b': str(i)}]}))";
const TABLE: &str = "create table t(a, b); with recursive c(x) as \
    (select 1 union all select x + 1 from c where x < 5000) insert into t select x, x || 'b' \
    from c; select count(*) from t group by a % 10;";

#[test]
fn no_backtrace_of_a_torture_program_is_wrong() {
    assert!(tortures(&VARIANTS[..4], "51") > 50_000);
}

#[test]
fn no_backtrace_of_everyday_programs_is_wrong() {
    assert!(compared("openssl", &["genrsa", "2048"]) > 5_000);
    assert!(compared("/usr/bin/python3", &["-c", JSON]) > 5_000);
    assert!(throws("50") > 5_000);
}

#[test]
fn what_is_missing_further_out_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let torture = torture(folder.path(), VARIANTS[0].0, "1", false);
    let is_cut = |frames: &[Node]| {
        assert!(frames.iter().rev().skip(1).all(|frame| frame.flags & flag::TRUNCATED == 0));
        frames.last().is_some_and(|frame| frame.flags & flag::TRUNCATED != 0)
    };
    let deep = torture.frames(70002);
    assert!(is_cut(&deep), "{deep:?}");
    assert_eq!(deep.len(), 128);
    let whole = torture.frames(70003);
    assert!(!is_cut(&whole), "{whole:?}");
    let below = torture.frames(70001);
    assert!(is_cut(&below), "{below:?}");
    let function = torture.function(below.last().expect("it has frames"));
    assert_eq!(function.as_deref(), Some("without_unwind_data"), "{below:x?}");
}

#[test]
fn more_threads_than_have_a_trace_cache_have_their_sites() {
    const THREADS: usize = 400;
    let folder = tempfile::tempdir().expect("a folder");
    let source = ["keeps_threads.c"];
    let program = compiled("cc", folder.path(), "program", &source, &["-O2"]);
    let ended = Ended::run(&program, &[&THREADS.to_string(), "4"], true, Stream::Null);
    assert!(ended.backtraces >= 4 * 8 * THREADS as u64, "{}", ended.backtraces);
    let live = ended.child.ledger().live().expect("the ledger makes sense");
    for way in 0..4 {
        let blocks: Vec<_> = live.iter().filter(|live| live.entry.size == 7000 + way).collect();
        assert_eq!(blocks.len(), THREADS / 4, "one from each thread");
        let sites: BTreeSet<_> = blocks.iter().map(|block| block.entry.site).collect();
        assert_eq!(sites.len(), 1, "all by the same way");
        let frames = ended.child.ledger().backtrace(blocks[0].entry.site).expect("it has frames");
        assert_eq!(ended.function(&frames[0]), Some(format!("way_{way}")));
    }
}

#[test]
fn a_module_that_libc_closed_is_not_taken_for_the_next() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = ["converts_text.c"];
    let program = compiled("cc", folder.path(), "program", &source, &["-O2"]);
    let ended = Ended::run(&program, &[], true, Stream::Null);
    let ledger = ended.child.ledger();
    let modules = ledger.modules().expect("they can be read");
    let innermost = |site: u32| {
        let frames = ledger.backtrace(site).expect("a site has frames");
        modules[usize::from(frames[0].module)].as_ref().map(|module| module.path.clone())
    };
    let live = ledger.live().expect("the ledger makes sense");
    let paths = live.iter().filter_map(|live| innermost(live.entry.site));
    let names: BTreeSet<_> = paths
        .filter(|path| path.parent().is_some_and(|folder| folder.ends_with("gconv")))
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .collect();
    assert_eq!(names, BTreeSet::from(["UTF-32.so".to_owned()]));
}

#[test]
fn a_stack_whose_end_nobody_knows_is_not_read_beyond() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = ["returns_by_hand.c"];
    let program = compiled("cc", folder.path(), "program", &source, &["-O2"]);
    // libgcc would read beyond it: nothing is compared.
    let ended = Ended::run(&program, &[], false, Stream::Piped);
    assert_eq!(ended.output, "ok\n");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_stack_that_shrinks_beside_the_thread_s_is_not_read_beyond() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = ["-O2", "-fno-optimize-sibling-calls"];
    let program = compiled("cc", folder.path(), "program", &["shrinks_a_stack.c"], &options);
    for words in [&[][..], &["main"]] {
        assert_eq!(Ended::run(&program, words, false, Stream::Piped).output, "ok\n", "{words:?}");
    }
}

/// The long proof: a million backtraces, in programs that CI may not have.
#[test]
#[ignore = "takes minutes"]
fn no_backtrace_in_a_million_is_wrong() {
    let counts = [
        ("torture", tortures(&VARIANTS, "1500")),
        ("throws", throws("3000")),
        ("openssl genrsa", compared("openssl", &["genrsa", "2048"])),
        ("openssl speed", compared("openssl", &["speed", "-seconds", "1", "rsa2048", "ecdsap256"])),
        ("python", compared("/usr/bin/python3", &["-c", JSON])),
        ("sqlite", compared("sqlite3", &[":memory:", TABLE])),
        ("git", compared("/usr/bin/git", &["-C", env!("CARGO_MANIFEST_DIR"), "log", "-p"])),
    ];
    println!("compared: {counts:?}");
    assert!(counts.iter().map(|(_, count)| count).sum::<u64>() > 1_000_000, "{counts:?}");
}
