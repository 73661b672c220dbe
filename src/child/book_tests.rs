//! The ledger against a program's own book of its blocks, line by line: while it stands at its
//! exit, after it was killed at a random moment, and while its threads fork and open modules.

mod keeper;
mod modules;

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::process::Event;
use crate::report::Exit;
use keeper::{BookKeeper, Word};

const OPERATIONS: u64 = 1_000_000;
const KILLS: u64 = 20;
const PATIENCE: Duration = Duration::from_secs(60);

/// Where random choices start: `LEAKSNAP_TEST_SEED`, or something new.
fn seed() -> u64 {
    let given = std::env::var("LEAKSNAP_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        u64::from(now.map_or(1, |now| now.subsec_nanos()))
    });
    eprintln!("LEAKSNAP_TEST_SEED={seed}");
    seed
}

fn agrees_at_the_exit(threads: usize) {
    let seed = seed();
    let mut keeper = BookKeeper::start(threads, OPERATIONS, seed);
    keeper.go();
    let deadline = Instant::now() + PATIENCE;
    assert_eq!(
        keeper.child.wait(Some(deadline), None).expect("it can be waited for"),
        Event::AtExit
    );
    let reading = keeper.read();
    assert_eq!(keeper.word(Word::Damaged), 0, "blocks whose content another one overwrote");
    assert!(keeper.word(Word::Operations) >= OPERATIONS);
    assert_eq!(reading.claimed, 0, "nothing is in flight");
    assert!(reading.len() > 1000, "the book is not empty: {}", reading.len());
    keeper.compare(&reading, &format!("seed {seed}, {threads} threads"));
    keeper.child.release();
    let (exit, _) = keeper.child.finish(PATIENCE).expect("it ends");
    assert_eq!(exit, Exit { code: Some(0), signal: None });
}

fn agrees_after_a_kill(threads: usize) {
    let seed = seed();
    let mut moments = seed;
    let (mut in_flight, mut blocks) = (0, 0);
    for round in 0..KILLS {
        // Knuth's MMIX constants; the high bits are the random ones.
        moments =
            moments.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let moment = Duration::from_micros((moments >> 33) % 40_000);
        let mut keeper = BookKeeper::start(threads, 0, seed.wrapping_add(round));
        keeper.go();
        std::thread::sleep(moment);
        keeper.child.signal(Signal::KILL);
        let (exit, _) = keeper.child.finish(PATIENCE).expect("it ends");
        assert_eq!(exit.signal, Some(Signal::KILL.as_raw()));
        let reading = keeper.read();
        keeper.compare(
            &reading,
            &format!("seed {seed}, {threads} threads, round {round}, killed after {moment:?}"),
        );
        assert_eq!(keeper.word(Word::Damaged), 0);
        in_flight += reading.claimed;
        blocks += reading.len();
    }
    eprintln!("{threads} threads: {blocks} blocks compared, {in_flight} operations in flight");
    assert!(blocks > 0, "the program did something before it was killed");
}

#[test]
fn one_thread_s_book_agrees_at_the_exit() {
    agrees_at_the_exit(1);
}

#[test]
fn two_threads_book_agrees_at_the_exit() {
    agrees_at_the_exit(2);
}

#[test]
fn eight_threads_book_agrees_at_the_exit() {
    agrees_at_the_exit(8);
}

#[test]
fn one_thread_s_book_agrees_after_a_kill() {
    agrees_after_a_kill(1);
}

#[test]
fn two_threads_book_agrees_after_a_kill() {
    agrees_after_a_kill(2);
}

#[test]
fn eight_threads_book_agrees_after_a_kill() {
    agrees_after_a_kill(8);
}

/// While the threads stand, the ledger's counters are those of the book.
#[test]
fn eight_threads_counts_agree_while_they_stand() {
    let seed = seed();
    let mut keeper = BookKeeper::start(8, 0, seed);
    keeper.go();
    for look in 0..10 {
        std::thread::sleep(Duration::from_millis(50));
        let reading = keeper.hold();
        keeper.compare(&reading, &format!("seed {seed}, look {look}"));
        keeper.compare_counts(&format!("seed {seed}, look {look}"));
        keeper.resume();
    }
}
