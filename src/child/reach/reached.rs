//! What came of a mark: what each block is, whose it is, what holds it.

use std::cell::OnceCell;

use super::Origin;
use super::flood::Trail;
use super::pointers::Pointers;
use crate::report::Reachability;

/// What is known of each block, by the order in which the blocks were given.
#[derive(Debug, Default)]
pub(crate) struct Reached {
    trail: Trail,
    pointers: Pointers,
    /// By block: its place among the steps, for those that a root leads to; made when it is asked
    /// for.
    places: OnceCell<Vec<u32>>,
}

/// How a root leads to a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    /// Where the root lies.
    pub(crate) origin: Origin,
    /// The blocks between the root and the block that it was asked for, in the order of the
    /// pointers.
    pub(crate) between: Vec<usize>,
}

impl Reached {
    pub(super) fn new(trail: Trail, pointers: Pointers) -> Self {
        Self { trail, pointers, places: OnceCell::new() }
    }

    /// What is known of `block`.
    pub(crate) fn state(&self, block: usize) -> Reachability {
        self.trail.states.get(block).copied().unwrap_or(Reachability::Unknown)
    }

    /// The lost block that leads to `block`, where that is indirect: the first by address of those
    /// that do.
    pub(crate) fn owner(&self, block: usize) -> Option<usize> {
        let is_indirect = self.state(block) == Reachability::Indirect;
        is_indirect.then(|| self.trail.owners.get(block).map(|owner| *owner as usize))?
    }

    /// Of `blocks` the reachable one whose chain is the first to tell of: the shortest from the
    /// strongest roots.
    pub(crate) fn nearest(&self, blocks: impl IntoIterator<Item = usize>) -> Option<usize> {
        blocks
            .into_iter()
            .filter_map(|block| Some((self.place(block)?, block)))
            .min()
            .map(|it| it.1)
    }

    /// How a root leads to `block`; `None` where none does.
    pub(crate) fn chain(&self, block: usize) -> Option<Chain> {
        let mut place = self.place(block)?;
        let mut between = Vec::new();
        // Each step was reached from an earlier one.
        loop {
            let step = *self.trail.steps.get(place as usize)?;
            if step.from == step.block {
                break;
            }
            between.push(step.from as usize);
            place = self.place(step.from as usize)?;
        }
        between.reverse();
        let origins = &self.trail.origins;
        let origin = origins.binary_search_by_key(&place, |(place, _)| *place).ok()?;
        Some(Chain { origin: origins[origin].1, between })
    }

    /// The offset in `from` of the first pointer to `to`; `None` where it is not known.
    pub(crate) fn offset(&self, from: usize, to: usize) -> Option<u64> {
        let pointers = self.pointers.of(u32::try_from(from).ok()?)?;
        let pointer = pointers.iter().find(|pointer| pointer.to as usize == to)?;
        (pointer.word != u32::MAX).then(|| u64::from(pointer.word) * 8)
    }

    /// Where `block` is among the steps.
    fn place(&self, block: usize) -> Option<u32> {
        let places = self.places.get_or_init(|| {
            let mut places = vec![0; self.trail.states.len()];
            for (place, step) in (0..).zip(&self.trail.steps) {
                places[step.block as usize] = place;
            }
            places
        });
        let place = *places.get(block)?;
        let found = self.trail.steps.get(place as usize)?;
        (found.block as usize == block).then_some(place)
    }
}

/// States of which no more is known.
#[cfg(any(test, feature = "internals"))]
impl From<Vec<Reachability>> for Reached {
    fn from(states: Vec<Reachability>) -> Self {
        Self::new(Trail { states, ..Trail::default() }, Pointers::default())
    }
}
