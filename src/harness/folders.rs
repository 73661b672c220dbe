//! Where what belongs to the trials of an executable lies: what was accepted, here and on the base
//! that a change is compared with, and pages.

use std::path::{Path, PathBuf};

#[cfg(feature = "exports")]
use super::pages::Pages;
use crate::review::Review;

/// The variable that names a checkout of the base, in which the tests have run.
const BASE_VARIABLE: &str = "LEAKSNAP_BASE";

/// The variable that names the folder of pages.
const PAGES_VARIABLE: &str = "LEAKSNAP_HTML";

/// The folders.
#[derive(Debug, Clone)]
pub(super) struct Folders {
    /// Of all snapshots.
    pub(super) snapshots: PathBuf,
    /// Of the base's snapshots, where a change is compared with it.
    pub(super) base: Option<PathBuf>,
    /// Of pages, where somebody wants them.
    #[cfg(feature = "exports")]
    pub(super) pages: Option<Pages>,
}

impl Folders {
    /// The folders for snapshots that lie in `snapshots`, of the package in `manifest`, which was
    /// in `compiled` when the executable was made.
    ///
    /// # Errors
    /// Where the environment names one that can't be.
    pub(super) fn open(
        snapshots: PathBuf,
        manifest: &Path,
        compiled: &Path,
        review: &Review,
    ) -> Result<Self, String> {
        let base = base_of(&snapshots, review)?;
        if base.as_ref().is_some_and(|base| is_of_base(base, manifest, compiled)) {
            return Err(format!(
                "{BASE_VARIABLE}: {}: this executable was compiled there, from the base's sources: \
                 the base needs a target folder of its own (CARGO_TARGET_DIR)",
                compiled.display()
            ));
        }
        let base = base.map(|base| base.snapshots);
        let pages = std::env::var_os(PAGES_VARIABLE).filter(|folder| !folder.is_empty());
        #[cfg(not(feature = "exports"))]
        if let (Some(_), _) = (pages, manifest) {
            return Err(format!("{PAGES_VARIABLE} needs leaksnap's feature `exports`"));
        }
        Ok(Self {
            snapshots,
            base,
            #[cfg(feature = "exports")]
            pages: pages.map(|folder| Pages::open(Path::new(&folder), manifest)).transpose()?,
        })
    }
}

/// A checkout of the base.
struct Base {
    folder: PathBuf,
    /// Where it has the snapshots that are asked for.
    snapshots: PathBuf,
}

/// Whether `compiled` is in the checkout of the base, and `manifest` is not: with one target
/// folder for both, cargo takes an executable of the base's for that of newer sources.
fn is_of_base(base: &Base, manifest: &Path, compiled: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let folder = real(&base.folder);
    real(compiled).starts_with(&folder) && !real(manifest).starts_with(&folder)
}

/// The base, where there is one, and where it has the snapshots that lie in `snapshots` here.
fn base_of(snapshots: &Path, review: &Review) -> Result<Option<Base>, String> {
    let Some(base) = std::env::var_os(BASE_VARIABLE).map(PathBuf::from) else { return Ok(None) };
    if !base.is_dir() {
        return Err(format!("{BASE_VARIABLE}: {}: there is no such folder", base.display()));
    }
    let below = review
        .below(snapshots)
        .ok_or_else(|| format!("{BASE_VARIABLE}: {} is in no repository", snapshots.display()))?;
    Ok(Some(Base { snapshots: base.join(below), folder: base }))
}
