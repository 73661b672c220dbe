//! Interned backtraces: a tree of frames, each node a call from its parent.
//!
//! A node is two words; a backtrace is the number of its innermost frame's node, its *site*.
//!
//! ```text
//!   word 0   63      48 47       32 31      0      word 1
//!            [flags: 16][module: 16][parent: 32]   [offset in the module: 64]
//! ```
//! Node 0 is the root. A frame has one node: the child finds it by its words.

/// Bytes of a node.
pub(crate) const NODE: u64 = 16;

/// The most nodes that a ledger can have.
pub(crate) const MAX_NODES: u32 = 1 << 26;

/// The most frames of a backtrace.
pub(crate) const MAX_FRAMES: usize = 128;

/// The node above every outermost frame.
pub(crate) const ROOT: u32 = 0;

/// The site of a block that was allocated while its thread paused tracing: it is in the ledger so
/// that pointers can be followed through it, and in no verdict.
pub(crate) const PAUSED: u32 = MAX_NODES - 1;

/// The site of a block that was allocated while tracing was off in the whole process: nobody knows
/// what for. Like [`PAUSED`], which is higher, it is in no verdict.
pub(crate) const UNTRACED: u32 = PAUSED - 1;

/// The site of a block that a child of `fork` inherited: its parent answers for it. What it points
/// to is reachable, and like [`UNTRACED`], which is higher, it is in no verdict.
pub(crate) const INHERITED: u32 = UNTRACED - 1;

/// Whether a block of `site` has a backtrace, and counts.
#[inline(always)]
pub(crate) const fn is_traced(site: u32) -> bool {
    site < INHERITED
}

/// Node flags.
pub(crate) mod flag {
    /// The offset is that of the interrupted instruction, not of a return address.
    pub(crate) const EXACT: u16 = 1;
    /// Frames further out are missing.
    pub(crate) const TRUNCATED: u16 = 2;
}

/// One frame of an interned backtrace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    /// The calling frame.
    pub(crate) parent: u32,
    /// The module that holds the code.
    pub(crate) module: u16,
    /// Bits of [`flag`].
    pub(crate) flags: u16,
    /// Where in the module; the bare address where the module is
    /// [`NO_MODULE`](super::module::NO_MODULE).
    pub(crate) offset: u64,
}

impl Node {
    /// The node's two words.
    pub(crate) fn encode(self) -> (u64, u64) {
        let tag = (u64::from(self.flags) << 48) | (u64::from(self.module) << 32);
        (tag | u64::from(self.parent), self.offset)
    }

    /// The node of two words.
    pub(crate) fn decode(words: (u64, u64)) -> Self {
        let bytes = words.0.to_le_bytes();
        let [p0, p1, p2, p3, m0, m1, f0, f1] = bytes;
        Self {
            parent: u32::from_le_bytes([p0, p1, p2, p3]),
            module: u16::from_le_bytes([m0, m1]),
            flags: u16::from_le_bytes([f0, f1]),
            offset: words.1,
        }
    }
}

/// A node's number, with a hash of the node and all outside it. The hash does not depend on other
/// nodes' numbers: many can be looked for at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interned {
    /// The number.
    pub(crate) number: u32,
    /// The hash.
    pub(crate) hash: u64,
}

impl Interned {
    /// The root.
    pub(crate) const ROOT: Self = Self { number: ROOT, hash: 0 };

    /// The hash of a node whose caller has the hash `outside`.
    #[inline(always)]
    pub(crate) fn hash_with(outside: u64, module: u16, flags: u16, offset: u64) -> u64 {
        let tag = (u64::from(flags) << 48) | (u64::from(module) << 32);
        let mixed = (outside ^ tag ^ offset).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_survives() {
        for parent in [0, 1, MAX_NODES - 1] {
            for module in [0, 4095] {
                for flags in [0, flag::EXACT, flag::EXACT | flag::TRUNCATED] {
                    for offset in [0, 0x1234, u64::MAX] {
                        let node = Node { parent, module, flags, offset };
                        assert_eq!(Node::decode(node.encode()), node);
                    }
                }
            }
        }
    }
}
