//! What was live over the iterations of a scenario: what a page draws. No verdict depends on it.

/// Blocks that were live at the end of an iteration, and their requested bytes.
///
/// ```
/// use leaksnap::report::Live;
///
/// let live = Live { blocks: 2, bytes: 96 };
/// assert_eq!(live.bytes / live.blocks, 48);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Live {
    /// Blocks.
    pub blocks: u64,
    /// Their requested bytes.
    pub bytes: u64,
}

/// What was live at the end of each iteration, of all blocks that the iterations made: caches too.
///
/// ```no_run
/// let report = leaksnap::check(|run| run.repeat(8, || drop(vec![1, 2, 3])))?;
/// let window = &report.history.live[report.history.warmup as usize..];
/// assert!(window.len() >= 8);
/// # Ok::<(), leaksnap::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct History {
    /// How many of the iterations were before the window.
    pub warmup: u32,
    /// In the order of the iterations: those before the window, those of it, and those that were run
    /// after it to decide. Empty for a whole program, or where an iteration failed.
    pub live: Vec<Live>,
}
