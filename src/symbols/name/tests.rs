//! Runs the case files: each rule's alone, and those of all rules together.

use std::collections::BTreeSet;

use super::*;
use crate::case_file;

/// The file whose cases go through all the rules.
const TOGETHER: &str = "together";

#[test]
fn each_rule_has_a_file_and_each_file_a_rule() {
    let files = case_file::read("src/symbols/name/cases");
    let found: BTreeSet<&str> = files.keys().map(String::as_str).collect();
    let rules: BTreeSet<&str> = RULES.iter().map(|rule| rule.name).chain([TOGETHER]).collect();
    assert_eq!(rules.len(), RULES.len() + 1, "two rules have one name");
    assert_eq!(found, rules, "the files, and the rules");
}

#[test]
fn each_rule_does_what_its_cases_say() {
    for (file, cases) in case_file::read("src/symbols/name/cases") {
        let rule = RULES.iter().find(|rule| rule.name == file);
        let changes = cases.iter().filter(|case| case.raw != case.expected).count();
        assert!(changes > 0, "{file} shows nothing that its rule does");
        assert!(file == TOGETHER || changes < cases.len(), "{file} shows nothing that it leaves");
        for case in cases {
            assert_eq!((case.raw.len(), case.expected.len()), (1, 1), "{}", case.place);
            let name = match rule {
                Some(rule) => (rule.apply)(&case.raw[0]).into_owned(),
                None => clean(&case.raw[0]),
            };
            assert_eq!(name, case.expected[0], "{}", case.place);
        }
    }
}

#[test]
fn a_clean_name_stays_as_it_is() {
    for case in &case_file::read("src/symbols/name/cases")[TOGETHER] {
        assert_eq!(clean(&case.expected[0]), case.expected[0], "{}", case.place);
    }
}

#[test]
fn a_pattern_of_a_former_spelling_is_one_of_today_s() {
    for (pattern, expected) in [
        ("alloc::str::<impl str>::repeat", "<str>::repeat"),
        ("^*<impl str>::repeat$", "^*<str>::repeat$"),
        ("<alloc::string::String>::pu*", "alloc::string::String::pu*"),
        ("_M_create<(lambda at /tmp/x.cpp:7:144)>", "_M_create<(lambda)>"),
        ("String>::push", "String>::push"),
        // It says less than the rules take it for: it would match more.
        ("grow.cold", "grow.cold"),
        ("malloc@", "malloc@"),
    ] {
        assert_eq!(respelled(pattern), expected, "{pattern}");
    }
}
