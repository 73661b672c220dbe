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
mod shares;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use blazesym::helper::read_elf_build_id;
use blazesym::symbolize::source::{Elf, Source};
use blazesym::symbolize::{self, Input, Sym, Symbolized};

use self::name::Names;
pub(crate) use self::name::{clean as function_name, respelled};
use self::shares::Shares;
use crate::report::Frame;

/// Fewer addresses are not worth a thread, which opens the files once more.
const LEAST_SHARE: usize = 100;

/// Where distributions install debug files by build id.
const DEBUG_FILES: &str = "/usr/lib/debug/.build-id";

/// A loaded object, as the ledger recorded it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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

/// What is known of modules: the same ones have the same numbers here, whichever process loaded them.
pub(crate) struct Symbols {
    debug_files: DebugFiles,
    files: Vec<File>,
    numbers: HashMap<Option<Module>, usize>,
    blazesym: symbolize::Symbolizer,
    /// By number here.
    known: HashMap<(usize, u64, bool), Vec<Frame>>,
}

/// A module's file.
struct File {
    name: Option<Arc<str>>,
    build_id: Option<Arc<str>>,
    /// The files to ask, best first.
    sources: Vec<Sources>,
}

/// Names the code of the modules of one ledger.
pub(crate) struct Symbolizer<'a> {
    /// By module number of the ledger; none where there is no record.
    modules: Vec<Option<Module>>,
    symbols: &'a mut Symbols,
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

impl std::fmt::Debug for Symbols {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Symbols").field("debug_files", &self.debug_files).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Symbolizer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Symbolizer").field("modules", &self.modules).finish_non_exhaustive()
    }
}

impl Symbols {
    /// Nothing is known yet; it is for one report.
    pub(crate) fn new(debug_files: DebugFiles) -> Self {
        let (files, numbers, known) = (Vec::new(), HashMap::new(), HashMap::new());
        Self { debug_files, files, numbers, blazesym: reader(debug_files), known }
    }

    /// A symbolizer for `modules`, by module number; 0 is no module.
    pub(crate) fn of(&mut self, modules: Vec<Option<Module>>) -> Symbolizer<'_> {
        Symbolizer { modules, symbols: self }
    }

    /// The number of `module`.
    fn number(&mut self, module: Option<&Module>) -> usize {
        let next = self.files.len();
        let number = *self.numbers.entry(module.cloned()).or_insert(next);
        if number == next {
            self.files.push(File {
                name: module.and_then(|module| base_name(&module.path)),
                build_id: module.and_then(|module| hexadecimal(&module.build_id)),
                sources: module.map_or_else(Vec::new, |module| sources(module, self.debug_files)),
            });
        }
        number
    }

    /// Has the frames of `addresses`, which are sorted, of the files that `numbers` says. Many are
    /// shared out: each unit of debug information is read where it is asked for.
    fn learn(&mut self, numbers: &HashMap<u16, usize>, addresses: &[CodeAddress]) {
        let (files, debug_files) = (&self.files, self.debug_files);
        let most = addresses.len().div_ceil(LEAST_SHARE);
        // The answer is in files of the control groups: who has no use for it does not ask.
        let processors = || thread::available_parallelism().map_or(1, usize::from);
        let threads = if most > 1 { most.min(processors()) } else { 1 };
        let shares = Shares::new(addresses.len(), threads);
        let work = |blazesym: &symbolize::Symbolizer, thread| {
            let (mut found, mut names) = (Vec::new(), Names::default());
            while let Some(batch) = shares.take(thread) {
                for of_module in addresses[batch].chunk_by(|left, right| left.0 == right.0) {
                    let number = numbers[&of_module[0].0];
                    let frames = files[number].frames(blazesym, &mut names, of_module);
                    found.extend(
                        frames.into_iter().map(|((_, at, exact), it)| ((number, at, exact), it)),
                    );
                }
            }
            found
        };
        let found = thread::scope(|scope| {
            let work = &work;
            let ask = |thread| scope.spawn(move || work(&reader(debug_files), thread));
            let others: Vec<_> = (1..threads).map(ask).collect();
            let mut found = work(&self.blazesym, 0);
            found.extend(others.into_iter().flat_map(|thread| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }));
            found
        });
        self.known.extend(found);
    }
}

impl File {
    /// The frames of each of `addresses`, which are of this file, as `blazesym` reads it.
    fn frames(
        &self,
        blazesym: &symbolize::Symbolizer,
        names: &mut Names,
        addresses: &[CodeAddress],
    ) -> HashMap<CodeAddress, Vec<Frame>> {
        let mut known = HashMap::new();
        let mut left = addresses.to_vec();
        for source in &self.sources {
            let found = symbols(blazesym, &source.whole, &left);
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
                        known.insert(address, self.named(address, &symbol, names));
                    }
                }
            }
            for (address, symbol) in bare.iter().zip(symbols(blazesym, &source.table, &bare)) {
                let whole = symbol.filter(|symbol| name::is_mangled(&symbol.name));
                let function = known.get_mut(address).and_then(|frames| frames.last_mut());
                if let (Some(function), Some(whole)) = (function, whole) {
                    function.function = Some(names.of(&whole.name));
                }
            }
            left = missed;
        }
        for address in left {
            let (name, build_id) = (self.name.clone(), self.build_id.clone());
            known.insert(address, vec![unnamed(address.1, name, build_id)]);
        }
        known
    }

    /// The frames of `address`, at which `symbol` was found.
    fn named(&self, address: CodeAddress, symbol: &Sym<'_>, names: &mut Names) -> Vec<Frame> {
        let from_start = u64::try_from(symbol.offset).unwrap_or_default();
        let inlined = symbol.inlined.iter().rev();
        inlined
            .map(|inner| (&inner.name, inner.code_info.as_ref(), true))
            .chain([(&symbol.name, symbol.code_info.as_deref(), false)])
            .map(|(function, code, inlined)| Frame {
                function: Some(names.of(function)),
                module: self.name.clone(),
                // An inlined function has no start of its own: the offset is that of its host.
                offset: from_start + (address.1 - lookup(address)),
                file: code.map(|code| code.to_path().to_string_lossy().into()),
                line: code.and_then(|code| code.line),
                inlined,
                build_id: self.build_id.clone(),
            })
            .collect()
    }
}

/// What reads the files.
fn reader(debug_files: DebugFiles) -> symbolize::Symbolizer {
    let builder = symbolize::Symbolizer::builder()
        .enable_code_info(true)
        .enable_inlined_fns(true)
        .enable_demangling(false)
        // The files stay as they are while one report is made.
        .enable_auto_reload(false);
    match debug_files {
        DebugFiles::Read => builder,
        // Debug links are followed to these folders.
        DebugFiles::Ignored => builder.set_debug_dirs(Some([""; 0])),
    }
    .build()
}

impl Symbolizer<'_> {
    /// The frames of each of `addresses`, in their order. Many at once are faster than one by one.
    pub(crate) fn symbolize_all(&mut self, addresses: &[CodeAddress]) -> Vec<&[Frame]> {
        let Self { modules, symbols } = self;
        let mut numbers = HashMap::new();
        for (module, ..) in addresses {
            numbers.entry(*module).or_insert_with(|| {
                symbols.number(modules.get(usize::from(*module)).and_then(Option::as_ref))
            });
        }
        let place = |(module, offset, exact): &CodeAddress| (numbers[module], *offset, *exact);
        let mut unknown: Vec<CodeAddress> = addresses
            .iter()
            .filter(|address| !symbols.known.contains_key(&place(address)))
            .copied()
            .collect();
        unknown.sort_unstable();
        unknown.dedup();
        symbols.learn(&numbers, &unknown);
        let frames = |address| symbols.known.get(&place(address)).map_or(&[][..], Vec::as_slice);
        addresses.iter().map(frames).collect()
    }
}

/// What `source` says of each of `addresses`; of none where it can't be read.
fn symbols<'a>(
    blazesym: &'a symbolize::Symbolizer,
    source: &Source<'_>,
    addresses: &[CodeAddress],
) -> Vec<Option<Sym<'a>>> {
    // A file that nothing is asked of would be opened and indexed all the same.
    if addresses.is_empty() {
        return Vec::new();
    }
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

fn unnamed(offset: u64, module: Option<Arc<str>>, build_id: Option<Arc<str>>) -> Frame {
    Frame { function: None, module, offset, file: None, line: None, inlined: false, build_id }
}

fn base_name(path: &Path) -> Option<Arc<str>> {
    path.file_name().map(|name| name.to_string_lossy().into())
}

#[cfg(test)]
mod tests;
