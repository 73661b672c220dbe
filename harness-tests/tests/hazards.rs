//! The table of hazards: nothing is lost, nothing is false, and nothing is clean that was not
//! checked.

#[path = "hazards/kills.rs"]
mod kills;
#[path = "hazards/scribbling.rs"]
mod scribbling;
#[path = "hazards/traces.rs"]
mod traces;

use harness_tests::hazards::{HAZARDS, Need};

#[test]
fn every_row_ends_as_the_table_says() {
    let mut differences = Vec::new();
    let mut left_out = Vec::new();
    for hazard in HAZARDS {
        if hazard.needs.is_met() {
            differences.extend(hazard.difference(&hazard.outcome()));
        } else {
            left_out.push(hazard.name);
        }
    }
    println!("{} rows; left out on this machine: {left_out:?}", HAZARDS.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    let for_all = HAZARDS.iter().filter(|hazard| hazard.needs == Need::Nothing).count();
    assert!(for_all > 30 && left_out.len() <= HAZARDS.len() - for_all);
}
