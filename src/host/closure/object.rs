//! An object that was made elsewhere, as by a `-sys` crate: its drop frees all that it made.

use std::fmt::Display;

use super::{IntoResult, Result, Run};

/// Objects that are made, used and dropped in the window.
const OBJECTS: u32 = 8;

impl Run<'_> {
    /// Sees that the drop of an object frees all that was made for it: calls `make`, then `using`
    /// with what it made, then drops it, for the warm-up and 8 times and more, as
    /// [`repeat`](Self::repeat) does.
    ///
    /// For crates that wrap a C library (`-sys`): what `make` and `using` had the library allocate
    /// and what is still live after the `Drop` of the wrapper is a leak, with the traceback of
    /// its making. What settles (a table that the library fills once) is none. `object` is its name
    /// in messages, such as that of the C structure.
    ///
    /// An error or a panic is placed in one of the steps `make`, `use` and `drop`, where `using`
    /// names none of its own.
    ///
    /// # Errors
    /// Where `make` or `using` returned an error, as with [`repeat`](Self::repeat). Where no thread
    /// allocated as often as there were objects, the trial is "not checked": the library has a heap
    /// of its own, or nothing was made.
    ///
    /// # Panics
    /// As [`repeat`](Self::repeat).
    ///
    /// ```no_run
    /// # struct Parser;
    /// # impl Parser {
    /// #     fn new() -> Result<Self, std::io::Error> { Ok(Self) }
    /// #     fn feed(&mut self, _: &[u8]) -> Result<(), std::io::Error> { Ok(()) }
    /// # }
    /// #[test]
    /// fn a_parser_frees_all() -> Result<(), leaksnap::Error> {
    ///     let report = leaksnap::check(|run| {
    ///         run.frees_all("XML_Parser", Parser::new, |parser| parser.feed(b"<a/>"))
    ///     })?;
    ///     report.assert_clean();
    ///     Ok(())
    /// }
    /// ```
    pub fn frees_all<T, E: Display, R: IntoResult>(
        &self,
        object: &str,
        mut make: impl FnMut() -> Result<T, E>,
        mut using: impl FnMut(&mut T) -> R,
    ) -> Result {
        self.iterations(OBJECTS, Some(object), &mut || {
            self.step("make");
            let mut made = make().map_err(|error| format!("{error:#}"))?;
            self.step("use");
            using(&mut made).into_result()?;
            self.step("drop");
            drop(made);
            Ok(())
        })
    }
}
