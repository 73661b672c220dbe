//! Files, as the ledger needs them.

use core::ffi::{CStr, c_int, c_long};
use core::ptr;

use super::mapping::{MAP_FIXED, MAP_NORESERVE, MAP_SHARED, PROT_READ, PROT_WRITE, mapped, mmap};
use super::{AT_FDCWD, number, syscall};

const O_RDWR: c_long = 2;
const O_CLOEXEC: c_long = 0o2_000_000;
const FALLOC_FL_KEEP_SIZE: c_long = 1;
const FALLOC_FL_PUNCH_HOLE: c_long = 2;
const SEEK_END: c_long = 2;

/// An open file; closed by [`File::close`].
#[derive(Debug)]
pub(crate) struct File(c_long);

impl File {
    /// Opens `path` for reading and writing, closed on `exec`.
    pub(crate) fn open(path: &CStr) -> Option<Self> {
        // SAFETY: the path is NUL-terminated.
        let fd = unsafe { syscall(number::OPENAT, AT_FDCWD, path.as_ptr(), O_RDWR | O_CLOEXEC) };
        (fd >= 0).then_some(Self(fd))
    }

    /// Its size in bytes.
    pub(crate) fn len(&self) -> u64 {
        // SAFETY: lseek on a descriptor of ours.
        let len = unsafe { syscall(number::LSEEK, self.0, 0 as c_long, SEEK_END) };
        u64::try_from(len).unwrap_or_default()
    }

    /// Maps its first `len` bytes, shared, for reading and writing.
    pub(crate) fn map(&self, len: u64) -> Option<*mut u8> {
        let (len, fd) = (usize::try_from(len).ok()?, c_int::try_from(self.0).ok()?);
        let flags = MAP_SHARED | MAP_NORESERVE;
        // SAFETY: a new mapping, where the kernel likes.
        mapped(unsafe { mmap(ptr::null_mut(), len, PROT_READ | PROT_WRITE, flags, fd, 0) })
    }

    /// Maps its first `len` bytes as [`map`](Self::map) does, in place of what is mapped at `at`.
    ///
    /// # Safety
    /// What is mapped there, `len` bytes, is a mapping of [`map`](Self::map)'s that may become
    /// another: nobody believes what was in it.
    pub(crate) unsafe fn map_over(&self, at: *mut u8, len: u64) -> Option<*mut u8> {
        let (len, fd) = (usize::try_from(len).ok()?, c_int::try_from(self.0).ok()?);
        let flags = MAP_SHARED | MAP_NORESERVE | MAP_FIXED;
        // SAFETY: the caller's promise.
        mapped(unsafe { mmap(at.cast(), len, PROT_READ | PROT_WRITE, flags, fd, 0) })
    }

    /// Makes `len` bytes at `offset` zero and gives their memory back.
    pub(crate) fn punch(&self, offset: u64, len: u64) -> bool {
        let mode = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE;
        // SAFETY: fallocate on a descriptor of ours.
        unsafe { syscall(number::FALLOCATE, self.0, mode, offset, len) == 0 }
    }

    /// Closes it.
    pub(crate) fn close(self) {
        // SAFETY: the descriptor is ours and `self` is gone after this.
        unsafe { syscall(number::CLOSE, self.0) };
    }
}

/// Reads the link at `path` into `into`; the number of bytes, 0 where it can't be read.
pub(crate) fn read_link(path: &CStr, into: &mut [u8]) -> usize {
    let (at, len) = (into.as_mut_ptr(), into.len());
    // SAFETY: the path is NUL-terminated and `into` is writable for its length.
    let read = unsafe { syscall(number::READLINKAT, AT_FDCWD, path.as_ptr(), at, len) };
    usize::try_from(read).unwrap_or_default()
}
