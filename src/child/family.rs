//! Whom a process has started: its children, theirs, and so on, as the kernel names them.

use std::fs;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

/// The processes that threads of `process` have started (proc_tid_children(5)).
pub(crate) fn children(process: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let children = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children"));
    let texts = threads.filter_map(|thread| children(thread).ok());
    let numbers = |text: String| text.split_whitespace().filter_map(|it| it.parse().ok()).collect();
    texts.flat_map(|text| -> Vec<u32> { numbers(text) }).collect()
}

/// Whether a process goes on that `process` has forked, and that is still the same program.
pub(crate) fn has_forked_on(process: u32) -> bool {
    let program = |process: u32| fs::read_link(format!("/proc/{process}/exe")).ok();
    let children = children(process).into_iter();
    let mut programs = children.filter_map(program).peekable();
    programs.peek().is_some() && program(process).is_some_and(|own| programs.any(|it| it == own))
}

/// The processes that descend from `process`, by their numbers. Whose parent has ended is another
/// one's child by now, and not among them.
pub(super) fn descendants(process: u32) -> Vec<(u32, OwnedFd)> {
    let (mut found, mut parents) = (Vec::new(), vec![process]);
    while let Some(parent) = parents.pop() {
        for child in children(parent) {
            let id = Pid::from_raw(child.cast_signed());
            let opened = id.and_then(|id| pidfd_open(id, PidfdFlags::empty()).ok());
            // Its number may be another process's since.
            if let Some(opened) = opened.filter(|_| children(parent).contains(&child)) {
                found.push((child, opened));
                parents.push(child);
            }
        }
    }
    found
}

/// Ends the process group of `leader`, a child that was not reaped: its number is nobody else's.
pub(super) fn end_group(leader: Pid) {
    // There may be nobody left.
    let _ = rustix::process::kill_process_group(leader, Signal::KILL);
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use rustix::process::pidfd_send_signal;

    use super::*;

    #[test]
    fn children_of_children_are_found_and_no_others() {
        let script = "sleep 8765.4 & sleep 8765.4 & echo; wait";
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", script]).stdout(Stdio::piped());
        let (mut shell, mut other) =
            (shell.spawn().expect("a shell"), shell.spawn().expect("one more"));
        for shell in [&mut shell, &mut other] {
            let mut byte = [0];
            let out = shell.stdout.as_mut().expect("it is a pipe");
            std::io::Read::read_exact(out, &mut byte).expect("it has started them");
        }
        let found = descendants(shell.id());
        assert_eq!(found.len(), 2);
        for (_, child) in found {
            pidfd_send_signal(child, Signal::KILL).expect("it runs");
        }
        assert!(shell.wait().is_ok());
        assert_eq!(descendants(other.id()).len(), 2, "nobody else's");
        for (_, child) in descendants(other.id()) {
            pidfd_send_signal(child, Signal::KILL).expect("it runs");
        }
        assert!(other.wait().is_ok());
    }
}
