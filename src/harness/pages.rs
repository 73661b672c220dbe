//! A page for each trial that failed or has findings, in the folder that the environment names.
//!
//! ```text
//!   FOLDER/TEST/NAME.html    TEST is the test executable, as Cargo.toml calls it
//! ```
//! Invariant: a trial that leaves no page has none: that of an earlier run is removed.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::export::{Section, page};
use crate::traceback::without_cargo_hash;

/// Where the pages of a test executable go.
#[derive(Debug, Clone)]
pub(super) struct Pages {
    folder: PathBuf,
}

impl Pages {
    /// Pages in `folder`; a relative one is taken from `manifest`, where `Cargo.toml` is.
    ///
    /// # Errors
    /// Where it can't be made.
    pub(super) fn open(folder: &Path, manifest: &Path) -> Result<Self, String> {
        let test = std::env::current_exe().ok();
        let test = test.as_deref().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        let folder = manifest.join(folder).join(without_cargo_hash(&test));
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(Self { folder })
    }

    /// Writes the page of the trial `name`, and says where it is; where the trial has not `failed`
    /// and found nothing, there is none.
    ///
    /// # Errors
    /// Where the page can't be written, or an earlier one can't be removed.
    pub(super) fn write(
        &self,
        name: &str,
        section: &Section,
        failed: bool,
    ) -> Result<Option<PathBuf>, String> {
        let path = self.folder.join(format!("{name}.html"));
        let wrong = |error: std::io::Error| format!("{}: {error}", path.display());
        if !failed && section.groups().next().is_none() {
            return match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(wrong(error)),
                _ => Ok(None),
            };
        }
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).map_err(wrong)?;
        // Whoever looks at it while tests run sees the whole page, or the one before.
        let mut new = tempfile::Builder::new();
        // A page is for whoever may look into the folder, as far as the user's mask lets them.
        new.permissions(fs::Permissions::from_mode(0o666));
        let mut file = new.tempfile_in(folder).map_err(wrong)?;
        let text = page::write(std::slice::from_ref(section));
        file.write_all(text.as_bytes()).map_err(wrong)?;
        file.persist(&path).map_err(|error| wrong(error.error))?;
        Ok(Some(path))
    }
}
