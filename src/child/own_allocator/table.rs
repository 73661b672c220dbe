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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;

    use object::{Object, ObjectSymbol, ReadCache, SymbolKind};

    use super::*;

    #[test]
    fn the_functions_of_a_file_are_those_that_are_known_one_by_one() {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("it is ours");
        let libc = maps.lines().find(|line| line.contains("/libc.so")).expect("it is loaded");
        let libc = &libc[libc.find('/').expect("it has a path")..];
        let mut counts = [0, 0];
        for path in [Path::new(libc), Path::new("/proc/self/exe")] {
            let file = ReadCache::new(File::open(path).expect("it is there"));
            let elf = Elf::parse(&file).expect("it is ELF");
            let tables = [elf.elf_symbol_table(), elf.elf_dynamic_symbol_table()];
            let tables = tables.map(|table| Table::of(&elf, &file, table));
            let one_by_one: [Box<dyn Iterator<Item = _>>; 2] =
                [Box::new(elf.symbols()), Box::new(elf.dynamic_symbols())];
            for (at, (table, symbols)) in tables.into_iter().zip(one_by_one).enumerate() {
                // Reading them so takes a moment each.
                let symbols = symbols.filter(|it| it.kind() == SymbolKind::Text);
                let expected = symbols.filter(|it| it.is_definition()).take(5000);
                let expected: Vec<_> =
                    expected.map(|it| (it.address(), it.size(), it.name().ok())).collect();
                let found = table.functions().take(5000);
                let found: Vec<_> = found.map(|it| (it.address, it.size, it.name.text())).collect();
                assert!(found == expected, "{}", path.display());
                counts[at] += found.len();
            }
        }
        assert!(counts.iter().all(|count| *count > 1000), "{counts:?}");
    }

    #[test]
    fn a_name_ends_where_its_zero_is() {
        let name = Name(b"malloc\0free");
        assert!(name.begins("mall") && name.begins("malloc") && !name.begins("mallocs"));
        assert!(name.is("malloc") && !name.is("mall") && !name.is("malloc_"));
        assert_eq!((name.text(), Name(b"free").text()), (Some("malloc"), None));
        assert!(!Name(b"free").is("free") && !Name(b"").begins("free"));
        assert_eq!(Name(b"\xff\0").text(), None);
    }
}
