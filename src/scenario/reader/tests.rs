//! What a scenario file means, and the whole text of every error.

use std::time::Duration;

use super::*;
use nix::sys::signal::Signal;

use crate::scenario::server::{Server, Stop};
use crate::suppression::Suppression;

fn parse(text: &str) -> Result<Scenario, String> {
    Scenario::parse(Path::new("tests/leaks/x.toml"), text).map_err(|error| error.to_string())
}

/// The error of `text`, after the file's name.
fn error(text: &str) -> String {
    let error = parse(text).expect_err("the text is wrong");
    error.strip_prefix("tests/leaks/x.toml:").expect("the place comes first").to_owned()
}

fn located(value: &str, line: usize) -> Located<String> {
    Located { value: value.to_owned(), line }
}

fn ignored(text: &str, line: usize, most: Option<u64>) -> Suppression {
    let path = Path::new("tests/leaks/x.toml");
    Suppression::of_ignore(path, line, text, most).expect("the text is right")
}

#[test]
fn everything_given() {
    let text = r#"
plugins = ["crypto_openssl"]   # a comment
steps   = [
    "test crypto",
    "show version",
]
warmup  = 3
repeat  = 0x10
ignore  = [
    "OPENSSL_init_crypto",
    "leak:^HMAC_*",
    { most = 0x10, pattern = "zalloc" },
]
suppressions = ["../openssl.supp"]
timeout = "500ms"
heap    = "512m"
strict  = true
"#;
    let scenario = Scenario {
        path: "tests/leaks/x.toml".into(),
        work: Work::Host {
            plugins: vec![located("crypto_openssl", 2)],
            steps: vec![located("test crypto", 4), located("show version", 5)],
        },
        warmup: 3,
        repeat: 16,
        ignore: vec![
            ignored("OPENSSL_init_crypto", 10, None),
            ignored("leak:^HMAC_*", 11, None),
            ignored("zalloc", 12, Some(16)),
        ],
        suppressions: vec![located("../openssl.supp", 14)],
        timeout: Duration::from_millis(500),
        heap: 512 << 20,
        strict: true,
        follow: false,
    };
    assert_eq!(parse(text), Ok(scenario));
}

#[test]
fn a_program_can_be_followed() {
    let follows = |text| parse(text).map(|scenario| scenario.follow);
    assert_eq!(follows("program = ['a']\nfollow = true"), Ok(true));
    assert_eq!(follows("program = ['a']"), Ok(false));
}

#[test]
fn the_defaults() {
    let scenario = Scenario {
        path: "tests/leaks/x.toml".into(),
        work: Work::Host { plugins: Vec::new(), steps: vec![located("help", 1)] },
        warmup: 2,
        repeat: 8,
        ignore: Vec::new(),
        suppressions: Vec::new(),
        timeout: Duration::from_secs(60),
        heap: 4 << 30,
        strict: false,
        follow: false,
    };
    assert_eq!(parse("steps = ['help']"), Ok(scenario));
}

#[test]
fn a_program_runs_once() {
    let scenario = parse("\nprogram = [\n'openssl', '', 'b']").expect("the text is right");
    let words = ["openssl", "", "b"].map(str::to_owned).to_vec();
    assert_eq!(scenario.work, Work::Program(Located { value: words, line: 2 }));
    assert_eq!((scenario.warmup, scenario.repeat), (0, 1));
}

#[test]
fn a_program_that_stays_up() {
    let text =
        "program = ['a', '{port}']\nready = 'tcp:127.0.0.1:{port}'\ndrive = ['b']\nrepeat = 3";
    let server = |stop| {
        Work::Server(Server {
            program: Located { value: vec!["a".to_owned(), "{port}".to_owned()], line: 1 },
            ready: located("tcp:127.0.0.1:{port}", 2),
            drive: Located { value: vec!["b".to_owned()], line: 3 },
            stop,
        })
    };
    let scenario = parse(text).expect("the text is right");
    let terminates = Located { value: Stop::Signal(Signal::SIGTERM), line: 1 };
    assert_eq!(scenario.work, server(terminates));
    assert_eq!((scenario.warmup, scenario.repeat), (2, 3));
    let quits = Located { value: Stop::Command(vec!["c".to_owned(), "d".to_owned()]), line: 5 };
    let scenario = parse(&format!("{text}\nstop = ['c', 'd']")).expect("the text is right");
    assert_eq!(scenario.work, server(quits));
    let scenario = parse(&format!("{text}\nstop = 'INT'")).expect("the text is right");
    let interrupts = Located { value: Stop::Signal(Signal::SIGINT), line: 5 };
    assert_eq!(scenario.work, server(interrupts));
}

#[test]
fn a_program_with_iterations_marks_them() {
    let scenario = parse("program = ['a']\nwarmup = 1").expect("the text is right");
    assert!(matches!(scenario.work, Work::Marked(_)), "{scenario:?}");
    assert_eq!((scenario.warmup, scenario.repeat), (1, 8));
}

#[test]
fn iterations_have_bounds() {
    let bounds = |text: &str| {
        let scenario = parse(&format!("steps = ['help']\n{text}")).expect("the text is right");
        (scenario.warmup, scenario.repeat)
    };
    assert_eq!(bounds("warmup = 0\nrepeat = 1"), (0, 1));
    assert_eq!(bounds("warmup = 0\nrepeat = 16_000"), (0, 16_000));
    assert_eq!(bounds("warmup = 15992"), (15_992, 8));
}

#[test]
fn every_error_names_its_line() {
    let cases = [
        // What is not TOML.
        ("steps = [", "1: unclosed array, expected `]`"),
        ("steps = ['a']\nsteps = ['b']", "2: duplicate key"),
        // Keys.
        ("steps = ['a']\n\nrepaet = 3", "3: unknown key `repaet`; did you mean `repeat`?"),
        (
            "zzz = 1\nyyyyyy = 1",
            "1: unknown key `zzz`; the keys are plugins, steps, program, ready, drive, stop, \
             warmup, repeat, ignore, suppressions, timeout, heap, strict, follow",
        ),
        (
            "steps = ['a']\n\"repaet\\n\\u001b\" = 3",
            "2: unknown key `repaet\\n\\u{1b}`; the keys are plugins, steps, program, ready, drive, \
             stop, warmup, repeat, ignore, suppressions, timeout, heap, strict, follow",
        ),
        ("steps = ['a']\n[step]\nx = 1", "2: unknown key `step`; did you mean `steps`?"),
        // Types.
        ("steps = 'test crypto'", "1: `steps` has to be a list of strings, not a string"),
        ("plugins = 1", "1: `plugins` has to be a list of strings, not a whole number"),
        ("program = true", "1: `program` has to be a list of strings, not true or false"),
        ("[steps]\na = 1", "1: `steps` has to be a list of strings, not a table"),
        (
            "steps = [\n'a',\n1.5]",
            "3: `steps` is a list of strings, and this is a number with a fraction",
        ),
        ("steps = [['a']]", "1: `steps` is a list of strings, and this is a list"),
        ("steps = ['a']\nrepeat = '8'", "2: `repeat` has to be a whole number, not a string"),
        ("steps = ['a']\nwarmup = 2026-01-01", "2: `warmup` has to be a whole number, not a date"),
        ("steps = ['a']\nstrict = 1", "2: `strict` has to be true or false, not a whole number"),
        ("steps = ['a']\ntimeout = 60", "2: `timeout` has to be a string, not a whole number"),
        (
            "steps = ['a']\nignore = 'x'",
            "2: `ignore` has to be a list of strings and tables, not a string",
        ),
        (
            "steps = ['a']\nignore = [\n'x',\n1]",
            "4: `ignore` is a list of strings and tables, and this is a whole number",
        ),
        (
            "steps = ['a']\nignore = [{ pattern = 1 }]",
            "2: `pattern` has to be a string, not a whole number",
        ),
        (
            "steps = ['a']\nignore = [{ pattern = 'x', most = '3' }]",
            "2: `most` has to be a whole number, not a string",
        ),
        (
            "steps = ['a']\nignore = [{ pattern = 'x', least = 3 }]",
            "2: unknown key `least` in `ignore`; the keys are pattern, most",
        ),
        ("steps = ['a']\nignore = [{ most = 3 }]", "2: `ignore` has a table without `pattern`"),
        (
            "steps = ['a']\nsuppressions = 'x'",
            "2: `suppressions` has to be a list of strings, not a string",
        ),
        // Values.
        ("steps = ['a']\nrepeat = 0", "2: `repeat` has to be at least 1"),
        ("steps = ['a']\nrepeat = -1", "2: `repeat` is -1; it is from 0 to 16000"),
        ("steps = ['a']\nwarmup = 5000000000", "2: `warmup` is 5000000000; it is from 0 to 16000"),
        (
            "steps = ['a']\nwarmup = 9000\nrepeat = 7001",
            "2: `warmup` is too large; warmup + repeat is at most 16000",
        ),
        (
            "steps = ['a']\nrepeat = 16000",
            "2: `repeat` is too large; warmup + repeat is at most 16000",
        ),
        (
            "steps = ['a']\ntimeout = '60'",
            "2: `timeout` is \"60\"; write a number and ms, s or m, such as \"60s\"",
        ),
        ("steps = ['a']\nheap = '1m'", "2: `heap` is \"1m\"; it has to be from 32m to 64g"),
        ("steps = [\n'a',\n' ',\n]", "3: `steps` has an empty element"),
        ("steps = ['a']\nplugins = ['']", "2: `plugins` has an empty element"),
        ("steps = ['a']\nignore = ['']", "2: `ignore` has an empty element"),
        ("steps = ['a']\nignore = [{ pattern = ' ' }]", "2: `ignore` has an empty element"),
        ("steps = ['a']\nignore = [\"a\\u0000\"]", "2: `ignore` has an element with a NUL"),
        (
            "steps = ['a']\nignore = ['b', 'leak: ']",
            "2: `ignore` has a `leak:` that has no pattern; write a part of a function's, object's \
             or file's name",
        ),
        (
            "steps = ['a']\nignore = [{ pattern = 'x', most = 0 }]",
            "2: `most` is 0; it is 1 at least",
        ),
        (
            "steps = ['a']\nignore = [{ pattern = 'x', most = -1 }]",
            "2: `most` is -1; it is 1 at least",
        ),
        ("steps = ['a']\nsuppressions = ['']", "2: `suppressions` has an empty element"),
        ("steps = [\"a\\nb\"]", "1: `steps` has an element of more than one line"),
        ("program = [\"a\", \"b\\u0000\"]", "1: `program` has an element with a NUL"),
        // What belongs together.
        ("", "1: nothing to run; add `steps = [\"…\"]` or `program = [\"…\"]`"),
        ("repeat = 3", "1: nothing to run; add `steps = [\"…\"]` or `program = [\"…\"]`"),
        ("\nplugins = ['a']", "2: nothing to run; add `steps = [\"…\"]` or `program = [\"…\"]`"),
        ("plugins = ['a']\nsteps = []", "2: `steps` is empty; name at least one command"),
        ("steps = ['a']\nprogram = ['b']", "2: `program` and `steps` exclude each other; drop one"),
        (
            "program = ['b']\nplugins = ['a']",
            "1: `program` and `plugins` exclude each other; drop one",
        ),
        ("program = []", "1: `program` is empty; name the program and its arguments"),
        ("program = [\n'', 'a']", "2: `program` starts with an empty name"),
        ("program = ['a']\nrepeat = 0", "2: `repeat` has to be at least 1"),
        (
            "program = ['a']\nwarmup = 0",
            "2: `warmup` is 1 at least where the program marks its iterations: its start is in the \
             first",
        ),
        (
            "steps = ['a']\nfollow = true",
            "2: `follow` is for a `program`; steps run in one process",
        ),
        ("program = ['a']\nfollow = 1", "2: `follow` has to be true or false, not a whole number"),
        (
            "program = ['a']\nrepeat = 3\nfollow = true",
            "3: `follow` is for a program whose whole run is checked; drop `drive` and `repeat`",
        ),
        // A program that stays up.
        (
            "steps = ['a']\nready = 'x'\ndrive = ['b']",
            "2: `ready` is for a `program` that stays up; add `program = [\"…\"]`",
        ),
        (
            "steps = ['a']\nstop = 'INT'",
            "2: `stop` is for a `program` that stays up; add `program = [\"…\"]`",
        ),
        (
            "program = ['a']\nready = 'listening'",
            "2: `ready` needs `drive`: the command that is an iteration",
        ),
        (
            "program = ['a']\n\ndrive = ['b']",
            "3: `drive` needs `ready`: a part of the line that the program prints, \"file:PATH\", \
             \"tcp:127.0.0.1:{port}\" or \"unix:PATH\"",
        ),
        (
            "program = ['a']\nstop = ['b']",
            "2: `stop` is for a program that stays up; add `ready` and `drive`",
        ),
        ("program = ['a']\nready = 1", "2: `ready` has to be a string, not a whole number"),
        (
            "program = ['a']\nready = ''",
            "2: `ready` is empty; write a part of the line that the program prints once it is ready",
        ),
        ("program = ['a']\nready = \"a\\nb\"", "2: `ready` has more than one line"),
        (
            "program = ['a']\nready = 'tcp:{port}'",
            "2: `ready` is \"tcp:{port}\"; write an address and a port, such as \
             \"tcp:127.0.0.1:{port}\"",
        ),
        ("program = ['a']\ndrive = 'b'", "2: `drive` has to be a list of strings, not a string"),
        ("program = ['a']\ndrive = []", "2: `drive` is empty; name the program and its arguments"),
        ("program = ['a']\ndrive = [\n'']", "3: `drive` starts with an empty name"),
        (
            "program = ['a']\nstop = 15",
            "2: `stop` has to be a signal's name or a list of strings, not a whole number",
        ),
        (
            "program = ['a']\nstop = 'quit'",
            "2: `stop` is \"quit\"; write a signal, such as \"SIGTERM\", or a command as a list",
        ),
        ("program = ['a']\nstop = []", "2: `stop` is empty; name the program and its arguments"),
    ];
    for (text, expected) in cases {
        assert_eq!(error(text), expected, "of {text:?}");
    }
}

#[test]
fn distances() {
    let cases = [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("steps", "steps", 0)];
    for (from, to, expected) in cases {
        assert_eq!(distance(from, to), expected);
    }
    assert_eq!(distance("repaet", "repeat"), 2);
    assert_eq!(distance("stepps", "steps"), 1);
}
