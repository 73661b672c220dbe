//! The symbols of a file: a table and all its names, in one read each. A program has tens of thousands
//! of them, and a few are looked for.

use std::ffi::CStr;

use object::Endianness;
use object::elf::{FileHeader64, STT_FUNC, Sym64};
use object::read::StringTable;
use object::read::elf::{SectionHeader, Sym, SymbolTable};

use super::{Data, Elf};

/// A table of symbols.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    endian: Endianness,
    symbols: &'a [Sym64<Endianness>],
    names: &'a [u8],
}

/// What a table says of a function.
#[derive(Debug, Clone, Copy)]
pub(super) struct Function<'a> {
    pub(super) address: u64,
    pub(super) size: u64,
    pub(super) name: Name<'a>,
}

/// A name, with what stands behind it in its file: most are looked at for how they begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name<'a>(&'a [u8]);

impl<'a> Table<'a> {
    /// That of `elf`, whose bytes are `data`; empty where its names can't be read.
    pub(super) fn of(
        elf: &Elf<'a>,
        data: Data<'a>,
        table: &SymbolTable<'a, FileHeader64<Endianness>, Data<'a>>,
    ) -> Self {
        let endian = elf.endian();
        let section = elf.elf_section_table().section(table.string_section());
        let names = section.and_then(|section| section.data(endian, data)).unwrap_or_default();
        Self { endian, symbols: table.symbols(), names }
    }

    /// The functions that are defined in the file.
    pub(super) fn functions(self) -> impl Iterator<Item = Function<'a>> {
        let functions = self.symbols.iter().filter(|symbol| symbol.st_type() == STT_FUNC);
        functions.filter(move |symbol| self.is_definition(symbol)).filter_map(move |symbol| {
            let (address, size) = (symbol.st_value(self.endian), symbol.st_size(self.endian));
            Some(Function { address, size, name: self.name(symbol)? })
        })
    }

    /// Whether anything called `name` is defined in the file.
    pub(super) fn defines(self, name: &str) -> bool {
        let is_so_called = |symbol| self.name(symbol).is_some_and(|it| it.is(name));
        self.symbols.iter().any(|symbol| is_so_called(symbol) && self.is_definition(symbol))
    }

    /// The name of the symbol at `index`.
    pub(super) fn name_at(self, index: usize) -> Option<&'a str> {
        self.name(self.symbols.get(index)?)?.text()
    }

    fn is_definition(self, symbol: &Sym64<Endianness>) -> bool {
        symbol.is_definition(self.endian, StringTable::new(self.names, 0, self.names.len() as u64))
    }

    fn name(self, symbol: &Sym64<Endianness>) -> Option<Name<'a>> {
        self.names.get(usize::try_from(symbol.st_name(self.endian)).ok()?..).map(Name)
    }
}

impl<'a> Name<'a> {
    /// Whether it begins as `start`, in which there is no zero.
    pub(super) fn begins(self, start: &str) -> bool {
        self.0.starts_with(start.as_bytes())
    }

    /// Whether it is `name`.
    pub(super) fn is(self, name: &str) -> bool {
        self.begins(name) && self.0.get(name.len()) == Some(&0)
    }

    /// All of it; `None` where it has no end, or is no text.
    pub(super) fn text(self) -> Option<&'a str> {
        CStr::from_bytes_until_nul(self.0).ok()?.to_str().ok()
    }
}
