//! The command line of `leaksnap exec`: its options, its exit status for wrong ones, where it
//! writes, and the form of the JSON report.

use std::path::Path;
use std::process::Command;

use harness_tests::command::{Exec, leaksnap};
use harness_tests::program::Program;
use harness_tests::run::{Run, run};
use serde_json::Value;

fn command(arguments: &[&str]) -> Run {
    run(Command::new(leaksnap()).args(arguments), b"")
}

/// The command refuses, says why, and prints nothing else.
#[track_caller]
fn is_wrong(arguments: &[&str], reason: &str) {
    let run = command(arguments);
    assert_eq!(run.code, Some(2), "{arguments:?}: {run:?}");
    assert_eq!(run.text(), "", "{arguments:?}");
    assert!(run.stderr.contains(reason), "{arguments:?}: {}", run.stderr);
}

#[test]
fn a_wrong_command_line_is_status_2() {
    is_wrong(&["exec", "--", "/nowhere/program"], "there is no program /nowhere/program");
    is_wrong(&["exec", "--", "no-program-of-this-name"], "no-program-of-this-name");
    is_wrong(&["exec", "--unknown", "--", "true"], "--unknown");
    is_wrong(&["exec", "--format", "xml", "--", "true"], "xml");
    is_wrong(&["exec", "--heap", "many", "--", "true"], "many");
    is_wrong(&["exec"], "PROGRAM");
    is_wrong(&["exec", "--"], "PROGRAM");
    is_wrong(&["unknown"], "unknown");
    is_wrong(&[], "Usage");
    is_wrong(&["run", "/nowhere/scenario.toml"], "/nowhere/scenario.toml");
}

#[test]
fn completions_are_scripts_that_their_shell_takes() {
    let script = command(&["completions", "bash"]);
    assert_eq!(script.code, Some(0), "{}", script.stderr);
    for word in ["exec", "console", "diff", "--follow", "--suppressions"] {
        assert!(script.text().contains(word), "{word}");
    }
    let read = run(Command::new("bash").arg("-n"), script.text().as_bytes());
    assert_eq!((read.code, read.stderr.as_str()), (Some(0), ""));
    is_wrong(&["completions", "no-shell"], "no-shell");
}

#[test]
fn what_can_t_be_written_is_said_once_and_is_status_2() {
    let script = "exec \"$0\" \"$@\" >/dev/full";
    let whole = ["console", "help", "--help", "--version", "help exec", "completions bash", "man"];
    for arguments in whole {
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(leaksnap()).args(arguments.split(' '));
        let run = run(&mut command, b"help\nhelp\n");
        let error = "leaksnap: standard output: No space left on device (os error 28)\n";
        assert_eq!((run.code, run.stderr.as_str()), (Some(2), error), "{arguments}");
    }
}

#[test]
fn each_command_has_a_manual_page() {
    let whole = command(&["man"]);
    assert!(whole.text().starts_with(".ie") && whole.text().contains(".TH leaksnap 1"));
    for (name, option) in [("exec", "follow"), ("run", "memory"), ("diff", "iterations")] {
        let page = command(&["man", name]);
        assert_eq!(page.code, Some(0), "{}", page.stderr);
        assert!(page.text().contains(&format!(".TH leaksnap-{name} 1")), "{}", page.text());
        assert!(page.text().contains(&format!("\\-\\-{option}")), "{}", page.text());
    }
    is_wrong(&["man", "nothing"], "no command `nothing`; they are exec, console, run, diff");
}

#[test]
fn a_file_that_can_not_be_executed_is_status_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data");
    std::fs::write(&path, "no program").expect("the folder takes it");
    let path = path.to_str().expect("a plain path");
    is_wrong(&["exec", "--", path], path);
}

#[test]
fn an_output_that_can_not_be_written_is_status_2_before_anything_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("a plain path").to_owned();
    let (output, touched) = (path("nowhere/report"), path("touched"));
    is_wrong(&["exec", "--output", &output, "--", "touch", &touched], &output);
    assert!(!Path::new(&touched).exists(), "the program did not run");
}

#[test]
fn a_frame_count_that_is_none_is_status_2() {
    let exec = Exec::of(["true"].into_iter().collect()).variable("LEAKSNAP_FRAMES", "many");
    let run = exec.text();
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.stderr.contains("LEAKSNAP_FRAMES"), "{}", run.stderr);
}

#[test]
fn help_and_version_are_no_errors() {
    for arguments in [&["--help"][..], &["--version"], &["exec", "--help"]] {
        let run = command(arguments);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(run.text().contains("leaksnap"), "{run:?}");
    }
}

#[test]
fn text_goes_to_standard_error_alone() {
    let run = Exec::of(Program::compile("loses_a_block.c").with([])).text();
    assert_eq!((run.code, run.text().as_str()), (Some(1), ""));
    assert!(run.stderr.starts_with("1 leak in "), "{}", run.stderr);
    assert!(run.stderr.contains("\nleak, lost: 3 blocks, 300 bytes\n    forget  loses_a_block"));
    let clean = Exec::of(Program::compile("frees_all.c").with([])).text();
    assert_eq!((clean.code, clean.text().as_str()), (Some(0), ""));
    assert!(clean.stderr.starts_with("no leaks in "), "{}", clean.stderr);
}

#[test]
fn json_goes_to_standard_error_or_to_the_file() {
    let program = Program::compile("loses_a_block.c");
    let run = Exec::of(program.with([])).option(&["--format", "json"]).text();
    assert_eq!((run.code, run.text().as_str()), (Some(1), ""));
    let on_stderr: Value = serde_json::from_str(&run.stderr).expect("it is JSON alone");
    let checked = Exec::of(program.with([])).check();
    assert_eq!(checked.run.stdout, b"");
    assert_eq!(checked.run.stderr, "", "nothing went wrong, and the report is in the file");
    assert_eq!(checked.report, on_stderr);
}

/// The keys of pretty-printed `json` with their indentation, in order.
fn keys(json: &str) -> Vec<String> {
    let key = |line: &str| {
        let name = line.trim_start().strip_prefix('"')?.split_once("\":")?.0.to_owned();
        Some(format!("{}{name}", &line[..line.len() - line.trim_start().len()]))
    };
    json.lines().filter_map(key).collect()
}

#[test]
fn the_json_report_has_its_keys_in_order() {
    let checked = Exec::of(Program::compile("loses_a_block.c").with([])).check();
    let frame = ["function", "module", "offset", "file", "line", "inlined"];
    let frame = frame.map(|key| format!("          {key}"));
    let expected: Vec<String> = [
        "  format",
        "  version",
        "  scenario",
        "  program",
        "  exit",
        "    code",
        "    signal",
        "  tracing",
        "    active",
        "    allocations",
        "    frees",
        "    peak_bytes",
        "    complete",
        "  iterations",
        "  groups",
        "      verdict",
        "      reachability",
        "      blocks",
        "      bytes",
        "      blocks_per_iteration",
        "      bytes_per_iteration",
        "      frames",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain(frame.clone())
    .chain(frame)
    .chain(["  summary", "    leaked_blocks", "    leaked_bytes", "    groups"].map(str::to_owned))
    .collect();
    assert_eq!(keys(&checked.json), expected);
    assert!(checked.json.ends_with("}\n"));
}

#[test]
fn the_json_report_has_the_values_of_its_contract() {
    let program = Program::compile("loses_a_block.c");
    let report = Exec::of(program.with(["an argument"])).check().report;
    assert_eq!(report["format"], "leaksnap-report");
    assert_eq!(report["version"], 1);
    assert_eq!(report["scenario"], Value::Null);
    assert_eq!(report["program"], serde_json::json!(program.with(["an argument"]).list));
    assert_eq!(report["exit"], serde_json::json!({ "code": 0, "signal": null }));
    let tracing = &report["tracing"];
    assert_eq!((&tracing["active"], &tracing["complete"]), (&true.into(), &true.into()));
    let count = |key: &str| tracing[key].as_u64().unwrap_or_else(|| panic!("{key} in {tracing}"));
    assert_eq!(count("allocations") - count("frees"), 3);
    assert!(count("peak_bytes") >= 300);
    assert_eq!(report["iterations"], 1);
    let group = &report["groups"][0];
    let expected = serde_json::json!({
        "verdict": "leak", "reachability": "lost", "blocks": 3, "bytes": 300,
        "blocks_per_iteration": 3.0, "bytes_per_iteration": 300.0,
        "frames": group["frames"],
    });
    assert_eq!(group, &expected);
    let frame = &group["frames"][0];
    assert_eq!((&frame["function"], &frame["module"]), (&"forget".into(), &"loses_a_block".into()));
    assert!(frame["offset"].is_u64() && frame["inlined"].is_boolean(), "{frame}");
    assert_eq!(frame["line"], 7);
    let file = frame["file"].as_str().expect("there is debug information");
    assert!(file.ends_with("loses_a_block.c"), "{file}");
    let summary = serde_json::json!({ "leaked_blocks": 3, "leaked_bytes": 300, "groups": 1 });
    assert_eq!(report["summary"], summary);
}
