//! The functions by which a program executes another one. Where the parent follows, each writes the
//! program's name down before it goes on, and takes it back where nothing was executed: a program that comes
//! up with the preload heap takes its own away ([`arrive`]), and what is left came up without it.
//!
//! ```text
//!   exec…        the process's own number, before the call; taken back when it returns
//!   posix_spawn  the child's number, once there is one: the child may have come by then, and
//!                gone, which the parent knows from its ledger
//! ```
//! Any of it may run in a signal handler or in a child of `vfork`, which has its parent's memory: there
//! are system calls and atomic words of the first ledger, and `errno` stays. `system` and `popen` start a
//! shell with the environment, which comes up with the heap: where that lacks what it comes up by, it is
//! written down as a process that nobody has, since libc does not say which one it starts, and stays.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::sync::atomic::{AtomicPtr, Ordering};
use core::{mem, ptr};

use super::follow::{self, Path};
use super::symbol;
use super::system::{self, Errno};
use crate::ledger::departure::{DEPARTURES, Departure, NAME};
use crate::ledger::header::Header;

mod list;
mod shell;

type Text = *const c_char;
type Texts = *const Text;

/// The exported functions of this file.
pub(crate) const NAMES: &[&str] =
    &["execve", "execv", "execvp", "execvpe", "fexecve", "execveat", "posix_spawn", "posix_spawnp"];
pub(crate) use list::NAMES as LIST_NAMES;
pub(crate) use shell::NAMES as SHELL_NAMES;

/// The functions behind those of this file, by their numbers here; null until they are found.
static REAL: [AtomicPtr<c_void>; 10] = [const { AtomicPtr::new(ptr::null_mut()) }; 10];
const REAL_NAMES: [&CStr; 10] = [
    c"execve",
    c"execv",
    c"execvp",
    c"execvpe",
    c"fexecve",
    c"execveat",
    c"posix_spawn",
    c"posix_spawnp",
    c"system",
    c"popen",
];
const SPAWN: usize = 6;
const SPAWN_BY_PATH: usize = 7;
const SYSTEM: usize = 8;
const POPEN: usize = 9;

/// Looks for the functions behind: `dlsym` may not be called where they are.
pub(crate) fn find() {
    for (place, name) in REAL.iter().zip(REAL_NAMES) {
        place.store(symbol::next(name), Ordering::Release);
    }
}

/// Function `number` behind these; null where there is none.
fn real(number: usize) -> *mut c_void {
    let found = REAL.get(number).map_or(ptr::null_mut(), |place| place.load(Ordering::Acquire));
    if !found.is_null() {
        return found;
    }
    // Before the constructor.
    REAL_NAMES.get(number).map_or(ptr::null_mut(), |name| symbol::next(name))
}

/// Calls function `number` behind these with `arguments`; -1 where there is none (`execveat`, before
/// glibc 2.34).
///
/// # Safety
/// As its manual page says.
unsafe fn go_on(number: usize, arguments: [usize; 6]) -> c_int {
    type Function = unsafe extern "C" fn(usize, usize, usize, usize, usize, usize) -> c_int;
    let found = real(number);
    if found.is_null() {
        const ENOSYS: c_int = 38;
        system::set_errno(ENOSYS);
        return -1;
    }
    // SAFETY: dlsym gave the function; it takes six words at most, all in registers, and whatever is
    // in those that it does not take is nobody's.
    let function = unsafe { mem::transmute::<*mut c_void, Function>(found) };
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the caller's promise.
    unsafe { function(a, b, c, d, e, f) }
}

/// What was written down.
struct Noted {
    first: &'static Header,
    process: u32,
    /// `None` where all places were taken.
    place: Option<&'static Departure>,
}

impl Noted {
    /// Writes down that `process` executes the program at `path`. The first process has no need of it:
    /// what becomes of it is seen.
    fn new(first: &'static Header, process: u32, path: &[u8]) -> Option<Self> {
        if first.owner.load(Ordering::Relaxed) == process {
            return None;
        }
        let find = || first.departures.iter().enumerate().find(|(_, place)| place.take(process));
        let wait = || {
            let news = first.news.load(Ordering::Acquire);
            follow::tell();
            // It wakes all that wait there when it has made room.
            system::futex_wait(&first.news, news.wrapping_add(1), 1);
            find()
        };
        let Some((number, place)) = find().or_else(wait) else {
            first.crowded.fetch_add(1, Ordering::Relaxed);
            return Some(Self { first, process, place: None });
        };
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let mut chunks = name.get(..name.len().min(NAME)).unwrap_or_default().chunks(8);
        for word in &place.name {
            let mut whole = [0; 8];
            for (to, from) in whole.iter_mut().zip(chunks.next().unwrap_or_default()) {
                *to = *from;
            }
            word.store(u64::from_le_bytes(whole), Ordering::Relaxed);
        }
        // The parent makes room.
        if number >= DEPARTURES / 2 {
            follow::tell();
        }
        Some(Self { first, process, place: Some(place) })
    }

    /// Nothing was executed.
    fn take_back(self) {
        match self.place {
            Some(place) => place.free(self.process),
            None => _ = self.first.crowded.fetch_sub(1, Ordering::Relaxed),
        }
    }
}

/// This process has come up with the preload heap, by the program that was written down.
pub(crate) fn arrive(first: &Header) {
    let own = system::process();
    first.departures.iter().for_each(|place| place.free(own));
}

/// The longest path that the kernel takes, and its end (`PATH_MAX`).
const LONGEST: usize = 4096;
const PAGE: usize = 4096;

/// The program's own text at `path`, up to its end; empty where it can't be read, or is too long, which
/// the kernel says in its own way.
///
/// # Safety
/// What can be read at `path` stays and is not written for as long as the text is used.
unsafe fn text<'a>(path: Text) -> &'a [u8] {
    for len in 0..LONGEST {
        let at = path.wrapping_add(len);
        let is_new_page = len == 0 || at.addr() & (PAGE - 1) == 0;
        // A word lies in one page.
        if is_new_page && !system::is_readable(at.addr() & !7) {
            break;
        }
        // SAFETY: the page that `at` is in can be read.
        if unsafe { at.read() } == 0 {
            // SAFETY: `len` bytes from `path` on were read just now; the caller's promise.
            return unsafe { core::slice::from_raw_parts(path.cast(), len) };
        }
    }
    &[]
}

/// Calls function `number`, which executes the program at `path`, or the one that is open as
/// `descriptor` where that is empty.
///
/// # Safety
/// As its manual page says.
unsafe fn execute(number: usize, path: Text, descriptor: c_int, arguments: [usize; 6]) -> c_int {
    let noted = follow::first().and_then(|first| {
        Errno::current().keep(|| {
            // SAFETY: the program's promise.
            let path = unsafe { text(path) };
            let own = system::process();
            let (mut link, mut file) = (Path::default(), [0; 256]);
            let of_descriptor = u32::try_from(descriptor).ok().filter(|_| path.is_empty());
            let link = of_descriptor.and_then(|descriptor| link.of(own, descriptor));
            let len = link.map_or(0, |link| system::read_link(link, &mut file));
            let opened = file.get(..len).unwrap_or_default();
            Noted::new(first, own, if path.is_empty() { opened } else { path })
        })
    });
    // SAFETY: the caller's promise.
    let result = unsafe { go_on(number, arguments) };
    noted.into_iter().for_each(Noted::take_back);
    result
}

/// Calls function `number`, which starts a process with the program at `path`.
///
/// # Safety
/// As its manual page says.
unsafe fn spawn(number: usize, process: *mut c_int, path: Text, rest: [usize; 4]) -> c_int {
    let first = follow::first();
    let mut child = 0;
    let to = if process.is_null() && first.is_some() { &raw mut child } else { process };
    let [actions, attributes, arguments, variables] = rest;
    let all = [to.addr(), path.addr(), actions, attributes, arguments, variables];
    // SAFETY: the caller's promise; `child` is writable.
    let result = unsafe { go_on(number, all) };
    if let Some(first) = first.filter(|_| result == 0) {
        // SAFETY: posix_spawn wrote it.
        let child = unsafe { to.read() };
        Errno::current().keep(|| {
            // SAFETY: the program's promise.
            let path = unsafe { text(path) };
            // It stays: who came up takes it away, or has a ledger.
            Noted::new(first, child.cast_unsigned(), path);
        });
    }
    result
}

const NO_DESCRIPTOR: c_int = -1;

macro_rules! exported {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) $body:block)*) => {
        $($(#[$doc])*
        ///
        /// # Safety
        /// As the manual page says.
        #[cfg_attr(leaksnap_preload, unsafe(no_mangle))]
        unsafe extern "C" fn $name($($argument: $type),*) -> c_int $body)*
    };
}

exported! {
    /// execve(2).
    fn execve(path: Text, arguments: Texts, variables: Texts) {
        let all = [path.addr(), arguments.addr(), variables.addr(), 0, 0, 0];
        // SAFETY: the program's promise.
        unsafe { execute(0, path, NO_DESCRIPTOR, all) }
    }

    /// execv(3).
    fn execv(path: Text, arguments: Texts) {
        // SAFETY: the program's promise.
        unsafe { execute(1, path, NO_DESCRIPTOR, [path.addr(), arguments.addr(), 0, 0, 0, 0]) }
    }

    /// execvp(3).
    fn execvp(file: Text, arguments: Texts) {
        // SAFETY: the program's promise.
        unsafe { execute(2, file, NO_DESCRIPTOR, [file.addr(), arguments.addr(), 0, 0, 0, 0]) }
    }

    /// execvpe(3).
    fn execvpe(file: Text, arguments: Texts, variables: Texts) {
        let all = [file.addr(), arguments.addr(), variables.addr(), 0, 0, 0];
        // SAFETY: the program's promise.
        unsafe { execute(3, file, NO_DESCRIPTOR, all) }
    }

    /// fexecve(3).
    fn fexecve(descriptor: c_int, arguments: Texts, variables: Texts) {
        let all = [word(descriptor), arguments.addr(), variables.addr(), 0, 0, 0];
        // SAFETY: the program's promise.
        unsafe { execute(4, ptr::null(), descriptor, all) }
    }

    /// execveat(2).
    fn execveat(folder: c_int, path: Text, arguments: Texts, variables: Texts, flags: c_int) {
        let (folder_word, flags) = (word(folder), word(flags));
        let all = [folder_word, path.addr(), arguments.addr(), variables.addr(), flags, 0];
        // SAFETY: the program's promise.
        unsafe { execute(5, path, folder, all) }
    }

    /// posix_spawn(3).
    fn posix_spawn(
        process: *mut c_int, path: Text, actions: usize, attributes: usize, arguments: Texts,
        variables: Texts
    ) {
        let rest = [actions, attributes, arguments.addr(), variables.addr()];
        // SAFETY: the program's promise.
        unsafe { spawn(SPAWN, process, path, rest) }
    }

    /// posix_spawnp(3).
    fn posix_spawnp(
        process: *mut c_int, file: Text, actions: usize, attributes: usize, arguments: Texts,
        variables: Texts
    ) {
        let rest = [actions, attributes, arguments.addr(), variables.addr()];
        // SAFETY: the program's promise.
        unsafe { spawn(SPAWN_BY_PATH, process, file, rest) }
    }
}

/// `number` as an argument's whole register.
fn word(number: c_int) -> usize {
    (number as isize).cast_unsigned()
}
