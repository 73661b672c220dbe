//! Scenarios that `#[leaksnap::scenario]` registered: each executable knows its own.
//!
//! What they are is written down before `main`, by `inventory`.

use std::panic::Location;

use super::Run;
use crate::host::closure::ClosureScenario;

/// A function that is a scenario.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Registered {
    module: &'static str,
    function: &'static str,
    body: fn(&Run<'_>) -> Result<(), String>,
    is_ignored: bool,
    /// Where the function is.
    pub(super) place: &'static Location<'static>,
}

inventory::collect!(Registered);

impl Registered {
    /// The scenario `function` of `module`, a path from the crate on.
    #[must_use]
    #[track_caller]
    pub const fn new(
        module: &'static str,
        function: &'static str,
        body: fn(&Run<'_>) -> Result<(), String>,
    ) -> Self {
        Self { module, function, body, is_ignored: false, place: Location::caller() }
    }

    /// The same, which is run only where somebody asks for it; `attribute` says so.
    #[must_use]
    pub const fn ignored(self, _attribute: &str) -> Self {
        Self { is_ignored: true, ..self }
    }

    /// Its name among all scenarios of the executable: the way to it inside of its crate, with `/`.
    pub(super) fn name(&self) -> String {
        let modules = self.module.split("::").skip(1);
        let parts = modules.chain([self.function]).map(|part| part.trim_start_matches("r#"));
        parts.collect::<Vec<_>>().join("/")
    }

    /// Its name among those of all crates.
    pub(super) fn full_name(&self) -> String {
        let root = self.module.split("::").next().unwrap_or_default();
        format!("{root}/{}", self.name())
    }

    /// What it runs.
    pub(super) fn body(&self) -> fn(&Run<'_>) -> Result<(), String> {
        self.body
    }
}

/// The place of the scenario `name`, where it is registered in this executable.
pub(super) fn place(name: &str) -> Option<&'static Location<'static>> {
    inventory::iter::<Registered>.into_iter().find(|it| it.name() == name).map(|it| it.place)
}

/// All scenarios that are registered in this executable, by name.
pub(super) fn all() -> Vec<ClosureScenario> {
    let mut all: Vec<_> = inventory::iter::<Registered>
        .into_iter()
        .map(|it| ClosureScenario::new(it.name().into(), it.is_ignored, it.body))
        .collect();
    // The linker's order is no order.
    all.sort_by(|one, other| one.name().cmp(other.name()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ways_from_the_crate() {
        let name = |module, function| Registered::new(module, function, |_| Ok(())).name();
        assert_eq!(name("leaks", "parse"), "parse");
        assert_eq!(name("leaks::x509::r#in", "r#type"), "x509/in/type");
        let full = Registered::new("leaks::x509", "parse", |_| Ok(())).full_name();
        assert_eq!(full, "leaks/x509/parse");
    }
}
