//! What all trials of a run have, and how each is run or left out.

use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Completion, Failed};

use super::account::{Account, End, Told};
use super::progress::Progress;
use super::trial::Case;
use crate::check::onlooker::Onlooker;
use crate::review::Review;

#[derive(Debug)]
pub(super) struct Runner {
    pub(super) review: Review,
    pub(super) account: Account,
    pub(super) progress: Option<Progress>,
    pub(super) echo: bool,
    pub(super) fail_fast: bool,
    /// Why nothing can be checked on this target.
    pub(super) unsupported: Option<String>,
}

impl Runner {
    pub(super) fn run(&self, case: &Case) -> Result<Completion, Failed> {
        if let Some(why) = self.left_out() {
            return Ok(self.skip(&case.name, why));
        }
        let onlooker = Arc::new(Onlooker::new(self.echo));
        let watch = self.progress.as_ref().map(|progress| progress.watch(&case.name, &onlooker));
        let entry = case.run(&self.review, &onlooker);
        drop(watch);
        let result = match &entry.end {
            End::Failed(why) => Err(Failed::from(why)),
            End::Passed | End::Skipped(_) => Ok(Completion::Completed),
        };
        self.account.keep(entry);
        result
    }

    /// Why the next trial is not run.
    fn left_out(&self) -> Option<&str> {
        let failed = self.fail_fast && self.account.has_failed();
        self.unsupported.as_deref().or_else(|| failed.then_some("another one failed"))
    }

    fn skip(&self, name: &str, why: &str) -> Completion {
        let (name, end) = (name.to_owned(), End::Skipped(why.to_owned()));
        let (output, notes, took) = (String::new(), Vec::new(), Duration::ZERO);
        self.account.keep(Told { name, took, end, leaks: false, output, notes });
        Completion::ignored_with(why)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn where_nothing_can_be_checked_trials_are_ignored_with_the_reason() {
        let runner = |unsupported: Option<&str>| Runner {
            review: Review::from_environment(Path::new("/")),
            account: Account::default(),
            progress: None,
            echo: false,
            fail_fast: true,
            unsupported: unsupported.map(str::to_owned),
        };
        assert_eq!(runner(None).left_out(), None);
        let runner = runner(Some("this is another target"));
        assert_eq!(runner.left_out(), Some("this is another target"));
        let skipped = runner.skip("a", "this is another target");
        assert!(
            matches!(skipped, Completion::Ignored { reason: Some(why) } if why.contains("target"))
        );
        assert!(!runner.account.has_failed());
    }
}
