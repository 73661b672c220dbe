//! A registered scenario as an ordinary test, where the executable has Rust's own harness.

use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::Once;

use super::account::{End, Told};
use super::folders::Folders;
use super::registered::Registered;
use super::trial::{Case, Source};
use crate::check::onlooker::Onlooker;
use crate::gate::{self, Assert};
use crate::rerun::{self, Turn};
use crate::review::Review;

/// What [`register!`](crate::register!) hands over.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Unit {
    /// The scenario.
    pub scenario: Registered,
    /// The folder of the user's `Cargo.toml`, when the test was compiled.
    pub manifest: &'static str,
    /// insta's assertion, expanded in the user's crate.
    pub assert: Assert,
}

/// Checks the scenario, as the body of a test.
///
/// # Panics
/// Where it fails, with the reason.
#[doc(hidden)]
#[track_caller]
pub fn test(unit: &Unit) {
    static QUIET: Once = Once::new();
    let place = Location::caller();
    let name = unit.scenario.full_name();
    let body = unit.scenario.body();
    let call = match rerun::enter(place, &name, Box::new(body)) {
        Ok(Turn::First(call)) => call,
        // A test of its own has no earlier call.
        Ok(Turn::Known(Ok(_))) => return,
        Ok(Turn::Known(Err(error))) | Err(error) => panic!("{error}"),
    };
    QUIET.call_once(|| gate::quiet(&[]));
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR");
    let manifest = manifest.map_or(PathBuf::from(unit.manifest), PathBuf::from);
    let source = source(&manifest, place.file());
    let review = Review::from_environment(&manifest);
    let snapshots = source.with_file_name("snapshots");
    let folders = Folders::open(snapshots, &manifest, Path::new(unit.manifest), &review);
    let folders = folders.unwrap_or_else(|error| panic!("{error}"));
    let line = usize::try_from(place.line()).unwrap_or_default();
    let (path, entry) = (call.place.clone(), call.entry());
    let source = Source::Closure { path, entry, at: (source, line) };
    // Whether it is ignored, and how long it may take, is for Rust's own harness.
    let (assert, most_time, is_ignored) = (unit.assert, None, false);
    let case = Case { folders, source, name, assert, most_time, is_ignored };
    let Told { end, output, notes, .. } = case.run(&review, &Onlooker::default());
    print!("{output}");
    notes.iter().for_each(|note| println!("note: {note}"));
    let told = review.tell();
    if let End::Failed(reason) = end {
        panic!("{reason}");
    }
    told.unwrap_or_else(|error| panic!("{error}"));
}

/// The source file `file`, whose path the compiler has from a folder above `manifest`, or from there.
pub(super) fn source(manifest: &Path, file: &str) -> PathBuf {
    let file = Path::new(file);
    let found = manifest.ancestors().map(|folder| folder.join(file)).find(|path| path.is_file());
    found.unwrap_or_else(|| manifest.join(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_lie_beside_the_source() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = |file: &str| source(root, file).with_file_name("snapshots");
        let expected = root.join("src/snapshots");
        assert_eq!(folder("src/lib.rs"), expected);
        // In a workspace the compiler has paths from the folder of that.
        let name = root.file_name().expect("the folder has a name").to_string_lossy();
        assert_eq!(folder(&format!("{name}/src/lib.rs")), expected);
        assert_eq!(folder("no/such.rs"), root.join("no/snapshots"));
    }
}
