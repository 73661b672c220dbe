//! The book of a program with many threads that also fork, and open and close modules.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::keeper::{BookKeeper, Word, compile};
use super::{PATIENCE, seed};
use crate::child::process::Event;
use crate::report::Exit;

const THREADS: usize = 16;

/// Compares several times in `time`, and at the exit.
fn agrees(time: Duration) {
    let folder = tempfile::tempdir().expect("a folder");
    let modules: Vec<PathBuf> = (1..=3)
        .map(|number| {
            let path = folder.path().join(format!("module_{number}.so"));
            let number = format!("-DMODULE={number}");
            compile("keeps_a_book_module.c", &path, &["-shared", "-fPIC", &number]);
            path
        })
        .collect();
    let seed = seed();
    let mut keeper = BookKeeper::start_with(THREADS, 0, seed, &modules);
    let context = format!("seed {seed}");
    keeper.go();
    let (end, mut looks, mut blocks) = (Instant::now() + time, 0, 0);
    let seldom =
        |keeper: &BookKeeper| keeper.word(Word::Children) < 20 || keeper.word(Word::TakenOver) < 20;
    while Instant::now() < end || (seldom(&keeper) && Instant::now() < end + PATIENCE) {
        std::thread::sleep(Duration::from_millis(500));
        let reading = keeper.hold();
        assert_eq!(reading.claimed, 0, "nothing is in flight");
        keeper.compare(&reading, &format!("{context}, look {looks}"));
        keeper.compare_counts(&format!("{context}, look {looks}"));
        keeper.resume();
        looks += 1;
        blocks += reading.len();
    }
    keeper.stop();
    let event = keeper.child.wait(Some(Instant::now() + PATIENCE), None);
    assert_eq!(event.expect("it can be waited for"), Event::AtExit);
    let reading = keeper.read();
    assert_eq!(reading.claimed, 0, "nothing is in flight");
    keeper.compare(&reading, &format!("{context}, at the exit"));
    keeper.compare_counts(&format!("{context}, at the exit"));
    let [operations, children, opened, taken_over] =
        [Word::Operations, Word::Children, Word::Opened, Word::TakenOver]
            .map(|word| keeper.word(word));
    eprintln!(
        "{looks} looks at {blocks} blocks; {operations} operations, {children} children, modules \
         opened {opened} times, {taken_over} of them where another one had been"
    );
    let trouble = keeper.child.ledger().header().trouble.load(Ordering::Relaxed);
    assert_eq!(trouble, 0, "the ledger is complete");
    assert_eq!(keeper.word(Word::Damaged), 0, "blocks whose content another one overwrote");
    assert_eq!(keeper.word(Word::FailedChildren), 0, "children that failed or hung");
    assert!(looks > 0 && reading.len() > 1000, "{looks} looks, {} blocks", reading.len());
    assert!(!seldom(&keeper), "{children} children, {taken_over} addresses of other modules");
    keeper.child.release();
    let (exit, _) = keeper.child.finish(PATIENCE).expect("it ends");
    assert_eq!(exit, Exit { code: Some(0), signal: None });
}

#[test]
fn sixteen_threads_with_children_and_modules_agree() {
    agrees(Duration::from_secs(3));
}

/// The long proof.
#[test]
#[ignore = "takes a minute"]
fn sixteen_threads_with_children_and_modules_agree_for_a_minute() {
    agrees(Duration::from_secs(60));
}
