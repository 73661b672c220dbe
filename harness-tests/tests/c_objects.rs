//! `run.frees_all`: an object of a C library, wrapped as a `-sys` crate's user does it.

use std::ffi::{c_char, c_int};
use std::fmt::Display;
use std::io;
use std::ptr;

use leaksnap::report::{Reachability, Report, Verdict};
use leaksnap::{Error, ErrorKind, IntoResult, check};

#[repr(C)]
struct File {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    fn open_memstream(buffer: *mut *mut c_char, size: *mut usize) -> *mut File;
    fn fputs(text: *const c_char, file: *mut File) -> c_int;
    fn fclose(file: *mut File) -> c_int;
    fn free(block: *mut c_char);
}

/// A stream of libc into memory. Its buffer is the caller's to free, which is easily forgotten.
///
/// Invariant: `file` is open, and `out` is where it says where its buffer is.
struct MemoryFile<const FREES: bool> {
    file: *mut File,
    out: Box<(*mut c_char, usize)>,
}

impl<const FREES: bool> MemoryFile<FREES> {
    #[inline(never)]
    fn new() -> io::Result<Self> {
        let mut out = Box::new((ptr::null_mut(), 0));
        let (buffer, size) = (&raw mut out.0, &raw mut out.1);
        // SAFETY: both words outlive the stream: they are in its box.
        let file = unsafe { open_memstream(buffer, size) };
        if file.is_null() { Err(io::Error::last_os_error()) } else { Ok(Self { file, out }) }
    }

    #[inline(never)]
    fn put(&mut self, times: usize) -> io::Result<()> {
        for _ in 0..times {
            // SAFETY: the file is open, and the text ends with a NUL.
            if unsafe { fputs(c"0123456789abcdef".as_ptr(), self.file) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }
}

impl<const FREES: bool> Drop for MemoryFile<FREES> {
    fn drop(&mut self) {
        // SAFETY: the file is open, and nobody uses it from here on.
        unsafe { fclose(self.file) };
        if FREES {
            // SAFETY: the stream is closed: its buffer is nobody's but ours.
            unsafe { free(self.out.0) };
        }
    }
}

#[track_caller]
fn freed<T, E: Display, R: IntoResult>(
    make: impl FnMut() -> Result<T, E>,
    using: impl FnMut(&mut T) -> R,
) -> Result<Report, Error> {
    check(|run| run.frees_all("FILE", make, using))
}

#[test]
fn an_object_that_frees_all_is_clean() {
    let report = freed(MemoryFile::<true>::new, |file| file.put(3)).expect("it was checked");
    report.assert_clean();
    assert_eq!(report.iterations, 8);
    assert!(report.tracing.allocations > 8 * 3, "{:?}", report.tracing);
}

#[test]
fn what_the_drop_forgets_is_named() {
    // glibc makes the buffer anew when it grows, and at the close to cut it to its size.
    for times in [1, 10_000] {
        let report = freed(MemoryFile::<false>::new, |file| file.put(times)).expect("checked");
        let failing: Vec<_> = report.groups.iter().filter(|it| it.verdict.fails()).collect();
        let [group] = failing[..] else { panic!("{report}") };
        assert_eq!((group.verdict, group.reachability), (Verdict::Leak, Reachability::Lost));
        assert_eq!(group.blocks, 8, "{report}");
        assert!(group.bytes > 8 * 16 * times as u64, "{report}");
        let ours = |function: &str| function.contains("c_objects::MemoryFile");
        let mut functions = group.frames.iter().filter_map(|frame| frame.function.as_deref());
        assert!(functions.any(ours), "{report}");
        let note = "what is left was allocated while `FILE` was made, used or dropped";
        assert!(report.to_string().contains(note), "{report}");
    }
}

#[test]
fn an_object_that_the_heap_never_saw_is_not_checked() {
    let error = freed(|| Ok::<_, io::Error>(17), |number| *number += 1);
    let error = error.map(drop).expect_err("nothing was allocated");
    assert_eq!(error.kind(), ErrorKind::NotChecked);
    let reason = "`FILE` was made, used and dropped without an allocation on the traced heap";
    assert!(error.to_string().contains(reason), "{error}");
}

#[test]
fn errors_and_panics_say_whether_it_was_made_used_or_dropped() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("it can't be closed");
        }
    }
    let text = |checked: Result<Report, Error>| {
        let error = checked.map(drop).expect_err("there is no report");
        assert_eq!(error.kind(), ErrorKind::Failed);
        error.to_string()
    };
    let make = || Err::<(), _>("no memory for it");
    let made = text(freed(make, |_| ()));
    assert!(made.contains("failed: in step `make`: no memory for it"), "{made}");
    let used = text(freed(MemoryFile::<true>::new, |_| Err::<(), _>("it is full")));
    assert!(used.contains("failed: in step `use`: it is full"), "{used}");
    let dropped = text(freed(|| Ok::<_, String>(Panics), |_| ()));
    assert!(dropped.contains("failed: in step `drop`: it panicked at "), "{dropped}");
    assert!(dropped.contains(": it can't be closed"), "{dropped}");
}
