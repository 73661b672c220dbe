//! The workloads: what is run, sized to take about a third of a second to two seconds natively; a large
//! file takes a compiler longer.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use crate::program::{Place, Program, Unready, executable, run, source_path};

/// One program with what it is to do.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// Compiles or finds its program and makes its input.
    pub(crate) prepare: fn(&Place) -> Result<Program, Unready>,
}

/// All of them, in the order in which they are run.
pub(crate) const WORKLOADS: [Workload; 12] = [
    Workload { name: "loop-10", prepare: |place| malloc_loop(place, ["10", "1", "30000000"]) },
    Workload { name: "loop-30", prepare: |place| malloc_loop(place, ["30", "1", "30000000"]) },
    Workload {
        name: "loop-30-4-threads",
        prepare: |place| malloc_loop(place, ["30", "4", "7500000"]),
    },
    Workload { name: "openssl-mixed", prepare: |place| openssl(place, ["mixed", "3000"]) },
    Workload { name: "openssl-evp", prepare: |place| openssl(place, ["evp", "200000"]) },
    Workload { name: "sqlite", prepare: sqlite },
    Workload { name: "python-json-cold", prepare: |_| python(PYTHON_COLD) },
    Workload { name: "python-json-warm", prepare: |_| python(PYTHON_WARM) },
    Workload { name: "python-json-malloc", prepare: |_| python_on_malloc(PYTHON_WARM) },
    Workload {
        name: "compiler-large",
        prepare: |place| compiler(place, "large", &["-O2", "-std=c++17"]),
    },
    Workload {
        name: "compiler-headers",
        prepare: |place| compiler(place, "templates", &["-O1", "-std=c++17"]),
    },
    Workload { name: "git-log-p", prepare: git_log },
];

/// Mostly the start of the interpreter.
const PYTHON_COLD: &str = "
import json
for i in range(2500):
    json.loads(json.dumps({'name': 'a name', 'list': list(range(i % 50))}))
";

const PYTHON_WARM: &str = "
import json
value = {'name': 'a name', 'list': list(range(50)),
         'nested': [{'key': i, 'text': 'text ' * i} for i in range(20)]}
for i in range(20000):
    json.loads(json.dumps(value))
";

const INSERTS: u32 = 200_000;

/// As many commits as take about half a second; a shorter history is all of it.
const COMMITS: u32 = 300;
/// A shorter history would measure the start of git.
const FEWEST_COMMITS: u32 = 20;

fn malloc_loop(place: &Place, arguments: [&str; 3]) -> Result<Program, Unready> {
    place.compiled("malloc_loop.c", &["-pthread"], &arguments)
}

fn openssl(place: &Place, arguments: [&str; 2]) -> Result<Program, Unready> {
    place.compiled("uses_openssl.c", &["-lcrypto"], &arguments)
}

fn sqlite(place: &Place) -> Result<Program, Unready> {
    let sqlite = executable("sqlite3", "sqlite3")?;
    let mut text = String::from(
        "CREATE TABLE people(id INTEGER PRIMARY KEY, name TEXT, weight REAL);\nBEGIN;\n",
    );
    for id in 0..INSERTS {
        let (name, weight) = (u64::from(id) * 7919 % 100_003, id % 997);
        let insert = format_args!("INSERT INTO people VALUES({id}, 'name {name}', {weight}.5);\n");
        text.write_fmt(insert).expect("a string takes it");
    }
    text.push_str("COMMIT;\n");
    let read = format!(".read {}", place.written("inserts.sql", &text)?);
    Ok(Program::of_the_system(&sqlite, &["-batch", ":memory:", &read]))
}

/// The same without Python's own allocator, as who looks for leaks has it.
fn python_on_malloc(script: &str) -> Result<Program, Unready> {
    let mut program = python(script)?;
    program.variables.push(("PYTHONMALLOC".to_owned(), "malloc".to_owned()));
    Ok(program)
}

fn python(script: &str) -> Result<Program, Unready> {
    let python = executable("python3", "python3")?;
    Ok(Program::of_the_system(&python, &["-c", script]))
}

/// The compiler proper, on a file of `benches/programs`: `c++` itself only starts it.
fn compiler(place: &Place, file: &str, flags: &[&str]) -> Result<Program, Unready> {
    let missing = |problem| Unready::Missing(format!("{problem}: apt install g++"));
    let ask = ["-print-prog-name=cc1plus"];
    let path = run(Command::new("c++").args(ask)).map_err(missing)?;
    let path = Path::new(path.trim());
    // A compiler that has no such program says the name only, or nothing.
    if !path.is_absolute() {
        return Err(missing("c++ is not GCC's".to_owned()));
    }
    let source = place.file(&format!("{file}.ii"));
    let from = source_path(&format!("{file}.cpp"));
    run(Command::new("c++").args(flags).args(["-E", &from, "-o", &source]))
        .map_err(Unready::Failed)?;
    let arguments = ["-fpreprocessed", "-quiet", "-o", "/dev/null", &source];
    Ok(Program::of_the_system(path, &[flags, &arguments].concat()))
}

fn git_log(_: &Place) -> Result<Program, Unready> {
    let git = executable("git", "git")?;
    let folder = ["-C", env!("CARGO_MANIFEST_DIR")];
    let count = run(Command::new(&git).args(folder).args(["rev-list", "--count", "HEAD"]));
    let count = count.ok().and_then(|text| text.trim().parse::<u32>().ok()).unwrap_or(0);
    if count < FEWEST_COMMITS {
        return Err(Unready::Missing(format!("this checkout has a history of {count} commits")));
    }
    let commits = COMMITS.to_string();
    let log = ["--no-pager", "log", "-p", "-C", "-C", "--word-diff", "-n", &commits];
    Ok(Program::of_the_system(&git, &[&folder[..], &log].concat()))
}
