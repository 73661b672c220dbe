//! The model of expected verdicts: every row is found exactly, and nothing else is.

use harness_tests::model::Model;

#[test]
fn every_row_is_found_exactly_and_nothing_else() {
    let model = Model::new(env!("CARGO_BIN_EXE_session"));
    let (rows, silent) = model.count();
    let differences = model.differences();
    assert!(
        differences.is_empty(),
        "{} of {rows} scenarios, {silent} of them silent:\n{}",
        differences.len(),
        differences.join("\n")
    );
}
