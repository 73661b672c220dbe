//! Many scenarios one after the other in one parent, which takes no more memory for the last than
//! for the first.
//!
//! The parent reads scenario files as it comes to them. At some places one of them is a pipe: while
//! it waits for that, it stands between two scenarios, and its memory can be looked at.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use harness_tests::Workplace;
use rustix::fs::{CWD, Mode, OFlags, mkfifoat};

/// How many scenarios have run when the memory is looked at first: symbols, output and the heap's
/// own caches are there by then.
const FIRST: usize = 200;

/// Bytes that the parent may take more from then on.
const MOST: u64 = 2 << 20;

/// What the pipes say.
const SHORT: &str = "plugins = [\"frees_all.so\"]\nsteps = [\"churn\"]\nrepeat = 1\n";

/// How many scenarios run between two looks.
const STEP: usize = 100;

#[test]
#[ignore = "takes ten minutes"]
fn a_parent_takes_no_more_memory_for_a_thousand_scenarios() {
    let count = std::env::var("SOAK_SCENARIOS").ok().and_then(|count| count.parse().ok());
    let count = count.unwrap_or(1000);
    let work = Workplace::new(env!("CARGO_BIN_EXE_session"));
    work.add_plugin("frees_all");
    let (mut files, mut pipes) = (Vec::new(), Vec::new());
    for (number, scenario) in (1..=count).zip(scenarios().iter().cycle()) {
        files.push(scenario.clone());
        if number == FIRST || (number > FIRST && (number % STEP == 0 || number == count)) {
            let pipe = work.path(&format!("pipe{number}.toml"));
            mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).expect("a pipe");
            files.push(pipe.clone());
            pipes.push((number, pipe));
        }
    }
    let start = Instant::now();
    let mut parent = work.command(["run"]);
    // What libc keeps for threads that ended is no matter of the parent's, and some megabytes now and then.
    let parent = parent.args(&files).stderr(Stdio::null()).env("MALLOC_ARENA_MAX", "1");
    let mut parent = parent.spawn().expect("it starts");
    let mut seen = Vec::new();
    for (number, pipe) in pipes {
        let mut pipe = reader(&mut parent, &pipe);
        let bytes = resident(&parent);
        println!("{number} scenarios, {} s: {} KiB", start.elapsed().as_secs(), bytes >> 10);
        seen.push(bytes);
        pipe.write_all(SHORT.as_bytes()).expect("the parent reads it");
    }
    let status = parent.wait().expect("it ends");
    assert_eq!(status.code(), Some(1), "some leak, and all are checked");
    let (first, last) = (seen[0], seen[seen.len() - 1]);
    let more = last.saturating_sub(first);
    println!("{more} bytes more than after {FIRST} scenarios");
    assert!(more < MOST, "{seen:?}");
}

/// The scenario files of the test `leaks`.
fn scenarios() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/leaks");
    let entries = fs::read_dir(folder).expect("the folder of the scenarios");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files
}

/// The pipe, once `parent` reads it.
fn reader(parent: &mut Child, pipe: &Path) -> fs::File {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).expect("a flag");
    let limit = Instant::now() + Duration::from_secs(600);
    loop {
        // Nobody reads it yet: ENXIO.
        if let Ok(file) = OpenOptions::new().write(true).custom_flags(flags).open(pipe) {
            return file;
        }
        let ended = parent.try_wait().expect("it can be asked");
        assert_eq!(ended, None, "it ended before {}", pipe.display());
        assert!(Instant::now() < limit, "it does not come to {}", pipe.display());
        thread::sleep(Duration::from_millis(20));
    }
}

/// The bytes of `process` that are in memory (proc_pid_statm(5): the second number, in pages).
fn resident(process: &Child) -> u64 {
    let path = format!("/proc/{}/statm", process.id());
    let text = fs::read_to_string(path).expect("it runs");
    let pages = text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("a number") * rustix::param::page_size() as u64
}
