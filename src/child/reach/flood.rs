//! Following pointers from block to block.
//!
//! What roots lead to is followed level by level, so that the way by which a block was first reached
//! is a shortest one from the first class of roots that leads to it. Of the rest, block after block
//! by address is taken for lost, and what it leads to for indirect: a lost block that a later one
//! leads to is not the first of its own after all.

use super::Origin;
use super::pointers::{Pointer, Pointers};
use crate::report::Reachability;

/// Blocks whose pointers are fetched together.
const TOGETHER: usize = 64;

/// How each block was reached.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// By block. While the flood goes on, `Unknown` is what nothing has led to yet.
    pub(super) states: Vec<Reachability>,
    /// What roots lead to, in the order in which it was reached.
    pub(super) steps: Vec<Step>,
    /// The places in `steps` of those that roots point to themselves, and where these roots lie.
    pub(super) origins: Vec<(u32, Origin)>,
    /// By block: of the indirect ones, the lost block whose flood reached it first.
    pub(super) owners: Vec<u32>,
}

/// A block that was reached.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) block: u32,
    /// The block that points to it; itself where a root does.
    pub(super) from: u32,
}

/// A flood over blocks.
pub(super) struct Flood<'a, F> {
    pointers: &'a Pointers,
    /// Adds the pointers of a block that are not kept.
    read: F,
    buffer: Vec<Pointer>,
    /// How many of the steps' blocks have been looked into.
    done: usize,
    trail: Trail,
}

impl<'a, F: FnMut(u32, &mut Vec<Pointer>)> Flood<'a, F> {
    /// A flood over `count` blocks, none of which is reached yet.
    pub(super) fn new(count: usize, pointers: &'a Pointers, read: F) -> Self {
        let states = vec![Reachability::Unknown; count];
        let trail = Trail { states, owners: vec![0; count], ..Trail::default() };
        Self { pointers, read, buffer: Vec::new(), done: 0, trail }
    }

    /// A root at `origin` leads to `block`.
    pub(super) fn root(&mut self, block: u32, origin: Origin) {
        let place = u32::try_from(self.trail.steps.len()).unwrap_or(u32::MAX);
        if self.trail.step(block, block) {
            self.trail.origins.push((place, origin));
        }
    }

    /// Follows the pointers of what was reached.
    pub(super) fn follow(&mut self) {
        let Self { pointers, read, buffer, done, trail } = self;
        let mut batch = Vec::with_capacity(TOGETHER);
        while *done < trail.steps.len() {
            let end = trail.steps.len().min(*done + TOGETHER);
            batch.clear();
            batch.extend(trail.steps[*done..end].iter().map(|step| step.block));
            *done = end;
            pointers.touch(&batch);
            for from in &batch {
                for pointer in pointers_of(pointers, read, buffer, *from) {
                    trail.step(pointer.to, *from);
                }
            }
        }
    }

    /// Takes what was not reached for lost or indirect.
    pub(super) fn rest(&mut self) {
        let Self { pointers, read, buffer, trail, .. } = self;
        let mut open = Vec::new();
        for start in 0..trail.states.len() {
            if trail.states[start] != Reachability::Unknown {
                continue;
            }
            trail.states[start] = Reachability::Lost;
            let start = u32::try_from(start).unwrap_or(u32::MAX);
            open.push(start);
            while let Some(from) = open.pop() {
                for pointer in pointers_of(pointers, read, buffer, from) {
                    trail.charge(pointer.to, start, &mut open);
                }
            }
        }
        trail.settle();
    }

    /// What came of it.
    pub(super) fn into_trail(self) -> Trail {
        self.trail
    }
}

fn pointers_of<'a>(
    pointers: &'a Pointers,
    read: &mut impl FnMut(u32, &mut Vec<Pointer>),
    buffer: &'a mut Vec<Pointer>,
    block: u32,
) -> &'a [Pointer] {
    pointers.of(block).unwrap_or_else(|| {
        buffer.clear();
        read(block, buffer);
        buffer
    })
}

impl Trail {
    /// `from` leads to `block`; whether nothing did before.
    #[inline]
    fn step(&mut self, block: u32, from: u32) -> bool {
        let state = &mut self.states[block as usize];
        let is_new = *state == Reachability::Unknown;
        if is_new {
            *state = Reachability::Reachable;
            self.steps.push(Step { block, from });
        }
        is_new
    }

    /// The flood of the lost block `start` leads to `block`; what leads back to `start` says nothing.
    #[inline]
    fn charge(&mut self, block: u32, start: u32, open: &mut Vec<u32>) {
        let state = &mut self.states[block as usize];
        match *state {
            Reachability::Unknown => open.push(block),
            Reachability::Lost if block != start => {}
            _ => return,
        }
        *state = Reachability::Indirect;
        self.owners[block as usize] = start;
    }

    /// Has each indirect block owned by one that stayed lost. A start that became indirect is owned
    /// by a later one, so that the last to be settled come first.
    fn settle(&mut self) {
        let settle = |owners: &mut Vec<u32>, states: &[Reachability], block: usize| {
            let owner = owners[block] as usize;
            if states[owner] == Reachability::Indirect {
                owners[block] = owners[owner];
            }
        };
        let is_indirect = |block: &usize| self.states[*block] == Reachability::Indirect;
        let blocks = || (0..self.states.len()).filter(is_indirect);
        for block in
            blocks().rev().filter(|block| self.owners[*block] as usize > *block).collect::<Vec<_>>()
        {
            settle(&mut self.owners, &self.states, block);
        }
        for block in blocks().collect::<Vec<_>>() {
            settle(&mut self.owners, &self.states, block);
        }
    }
}
