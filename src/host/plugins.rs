//! Opening plugins: the one file that does.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use super::commands::{Commands, Registered};
use super::tracing::Tracing;
use crate::plugin::{ABI, ENTRY_SYMBOL, RawCommand, RawHost, RawPlugin};

/// Why a plugin can't be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum PluginError {
    /// The loader refused.
    #[error("open plugin {}: {reason}", path.display())]
    Open { path: PathBuf, reason: String },
    /// It is a shared object, but no plugin.
    #[error(
        "{} is not a plugin: it has no symbol `leaksnap_plugin`; define it with LEAKSNAP_PLUGIN \
         of leaksnap_plugin.h, or with leaksnap::plugin!",
        path.display()
    )]
    NoEntry { path: PathBuf },
    /// It was built for another ABI.
    #[error(
        "plugin {} has ABI {found}, this leaksnap has ABI {ABI}; build it again with this \
         version's leaksnap_plugin.h",
        path.display()
    )]
    Abi { path: PathBuf, found: u32 },
    /// Its `start` said no.
    #[error("plugin {} did not start: {reason}", path.display())]
    Start { path: PathBuf, reason: String },
}

/// The open plugins.
#[derive(Debug, Default)]
pub(super) struct Plugins {
    open: Vec<Plugin>,
}

/// Invariant: the library is never closed, so that `stop` stays callable and tracebacks into the
/// plugin keep their module.
#[derive(Debug)]
struct Plugin {
    _library: ManuallyDrop<Library>,
    stop: Option<unsafe extern "C" fn()>,
}

/// What `start` registers with.
///
/// Invariant: `raw` is the first field, so a pointer to it is one to the whole.
#[repr(C)]
struct Starting<'a> {
    raw: RawHost,
    commands: &'a mut Commands,
    tracing: &'a Tracing,
    refused: Option<String>,
}

impl Plugins {
    /// Opens the plugin at `path` and lets it register its commands.
    ///
    /// # Errors
    /// Where it is no plugin of this ABI, or does not start.
    pub(super) fn open(
        &mut self,
        path: &Path,
        commands: &mut Commands,
        tracing: &Tracing,
    ) -> Result<(), PluginError> {
        let at = || path.to_path_buf();
        // SAFETY: the scenario's author asked for the plugin's constructors to run.
        let library =
            tracing.traced(|| unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) });
        let library = library.map_err(|error| {
            let reason = std::error::Error::source(&error)
                .map_or_else(|| error.to_string(), ToString::to_string);
            PluginError::Open { path: at(), reason }
        })?;
        let library = ManuallyDrop::new(library);
        // SAFETY: the header says what the symbol is; `abi` is checked before anything else.
        let entry = unsafe { library.get::<*const RawPlugin>(ENTRY_SYMBOL.to_bytes_with_nul()) };
        let Ok(entry) = entry else { return Err(PluginError::NoEntry { path: at() }) };
        let entry: *const RawPlugin = *entry;
        // SAFETY: every version of the ABI starts with its number.
        let found = unsafe { (*entry).abi };
        if found != ABI {
            return Err(PluginError::Abi { path: at(), found });
        }
        // SAFETY: the ABI is this one, so the symbol has this layout.
        let RawPlugin { start, stop, .. } = unsafe { &*entry };
        let failed = |reason: String| PluginError::Start { path: at(), reason };
        let start = start.ok_or_else(|| failed("it has no start function".into()))?;
        // SAFETY: the header's contract with the plugin.
        let start = |host: *const RawHost| unsafe { start(host) };
        commands.opening(path);
        let started = register_all(start, commands, tracing);
        started.map_err(failed)?;
        self.open.push(Plugin { _library: library, stop: *stop });
        Ok(())
    }

    /// Tells every plugin that the host ends.
    pub(super) fn stop(&self) {
        for stop in self.open.iter().rev().filter_map(|plugin| plugin.stop) {
            // SAFETY: the plugin is open and none of its commands runs.
            unsafe { stop() }
        }
    }
}

/// Has `start` register its commands with the host that it is given.
///
/// # Errors
/// Why it did not start.
pub(super) fn register_all(
    start: impl FnOnce(*const RawHost) -> c_int,
    commands: &mut Commands,
    tracing: &Tracing,
) -> Result<(), String> {
    let raw = RawHost { abi: ABI, reserved: 0, register_command };
    let mut starting = Starting { raw, commands, tracing, refused: None };
    let host = (&raw mut starting).cast::<RawHost>();
    let status = tracing.traced(|| start(host));
    match (starting.refused, status) {
        (Some(reason), _) => Err(reason),
        (None, 0) => Ok(()),
        (None, status) => Err(format!("its start function returned {status}")),
    }
}

unsafe extern "C" fn register_command(
    host: *const RawHost,
    words: *const c_char,
    help: *const c_char,
    run: RawCommand,
    context: *mut c_void,
) -> c_int {
    // SAFETY: the header says that a plugin gives back the host that `start` got, which is the
    // first field of a Starting that nobody else uses meanwhile.
    let starting = unsafe { &mut *host.cast_mut().cast::<Starting<'_>>() };
    let tracing = starting.tracing;
    tracing.pause();
    let text = |text: *const c_char| {
        if text.is_null() {
            return String::new();
        }
        // SAFETY: the header says that both are NUL-terminated.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    };
    let (words, help) = (text(words), text(help));
    let plugin = starting.commands.plugin();
    let command = Registered { plugin, help, run, context };
    let registered = starting.commands.register(&words, command);
    if let Err(reason) = &registered {
        starting.refused.get_or_insert_with(|| reason.clone());
    }
    tracing.resume();
    c_int::from(registered.is_err())
}
