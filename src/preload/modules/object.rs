//! A loaded object: where it is mapped, its unwind data, and what its headers say.
//!
//! `_dl_find_object` (glibc 2.35) finds it without a lock, valid under the loader's own.

use core::ffi::{CStr, c_char, c_int, c_void};

use super::symbols::{LinkMap, Symbols};
use crate::ledger::module::{
    BIAS_AT, BUILD_ID_AT, BUILD_ID_LEN_AT, END_AT, MAX_BUILD_ID, MAX_PATH, PATH_AT, PATH_LEN_AT,
    RECORD, START_AT,
};
use crate::preload::system;
use crate::preload::unwind::window::Window;

/// The type of a program header of a segment in memory.
const PT_LOAD: u32 = 1;

/// Bytes at the start of an object that are mapped for reading: a page.
const HEADERS: usize = 4096;

/// `struct dl_find_object` of `<dlfcn.h>`.
#[repr(C)]
#[derive(Debug)]
struct FoundObject {
    flags: u64,
    map_start: usize,
    map_end: usize,
    link_map: *const LinkMap,
    eh_frame_header: *const c_void,
    reserved: [u64; 8],
}

unsafe extern "C" {
    fn _dl_find_object(address: *const c_void, result: *mut FoundObject) -> c_int;
}

/// A loaded object that holds some address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Object {
    /// Where its mapping starts.
    pub(crate) start: usize,
    /// Where it ends.
    pub(crate) end: usize,
    /// The difference between addresses in memory and in the file.
    pub(crate) bias: usize,
    name: *const c_char,
    /// Its dynamic section.
    dynamic: *const [usize; 2],
    /// Where its `.eh_frame_hdr` is; 0 where it has none.
    pub(crate) eh_frame_header: usize,
}

impl Object {
    /// The object that `address` is in; `None` for generated code and the kernel's.
    pub(crate) fn find(address: usize) -> Option<Self> {
        let found = Self::ask(address)?;
        // Of a program with a gap between its segments glibc tells the segment alone. Linkers leave
        // a gap where the pages happen to fall so.
        let header = match found.bias {
            0 => system::program_headers() & !(HEADERS - 1),
            bias => bias,
        };
        if found.start == header {
            return Some(found);
        }
        let is_its = |first: &Self| first.start == header && first.name == found.name;
        match Self::ask(header).filter(is_its) {
            Some(first) => Some(Self { start: header, end: first.last(), ..found }),
            None => Some(found),
        }
    }

    /// The end of the last segment.
    fn last(&self) -> usize {
        let segments = self
            .program_headers()
            .filter(|header| self.read::<4>(*header).map(u32::from_le_bytes) == Some(PT_LOAD));
        let end = |header| {
            self.bias.wrapping_add(self.field(header, 16)).wrapping_add(self.field(header, 40))
        };
        segments.map(end).fold(self.end, usize::max)
    }

    /// What glibc says of the object that `address` is in.
    fn ask(address: usize) -> Option<Self> {
        let mut found = FoundObject {
            flags: 0,
            map_start: 0,
            map_end: 0,
            link_map: core::ptr::null(),
            eh_frame_header: core::ptr::null(),
            reserved: [0; 8],
        };
        // SAFETY: `found` is writable and has glibc's layout, with room to spare.
        let missing = unsafe { _dl_find_object(address as *const c_void, &mut found) };
        if missing != 0 || found.link_map.is_null() {
            return None;
        }
        // SAFETY: the link map lives as long as its object, whose code is on this stack.
        let LinkMap { bias, name, dynamic, .. } = unsafe { found.link_map.read() };
        let (start, end) = (found.map_start, found.map_end);
        let eh_frame_header = found.eh_frame_header.addr();
        Some(Self { start, end, bias, name, dynamic, eh_frame_header })
    }

    /// The bytes of the segment that holds `.eh_frame_hdr`; linkers put `.eh_frame` beside it.
    pub(crate) fn unwind_data(&self) -> Option<Window<'_>> {
        const READABLE: u32 = 4;
        const WRITABLE: u32 = 2;
        let inside =
            |start: usize, end: usize| start <= self.eh_frame_header && self.eh_frame_header < end;
        for header in self.program_headers() {
            let [kind, flags] = [0, 4].map(|at: usize| {
                self.read::<4>(header.wrapping_add(at)).map_or(0, u32::from_le_bytes)
            });
            let start = self.field(header, 16).wrapping_add(self.bias);
            let len = self.field(header, 32).min(self.field(header, 40));
            let end = start.checked_add(len)?;
            if kind != PT_LOAD || !inside(start, end) {
                continue;
            }
            if flags & (READABLE | WRITABLE) != READABLE || start < self.start || end > self.end {
                return None;
            }
            let at = start as *const u8;
            // SAFETY: the loader mapped the segment for reading alone, and it stays as long as
            // the object, whose code is on this stack.
            return Some(Window::new(start, unsafe { core::slice::from_raw_parts(at, len) }));
        }
        None
    }

    /// What it offers to others and wants of them.
    pub(crate) fn symbols(&self) -> Option<Symbols> {
        Symbols::of(self.bias, self.dynamic)
    }

    /// Whether `address` is in a segment that nobody may write to or run.
    pub(crate) fn only_reads(&self, address: usize) -> bool {
        const ONLY_READABLE: Option<[u8; 4]> = Some(4_u32.to_le_bytes());
        self.program_headers().any(|header| {
            let start = self.field(header, 16).wrapping_add(self.bias);
            let end = start.wrapping_add(self.field(header, 40));
            self.read::<4>(header).map(u32::from_le_bytes) == Some(PT_LOAD)
                && self.read::<4>(header.wrapping_add(4)) == ONLY_READABLE
                && (start..end).contains(&address)
        })
    }

    /// The addresses of the object's program headers (`Elf64_Phdr`).
    fn program_headers(&self) -> impl Iterator<Item = usize> + use<> {
        const PHDR: usize = 56;
        let is_elf = self.read::<4>(self.start) == Some(*b"\x7fELF");
        let at = |offset: usize| self.start.wrapping_add(offset);
        let headers = self.read::<8>(at(32)).map_or(0, usize::from_le_bytes);
        let count = self.read::<2>(at(56)).filter(|_| is_elf).map_or(0, u16::from_le_bytes);
        let first = at(headers);
        (0..usize::from(count)).map(move |index| first.wrapping_add(index.wrapping_mul(PHDR)))
    }

    /// A word of the program header at `header`.
    fn field(&self, header: usize, offset: usize) -> usize {
        self.read::<8>(header.wrapping_add(offset)).map_or(0, usize::from_le_bytes)
    }

    /// Whether `address` is in the object.
    pub(crate) fn contains(&self, address: usize) -> bool {
        address >= self.start && address < self.end
    }

    /// Whether it is a module of `iconv`, which libc closes by itself.
    pub(super) fn is_converter(&self) -> bool {
        const FOLDER: &[u8] = b"/gconv/";
        // SAFETY: the name is NUL-terminated and lives as long as its object.
        let name = unsafe { CStr::from_ptr(self.name) }.to_bytes();
        name.windows(FOLDER.len()).any(|part| part == FOLDER)
    }

    /// What the ledger keeps of it.
    pub(super) fn record(&self) -> [u8; RECORD] {
        let mut record = [0; RECORD];
        put(&mut record, START_AT, &self.start.to_le_bytes());
        put(&mut record, END_AT, &self.end.to_le_bytes());
        put(&mut record, BIAS_AT, &self.bias.to_le_bytes());
        let mut build_id = [0; MAX_BUILD_ID];
        let len = self.build_id(&mut build_id);
        put(&mut record, BUILD_ID_LEN_AT, &len.to_le_bytes());
        put(&mut record, BUILD_ID_AT, &build_id);
        let mut exe = [0; MAX_PATH];
        let path = self.path(&mut exe);
        let path = path.get(..MAX_PATH).unwrap_or(path);
        let len = u16::try_from(path.len()).unwrap_or_default();
        put(&mut record, PATH_LEN_AT, &len.to_le_bytes());
        put(&mut record, PATH_AT, path);
        record
    }

    /// The object's path; the program itself has none of its own and is asked from the kernel.
    fn path<'a>(&self, exe: &'a mut [u8]) -> &'a [u8] {
        // SAFETY: the name is NUL-terminated and lives as long as its object.
        let name = unsafe { CStr::from_ptr(self.name) }.to_bytes();
        let len = if name.is_empty() {
            system::read_link(c"/proc/self/exe", exe)
        } else {
            let len = name.len().min(exe.len());
            if let (Some(to), Some(from)) = (exe.get_mut(..len), name.get(..len)) {
                to.copy_from_slice(from);
            }
            len
        };
        exe.get(..len).unwrap_or_default()
    }

    /// Reads the GNU build id out of the object's mapped headers; its length, 0 where there is
    /// none. Layout: ELF-64, `Elf64_Ehdr`, `Elf64_Phdr` and `Elf64_Nhdr` of the System V ABI.
    fn build_id(&self, into: &mut [u8; MAX_BUILD_ID]) -> u16 {
        const PT_NOTE: u32 = 4;
        const NT_GNU_BUILD_ID: u32 = 3;
        for header in self.program_headers() {
            if self.read::<4>(header).map(u32::from_le_bytes) != Some(PT_NOTE) {
                continue;
            }
            let field = |offset: usize| self.field(header, offset);
            let mut note = field(16).wrapping_add(self.bias);
            let end = note.saturating_add(field(40));
            while note < end {
                let word = |offset: usize| {
                    self.read::<4>(note.wrapping_add(offset)).map_or(0, u32::from_le_bytes)
                };
                let (name_len, len, kind) = (word(0) as usize, word(4) as usize, word(8));
                let name = note.wrapping_add(12);
                let data = name.wrapping_add(name_len.wrapping_add(3) & !3);
                if kind == NT_GNU_BUILD_ID && self.read::<4>(name) == Some(*b"GNU\0") {
                    let len = len.min(MAX_BUILD_ID);
                    for (offset, byte) in into.iter_mut().take(len).enumerate() {
                        *byte = self.read::<1>(data.wrapping_add(offset)).map_or(0, |[b]| b);
                    }
                    return u16::try_from(len).unwrap_or_default();
                }
                note = data.wrapping_add(len.wrapping_add(3) & !3);
            }
        }
        0
    }

    /// Reads `N` bytes of the object's headers.
    fn read<const N: usize>(&self, address: usize) -> Option<[u8; N]> {
        // The headers and notes are in the first, readable segment; the first page surely is,
        // and a linker puts the build id there.
        let end = address.checked_add(N)?;
        if address < self.start || end > self.end.min(self.start.wrapping_add(HEADERS)) {
            return None;
        }
        // SAFETY: the bytes are in the object's first page, which the loader mapped readable.
        Some(unsafe { (address as *const [u8; N]).read_unaligned() })
    }
}

fn put(record: &mut [u8; RECORD], at: usize, bytes: &[u8]) {
    if let Some(to) = record.get_mut(at..at.saturating_add(bytes.len())) {
        to.copy_from_slice(bytes);
    }
}

#[cfg(test)]
#[allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]
mod tests {
    use super::*;
    use crate::preload::modules::closed;

    #[test]
    fn the_objects_of_libc_and_of_the_test_are_told_apart() {
        let test = Object::find(closed as *const () as usize).expect("the test has an object");
        let libc = Object::find(libc::getpid as *const () as usize).expect("libc has an object");
        assert_ne!(test.start, libc.start);
        assert!(test.contains(closed as *const () as usize));
        assert!(!test.contains(libc.start));
        let mut exe = [0; MAX_PATH];
        let path = std::env::current_exe().expect("the test has a path");
        assert_eq!(test.path(&mut exe), path.as_os_str().as_encoded_bytes());
        let mut id = [0; MAX_BUILD_ID];
        assert_eq!(libc.build_id(&mut id), 20, "distributions give libc a SHA-1 build id");
    }

    #[test]
    fn no_object_has_an_address_of_the_stack() {
        let local = 0_u8;
        assert_eq!(Object::find(&raw const local as usize), None);
    }
}
