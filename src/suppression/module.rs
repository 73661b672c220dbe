//! The loaded objects by all their names: a traceback has the base name alone, a suppression of
//! another tool mostly the path.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

/// The names of the objects that a child loaded.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    by_base: HashMap<String, BTreeSet<String>>,
}

impl Modules {
    /// Of the objects at `paths`, as the loader was given them.
    pub(crate) fn new(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let mut by_base: HashMap<String, BTreeSet<String>> = HashMap::new();
        for path in paths {
            let Some(base) = path.file_name() else { continue };
            let names = by_base.entry(base.to_string_lossy().into_owned()).or_default();
            // The loader opens `/lib/…`, and valgrind says `/usr/lib/…` of the same file.
            names.extend(path.canonicalize().ok().map(|path| path.display().to_string()));
            names.insert(path.display().to_string());
        }
        Self { by_base }
    }

    /// Whether `matches` holds for a name of the object with this base name.
    pub(super) fn any(&self, base: &str, matches: impl Fn(&str) -> bool) -> bool {
        let paths = self.by_base.get(base).into_iter().flatten();
        matches(base) || paths.into_iter().any(|path| matches(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_its_base_name_its_path_and_the_file_s_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().canonicalize().expect("it is there");
        std::fs::create_dir(folder.join("real")).expect("a folder in it");
        std::fs::write(folder.join("real/a.so.1"), "").expect("a file in it");
        std::os::unix::fs::symlink("real/a.so.1", folder.join("a.so")).expect("a link in it");
        let modules = Modules::new([folder.join("a.so"), "/gone/b.so".into()]);
        let has = |base: &str, name: &str| modules.any(base, |found| found == name);
        assert!(has("a.so", "a.so"));
        assert!(has("a.so", &folder.join("a.so").display().to_string()));
        assert!(has("a.so", &folder.join("real/a.so.1").display().to_string()));
        assert!(has("b.so", "/gone/b.so"));
        assert!(!has("b.so", &folder.join("a.so").display().to_string()));
        assert!(has("unknown.so", "unknown.so"));
    }
}
