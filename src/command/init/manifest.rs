//! A crate's `Cargo.toml`, to which lines are added.

use std::path::Path;

use toml_edit::{
    Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, Value, value,
};

/// The name of the test.
const TEST: &str = "leaks";

/// A package's manifest. Invariants: it has a package, whose edition finds tests by itself; what it
/// has of leaksnap and of the test `leaks` is as a leak test wants it.
#[derive(Debug)]
pub(super) struct Manifest {
    /// What errors and messages call it.
    path: String,
    document: DocumentMut,
    /// Where its lines end in CR LF, which the document doesn't keep.
    has_returns: bool,
    /// A byte order mark, which it doesn't keep either.
    mark: &'static str,
}

impl Manifest {
    /// Reads `text`, which is at `path`.
    ///
    /// # Errors
    /// Where it is no package's, or says of leaksnap or of the test what it can't stay.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, String> {
        const MARK: &str = "\u{feff}";
        let path = path.display().to_string();
        let (mark, body) = text.strip_prefix(MARK).map_or(("", text), |body| (MARK, body));
        let document = body.parse::<DocumentMut>().map_err(|error| {
            let before = error.span().and_then(|span| body.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            format!("{path}:{line}: {}", error.message())
        })?;
        let has_returns = body.contains("\r\n");
        let manifest = Self { path, document, has_returns, mark };
        manifest.check_package()?;
        manifest.check_dependency()?;
        manifest.check_test()?;
        Ok(manifest)
    }

    fn check_package(&self) -> Result<(), String> {
        let path = &self.path;
        let Some(package) = self.document.get("package").and_then(Item::as_table_like) else {
            let Some(workspace) = self.document.get("workspace") else {
                return Err(format!("{path}: has no [package]"));
            };
            let members = workspace.get("members").and_then(Item::as_array);
            let members = members.map(Array::to_string).unwrap_or_default();
            return Err(format!(
                "{path}: is a workspace without a package: choose a member{}{}, with \
                 `--manifest-path MEMBER/Cargo.toml`",
                if members.is_empty() { "" } else { " of" },
                // As it stands there, in one line.
                members.split_whitespace().map(|word| format!(" {word}")).collect::<String>()
            ));
        };
        if package.get("name").and_then(Item::as_str).is_none() {
            return Err(format!("{path}: the package has no name"));
        }
        // One that is inherited is an item, too.
        if package.get("edition").is_none_or(|edition| edition.as_str() == Some("2015")) {
            return Err(format!(
                "{path}: edition 2015 runs no other test once one is named in it: give the package \
                 `edition = \"2018\"` or a later one"
            ));
        }
        Ok(())
    }

    fn check_dependency(&self) -> Result<(), String> {
        for (key, dependency) in self.dependencies().flat_map(TableLike::iter) {
            let package = dependency.get("package").and_then(Item::as_str);
            if key != "leaksnap" && package == Some("leaksnap") {
                return Err(format!(
                    "{}: leaksnap is called `{key}` here: give it its own name, which its macros use",
                    self.path
                ));
            }
        }
        Ok(())
    }

    fn check_test(&self) -> Result<(), String> {
        match self.test() {
            Some(test) if test.get("harness").and_then(Item::as_bool) != Some(false) => {
                Err(format!(
                    "{}: there is a test `{TEST}` that has Rust's own harness: give it another name, \
                     or `harness = false`",
                    self.path
                ))
            }
            _ => Ok(()),
        }
    }

    /// All tables of dependencies that tests have.
    fn dependencies(&self) -> impl Iterator<Item = &dyn TableLike> {
        let targets = self.document.get("target").and_then(Item::as_table_like);
        let targets = targets.into_iter().flat_map(TableLike::iter).map(|(_, target)| target);
        let roots = std::iter::once(self.document.as_item()).chain(targets);
        roots.flat_map(|root| {
            ["dependencies", "dev-dependencies"]
                .into_iter()
                .filter_map(|name| root.get(name).and_then(Item::as_table_like))
        })
    }

    fn has_dependency(&self) -> bool {
        self.dependencies()
            .filter_map(|table| table.get("leaksnap"))
            .any(|dependency| dependency.get("optional").and_then(Item::as_bool) != Some(true))
    }

    /// The test, where it is named.
    fn test(&self) -> Option<&dyn TableLike> {
        let tests: Vec<&dyn TableLike> = match self.document.get("test")? {
            Item::ArrayOfTables(tests) => tests.iter().map(|it| it as &dyn TableLike).collect(),
            Item::Value(Value::Array(tests)) => {
                let tables = tests.iter().filter_map(Value::as_inline_table);
                tables.map(|it| it as &dyn TableLike).collect()
            }
            _ => Vec::new(),
        };
        tests.into_iter().find(|test| test.get("name").and_then(Item::as_str) == Some(TEST))
    }

    /// The package's name.
    pub(super) fn package(&self) -> String {
        let name = self.document.get("package").and_then(|package| package.get("name"));
        name.and_then(Item::as_str).unwrap_or_default().to_owned()
    }

    /// Where the test's source is, from the manifest's folder.
    pub(super) fn test_file(&self) -> String {
        let path = self.test().and_then(|test| test.get("path")).and_then(Item::as_str);
        path.map_or_else(|| format!("tests/{TEST}.rs"), str::to_owned)
    }

    /// The name of a program that the package builds; it may have a `src/main.rs`.
    pub(super) fn binary(&self, has_main: bool) -> Option<String> {
        let named = self.document.get("bin").and_then(Item::as_array_of_tables);
        let named = named.into_iter().flatten().find_map(|bin| bin.get("name")?.as_str());
        named.map(str::to_owned).or_else(|| has_main.then(|| self.package()))
    }

    /// Adds what is missing; what there is then, a line each.
    pub(super) fn complete(&mut self) -> String {
        let path = self.path.clone();
        if self.has_dependency() && self.test().is_some() {
            return format!("{path}: has leaksnap and the test `{TEST}`, and stays as it is\n");
        }
        let mut said = String::new();
        if !self.has_dependency() {
            self.add_dependency();
            said += &format!("{path}: has leaksnap in [dev-dependencies]\n");
        }
        if self.test().is_none() {
            self.add_test();
            said += &format!("{path}: has the test `{TEST}`, with a harness of its own\n");
        }
        said
    }

    /// Without the command line's libraries, with what shows a trial's page.
    fn add_dependency(&mut self) {
        let mut leaksnap = InlineTable::new();
        leaksnap.insert("version", version().into());
        leaksnap.insert("default-features", false.into());
        leaksnap.insert("features", Array::from_iter(["exports"]).into());
        let table =
            self.document.entry("dev-dependencies").or_insert_with(|| Item::Table(Table::new()));
        if let Some(table) = table.as_table_like_mut() {
            table.insert("leaksnap", value(leaksnap));
        }
    }

    fn add_test(&mut self) {
        let tests = self.document.entry("test");
        match tests.or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new())) {
            Item::Value(Value::Array(tests)) => {
                let mut test = InlineTable::new();
                test.insert("name", TEST.into());
                test.insert("harness", false.into());
                tests.push(test);
            }
            tests => {
                let mut test = Table::new();
                test.insert("name", value(TEST));
                test.insert("harness", value(false));
                if let Some(tests) = tests.as_array_of_tables_mut() {
                    tests.push(test);
                }
            }
        }
    }

    /// The whole file.
    pub(super) fn text(&self) -> String {
        let text = self.document.to_string();
        let text =
            if self.has_returns { text.replace("\r\n", "\n").replace('\n', "\r\n") } else { text };
        format!("{}{text}", self.mark)
    }
}

/// The versions that are compatible with this one.
fn version() -> String {
    let parts: Vec<_> = env!("CARGO_PKG_VERSION").split('.').take(2).collect();
    parts.join(".")
}
