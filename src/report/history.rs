//! What was live over the iterations of a scenario: what a page draws. No verdict depends on it.

/// Blocks that were live at the end of an iteration, and their requested bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Live {
    /// Blocks.
    pub blocks: u64,
    /// Their requested bytes.
    pub bytes: u64,
}

/// What was live at the end of each iteration, of all blocks that the iterations made: caches too.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct History {
    /// How many of the iterations were before the window.
    pub warmup: u32,
    /// In the order of the iterations: those before the window, those of it, and those that were run
    /// after it to decide. Empty for a whole program, or where an iteration failed.
    pub live: Vec<Live>,
}
