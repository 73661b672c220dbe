//! A registered scenario as an ordinary test, where the executable has Rust's own harness.

use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::Once;

use super::registered::Registered;
use super::trial::{Case, Source};
use crate::gate::{self, Assert};
use crate::rerun::{self, Turn};

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
    let case = Case {
        snapshots: snapshots(unit.manifest, place.file()),
        source: Source::Closure { path: call.place.clone(), entry: call.entry() },
        name,
        assert: unit.assert,
    };
    if let Err(reason) = case.run() {
        panic!("{reason}");
    }
}

/// The folder of the snapshots: beside the source file, whose path the compiler has from a folder
/// above that of `manifest`, or from there.
fn snapshots(manifest: &str, file: &str) -> PathBuf {
    let manifest =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or(PathBuf::from(manifest), PathBuf::from);
    let file = Path::new(file);
    let found = manifest.ancestors().map(|folder| folder.join(file)).find(|path| path.is_file());
    let file = found.unwrap_or_else(|| manifest.join(file));
    file.with_file_name("snapshots")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_lie_beside_the_source() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = |file: &str| snapshots(&root.to_string_lossy(), file);
        let expected = root.join("src/snapshots");
        assert_eq!(folder("src/lib.rs"), expected);
        // In a workspace the compiler has paths from the folder of that.
        let name = root.file_name().expect("the folder has a name").to_string_lossy();
        assert_eq!(folder(&format!("{name}/src/lib.rs")), expected);
        assert_eq!(folder("no/such.rs"), root.join("no/snapshots"));
    }
}
