//! What a walk writes down and what the next one may join, on stacks made of arrays.

use super::*;

/// A stack of frames of four words, the first of which is the return address.
type Frames = [[Cell<usize>; 4]; 40];

fn frames() -> Frames {
    std::array::from_fn(|frame| std::array::from_fn(|word| Cell::new(frame * 100 + word)))
}

fn at(frames: &Frames, frame: usize, fp: usize) -> Fast {
    let sp = frames[frame].as_ptr() as usize;
    Fast { pc: 0x1000 + frames[frame][0].get(), sp, fp, fp_is_saved: false }
}

/// Walks from frame `from` outwards as if each rule read the frame's first word, and that of
/// frame `reads_fp` the frame pointer `fp`; the frames that were walked, and where it joined.
fn walk(
    traces: &'static Traces,
    frames: &Frames,
    (from, fp): (usize, usize),
    reads_fp: usize,
    site: u32,
) -> (usize, Option<u32>) {
    crate::preload::extent::find_thread_stack();
    let used = traces.enter().expect("nobody else is at it");
    let log = Log::new(&used, at(frames, from, fp), 1);
    let mut walked = 0;
    for frame in from..frames.len() {
        let here = at(frames, frame, fp);
        if log.joins(&here, walked) {
            break;
        }
        log.push(frames[frame].as_ptr() as usize, frames[frame][0].get());
        if frame == reads_fp {
            log.frame_pointer(&here);
        }
        walked += 1;
    }
    for number in (0..walked).rev() {
        let frame = u32::try_from(from + number).expect("few");
        log.name(number, Interned { number: 1000 + frame, hash: 7 });
    }
    let joined = log.joined().map(|joint| joint.node.number);
    log.keep(walked, true, site, 0);
    (walked, joined)
}

const NONE: usize = usize::MAX;

/// The site of the backtrace from `caller`, wherever it is.
fn found(traces: &'static Traces, caller: Fast) -> Option<u32> {
    traces.find_far(caller, 0, 1).or_else(|| traces.find(caller, 1))
}

#[test]
fn a_walk_joins_the_last_one_where_nothing_changed() {
    let (traces, frames) = (Traces::empty(), frames());
    assert_eq!(walk(traces, &frames, (8, 0), NONE, 1), (32, None));
    // From further in: the first joint is where the last walk began.
    assert_eq!(walk(traces, &frames, (2, 0), NONE, 2), (6, Some(1008)));
    assert_eq!(found(traces, at(&frames, 2, 0)), Some(2));
    // From further out, between two joints.
    assert_eq!(walk(traces, &frames, (9, 0), NONE, 3), (3, Some(1012)));
    assert_eq!(found(traces, at(&frames, 9, 0)), Some(3));
    assert_eq!(found(traces, at(&frames, 8, 0)), Some(1), "earlier ones stay");
}

#[test]
fn each_word_outside_a_joint_counts() {
    for changed in 8..40 {
        let (traces, frames) = (Traces::empty(), frames());
        walk(traces, &frames, (8, 0), NONE, 1);
        frames[changed][0].set(77_777);
        let (walked, joined) = walk(traces, &frames, (8, 0), NONE, 2);
        let outer = (changed + 1).next_multiple_of(4);
        let expected =
            if outer < 40 { (outer - 8, u32::try_from(1000 + outer).ok()) } else { (32, None) };
        assert_eq!((walked, joined), expected, "word of frame {changed}");
        assert_eq!(found(traces, at(&frames, 8, 0)), Some(2));
        // A joined walk depends on the words of the one that it joined.
        frames[39][0].set(88_888);
        assert_eq!(found(traces, at(&frames, 8, 0)), None);
    }
}

#[test]
fn another_frame_pointer_matters_where_one_is_read() {
    let (traces, frames) = (Traces::empty(), frames());
    walk(traces, &frames, (8, 5), 21, 1);
    assert_eq!(walk(traces, &frames, (8, 6), NONE, 2), (16, Some(1024)), "it was read at 21");
    let (traces, frames) = (Traces::empty(), self::frames());
    walk(traces, &frames, (8, 5), 21, 1);
    assert_eq!(walk(traces, &frames, (4, 5), NONE, 2), (4, Some(1008)));
    assert_eq!(found(traces, at(&frames, 4, 5)), Some(2));
    assert_eq!(found(traces, at(&frames, 4, 6)), None, "what was joined read it");
}

#[test]
fn joints_stay_few_over_many_joins() {
    let (traces, frames) = (Traces::empty(), frames());
    walk(traces, &frames, (39, 0), NONE, 1);
    for round in 0..200 {
        let from = 38 - round % 38;
        let site = u32::try_from(round + 2).expect("few");
        walk(traces, &frames, (from, 0), NONE, site);
        assert_eq!(found(traces, at(&frames, from, 0)), Some(site));
    }
}

#[test]
fn another_generation_joins_nothing() {
    let (traces, frames) = (Traces::empty(), frames());
    walk(traces, &frames, (8, 0), NONE, 1);
    let used = traces.enter().expect("nobody else is at it");
    let log = Log::new(&used, at(&frames, 8, 0), 2);
    assert!(!log.joins(&at(&frames, 8, 0), 0));
}

#[test]
fn each_word_of_every_piece_counts() {
    let (traces, frames) = (Traces::empty(), frames());
    // Each joins the one before: pieces behind pieces, and copies where they would be too many.
    let walks: Vec<_> = (0..9).map(|walk| 36 - walk * 4).collect();
    for (from, site) in walks.iter().zip(1..) {
        walk(traces, &frames, (*from, 0), NONE, site);
    }
    for (from, site) in walks.iter().zip(1..) {
        let here = at(&frames, *from, 0);
        assert_eq!(found(traces, here), Some(site));
        for word in frames.iter().skip(*from) {
            let kept = word[0].replace(88_888);
            assert_eq!(found(traces, here), None, "from {from}");
            word[0].set(kept);
        }
        assert_eq!(found(traces, here), Some(site));
    }
}

#[test]
fn what_is_shared_stays_while_the_ring_turns() {
    let (traces, frames) = (Traces::empty(), frames());
    walk(traces, &frames, (20, 0), NONE, 1);
    let mut joined = 0;
    for round in 0..30_000_u32 {
        // The innermost frames are new each time.
        for (frame, number) in frames[2..8].iter().zip(0..) {
            frame[0].set(round as usize * 1000 + number);
        }
        let (walked, _) = walk(traces, &frames, (2, 0), NONE, round + 2);
        joined += u32::from(walked < 38);
        assert_eq!(found(traces, at(&frames, 2, 0)), Some(round + 2));
        let kept = frames[39][0].replace(88_888);
        assert_eq!(found(traces, at(&frames, 2, 0)), None);
        frames[39][0].set(kept);
    }
    assert_eq!(joined, 30_000, "all but the first");
}
