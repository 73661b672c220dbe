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
    /// Without the zero at its end.
    pub(super) name: &'a [u8],
}

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
    pub(super) fn defines(self, name: &[u8]) -> bool {
        self.symbols.iter().any(|it| self.name(it) == Some(name) && self.is_definition(it))
    }

    /// The name of the symbol at `index`.
    pub(super) fn name_at(self, index: usize) -> Option<&'a str> {
        str::from_utf8(self.name(self.symbols.get(index)?)?).ok()
    }

    fn is_definition(self, symbol: &Sym64<Endianness>) -> bool {
        symbol.is_definition(self.endian, StringTable::new(self.names, 0, self.names.len() as u64))
    }

    fn name(self, symbol: &Sym64<Endianness>) -> Option<&'a [u8]> {
        let rest = self.names.get(usize::try_from(symbol.st_name(self.endian)).ok()?..)?;
        Some(CStr::from_bytes_until_nul(rest).ok()?.to_bytes())
    }
}
