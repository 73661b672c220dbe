//! What a run leaves behind: nothing but the preload heap in the target folder, which nobody else
//! can change, and snapshots.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use harness_tests::Workplace;
use harness_tests::command::leaksnap;

/// Every file below `folder`.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("it is there").is_dir() {
            found.extend(files(&entry.path()));
        }
        found.push(entry.path().display().to_string());
    }
    found
}

#[test]
fn no_file_is_written_elsewhere() {
    let work = Workplace::new(leaksnap().to_str().expect("a plain path"));
    work.add_plugin("leaks_per_call");
    work.write("it.toml", "plugins = [\"leaks_per_call.so\"]\nsteps = [\"forget\"]\n");
    let places = ["home", "temporary", "cache"].map(|name| {
        fs::create_dir(work.path(name)).expect("a new folder");
        work.path(name)
    });
    let before = files(&work.path(""));
    for words in [["run", "it.toml"].as_slice(), &["exec", "--", "sh", "-c", "true"]] {
        let mut command = work.command(words);
        command.env("HOME", &places[0]).env("TMPDIR", &places[1]);
        let ended = work.end(command.env("XDG_CACHE_HOME", &places[2]));
        assert!(ended.status < Some(2), "{ended:?}");
    }
    assert_eq!(files(&work.path("")), before);
}

#[test]
fn nobody_else_can_write_what_is_written_where_everybody_may() {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("leaksnap");
    // What another test starts meanwhile would inherit a file of this process's that is open for
    // writing, and nobody could execute it.
    let copied = Command::new("cp").arg(leaksnap()).arg(&copy).status();
    assert!(copied.expect("cp runs").success());
    let line = "umask 000; exec \"$0\" exec -- true";
    let status = Command::new("sh").args(["-c", line]).arg(&copy).status();
    assert_eq!(status.expect("sh runs").code(), Some(0));
    let mut heaps = 0;
    for path in files(folder.path()) {
        let mode = fs::symlink_metadata(&path).expect("it is there").mode();
        assert_eq!(mode & 0o022, 0, "{path} has mode {mode:o}");
        heaps += usize::from(path.contains("/.leaksnap-"));
    }
    assert_eq!(heaps, 1);
}
