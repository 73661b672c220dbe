//! Symbolizing: what the ledger's (module, offset) pairs are called.
//!
//! The only file that reads symbols. It reads the modules' files as they are now, in the parent,
//! so a module that the child has unloaded has names too. A file that is gone, is no ELF object,
//! or is another build than the child ran gives frames without a function, never wrong ones.
//!
//! Separate debug files name more, but are there on one machine and not on the next, and give
//! other names to what has one already (`__GI___strdup` for libc's `strdup`). What has to be the
//! same on every machine with the same libraries is symbolized without them.
//!
//! gcc's debug information has the bare names of C++ functions that no other file sees (`run` for
//! `(anonymous namespace)::Job::run(int)`); the symbol table has the whole ones, which other
//! compilers write and which are there without debug information too. It knows no inlined ones.
//!
//! Invariants: a frame list is never empty, and its last frame is the only one that is not
//! inlined. Offsets are virtual addresses of the module's file: an address in memory less the
//! module's bias.

pub(crate) mod data;
mod name;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use blazesym::helper::read_elf_build_id;
use blazesym::symbolize::source::{Elf, Source};
use blazesym::symbolize::{self, CodeInfo, Input, Sym, Symbolized};

pub(crate) use name::clean as function_name;

use crate::report::Frame;

/// Where distributions install debug files by build id.
const DEBUG_FILES: &str = "/usr/lib/debug/.build-id";

/// A loaded object, as the ledger recorded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Module {
    /// The file it was loaded from.
    pub(crate) path: PathBuf,
    /// The first bytes of its build id; empty where it has none.
    pub(crate) build_id: Vec<u8>,
}

/// Whether debug information that is installed beside the modules is read; what they carry
/// themselves always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DebugFiles {
    /// For people: the most that this machine knows.
    Read,
    /// For snapshots: the same on every machine with the same modules.
    Ignored,
}

/// A place in the code: the module's number, the offset in it, and whether that is the
/// instruction itself and not the return address behind a call.
pub(crate) type CodeAddress = (u16, u64, bool);

/// Names the code of the modules of one run.
pub(crate) struct Symbolizer {
    /// By module number; none where there is no record.
    modules: Vec<Option<Module>>,
    debug_files: DebugFiles,
    /// The files to ask for each module, best first; filled on first use.
    sources: HashMap<u16, Vec<Sources>>,
    blazesym: symbolize::Symbolizer,
    known: HashMap<CodeAddress, Vec<Frame>>,
}

/// One file, as it is asked.
struct Sources {
    /// With its debug information.
    whole: Source<'static>,
    /// Its symbol table alone.
    table: Source<'static>,
}

impl Sources {
    fn new(path: PathBuf) -> Self {
        let whole = Elf::new(path);
        let mut table = whole.clone();
        table.debug_syms = false;
        Self { whole: whole.into(), table: table.into() }
    }
}

impl std::fmt::Debug for Symbolizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Symbolizer").field("modules", &self.modules).finish_non_exhaustive()
    }
}

impl Symbolizer {
    /// A symbolizer for `modules`, by module number; 0 is no module.
    pub(crate) fn new(modules: Vec<Option<Module>>, debug_files: DebugFiles) -> Self {
        let builder = symbolize::Symbolizer::builder()
            .enable_code_info(true)
            .enable_inlined_fns(true)
            .enable_demangling(false)
            // The files stay as they are while one report is made.
            .enable_auto_reload(false);
        let blazesym = match debug_files {
            DebugFiles::Read => builder,
            // Debug links are followed to these folders.
            DebugFiles::Ignored => builder.set_debug_dirs(Some([""; 0])),
        };
        let (sources, known) = (HashMap::new(), HashMap::new());
        Self { modules, debug_files, sources, blazesym: blazesym.build(), known }
    }

    /// The frames of every one of `addresses`, and of those asked for before. Many at once are
    /// faster than one by one.
    pub(crate) fn symbolize_all(
        &mut self,
        addresses: &[CodeAddress],
    ) -> &HashMap<CodeAddress, Vec<Frame>> {
        let mut unknown: Vec<CodeAddress> = addresses
            .iter()
            .filter(|address| !self.known.contains_key(*address))
            .copied()
            .collect();
        unknown.sort_unstable();
        unknown.dedup();
        for of_module in unknown.chunk_by(|left, right| left.0 == right.0) {
            self.symbolize_module(of_module);
        }
        &self.known
    }

    /// `addresses` are of one module.
    fn symbolize_module(&mut self, addresses: &[CodeAddress]) {
        let Some(&(number, ..)) = addresses.first() else { return };
        let module = self.modules.get(usize::from(number)).and_then(Option::as_ref);
        let name = module.and_then(|module| base_name(&module.path));
        let build_id = module.and_then(|module| hexadecimal(&module.build_id));
        let sources = self.sources.entry(number).or_insert_with(|| {
            module.map(|module| sources(module, self.debug_files)).unwrap_or_default()
        });
        let mut left = addresses.to_vec();
        for source in sources.iter() {
            let found = symbols(&self.blazesym, &source.whole, &left);
            let mut missed = Vec::new();
            let mut bare = Vec::new();
            for (address, symbol) in left.into_iter().zip(found) {
                match symbol {
                    None => missed.push(address),
                    Some(symbol) => {
                        // What has lines comes from debug information.
                        if symbol.code_info.is_some() && !name::is_mangled(&symbol.name) {
                            bare.push(address);
                        }
                        self.known.insert(
                            address,
                            frames(address, &symbol, name.as_ref(), build_id.as_ref()),
                        );
                    }
                }
            }
            for (address, symbol) in bare.iter().zip(symbols(&self.blazesym, &source.table, &bare))
            {
                let whole = symbol.filter(|symbol| name::is_mangled(&symbol.name));
                let function = self.known.get_mut(address).and_then(|frames| frames.last_mut());
                if let (Some(function), Some(whole)) = (function, whole) {
                    function.function = Some(name::clean(&whole.name).into());
                }
            }
            left = missed;
        }
        for address in left {
            self.known.insert(address, vec![unnamed(address.1, name.clone(), build_id.clone())]);
        }
    }
}

/// What `source` says of each of `addresses`; of none where it can't be read.
fn symbols<'a>(
    blazesym: &'a symbolize::Symbolizer,
    source: &Source<'_>,
    addresses: &[CodeAddress],
) -> Vec<Option<Sym<'a>>> {
    let offsets: Vec<u64> = addresses.iter().map(|address| lookup(*address)).collect();
    let Ok(found) = blazesym.symbolize(source, Input::VirtOffset(&offsets)) else {
        return vec![None; addresses.len()];
    };
    let named = |symbolized| match symbolized {
        Symbolized::Sym(symbol) if !symbol.name.is_empty() => Some(symbol),
        _ => None,
    };
    found.into_iter().map(named).collect()
}

/// The offset to ask for: a return address can lie behind the last instruction of its function,
/// so the call before it is what counts. No file reaches as far as a damaged ledger's offsets may,
/// and blazesym (0.2.7) adds to them unchecked.
fn lookup((_, offset, exact): CodeAddress) -> u64 {
    let offset = if exact { offset } else { offset.saturating_sub(1) };
    offset.min(i64::MAX.cast_unsigned())
}

/// The files that can name the code of `module`, best first.
fn sources(module: &Module, debug_files: DebugFiles) -> Vec<Sources> {
    // The path is what the child wrote: a pipe there would never be read to an end.
    if !module.path.is_file() {
        return Vec::new();
    }
    let Ok(build_id) = read_elf_build_id(&module.path) else { return Vec::new() };
    let build_id = build_id.unwrap_or_default();
    // The ledger cuts long build ids; where it has none, nothing can be compared.
    if !build_id.starts_with(&module.build_id) {
        return Vec::new();
    }
    // blazesym follows debug links, but looks no build id up.
    let debug_file =
        debug_file(&build_id).filter(|path| debug_files == DebugFiles::Read && path.is_file());
    debug_file.into_iter().chain([module.path.clone()]).map(Sources::new).collect()
}

fn debug_file(build_id: &[u8]) -> Option<PathBuf> {
    let (first, rest) = build_id.split_at_checked(1)?;
    let name = hexadecimal(rest).unwrap_or_default();
    Some(Path::new(DEBUG_FILES).join(&*hexadecimal(first)?).join(format!("{name}.debug")))
}

/// A build id in digits; `None` for an empty one.
fn hexadecimal(bytes: &[u8]) -> Option<Arc<str>> {
    let mut digits = String::new();
    // Writing to a String can't fail.
    bytes.iter().for_each(|byte| _ = write!(digits, "{byte:02x}"));
    Some(digits.into()).filter(|_| !bytes.is_empty())
}

fn frames(
    address: CodeAddress,
    symbol: &Sym<'_>,
    module: Option<&Arc<str>>,
    build_id: Option<&Arc<str>>,
) -> Vec<Frame> {
    let from_start = u64::try_from(symbol.offset).unwrap_or_default();
    let offset = from_start + (address.1 - lookup(address));
    let frame = |function: &str, code: Option<&CodeInfo<'_>>, inlined| Frame {
        function: Some(name::clean(function).into()),
        module: module.cloned(),
        // An inlined function has no start of its own: the offset is that of its host.
        offset,
        file: code.map(|code| code.to_path().to_string_lossy().into()),
        line: code.and_then(|code| code.line),
        inlined,
        build_id: build_id.cloned(),
    };
    let inlined = symbol.inlined.iter().rev();
    inlined
        .map(|inner| frame(&inner.name, inner.code_info.as_ref(), true))
        .chain([frame(&symbol.name, symbol.code_info.as_deref(), false)])
        .collect()
}

fn unnamed(offset: u64, module: Option<Arc<str>>, build_id: Option<Arc<str>>) -> Frame {
    Frame { function: None, module, offset, file: None, line: None, inlined: false, build_id }
}

fn base_name(path: &Path) -> Option<Arc<str>> {
    path.file_name().map(|name| name.to_string_lossy().into())
}

#[cfg(test)]
mod tests;
