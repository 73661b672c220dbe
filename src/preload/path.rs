//! The last backtrace of a thread with the nodes of its frames, outermost first: the next one
//! mostly differs near its inner end, and what lies outside has the same nodes.
//!
//! A step counts only while every step before it was the same: a node stands for all outside it.

use core::cell::Cell;

use super::backtrace::{MAX_FRAMES, Place};

/// The frames of one backtrace. All zero is an empty one.
#[derive(Debug)]
pub(crate) struct Path {
    generation: Cell<u32>,
    truncated: Cell<bool>,
    len: Cell<usize>,
    steps: [Cell<(usize, u32, bool)>; MAX_FRAMES],
}

impl Path {
    /// Goes along the path from the outermost frame, for a backtrace that was taken in
    /// `generation` and is `truncated` or not.
    pub(crate) fn steps(&self, generation: u32, truncated: bool) -> Steps<'_> {
        if self.generation.get() != generation || self.truncated.get() != truncated {
            self.generation.set(generation);
            self.truncated.set(truncated);
            self.len.set(0);
        }
        Steps { path: self, at: 0 }
    }
}

/// A place on the path.
#[derive(Debug)]
pub(crate) struct Steps<'a> {
    path: &'a Path,
    at: usize,
}

impl Steps<'_> {
    /// The node of the next frame, where it and all before it are those of the path. Where it
    /// isn't, the path ends here, and the frame has to be [put](Self::put).
    #[inline]
    pub(crate) fn next(&mut self, place: &Place) -> Option<u32> {
        if self.at < self.path.len.get()
            && let Some(step) = self.path.steps.get(self.at)
        {
            let (address, node, exact) = step.get();
            if address == place.address && exact == place.exact {
                self.at = self.at.wrapping_add(1);
                return Some(node);
            }
        }
        self.path.len.set(self.at);
        None
    }

    /// The path goes on with this frame.
    pub(crate) fn put(&mut self, place: &Place, node: u32) {
        if let Some(step) = self.path.steps.get(self.at) {
            step.set((place.address, node, place.exact));
            self.at = self.at.wrapping_add(1);
            self.path.len.set(self.at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> Path {
        let steps = [const { Cell::new((0, 0, false)) }; MAX_FRAMES];
        Path { generation: Cell::new(0), truncated: Cell::new(false), len: Cell::new(0), steps }
    }

    /// The nodes that the path knows for `places`; the others are put.
    fn go(path: &Path, generation: u32, truncated: bool, places: &[usize]) -> Vec<Option<u32>> {
        let mut steps = path.steps(generation, truncated);
        let place = |address: &usize| Place { address: *address, exact: false };
        places
            .iter()
            .map(|address| {
                let known = steps.next(&place(address));
                if known.is_none() {
                    steps.put(&place(address), u32::try_from(*address).unwrap_or_default());
                }
                known
            })
            .collect()
    }

    #[test]
    fn what_is_shared_at_the_outer_end_is_known() {
        let path = path();
        assert_eq!(go(&path, 1, false, &[1, 2, 3]), [None; 3]);
        assert_eq!(go(&path, 1, false, &[1, 2, 3]), [Some(1), Some(2), Some(3)]);
        assert_eq!(go(&path, 1, false, &[1, 5, 3]), [Some(1), None, None], "3 has another parent");
        assert_eq!(go(&path, 1, false, &[1, 5]), [Some(1), Some(5)]);
        assert_eq!(go(&path, 1, false, &[1, 5, 3]), [Some(1), Some(5), Some(3)]);
    }

    #[test]
    fn another_generation_and_another_end_are_another_path() {
        let path = path();
        go(&path, 1, false, &[1, 2]);
        assert_eq!(go(&path, 2, false, &[1, 2]), [None; 2], "something was closed");
        assert_eq!(go(&path, 2, true, &[1, 2]), [None; 2], "the outermost node says truncated");
        assert_eq!(go(&path, 2, true, &[1, 2]), [Some(1), Some(2)]);
    }
}
