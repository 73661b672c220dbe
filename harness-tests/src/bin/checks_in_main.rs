//! A check in `main`, as an example or a harness of one's own has it; with the word `deeper`, in a
//! process that the child starts on its way to the check.

use std::hint::black_box;
use std::process::Command;

fn main() -> Result<(), leaksnap::Error> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "deeper") {
        let own = std::env::current_exe().expect("it has a path");
        let inner = Command::new(own).arg("12").output().expect("it runs");
        let text = String::from_utf8_lossy(&inner.stdout);
        assert!(text.starts_with("main: false\n"), "its own check goes on: {text}");
        print!("{text}");
    }
    let bytes = words.last().and_then(|word| word.parse().ok()).unwrap_or(0);
    let report =
        leaksnap::check(|run| run.repeat(8, || std::mem::forget(black_box(vec![1_u8; bytes]))))?;
    println!("{}: {}", report.scenario.as_deref().unwrap_or_default(), report.is_clean());
    print!("{report}");
    Ok(())
}
