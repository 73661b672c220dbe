//! The rule on hand-made histories, and on behaviours that are run through it call by call.

use super::*;

const WINDOW: Window = Window { warmup: 2, repeat: 8 };

fn totals(list: &[(u64, u64)]) -> Vec<Total> {
    list.iter().map(|&(blocks, bytes)| Total { blocks, bytes }).collect()
}

/// Blocks of 10 bytes.
fn tens(blocks: &[u64]) -> Vec<Total> {
    blocks.iter().map(|&blocks| Total { blocks, bytes: blocks * 10 }).collect()
}

fn history(warm: u64, ages: &[u64], marks: &[u64]) -> History {
    assert_eq!(ages.len() + 1, marks.len(), "the first mark is the window's start");
    History { warm: tens(&[warm])[0], ages: tens(ages), marks: tens(marks) }
}

/// What is said of `history`, whose blocks are lost.
fn lost(history: &History) -> Option<Judgement> {
    let repeat = u32::try_from(history.ages.len()).expect("few");
    history.judge(Window { warmup: 2, repeat }, false)
}

fn verdict(warm: u64, ages: &[u64], marks: &[u64]) -> Option<Verdict> {
    lost(&history(warm, ages, marks)).map(|judgement| judgement.verdict)
}

#[test]
fn every_iteration_leaks() {
    assert_eq!(
        lost(&history(2, &[1, 1, 1, 1], &[2, 3, 4, 5, 6])),
        Some(Judgement {
            verdict: Verdict::Leak,
            blocks: 4,
            bytes: 40,
            blocks_per_iteration: 1.0,
            bytes_per_iteration: 10.0,
            rises: Rises { steps: 4, first: 1, of: 4 },
            undecided: false,
        })
    );
}

#[test]
fn a_leak_of_different_sizes_is_a_mean() {
    let history = History {
        warm: Total::default(),
        ages: totals(&[(1, 10), (2, 30), (1, 10), (1, 11)]),
        marks: totals(&[(0, 0), (1, 10), (3, 40), (4, 50), (5, 61)]),
    };
    let judgement = lost(&history).expect("something is live");
    assert_eq!((judgement.verdict, judgement.blocks, judgement.bytes), (Verdict::Leak, 5, 61));
    assert_eq!(judgement.blocks_per_iteration, 1.25);
    assert_eq!(judgement.bytes_per_iteration, 15.25);
}

#[test]
fn every_second_iteration_grows() {
    assert_eq!(
        lost(&history(1, &[1, 0, 1, 0, 1], &[1, 2, 2, 3, 3, 4])),
        Some(Judgement {
            verdict: Verdict::Growth,
            blocks: 3,
            bytes: 30,
            blocks_per_iteration: 0.6,
            bytes_per_iteration: 6.0,
            rises: Rises { steps: 3, first: 1, of: 5 },
            undecided: false,
        })
    );
}

#[test]
fn one_in_a_few_grows_when_seen_twice() {
    let twice = verdict(0, &[0, 1, 0, 0, 1, 0, 0, 0], &[0, 0, 1, 1, 1, 2, 2, 2, 2]);
    assert_eq!(twice, Some(Verdict::Growth));
    let once = lost(&history(0, &[0, 0, 0, 1, 0, 0, 0, 0], &[0, 0, 0, 0, 1, 1, 1, 1, 1]));
    let once = once.expect("it is live");
    assert_eq!((once.verdict, once.undecided), (Verdict::OneTime, true), "it may come again");
    let early = lost(&history(0, &[0, 1, 0, 0, 0, 0, 0, 0], &[0, 0, 1, 1, 1, 1, 1, 1, 1]));
    let early = early.expect("it is live");
    assert_eq!((early.verdict, early.undecided), (Verdict::OneTime, true), "it is lost");
    let early = history(0, &[0, 1, 0, 0, 0, 0, 0, 0], &[0, 0, 1, 1, 1, 1, 1, 1, 1]);
    let early = early.judge(WINDOW, true).expect("it is live");
    assert_eq!((early.verdict, early.undecided), (Verdict::OneTime, false), "too long ago");
}

#[test]
fn growth_that_swings_lies_in_bands() {
    let swings = [3, 5, 2, 8, 6, 7, 11, 9, 12];
    assert_eq!(verdict(0, &[0, 1, 1, 1, 1, 1, 1, 1], &swings), Some(Verdict::Growth));
    let crosses = [3, 5, 2, 8, 6, 7, 11, 9, 8];
    assert_eq!(verdict(0, &[0, 1, 1, 1, 1, 1, 1, 1], &crosses), Some(Verdict::OneTime));
}

#[test]
fn a_context_made_anew_is_replaced() {
    let anew = lost(&history(0, &[0, 0, 0, 2], &[2, 2, 2, 2, 2])).expect("it is live");
    assert_eq!((anew.verdict, anew.blocks, anew.bytes), (Verdict::Replaced, 2, 20));
    assert_eq!((anew.blocks_per_iteration, anew.bytes_per_iteration), (0.0, 0.0));
    assert!(!anew.undecided);
}

#[test]
fn one_iteration_leaks_what_it_lost() {
    let judgement = lost(&history(5, &[2], &[5, 7])).expect("it is live");
    assert_eq!((judgement.verdict, judgement.blocks), (Verdict::Leak, 2));
    assert_eq!(judgement.blocks_per_iteration, 2.0);
    assert_eq!(verdict(5, &[0], &[5, 5]), Some(Verdict::OneTime));
}

#[test]
fn nothing_live_is_no_judgement() {
    assert_eq!(lost(&History::empty(3)), None);
    assert_eq!(History::empty(0).judge(WINDOW, true), None);
    assert_eq!(verdict(0, &[0, 0, 0, 0], &[0, 1, 2, 3, 0]), None, "all was freed");
}

#[test]
fn ages_count_from_the_end_of_the_warm_up() {
    let mut history = History::empty(2);
    for epoch in [1, 2, 3, 4, 4] {
        history.add(Window { warmup: 2, repeat: 2 }, epoch, Total { blocks: 1, bytes: 10 });
    }
    assert_eq!(history, self::history(2, &[1, 2], &[0, 0, 0]));
}

#[test]
fn the_measured_iterations_double_up_to_a_bound() {
    let all = |window: Window, limit| {
        std::iter::successors(Some(window.repeat), |measured| window.next(*measured, limit))
            .collect::<Vec<_>>()
    };
    assert_eq!(all(WINDOW, 16_000), [8, 16, 32, 64, 128]);
    assert_eq!(all(Window { warmup: 0, repeat: 1 }, 16_000), [1, 2, 4, 8, 16, 32, 64, 128]);
    assert_eq!(all(Window { warmup: 2, repeat: 1000 }, 16_000), [1000, 2000]);
    assert_eq!(all(WINDOW, 30), [8, 16, 28]);
    assert_eq!(all(Window { warmup: 20, repeat: 10 }, 30), [10]);
}

/// What a call does to the live blocks of one traceback: the call's number, from 1, and the
/// blocks, each with the call that made it and its bytes.
type Behaviour<'a> = &'a dyn Fn(u32, &mut Vec<(u32, u64)>);

/// What is said in the end of a `behaviour`, and how many iterations were measured for it.
fn run(window: Window, held: bool, behaviour: Behaviour<'_>) -> (Option<Verdict>, u32) {
    let mut live = Vec::new();
    let total = |live: &[(u32, u64)]| Total {
        blocks: live.len() as u64,
        bytes: live.iter().map(|(_, bytes)| bytes).sum(),
    };
    (1..=window.warmup).for_each(|call| behaviour(call, &mut live));
    let mut marks = vec![total(&live)];
    let mut measured = 0;
    let mut until = window.repeat;
    loop {
        for number in measured + 1..=until {
            behaviour(window.warmup + number, &mut live);
            marks.push(total(&live));
        }
        measured = until;
        let mut history = History::empty(measured as usize);
        history.marks.clone_from(&marks);
        for (call, bytes) in &live {
            history.add(window, *call, Total { blocks: 1, bytes: *bytes });
        }
        let judgement = history.judge(window, held);
        let open = judgement.is_some_and(|judgement| judgement.undecided);
        match window.next(measured, 16_000) {
            Some(next) if open => until = next,
            _ => return (judgement.map(|judgement| judgement.verdict), measured),
        }
    }
}

fn held(behaviour: Behaviour<'_>) -> (Option<Verdict>, u32) {
    run(WINDOW, true, behaviour)
}

/// A ring of `size` blocks.
fn ring(size: usize) -> impl Fn(u32, &mut Vec<(u32, u64)>) {
    move |call, live| {
        live.push((call, 32));
        if live.len() > size {
            live.remove(0);
        }
    }
}

#[test]
fn what_is_lost_is_decided_in_the_window() {
    let leak = |call: u32, live: &mut Vec<(u32, u64)>| live.push((call, 8));
    assert_eq!(run(WINDOW, false, &leak), (Some(Verdict::Leak), 8));
    assert_eq!(held(&leak), (Some(Verdict::Leak), 128), "a list that grows for ever");
}

#[test]
fn a_ring_is_told_from_a_list_once_it_is_full() {
    for size in [1, 2, 4, 8, 16, 32, 64, 122] {
        let (verdict, measured) = held(&ring(size));
        assert_ne!(verdict, Some(Verdict::Leak), "{size} after {measured}");
        assert_ne!(verdict, Some(Verdict::Growth), "{size} after {measured}");
    }
    assert_eq!(held(&ring(2)), (Some(Verdict::OneTime), 8));
    assert_eq!(held(&ring(16)), (Some(Verdict::OneTime), 32));
    assert_eq!(held(&ring(123)).0, Some(Verdict::Growth), "it is full 7 iterations before the end");
    let longer = Window { warmup: 130, repeat: 8 };
    assert_eq!(run(longer, true, &ring(123)), (Some(Verdict::OneTime), 8), "a warm-up fills it");
}

#[test]
fn a_vector_that_doubles_never_stops() {
    // How many are pushed in each call, and what the first capacity is.
    for pushed in 1..40_u64 {
        for first in [1, 4, 7, 8] {
            let vector = |call: u32, live: &mut Vec<(u32, u64)>| {
                let capacity = |len: u64| {
                    let doubled = std::iter::successors(Some(first), |size: &u64| Some(size * 2));
                    doubled.into_iter().find(|size| *size >= len).unwrap_or_default() * 8
                };
                let (before, now) = (u64::from(call - 1) * pushed, u64::from(call) * pushed);
                if before == 0 || capacity(before) != capacity(now) {
                    *live = vec![(call, capacity(now))];
                }
            };
            let (verdict, measured) = held(&vector);
            assert_eq!(verdict, Some(Verdict::Growth), "{pushed} of {first} in {measured}");
        }
    }
}

#[test]
fn a_lazily_freed_batch_is_none() {
    for size in [2, 4, 8, 16, 32, 64] {
        let batch = |call: u32, live: &mut Vec<(u32, u64)>| {
            live.push((call, 24));
            if live.len() == size {
                live.clear();
            }
        };
        let (verdict, measured) = held(&batch);
        assert!(!verdict.is_some_and(Verdict::fails), "{size}: {verdict:?} after {measured}");
    }
}

#[test]
fn what_is_freed_one_iteration_later_is_replaced() {
    let later = |call: u32, live: &mut Vec<(u32, u64)>| *live = vec![(call, 24)];
    assert_eq!(held(&later), (Some(Verdict::Replaced), 8));
    let alternating = |call: u32, live: &mut Vec<(u32, u64)>| {
        live.retain(|(made, _)| made + 1 == call);
        live.push((call, 24));
    };
    assert_eq!(held(&alternating), (Some(Verdict::OneTime), 8));
    let varying = |call: u32, live: &mut Vec<(u32, u64)>| {
        *live = vec![(call, u64::from(call * 7 % 5))];
    };
    assert_eq!(held(&varying), (Some(Verdict::Replaced), 8), "of another size each time");
}

#[test]
fn a_cache_with_eviction_is_one_time() {
    for size in [3, 8, 20, 30, 60] {
        // Evicts what is neither the oldest nor the newest.
        let cache = |call: u32, live: &mut Vec<(u32, u64)>| {
            live.push((call, u64::from(16 + call * 13 % 64)));
            if live.len() > size {
                live.remove((call as usize * 31) % size);
            }
        };
        let (verdict, measured) = run(WINDOW, true, &cache);
        assert_eq!(verdict, Some(Verdict::OneTime), "{size} after {measured}");
    }
}

#[test]
fn a_cache_that_is_filled_once_is_one_time() {
    for at in 1..=10 {
        let filled = |call: u32, live: &mut Vec<(u32, u64)>| {
            if call == at {
                live.extend([(call, 100); 3]);
            }
        };
        let (verdict, measured) = held(&filled);
        assert_eq!(verdict, Some(Verdict::OneTime), "in call {at}");
        assert_eq!(measured > 8, 2 * at >= 10, "in call {at}: {measured}");
    }
}

#[test]
fn a_leak_that_comes_now_and_then_is_found() {
    for every in 2..=10 {
        let leak = |call: u32, live: &mut Vec<(u32, u64)>| {
            if call.is_multiple_of(every) {
                live.push((call, 40));
            }
        };
        let (verdict, _) = run(WINDOW, false, &leak);
        assert_eq!(verdict, Some(Verdict::Growth), "one in {every}");
        assert_eq!(held(&leak).0, Some(Verdict::Growth), "one in {every}, held");
    }
}

#[test]
fn a_lost_block_is_found_whenever_it_comes() {
    for every in 9..=16 {
        for phase in 3..=10 {
            let leak = |call: u32, live: &mut Vec<(u32, u64)>| {
                if call % every == phase % every {
                    live.push((call, 40));
                }
            };
            let (verdict, measured) = run(WINDOW, false, &leak);
            assert_eq!(verdict, Some(Verdict::Growth), "one in {every}, from {phase}: {measured}");
        }
    }
    let once = |call: u32, live: &mut Vec<(u32, u64)>| {
        if call == 5 {
            live.push((call, 40));
        }
    };
    assert_eq!(run(WINDOW, false, &once), (Some(Verdict::OneTime), 32));
}

#[test]
fn a_leak_that_starts_late_grows() {
    for start in 3..=9 {
        let late = |call: u32, live: &mut Vec<(u32, u64)>| {
            if call >= start {
                live.push((call, 40));
            }
        };
        let expected = if start == 3 { Verdict::Leak } else { Verdict::Growth };
        assert_eq!(run(WINDOW, false, &late), (Some(expected), 8), "from call {start}");
        assert_eq!(held(&late), (Some(expected), 128), "from call {start}, held");
    }
    let last = |call: u32, live: &mut Vec<(u32, u64)>| {
        if call >= 10 {
            live.push((call, 40));
        }
    };
    assert_eq!(run(WINDOW, false, &last), (Some(Verdict::Growth), 16), "in its last call");
}

#[test]
fn a_leak_beside_a_ring_or_a_batch_is_a_leak() {
    let ring = |call: u32, live: &mut Vec<(u32, u64)>| {
        live.push((call, 40));
        live.push((call, 41));
        if live.iter().filter(|(_, bytes)| *bytes == 41).count() > 4 {
            let first = live.iter().position(|(_, bytes)| *bytes == 41).expect("there are five");
            live.remove(first);
        }
    };
    assert_eq!(held(&ring).0, Some(Verdict::Leak));
    // Of each call one block stays, and one waits for the next four.
    let both = |call: u32, live: &mut Vec<(u32, u64)>| {
        live.push((call, 40));
        live.push((call, 41));
        if call.is_multiple_of(4) {
            live.retain(|(_, bytes)| *bytes == 40);
        }
    };
    assert_eq!(held(&both).0, Some(Verdict::Leak));
}

#[test]
fn the_numbers_are_the_window_s_however_long_it_took() {
    // A vector of 8 bytes for each call, which doubles: 16 bytes after two calls, 128 after ten.
    let marks = (2..=66_u64).map(|calls| (1, calls.next_power_of_two() * 8));
    let marks = totals(&marks.collect::<Vec<_>>());
    let mut ages = totals(&[(0, 0); 64]);
    ages[62] = Total { blocks: 1, bytes: 1024 };
    let history = History { warm: Total::default(), ages, marks };
    let judgement = history.judge(WINDOW, true).expect("it is live");
    assert_eq!((judgement.verdict, judgement.blocks, judgement.bytes), (Verdict::Growth, 0, 112));
    assert_eq!((judgement.blocks_per_iteration, judgement.bytes_per_iteration), (0.0, 14.0));
    assert_eq!(judgement.rises, Rises { steps: 3, first: 1, of: 8 });
}

#[test]
fn more_iterations_convict_nothing_that_was_steady_in_the_window() {
    let mut marks = vec![1; 9];
    marks.extend((0..8).map(|more| 1 + more));
    let mut ages = vec![0; 16];
    ages[9..].fill(1);
    let history = self::history(1, &ages, &marks);
    let judgement = history.judge(WINDOW, false).expect("it is live");
    assert_eq!((judgement.verdict, judgement.undecided), (Verdict::OneTime, false));
}
