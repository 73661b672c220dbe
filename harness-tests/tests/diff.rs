//! `leaksnap diff` on two saved traces: the real pair of VPP in `fixtures/vpp/`, and others.

#[path = "diff/files.rs"]
mod files;
#[path = "diff/gate.rs"]
mod gate;
#[path = "diff/notes.rs"]
mod notes;
#[path = "diff/real_pair.rs"]
mod real_pair;
#[path = "diff/reports.rs"]
mod reports;

use harness_tests::cargo::repository;
use harness_tests::command::leaksnap;
use harness_tests::trials::read;
use harness_tests::{Ended, Workplace};
use serde_json::Value;

/// A folder with the real pair.
fn place() -> Workplace {
    let place = Workplace::new(leaksnap().to_str().expect("a plain path"));
    for name in ["warm.json", "warm-plus-10.json"] {
        place.write(name, &read(&repository().join("fixtures/vpp").join(name)));
    }
    place
}

fn diff(place: &Workplace, arguments: &[&str]) -> Ended {
    place.run([&["diff"], arguments].concat())
}

/// The JSON report on `arguments`, and the exit status.
fn report(place: &Workplace, arguments: &[&str]) -> (Option<i32>, Value) {
    let ended =
        diff(place, &[&["--format", "json", "--output", "report.json"], arguments].concat());
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""), "{arguments:?}");
    let json = read(&place.path("report.json"));
    (ended.status, serde_json::from_str(&json).expect("the report is JSON"))
}

/// The numbers of a group: blocks and bytes, and both per iteration.
fn numbers(group: &Value) -> [f64; 4] {
    ["blocks", "bytes", "blocks_per_iteration", "bytes_per_iteration"]
        .map(|key| group[key].as_f64().unwrap_or_else(|| panic!("{key} in {group}")))
}
