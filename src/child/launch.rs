//! A program started in a child that dies with this process, without a copy of this process before it.
//!
//! `std` starts a child that has anything to do before its program by `fork`, which copies the page
//! tables of a large test executable, and has it copy each page that it writes to afterwards: half a
//! millisecond and more for each child. Here it is as in libc's `posix_spawn`, which has no word for the
//! death signal: the child is in this process's memory, on a stack of its own, until its program
//! starts, and the thread that starts it stands still as long.
//!
//! Invariant: what the child does there are system calls, and stores into its own stack and its
//! [`Cell`] for an error. It allocates nothing, and no handler of this process runs in it.

use std::cell::Cell;
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;

use nix::libc;
use nix::sched::{CloneFlags, clone};
use nix::sys::signal::{SigSet, Signal as Ending};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use super::invocation::{Invocation, Prepared, SHELL, Words};
use crate::report::Exit;

/// Bytes of the child's stack. Without optimization its calls take some KiB.
const STACK: usize = 64 << 10;

/// What a child has for a standard stream.
#[derive(Debug)]
pub(crate) enum Stream {
    /// This process's own.
    Inherited,
    /// Nothing to read, and nobody reads what is written.
    Null,
    /// What is written can be read here.
    Piped,
    /// This.
    Given(OwnedFd),
}

/// A child's standard input, output and error.
pub(crate) type Streams = [Stream; 3];

/// Those of a child that reads nothing, and whose output is read here.
pub(crate) const CAPTURED: Streams = [Stream::Null, Stream::Piped, Stream::Piped];

/// Those of a child that has this process's.
pub(crate) const INHERITED: Streams = [Stream::Inherited, Stream::Inherited, Stream::Inherited];

/// A child that was started.
#[derive(Debug)]
pub(super) struct Launched {
    pub(super) pid: Pid,
    /// What can be read of its output and error.
    pub(super) outputs: [Option<OwnedFd>; 2],
}

/// Starts `invocation` with `streams`. The kernel kills it when the thread that calls this is gone; it
/// gets all signals of `unblocked`, whatever is blocked here. It leads a process group if `leads`.
///
/// # Errors
/// Where it can't be started; `NotFound` where there is no such program.
pub(super) fn launch(
    invocation: &Invocation,
    streams: Streams,
    unblocked: &SigSet,
    leads: bool,
) -> io::Result<Launched> {
    let [input, output, error] = streams;
    let ((input, _), (output, out), (error, err)) = (ends(input)?, ends(output)?, ends(error)?);
    let program = Prepared::new(invocation)?;
    let parent = rustix::process::getpid();
    let mask = SigSet::thread_get_mask()?;
    let mut childs_mask = mask;
    unblocked.iter().for_each(|signal| childs_mask.remove(signal));
    let failed = Cell::new(None);
    let in_child = || -> Result<(), Errno> {
        reset_handlers();
        input.as_ref().map_or(Ok(()), dup2_stdin)?;
        output.as_ref().map_or(Ok(()), dup2_stdout)?;
        error.as_ref().map_or(Ok(()), dup2_stderr)?;
        if leads {
            rustix::process::setpgid(None, None)?;
        }
        childs_mask.thread_set_mask().map_err(errno)?;
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have gone before.
        match rustix::process::getppid() {
            Some(pid) if pid == parent => Err(execute(&program)),
            _ => Err(Errno::INTR),
        }
    };
    let mut stack = vec![0; STACK];
    let run = Box::new(|| {
        failed.set(in_child().err());
        1
    });
    SigSet::all().thread_set_mask()?;
    let flags = CloneFlags::CLONE_VM | CloneFlags::CLONE_VFORK;
    // SAFETY: the module's invariant; this thread stands still until the child has left its memory,
    // so that what the closure borrows is there.
    let pid = unsafe { clone(run, &mut stack, flags, Some(libc::SIGCHLD)) };
    mask.thread_set_mask()?;
    let pid = Pid::from_raw(pid?.as_raw()).ok_or(Errno::SRCH)?;
    match failed.get() {
        None => Ok(Launched { pid, outputs: [out, err] }),
        Some(error) => {
            wait(pid)?;
            Err(error.into())
        }
    }
}

/// The signals that would end this process and may be blocked here, to be passed on.
pub(crate) const PASSED_ON: [Ending; 4] =
    [Ending::SIGINT, Ending::SIGQUIT, Ending::SIGTERM, Ending::SIGHUP];

/// What a child gets, whatever is blocked here.
pub(super) fn passed_on() -> SigSet {
    PASSED_ON.into_iter().collect()
}

/// Waits for the end of `pid`, a child of this process, and reaps it.
///
/// # Errors
/// Where the kernel can't wait for it.
pub(super) fn wait(pid: Pid) -> io::Result<Exit> {
    let ended =
        rustix::io::retry_on_intr(|| rustix::process::waitpid(Some(pid), WaitOptions::empty()))?;
    let (_, status) = ended.ok_or(Errno::CHILD)?;
    Ok(Exit { code: status.exit_status(), signal: status.terminating_signal() })
}

/// The child's end of a stream, where it is not this process's own, and the one that is read here.
fn ends(stream: Stream) -> io::Result<(Option<OwnedFd>, Option<OwnedFd>)> {
    let (theirs, ours) = match stream {
        Stream::Inherited => return Ok((None, None)),
        Stream::Null => {
            let null = File::options().read(true).write(true).open("/dev/null")?;
            (OwnedFd::from(null), None)
        }
        Stream::Piped => {
            let (reader, writer) = io::pipe()?;
            (writer.into(), Some(reader.into()))
        }
        Stream::Given(given) => (given, None),
    };
    // One that is a standard stream here would be lost when another becomes that in the child.
    let is_standard = theirs.as_raw_fd() <= 2;
    let theirs = if is_standard { rustix::io::fcntl_dupfd_cloexec(&theirs, 3)? } else { theirs };
    Ok((Some(theirs), ours))
}

fn errno(error: nix::errno::Errno) -> Errno {
    Errno::from_raw_os_error(error as i32)
}

/// Has no handler of this process run in the child, whose memory it would be: a program has none
/// when it starts. What is ignored stays so, but for `SIGPIPE`, which Rust's runtime ignores.
fn reset_handlers() {
    let mut signal = 1;
    while signal <= libc::SIGRTMAX() {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: the place is one for an action, and nothing is changed.
        let known = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
        // SAFETY: zeros are an action, the default, if the kernel has not written another.
        let action = unsafe { action.assume_init_mut() };
        let is_ignored = action.sa_sigaction == libc::SIG_IGN && signal != libc::SIGPIPE;
        if known == 0 && action.sa_sigaction != libc::SIG_DFL && !is_ignored {
            action.sa_sigaction = libc::SIG_DFL;
            // SAFETY: the default action is of no handler.
            unsafe { libc::sigaction(signal, action, ptr::null_mut()) };
        }
        signal += 1;
    }
}

/// Becomes `program`; why that failed. Places are tried as `execvp` does.
fn execute(program: &Prepared) -> Errno {
    let (mut refused, mut last) = (false, Errno::NOENT);
    let mut at = 0;
    while at < program.files.len() {
        let file = &*program.files[at];
        at += 1;
        last = become_one(file, &program.arguments, &program.variables);
        if last == Errno::NOEXEC {
            program.of_shell.set_script(file);
            last = become_one(SHELL, &program.of_shell, &program.variables);
        }
        match last {
            Errno::ACCESS => refused = true,
            Errno::NOENT | Errno::STALE | Errno::NOTDIR | Errno::NODEV | Errno::TIMEDOUT => {}
            _ => return last,
        }
    }
    if refused { Errno::ACCESS } else { last }
}

fn become_one(file: &CStr, arguments: &Words, variables: &Words) -> Errno {
    let (arguments, variables) = (arguments.as_ptr(), variables.as_ptr());
    // SAFETY: strings end with a zero, and arrays of pointers to them with a null: the invariant of
    // `Words`. What runs on is another program, or this one, with its memory as it was.
    unsafe { libc::execve(file.as_ptr(), arguments, variables) };
    errno(nix::errno::Errno::last())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn start(invocation: &Invocation, streams: Streams) -> io::Result<Launched> {
        launch(invocation, streams, &SigSet::empty(), false)
    }

    /// What the program prints, and its exit code.
    fn run(invocation: &Invocation) -> (String, Option<i32>) {
        let streams = [Stream::Null, Stream::Piped, Stream::Piped];
        let launched = start(invocation, streams).expect("it starts");
        let mut text = String::new();
        for output in launched.outputs.into_iter().flatten() {
            File::from(output).read_to_string(&mut text).expect("it prints text");
        }
        (text, wait(launched.pid).expect("it ends").code)
    }

    fn shell(script: &str) -> Invocation {
        Invocation::of("sh").with(["-c", script])
    }

    fn error(invocation: &Invocation) -> io::Error {
        start(invocation, [Stream::Null, Stream::Null, Stream::Null]).expect_err("it can't")
    }

    #[test]
    fn arguments_variables_and_streams_are_the_child_s() {
        let script = "echo $1; echo $A-${PATH:+set} >&2; cat; exit 7";
        let invocation = shell(script).with(["sh", "a b"]).with_variable("A", "b c");
        assert_eq!(run(&invocation), ("a b\nb c-set\n".into(), Some(7)));
    }

    #[test]
    fn what_is_given_is_read() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        io::Write::write_all(&mut writer, b"given").expect("it has room");
        drop(writer);
        let streams = [Stream::Given(reader.into()), Stream::Piped, Stream::Inherited];
        let launched = start(&Invocation::of("cat"), streams).expect("it starts");
        let [Some(output), None] = launched.outputs else { panic!("one can be read") };
        let mut text = String::new();
        File::from(output).read_to_string(&mut text).expect("it prints text");
        assert_eq!(text, "given");
        assert_eq!(wait(launched.pid).expect("it ends").code, Some(0));
    }

    #[test]
    fn what_can_t_be_started_says_why_and_leaves_nobody() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "echo $0 $1").expect("a file");
        let missing = folder.path().join("missing");
        assert_eq!(error(&Invocation::of(&missing)).kind(), io::ErrorKind::NotFound);
        assert_eq!(error(&Invocation::of("no-such-program")).kind(), io::ErrorKind::NotFound);
        assert_eq!(error(&Invocation::of(&file)).kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(error(&Invocation::of("a\0b")).kind(), io::ErrorKind::InvalidInput);
        // A script without its first line is the shell's, as for `execvp`.
        let mode = PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&file, mode).expect("it is ours");
        let expected = (format!("{} b\n", file.display()), Some(0));
        assert_eq!(run(&Invocation::of(&file).with(["b"])), expected);
        // Places where it may not be executed, or is none, are passed.
        let path = format!("{}:/etc/passwd:/bin:/usr/bin", missing.display());
        assert_eq!(run(&shell("echo a").with_variable("PATH", path)), ("a\n".into(), Some(0)));
    }

    #[test]
    fn it_dies_with_the_thread_that_started_it() {
        let streams = [Stream::Null, Stream::Null, Stream::Null];
        let starter = std::thread::spawn(|| start(&Invocation::of("sleep").with(["600"]), streams));
        let launched = starter.join().expect("it does not panic").expect("it starts");
        let status = wait(launched.pid).expect("it ends");
        assert_eq!(status.signal, Some(libc::SIGKILL));
    }

    #[test]
    fn no_signal_is_blocked_or_ignored_that_was_not_before() {
        use nix::sys::signal::Signal;
        let blocked: SigSet = [Signal::SIGTERM, Signal::SIGUSR1].into_iter().collect();
        let starter = std::thread::spawn(move || {
            blocked.thread_block().expect("it can be");
            let streams = [Stream::Null, Stream::Piped, Stream::Null];
            let unblocked = [Signal::SIGTERM].into_iter().collect();
            let words = ["-E", "^Sig(Blk|Ign)", "/proc/self/status"];
            let invocation = Invocation::of("grep").with(words);
            let launched = launch(&invocation, streams, &unblocked, true).expect("it starts");
            let mut text = String::new();
            let [output, _] = launched.outputs;
            let output = output.expect("it can be read");
            File::from(output).read_to_string(&mut text).expect("it prints text");
            let _ = wait(launched.pid).expect("it ends");
            text
        });
        let text = starter.join().expect("it does not panic");
        let bits = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
            u64::from_str_radix(line.trim(), 16).expect("a number")
        };
        assert_eq!(bits("SigBlk:"), 1 << (Signal::SIGUSR1 as u32 - 1), "{text}");
        assert_eq!(bits("SigIgn:") & 1 << (Signal::SIGPIPE as u32 - 1), 0, "{text}");
    }
}
