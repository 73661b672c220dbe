//! The tree of frames, read: a chunk of nodes when one of them is first asked for.

use std::os::unix::fs::FileExt;

use super::{LedgerError, LedgerFile, WORD, word_at};
use crate::ledger::site::{NODE, Node, ROOT};

/// Nodes that are read together.
const CHUNK: u32 = 1024;

/// The frames of a ledger's sites. What it says is right of sites that were read before it was
/// made: the child may go on.
#[derive(Debug)]
pub(crate) struct Frames<'a> {
    ledger: &'a LedgerFile,
    /// Nodes in use; what the child adds later is not looked at.
    count: u32,
    /// By number; empty where nothing was asked for yet.
    chunks: Vec<Vec<Node>>,
}

impl<'a> Frames<'a> {
    pub(crate) fn new(ledger: &'a LedgerFile) -> Self {
        let count = ledger.node_count();
        Self { ledger, count, chunks: vec![Vec::new(); count.div_ceil(CHUNK) as usize] }
    }

    /// How many nodes there are, the root included.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// The frame at `site`; the root is none.
    ///
    /// # Errors
    /// Where the file can't be read, or the node makes no sense.
    pub(crate) fn get(&mut self, site: u32) -> Result<Option<Node>, LedgerError> {
        if site == ROOT {
            return Ok(None);
        }
        if site >= self.count {
            return Err(LedgerError::Damaged(format!("there is no node {site}")));
        }
        let (chunk, index) = (site / CHUNK, (site % CHUNK) as usize);
        let nodes = &mut self.chunks[chunk as usize];
        if nodes.is_empty() {
            *nodes = self.ledger.chunk(chunk, self.count)?;
        }
        let node = nodes.get(index).copied();
        // A parent is always older: every walk to the root ends.
        match node.filter(|node| node.parent < site) {
            Some(node) => Ok(Some(node)),
            None => Err(LedgerError::Damaged(format!("node {site} is its own caller"))),
        }
    }
}

impl LedgerFile {
    /// The frames of `site`, innermost first.
    #[cfg(test)]
    pub(crate) fn backtrace(&self, site: u32) -> Result<Vec<Node>, LedgerError> {
        let (mut frames, mut nodes) = (Frames::new(self), Vec::new());
        let mut number = site;
        while let Some(node) = frames.get(number)? {
            nodes.push(node);
            number = node.parent;
        }
        Ok(nodes)
    }

    /// The nodes of a chunk, of `count` in all.
    fn chunk(&self, chunk: u32, count: u32) -> Result<Vec<Node>, LedgerError> {
        let first = chunk * CHUNK;
        let nodes = count.saturating_sub(first).min(CHUNK);
        let mut bytes = vec![0; nodes as usize * 2 * WORD];
        self.file.read_exact_at(&mut bytes, self.layout.nodes_at + u64::from(first) * NODE)?;
        let node = |words: &[u8]| Node::decode((word_at(words, 0), word_at(words, WORD)));
        Ok(bytes.chunks_exact(2 * WORD).map(node).collect())
    }
}
