//! What somebody sees of a check while it goes on: the child's output as it comes, and how far it
//! is. The check writes here and never waits for who looks.

use std::sync::{Arc, OnceLock};

use std::sync::atomic::Ordering;

use crate::child::ledger_file::LedgerFile;
use crate::report::amount::Amount;
use crate::verdict::Window;

/// One check, for another thread to look at.
#[derive(Debug, Default)]
pub(crate) struct Onlooker {
    /// What the child writes is passed on.
    echo: bool,
    ledger: OnceLock<Arc<LedgerFile>>,
    window: OnceLock<Window>,
}

impl Onlooker {
    /// Nobody looks, but for what the child writes where there is an `echo`.
    pub(crate) fn new(echo: bool) -> Self {
        Self { echo, ..Self::default() }
    }

    /// Whether what the child writes is passed on.
    pub(crate) fn has_echo(&self) -> bool {
        self.echo
    }

    /// The child runs, on `ledger`.
    pub(crate) fn started(&self, ledger: &Arc<LedgerFile>) {
        // A check has one child.
        let _ = self.ledger.set(Arc::clone(ledger));
    }

    /// The child's iterations are those of `window`, and more where they don't decide.
    pub(crate) fn measures(&self, window: Window) {
        let _ = self.window.set(window);
    }

    /// How far the check is, in words.
    pub(crate) fn said(&self) -> String {
        let Some(ledger) = self.ledger.get() else { return "not started".to_owned() };
        let counts = ledger.counts();
        let live = Amount::whole(
            // Threads are counted one after the other, while they go on.
            counts.allocations.saturating_sub(counts.frees),
            counts.live_bytes,
        );
        let Some(&Window { warmup, repeat }) = self.window.get() else {
            return format!("{live} live");
        };
        let epoch = ledger.header().epoch.load(Ordering::Relaxed);
        match epoch.checked_sub(warmup) {
            None | Some(0) => format!("warm-up {epoch} of {warmup}, {live} live"),
            Some(iteration) if iteration <= repeat => {
                format!("iteration {iteration} of {repeat}, {live} live")
            }
            Some(iteration) => {
                format!("iteration {iteration}, {} more to decide, {live} live", iteration - repeat)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_how_far_a_check_is() {
        let onlooker = Onlooker::default();
        assert_eq!(onlooker.said(), "not started");
        let ledger = Arc::new(LedgerFile::create(32 << 20, 1 << 10).expect("a ledger"));
        onlooker.started(&ledger);
        assert_eq!(onlooker.said(), "0 blocks, 0 bytes live");
        ledger.header().allocated(100);
        onlooker.measures(Window { warmup: 2, repeat: 8 });
        for (epoch, said) in [
            (1, "warm-up 1 of 2, 1 block, 100 bytes live"),
            (3, "iteration 1 of 8, 1 block, 100 bytes live"),
            (10, "iteration 8 of 8, 1 block, 100 bytes live"),
            (13, "iteration 11, 3 more to decide, 1 block, 100 bytes live"),
        ] {
            ledger.set_epoch(epoch);
            assert_eq!(onlooker.said(), said);
        }
    }
}
