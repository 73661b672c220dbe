//! Whole programs under LeakSanitizer and valgrind: the same blocks and bytes are lost, or the
//! table says why not.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::Mutex;

use harness_tests::model::programs::{PROGRAMS, Peer, Total, Whole};
use harness_tests::program::{Program, found};

/// Programs that are looked at at the same time.
const AT_A_TIME: usize = 2;

/// What a peer says of a compiled program.
type Says = fn(&Program, &Whole) -> Total;

#[test]
fn leak_sanitizer_finds_the_same_or_the_table_says_why_not() {
    expect_no_difference(&["-fsanitize=leak"], |whole| whole.lsan, lsan);
}

#[test]
fn valgrind_finds_the_same_or_the_table_says_why_not() {
    expect_no_difference(&[], |whole| whole.valgrind, valgrind);
}

fn expect_no_difference(flags: &[&str], peer: fn(&Whole) -> Peer, says: Says) {
    let sources: BTreeSet<_> = PROGRAMS.iter().map(|whole| whole.source).collect();
    let compile = |source| (source, Program::compile_with(source, flags));
    let compiled: BTreeMap<_, _> = sources.into_iter().map(compile).collect();
    let left = Mutex::new(PROGRAMS.iter());
    let next = || left.lock().expect("no thread panics with it").next();
    let found = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(whole) = next() {
                    let difference =
                        difference(whole, peer(whole), says(&compiled[whole.source], whole));
                    found.lock().expect("no thread panics with it").extend(difference);
                }
            });
        }
    });
    let found = found.into_inner().expect("no thread panics with it");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn difference(whole: &Whole, peer: Peer, says: Total) -> Option<String> {
    let ours = whole.total();
    let is_expected = match peer {
        Peer::Agrees => says == ours,
        Peer::Says(other, _) => says == other && other != ours,
        Peer::SaysLess(_) => says.0 <= ours.0 && says.1 <= ours.1,
    };
    (!is_expected).then(|| format!("it says {says:?} of {whole:?}"))
}

/// Direct and indirect leaks.
fn lsan(program: &Program, whole: &Whole) -> Total {
    let text = stderr(Command::new(program.path()).args(whole.arguments()), whole);
    // Direct leak of 40 byte(s) in 1 object(s) allocated from:
    sum(text.lines().filter(|line| line.contains("irect leak of ")), 6, 3)
}

/// Definitely and indirectly lost.
fn valgrind(program: &Program, whole: &Whole) -> Total {
    let mut command = Command::new(found("valgrind", "valgrind"));
    command.args(["--leak-check=full", "--"]).arg(program.path()).args(whole.arguments());
    let text = stderr(&mut command, whole);
    assert!(text.contains("HEAP SUMMARY"), "{text}");
    // ==1==    definitely lost: 40 bytes in 1 blocks
    let is_lost =
        |line: &&str| line.contains("definitely lost: ") || line.contains("indirectly lost: ");
    sum(text.lines().filter(is_lost), 6, 3)
}

/// The sum of the numbers that stand at these places in `lines`: blocks, bytes.
fn sum<'a>(lines: impl Iterator<Item = &'a str>, blocks: usize, bytes: usize) -> Total {
    lines.fold((0, 0), |sum, line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let number = |at: usize| {
            let word = words.get(at).map(|word| word.replace(',', ""));
            word.and_then(|word| word.parse::<u64>().ok()).unwrap_or_else(|| panic!("{line}"))
        };
        (sum.0 + number(blocks), sum.1 + number(bytes))
    })
}

/// What the command writes to standard error.
fn stderr(command: &mut Command, whole: &Whole) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{whole:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    // 23 is LeakSanitizer's own, where it found leaks.
    assert!([Some(0), Some(23)].contains(&output.status.code()), "{whole:?}: {output:?}");
    text
}
