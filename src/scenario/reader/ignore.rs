//! The key `ignore`: a list of patterns, each alone or in a table with its bound.

use toml::Spanned;
use toml::de::DeValue;

use super::{Entries, kind, no_name};
use crate::scenario::ScenarioError;
use crate::suppression::Suppression;

impl Entries<'_> {
    /// The suppressions that the scenario holds itself.
    pub(super) fn ignore(&self) -> Result<Vec<Suppression>, ScenarioError> {
        let Some((_, value)) = self.map.get("ignore") else { return Ok(Vec::new()) };
        let list = value.get_ref().as_array();
        let list = list.ok_or_else(|| self.wrong_type("ignore", "a list of strings and tables"))?;
        list.iter().map(|element| self.ignored(element)).collect()
    }

    fn ignored(&self, element: &Spanned<DeValue<'_>>) -> Result<Suppression, ScenarioError> {
        let line = self.file.line_at(element.span().start);
        let wrong = |problem: &str| self.file.wrong(line, format!("`ignore` {problem}"));
        let (pattern, most) = match element.get_ref() {
            DeValue::String(text) => (text.as_ref(), None),
            DeValue::Table(_) => self.bounded(element)?,
            other => {
                let found = kind(other);
                return Err(wrong(&format!(
                    "is a list of strings and tables, and this is {found}"
                )));
            }
        };
        if let Some(problem) = no_name(pattern) {
            return Err(wrong(problem));
        }
        if pattern.contains('\0') {
            return Err(wrong("has an element with a NUL"));
        }
        Suppression::of_ignore(self.file.path, line, pattern, most)
            .map_err(|problem| wrong(&format!("has a {problem}")))
    }

    /// The pattern and the bound of a table.
    fn bounded<'a>(
        &self,
        element: &'a Spanned<DeValue<'_>>,
    ) -> Result<(&'a str, Option<u64>), ScenarioError> {
        let (mut pattern, mut most) = (None, None);
        for (key, value) in element.get_ref().as_table().into_iter().flatten() {
            let line = self.file.line_at(key.span().start);
            let found = kind(value.get_ref());
            let wrong = |problem: String| Err(self.file.wrong(line, problem));
            match key.get_ref().as_ref() {
                "pattern" => match value.get_ref().as_str() {
                    Some(text) => pattern = Some(text),
                    None => return wrong(format!("`pattern` has to be a string, not {found}")),
                },
                "most" => {
                    let Some(number) = value.get_ref().as_integer() else {
                        return wrong(format!("`most` has to be a whole number, not {found}"));
                    };
                    match u64::from_str_radix(number.as_str(), number.radix()) {
                        Ok(blocks) if blocks > 0 => most = Some(blocks),
                        _ => return wrong(format!("`most` is {number}; it is 1 at least")),
                    }
                }
                other => {
                    return wrong(format!(
                        "unknown key `{other}` in `ignore`; the keys are pattern, most"
                    ));
                }
            }
        }
        let line = self.file.line_at(element.span().start);
        let missing = || self.file.wrong(line, "`ignore` has a table without `pattern`".to_owned());
        Ok((pattern.ok_or_else(missing)?, most))
    }
}
