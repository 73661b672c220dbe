//! What a trial says whose closure fails.

use std::process::Command;

#[test]
fn each_failure_has_its_reason() {
    let output = Command::new(env!("CARGO_BIN_EXE_failing_closures")).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(101), "{text}");
    for reason in [
        "iteration_fails failed: invalid digit found in string",
        "error_is_dropped failed: it went wrong",
        "setup_fails failed: invalid digit found in string",
        "panics failed: it panicked at harness-tests/src/bin/failing_closures.rs:13:57: never",
        "never_repeats failed: it never called `run.repeat`: nothing was measured",
        "repeats_too_often: more than 16000 iterations, warm-up included",
        "0 passed; 6 failed",
    ] {
        assert!(text.contains(reason), "no `{reason}` in\n{text}");
    }
    assert!(!text.contains("the parent is gone"), "{text}");
}
