//! The plugin ABI, and what a plugin in Rust is written with.
//!
//! A plugin is a shared object with one data symbol, `leaksnap_plugin`, laid out
//! as `include/leaksnap_plugin.h` says; the `#[repr(C)]` types here are that
//! header. Plugins in Rust use [`plugin!`](crate::plugin!) and never see them:
//!
//! ```no_run
//! use leaksnap::plugin::{Call, Command};
//!
//! fn hello(call: &Call<'_>) -> Result<(), String> {
//!     call.print("hello\n");
//!     Ok(())
//! }
//!
//! leaksnap::plugin!(c"hello", [Command::new(c"say hello", c"greets", hello)]);
//! # fn main() {}
//! ```
//!
//! Invariants: a [`RawPlugin`] and everything it points to lives as long as its
//! shared object is open; a [`RawCall`] lives until the command returns.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The ABI that this version of leaksnap speaks: `LEAKSNAP_PLUGIN_ABI` of the header.
///
/// ```
/// assert_eq!(leaksnap::plugin::ABI, 1);
/// ```
pub const ABI: u32 = 1;

/// The data symbol that makes a shared object a plugin.
///
/// ```
/// assert_eq!(leaksnap::plugin::ENTRY_SYMBOL, c"leaksnap_plugin");
/// ```
pub const ENTRY_SYMBOL: &CStr = c"leaksnap_plugin";

/// `leaksnap_command` of the header. An exception that leaves it ends the host, which says so.
///
/// ```
/// use std::ffi::{c_int, c_void};
///
/// use leaksnap::plugin::{RawCall, RawCommand};
///
/// /// Does nothing, and fails no step.
/// unsafe extern "C-unwind" fn rest(_context: *mut c_void, _call: *const RawCall) -> c_int {
///     0
/// }
/// let command: RawCommand = rest;
/// ```
pub type RawCommand =
    unsafe extern "C-unwind" fn(context: *mut c_void, call: *const RawCall) -> c_int;

/// `struct leaksnap_call` of the header.
///
/// ```
/// use leaksnap::plugin::RawCall;
///
/// /// How many words a command got. The pointer has to be what the host called it with.
/// unsafe fn words(call: *const RawCall) -> u32 {
///     // SAFETY: the caller's promise.
///     unsafe { (*call).argc }
/// }
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct RawCall {
    /// How many words follow the command's own.
    pub argc: u32,
    /// Zero.
    pub reserved: u32,
    /// The words, NUL-terminated; `argv[argc]` is null.
    pub argv: *const *const c_char,
    /// Writes to the command's output.
    pub print: unsafe extern "C" fn(*const RawCall, *const c_char, usize),
    /// Says why the command is about to fail.
    pub fail: unsafe extern "C" fn(*const RawCall, *const c_char, usize),
}

/// `struct leaksnap_host` of the header.
///
/// ```
/// use leaksnap::plugin::{ABI, RawHost};
///
/// /// A `start` that asks for the host's ABI, and registers nothing.
/// unsafe extern "C" fn start(host: *const RawHost) -> std::ffi::c_int {
///     // SAFETY: the host lends it for the call.
///     i32::from(unsafe { (*host).abi } != ABI)
/// }
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct RawHost {
    /// [`ABI`] of the host.
    pub abi: u32,
    /// Zero.
    pub reserved: u32,
    /// Registers a command.
    pub register_command: unsafe extern "C" fn(
        *const RawHost,
        words: *const c_char,
        help: *const c_char,
        run: RawCommand,
        context: *mut c_void,
    ) -> c_int,
}

/// `struct leaksnap_plugin` of the header.
///
/// ```
/// use leaksnap::plugin::{ABI, RawPlugin};
///
/// /// What [`plugin!`](crate::plugin!) defines: without commands, here.
/// static PLUGIN: RawPlugin =
///     RawPlugin { abi: ABI, reserved: 0, name: c"empty".as_ptr(), start: None, stop: None };
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct RawPlugin {
    /// [`ABI`] that the plugin was built for.
    pub abi: u32,
    /// Zero.
    pub reserved: u32,
    /// The plugin's name, NUL-terminated.
    pub name: *const c_char,
    /// Registers the commands; non-zero when the plugin can't be used.
    pub start: Option<unsafe extern "C" fn(*const RawHost) -> c_int>,
    /// Called once before the plugin is closed.
    pub stop: Option<unsafe extern "C" fn()>,
}

// SAFETY: a RawPlugin is a constant of its shared object: nothing writes to it or through it.
unsafe impl Sync for RawPlugin {}

/// A command's code. An `Err` fails the step, with the text as its reason.
///
/// ```
/// use leaksnap::plugin::{Call, Handler};
///
/// fn parse(call: &Call<'_>) -> Result<(), String> {
///     let word = call.args().next().ok_or("parse: a number is missing")?;
///     word.parse::<u32>().map(drop).map_err(|error| format!("{word}: {error}"))
/// }
/// let handler: Handler = parse;
/// ```
pub type Handler = fn(&Call<'_>) -> Result<(), String>;

/// A command of a plugin in Rust.
///
/// ```
/// use leaksnap::plugin::Command;
///
/// let command = Command::new(c"say hello", c"greets", |call| {
///     call.print("hello\n");
///     Ok(())
/// });
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Command {
    words: &'static CStr,
    help: &'static CStr,
    handler: Handler,
}

impl Command {
    /// A command that is called by `words`, one to four words with single spaces between them.
    /// `help` is the line that the console's `help` shows.
    ///
    /// ```
    /// # use leaksnap::plugin::Command;
    /// const REST: Command = Command::new(c"rest", c"does nothing", |_| Ok(()));
    /// ```
    #[must_use]
    pub const fn new(words: &'static CStr, help: &'static CStr, handler: Handler) -> Self {
        Self { words, help, handler }
    }
}

/// One invocation of a command.
///
/// ```
/// use leaksnap::plugin::Call;
///
/// fn echo(call: &Call<'_>) -> Result<(), String> {
///     call.args().for_each(|word| call.print(word));
///     Ok(())
/// }
/// ```
pub struct Call<'a> {
    raw: *const RawCall,
    lifetime: PhantomData<&'a RawCall>,
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.args()).finish()
    }
}

impl Call<'_> {
    /// The words after the command's own. A word that is not UTF-8 reads as empty.
    ///
    /// ```
    /// # use leaksnap::plugin::Call;
    /// fn count(call: &Call<'_>) -> Result<(), String> {
    ///     let count = call.args().count();
    ///     (count == 1).then_some(()).ok_or_else(|| format!("one word is wanted, not {count}"))
    /// }
    /// ```
    pub fn args(&self) -> impl Iterator<Item = &str> {
        // SAFETY: `raw` lives as long as `self` (the module's invariant).
        let RawCall { argc, argv, .. } = unsafe { &*self.raw };
        (0..*argc as usize).map(move |index| {
            // SAFETY: `argv` holds `argc` pointers.
            let at = unsafe { argv.add(index) };
            // SAFETY: as above.
            let word = unsafe { *at };
            // SAFETY: each word is NUL-terminated and lives as long as the call.
            unsafe { CStr::from_ptr(word) }.to_str().unwrap_or_default()
        })
    }

    /// Writes `text` to the command's output.
    ///
    /// ```
    /// # use leaksnap::plugin::Call;
    /// fn greet(call: &Call<'_>) -> Result<(), String> {
    ///     call.print("hello\n");
    ///     Ok(())
    /// }
    /// ```
    pub fn print(&self, text: &str) {
        // SAFETY: `raw` lives as long as `self`.
        let print = unsafe { (*self.raw).print };
        // SAFETY: the text is readable for its length; the host keeps no pointer to it.
        unsafe { print(self.raw, text.as_ptr().cast(), text.len()) }
    }

    fn fail(&self, reason: &str) {
        // SAFETY: `raw` lives as long as `self`.
        let fail = unsafe { (*self.raw).fail };
        // SAFETY: the text is readable for its length; the host keeps no pointer to it.
        unsafe { fail(self.raw, reason.as_ptr().cast(), reason.len()) }
    }
}

/// Runs a [`Handler`] for the host; `context` is the handler.
unsafe extern "C-unwind" fn call_handler(context: *mut c_void, call: *const RawCall) -> c_int {
    // SAFETY: `register` gave this function a Handler as its context, and nothing else does.
    let handler = unsafe { std::mem::transmute::<*mut c_void, Handler>(context) };
    let call = Call { raw: call, lifetime: PhantomData };
    match catch_unwind(AssertUnwindSafe(|| handler(&call))) {
        Ok(Ok(())) => 0,
        Ok(Err(reason)) => {
            call.fail(&reason);
            1
        }
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            call.fail(&format!("panicked: {}", text.unwrap_or("with no message")));
            2
        }
    }
}

/// Registers `commands` with `host`: what [`plugin!`](crate::plugin!) calls from `start`.
///
/// # Safety
/// `host` is what the host gave to `start`, which is still running.
#[doc(hidden)]
pub unsafe fn register(host: *const RawHost, commands: &[Command]) -> c_int {
    // SAFETY: the caller's promise.
    let register_command = unsafe { (*host).register_command };
    commands
        .iter()
        .map(|command| {
            let context = command.handler as *mut c_void;
            let (words, help) = (command.words.as_ptr(), command.help.as_ptr());
            // SAFETY: the strings are NUL-terminated and the host copies them.
            unsafe { register_command(host, words, help, call_handler, context) }
        })
        .find(|status| *status != 0)
        .unwrap_or(0)
}

/// Makes the crate a plugin: defines the data symbol that the host looks for.
///
/// The crate's type has to be `cdylib`; with `["cdylib", "rlib"]` it can be a dev-dependency of
/// the test's package, and is then built with it.
///
/// ```no_run
/// use leaksnap::plugin::Command;
///
/// leaksnap::plugin!(c"rests", [Command::new(c"rest", c"does nothing", |_| Ok(()))]);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! plugin {
    ($name:expr, [$($command:expr),* $(,)?]) => {
        #[doc(hidden)]
        unsafe extern "C" fn __leaksnap_start(
            host: *const $crate::plugin::RawHost,
        ) -> ::core::ffi::c_int {
            const COMMANDS: &[$crate::plugin::Command] = &[$($command),*];
            // SAFETY: the host calls this function as the header says.
            unsafe { $crate::plugin::register(host, COMMANDS) }
        }

        /// The entry that the host looks for.
        #[unsafe(no_mangle)]
        #[allow(non_upper_case_globals, reason = "the name is the ABI's")]
        pub static leaksnap_plugin: $crate::plugin::RawPlugin = $crate::plugin::RawPlugin {
            abi: $crate::plugin::ABI,
            reserved: 0,
            name: $name.as_ptr(),
            start: ::core::option::Option::Some(__leaksnap_start),
            stop: ::core::option::Option::None,
        };
    };
}
