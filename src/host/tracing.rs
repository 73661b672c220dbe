//! The preload heap in this process: paused, resumed, tried.
//!
//! Invariant of [`Tracing`]: the functions are the preload heap's or libc's, which are never unloaded.

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::ptr;

use libloading::os::unix::Library;

use crate::protocol::{CONTROL_BYTES, CONTROL_IN_RUST, Statistics};

/// The preload heap's switches for the calling thread, and what of libc the host calls.
#[derive(Debug)]
pub(super) struct Tracing {
    pause: unsafe extern "C" fn(),
    resume: unsafe extern "C" fn(),
    trace: unsafe extern "C" fn(c_int),
    statistics: unsafe extern "C" fn(*mut Statistics),
    malloc: unsafe extern "C" fn(usize) -> *mut c_void,
    free: unsafe extern "C" fn(*mut c_void),
    fflush: unsafe extern "C" fn(*mut c_void) -> c_int,
    /// Where C's `stdout` is; null for none.
    stdout: *const *mut c_void,
    control: Cell<*mut c_void>,
    control_in_rust: RefCell<Vec<Vec<u8>>>,
}

impl Tracing {
    /// The preload heap of this process; the reason where it has none.
    pub(super) fn find() -> Result<Self, String> {
        let program = Library::this();
        Ok(Self {
            pause: function(&program, "leaksnap_pause")?,
            resume: function(&program, "leaksnap_resume")?,
            trace: function(&program, "leaksnap_trace")?,
            statistics: function(&program, "leaksnap_statistics")?,
            malloc: function(&program, "malloc")?,
            free: function(&program, "free")?,
            fflush: function(&program, "fflush")?,
            stdout: function(&program, "stdout")?,
            control: Cell::new(ptr::null_mut()),
            control_in_rust: RefCell::default(),
        })
    }

    /// Switches of a process without the preload heap: they do nothing.
    #[cfg(any(test, feature = "internals"))]
    pub(super) fn of_nothing() -> Self {
        extern "C" fn nothing() {}
        extern "C" fn no_block(_: usize) -> *mut c_void {
            ptr::null_mut()
        }
        extern "C" fn forget(_: *mut c_void) {}
        extern "C" fn turn(_: c_int) {}
        extern "C" fn flush(_: *mut c_void) -> c_int {
            0
        }
        extern "C" fn fill(_: *mut Statistics) {}
        Self {
            pause: nothing,
            resume: nothing,
            trace: turn,
            statistics: fill,
            malloc: no_block,
            free: forget,
            fflush: flush,
            stdout: ptr::null(),
            control: Cell::new(ptr::null_mut()),
            control_in_rust: RefCell::default(),
        }
    }

    /// From now on this thread's allocations are not traced.
    pub(super) fn pause(&self) {
        // SAFETY: the function takes nothing and may be called at any time.
        unsafe { (self.pause)() }
    }

    /// Undoes one [`pause`](Self::pause).
    pub(super) fn resume(&self) {
        // SAFETY: as above.
        unsafe { (self.resume)() }
    }

    /// Calls `f` with its allocations traced.
    pub(super) fn traced<T>(&self, f: impl FnOnce() -> T) -> T {
        self.resume();
        let result = f();
        self.pause();
        result
    }

    /// Turns tracing on or off for all threads.
    pub(super) fn turn(&self, on: bool) {
        // SAFETY: the function takes any number.
        unsafe { (self.trace)(on.into()) }
    }

    /// Writes what is in the buffer of C's `stdout`. Not that of every stream: a thread may hold one
    /// locked, while it waits for input there.
    pub(super) fn flush(&self) {
        // SAFETY: null, or libc's variable, which nobody writes while no command runs.
        let Some(stdout) = (unsafe { self.stdout.as_ref() }) else { return };
        // Where nobody reads any longer it is the command's output that is lost, nothing else.
        // SAFETY: fflush takes any open stream, and null.
        let _ = unsafe { (self.fflush)(*stdout) };
    }

    /// What the heap holds.
    pub(super) fn statistics(&self) -> Statistics {
        let mut statistics = Statistics::default();
        // SAFETY: the place is writable, and laid out as the preload heap's own.
        unsafe { (self.statistics)(&raw mut statistics) };
        statistics
    }

    /// Allocates the control block, which a traced heap has to show; its address.
    pub(super) fn allocate_control(&self) -> u64 {
        let size = usize::try_from(CONTROL_BYTES).unwrap_or_default();
        // SAFETY: malloc takes any size.
        self.control.set(self.traced(|| unsafe { (self.malloc)(size) }));
        self.control.get() as u64
    }

    /// Allocates blocks by the allocator that the executable has for Rust; their addresses.
    pub(super) fn allocate_control_in_rust(&self) -> Vec<u64> {
        let block = |size| self.traced(|| std::hint::black_box(Vec::with_capacity(size)));
        let sizes = CONTROL_IN_RUST.map(|size| usize::try_from(size).unwrap_or_default());
        let blocks: Vec<Vec<u8>> = sizes.into_iter().map(block).collect();
        let addresses = blocks.iter().map(|block| block.as_ptr() as u64).collect();
        *self.control_in_rust.borrow_mut() = blocks;
        addresses
    }

    /// Frees the control blocks.
    pub(super) fn free_control(&self) {
        drop(self.control_in_rust.take());
        let block = self.control.replace(ptr::null_mut());
        // SAFETY: the block is malloc's, or null, and nobody has it any longer.
        unsafe { (self.free)(block) }
    }
}

fn function<T: Copy>(program: &Library, name: &str) -> Result<T, String> {
    // SAFETY: each caller's type is the one that the preload heap gives the name.
    let found = unsafe { program.get::<T>(name) };
    found.map(|symbol| *symbol).map_err(|_| format!("the preload heap's `{name}` is not there"))
}
