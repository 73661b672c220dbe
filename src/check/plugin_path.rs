//! Where a plugin lies: a path is taken from the scenario's folder, a name is looked for beside
//! the tests.

use std::path::{Path, PathBuf};

use crate::plugin::ENTRY_SYMBOL;

/// The file that `plugin` names, absolute; what was looked at, where there is none.
pub(crate) fn find(plugin: &str, scenario: &Path) -> Result<PathBuf, String> {
    let candidates = if is_path(plugin) { at_path(plugin, scenario) } else { beside(plugin) };
    if let Some(found) = candidates.iter().find(|path| path.is_file()) {
        return std::path::absolute(found).map_err(|error| format!("{}: {error}", found.display()));
    }
    let looked: Vec<_> = candidates.iter().map(|path| path.display().to_string()).collect();
    let hint = if is_path(plugin) {
        ""
    } else {
        "; build it (a dev-dependency with crate-type [\"cdylib\", \"rlib\"] is), or give its path"
    };
    Err(format!("no plugin `{plugin}`: looked for {}{hint}", looked.join(", ")))
}

/// The names of the plugins beside the tests, as far as they can be read.
pub(crate) fn names() -> Vec<String> {
    use object::{Object, ObjectSymbol};
    let is_plugin = |path: &Path| {
        let bytes = std::fs::read(path).unwrap_or_default();
        let symbol = ENTRY_SYMBOL.to_str();
        object::File::parse(&*bytes).is_ok_and(|file| {
            file.dynamic_symbols()
                .any(|found| found.is_definition() && found.name().ok() == symbol.ok())
        })
    };
    let name = |path: PathBuf| {
        let stem = path.file_name()?.to_str()?.strip_suffix(std::env::consts::DLL_SUFFIX)?;
        let name = stem.strip_prefix(std::env::consts::DLL_PREFIX)?.to_owned();
        is_plugin(&path).then_some(name)
    };
    let folders = beside("").into_iter().filter_map(|path| std::fs::read_dir(path.parent()?).ok());
    let mut names: Vec<String> =
        folders.flatten().flatten().filter_map(|entry| name(entry.path())).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn is_path(plugin: &str) -> bool {
    plugin.contains('/') || plugin.ends_with(".so")
}

fn at_path(plugin: &str, scenario: &Path) -> Vec<PathBuf> {
    let folder = scenario.parent().unwrap_or(Path::new(""));
    let mut candidates = vec![folder.join(plugin)];
    if !candidates.contains(&PathBuf::from(plugin)) {
        candidates.push(plugin.into());
    }
    candidates
}

/// Cargo puts a dependency's shared object into `deps`, where the tests are too, and a
/// workspace member's also one folder up; examples and programs lie beside `deps`.
fn beside(plugin: &str) -> Vec<PathBuf> {
    let file =
        format!("{}{}{}", std::env::consts::DLL_PREFIX, plugin, std::env::consts::DLL_SUFFIX);
    let executable = std::env::current_exe().unwrap_or_default();
    let folder = executable.parent().unwrap_or(Path::new("."));
    let up = folder.parent().unwrap_or(folder);
    [folder.to_path_buf(), folder.join("deps"), up.to_path_buf(), up.join("deps")]
        .into_iter()
        .map(|folder| folder.join(&file))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_from_the_scenario_s_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let so = folder.path().join("x.so");
        std::fs::write(&so, "").expect("written");
        assert_eq!(find("x.so", &folder.path().join("a.toml")), Ok(so.clone()));
        assert_eq!(find("./x.so", &folder.path().join("a.toml")), Ok(folder.path().join("./x.so")));
        let absolute = so.to_str().expect("text").to_owned();
        assert_eq!(find(&absolute, Path::new("elsewhere/a.toml")), Ok(so));
    }

    #[test]
    fn what_is_missing_is_named_with_the_places() {
        let error = find("no_such_plugin", Path::new("a.toml")).expect_err("there is none");
        assert!(error.starts_with("no plugin `no_such_plugin`: looked for /"), "{error}");
        assert!(error.contains("libno_such_plugin.so"), "{error}");
        let error = find("gone/x.so", Path::new("t/a.toml")).expect_err("there is none");
        assert_eq!(error, "no plugin `gone/x.so`: looked for t/gone/x.so, gone/x.so");
    }
}
