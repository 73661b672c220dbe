//! The allocator behind ours: libc's, or another one that was preloaded after us.
//!
//! It serves what is asked before the heap is ready and where the heap stands aside, and gets back
//! every pointer that is not in our region.
//!
//! Nothing here is inlined, so that who serves from the heap has few registers to save.
//!
//! libc's own functions are called by their internal names until [`find`] has looked for others:
//! `dlsym` itself may allocate.

use core::ffi::{CStr, c_int, c_void};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use core::{mem, ptr};

use super::mallinfo::Info;
use super::modules::Object;
use super::{exec, symbol, system};

unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(block: *mut c_void, size: usize) -> *mut c_void;
    fn __libc_memalign(align: usize, size: usize) -> *mut c_void;
    fn __libc_free(block: *mut c_void);
}

type Malloc = unsafe extern "C" fn(usize) -> *mut c_void;
type Calloc = unsafe extern "C" fn(usize, usize) -> *mut c_void;
type Memalign = unsafe extern "C" fn(usize, usize) -> *mut c_void;
type Free = unsafe extern "C" fn(*mut c_void);
type Realloc = unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void;
type UsableSize = unsafe extern "C" fn(*mut c_void) -> usize;
type Close = unsafe extern "C" fn(*mut c_void) -> i32;
type Export = unsafe extern "C" fn(c_int, *mut c_void) -> c_int;

/// A function behind ours; null until it is found. Those of libc's that have an internal name
/// stay null.
type Found = AtomicPtr<c_void>;

static MALLOC: Found = Found::new(ptr::null_mut());
static CALLOC: Found = Found::new(ptr::null_mut());
static MEMALIGN: Found = Found::new(ptr::null_mut());
static FREE: Found = Found::new(ptr::null_mut());
static REALLOC: Found = Found::new(ptr::null_mut());
static USABLE_SIZE: Found = Found::new(ptr::null_mut());
static CLOSE: Found = Found::new(ptr::null_mut());
static OPEN: Found = Found::new(ptr::null_mut());
static OPEN_IN: Found = Found::new(ptr::null_mut());

/// What libc served before [`find`]: where another allocator is behind ours, libc gets it back.
static EARLY: [AtomicUsize; 256] = [const { AtomicUsize::new(0) }; 256];
static EARLY_COUNT: AtomicUsize = AtomicUsize::new(0);
static HAS_LOOKED: AtomicBool = AtomicBool::new(false);

/// Looks for the functions behind ours; once, when libc has an environment.
pub(crate) fn find() {
    let always = [
        (&USABLE_SIZE, c"malloc_usable_size"),
        (&CLOSE, c"dlclose"),
        (&OPEN, c"dlopen"),
        (&OPEN_IN, c"dlmopen"),
    ];
    let others = [
        (&FREE, c"free"),
        (&REALLOC, c"realloc"),
        (&CALLOC, c"calloc"),
        (&MEMALIGN, c"memalign"),
        (&MALLOC, c"malloc"),
    ];
    let store = |(to, name): (&Found, &CStr)| to.store(symbol::next(name), Ordering::Release);
    always.into_iter().for_each(store);
    // By its object: tcmalloc has a `__libc_malloc`, too.
    let object = |address| Object::find(address).map(|object| object.start);
    if object(symbol::next(c"malloc").addr()) != object(system::function_of_libc()) {
        others.into_iter().for_each(store);
    }
    exec::find();
    HAS_LOOKED.store(true, Ordering::Release);
}

/// The `malloc` of the allocator behind ours, where that is not libc's.
pub(crate) fn other_malloc() -> Option<usize> {
    let found = MALLOC.load(Ordering::Acquire);
    (!found.is_null()).then(|| found.addr())
}

/// Remembers a block of libc's.
fn note(block: *mut c_void) -> *mut c_void {
    if !HAS_LOOKED.load(Ordering::Acquire) {
        let number = EARLY_COUNT.fetch_add(1, Ordering::AcqRel);
        if let Some(place) = EARLY.get(number) {
            place.store(block.addr(), Ordering::Release);
        }
    }
    block
}

/// Where `block` is remembered as one of libc's.
fn noted(block: *mut c_void) -> Option<&'static AtomicUsize> {
    let count = EARLY_COUNT.load(Ordering::Acquire);
    EARLY.iter().take(count).find(|place| place.load(Ordering::Acquire) == block.addr())
}

/// A block of the allocator behind ours.
#[inline(never)]
pub(crate) fn allocate(size: usize) -> *mut c_void {
    let found = MALLOC.load(Ordering::Acquire);
    if found.is_null() {
        // SAFETY: malloc takes any size.
        return note(unsafe { __libc_malloc(size) });
    }
    // SAFETY: dlsym gave `malloc`, which has this type.
    let malloc = unsafe { mem::transmute::<*mut c_void, Malloc>(found) };
    // SAFETY: malloc takes any size.
    unsafe { malloc(size) }
}

/// A zeroed block of the allocator behind ours.
#[inline(never)]
pub(crate) fn allocate_zeroed(count: usize, size: usize) -> *mut c_void {
    let found = CALLOC.load(Ordering::Acquire);
    if found.is_null() {
        // SAFETY: calloc takes any sizes.
        return note(unsafe { __libc_calloc(count, size) });
    }
    // SAFETY: dlsym gave `calloc`, which has this type.
    let calloc = unsafe { mem::transmute::<*mut c_void, Calloc>(found) };
    // SAFETY: calloc takes any sizes.
    unsafe { calloc(count, size) }
}

/// A block of the allocator behind ours at a multiple of `align`.
#[inline(never)]
pub(crate) fn allocate_aligned(size: usize, align: usize) -> *mut c_void {
    let found = MEMALIGN.load(Ordering::Acquire);
    if found.is_null() {
        // SAFETY: memalign takes any size and any power of two.
        return note(unsafe { __libc_memalign(align, size) });
    }
    // SAFETY: dlsym gave `memalign`, which has this type.
    let memalign = unsafe { mem::transmute::<*mut c_void, Memalign>(found) };
    // SAFETY: memalign takes any size and any power of two.
    unsafe { memalign(align, size) }
}

/// Frees a block that is not ours.
///
/// # Safety
/// `block` is live, of the allocator behind ours.
#[inline(never)]
pub(crate) unsafe fn free(block: *mut c_void) {
    let found = FREE.load(Ordering::Acquire);
    let place = noted(block);
    if found.is_null() || place.is_some() {
        place.into_iter().for_each(|place| place.store(0, Ordering::Release));
        // SAFETY: the caller's promise; only libc has served, or it has served this one.
        unsafe { __libc_free(block) }
    } else {
        // SAFETY: dlsym gave `free`, which has this type.
        let free = unsafe { mem::transmute::<*mut c_void, Free>(found) };
        // SAFETY: the caller's promise.
        unsafe { free(block) }
    }
}

/// Resizes a block that is not ours.
///
/// # Safety
/// `block` is live, of the allocator behind ours.
#[inline(never)]
pub(crate) unsafe fn resize(block: *mut c_void, size: usize) -> *mut c_void {
    let found = REALLOC.load(Ordering::Acquire);
    let place = noted(block);
    if found.is_null() || place.is_some() {
        // SAFETY: the caller's promise; only libc has served, or it has served this one.
        let moved = unsafe { __libc_realloc(block, size) };
        if let Some(place) = place.filter(|_| !moved.is_null() || size == 0) {
            place.store(moved.addr(), Ordering::Release);
        }
        moved
    } else {
        // SAFETY: dlsym gave `realloc`, which has this type.
        let realloc = unsafe { mem::transmute::<*mut c_void, Realloc>(found) };
        // SAFETY: the caller's promise.
        unsafe { realloc(block, size) }
    }
}

/// How many bytes of a block that is not ours the program may use; 0 where nobody can tell.
///
/// # Safety
/// `block` is live, of the allocator behind ours.
#[inline(never)]
pub(crate) unsafe fn usable_size(block: *mut c_void) -> usize {
    let found = USABLE_SIZE.load(Ordering::Acquire);
    let is_libc_s = other_malloc().is_some() && noted(block).is_some();
    if found.is_null() || is_libc_s {
        return 0;
    }
    // SAFETY: dlsym gave `malloc_usable_size`, which has this type.
    let usable_size = unsafe { mem::transmute::<*mut c_void, UsableSize>(found) };
    // SAFETY: the caller's promise.
    unsafe { usable_size(block) }
}

/// The real `dlopen`; null where there is none.
pub(crate) fn open() -> *mut c_void {
    found_or(&OPEN, c"dlopen")
}

/// The real `dlmopen`; null where there is none.
pub(crate) fn open_in() -> *mut c_void {
    found_or(&OPEN_IN, c"dlmopen")
}

/// What was found of `name`; before [`find`] it is looked for.
fn found_or(place: &Found, name: &CStr) -> *mut c_void {
    let found = place.load(Ordering::Acquire);
    if found.is_null() { symbol::next(name) } else { found }
}

/// The real `dlclose`.
///
/// # Safety
/// `handle` is what `dlopen` gave.
pub(crate) unsafe fn close(handle: *mut c_void) -> i32 {
    let found = found_or(&CLOSE, c"dlclose");
    if found.is_null() {
        return -1;
    }
    // SAFETY: dlsym gave `dlclose`, which has this type.
    let close = unsafe { mem::transmute::<*mut c_void, Close>(found) };
    // SAFETY: the caller's promise.
    unsafe { close(handle) }
}

/// `malloc_trim` of the allocator behind ours; 0 where it has none.
pub(crate) fn trim(keep: usize) -> c_int {
    let found = symbol::next(c"malloc_trim");
    if found.is_null() {
        return 0;
    }
    // SAFETY: dlsym gave `malloc_trim`, which has this type.
    let trim = unsafe { mem::transmute::<*mut c_void, extern "C" fn(usize) -> c_int>(found) };
    trim(keep)
}

/// `mallinfo2` of the allocator behind ours; all 0 where it has none.
pub(crate) fn info() -> Info<usize> {
    let found = symbol::next(c"mallinfo2");
    if found.is_null() {
        return Info::default();
    }
    // SAFETY: dlsym gave `mallinfo2`, which has this type.
    let info = unsafe { mem::transmute::<*mut c_void, extern "C" fn() -> Info<usize>>(found) };
    info()
}

/// `malloc_stats` of the allocator behind ours.
pub(crate) fn print_statistics() {
    let found = symbol::next(c"malloc_stats");
    if !found.is_null() {
        // SAFETY: dlsym gave `malloc_stats`, which has this type.
        let print = unsafe { mem::transmute::<*mut c_void, extern "C" fn()>(found) };
        print();
    }
}

/// `malloc_info` of the allocator behind ours; an error where it has none.
///
/// # Safety
/// `stream` is an open `FILE`.
pub(crate) unsafe fn export_statistics(options: c_int, stream: *mut c_void) -> c_int {
    let found = symbol::next(c"malloc_info");
    if found.is_null() {
        return system::EINVAL;
    }
    // SAFETY: dlsym gave `malloc_info`, which has this type.
    let export = unsafe { mem::transmute::<*mut c_void, Export>(found) };
    // SAFETY: the caller's promise.
    unsafe { export(options, stream) }
}
