//! Whom a process has started: its children, theirs, and so on, as the kernel names their parents.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::status;

/// The processes that descend from `pid`. Whose parent has ended is another one's child by now, and
/// not among them.
pub(super) fn descendants(pid: u32) -> Vec<OwnedFd> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let number = process.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some((parent, number)) = number.and_then(|it| Some((status::parent(it)?, it))) {
            children.entry(parent).or_default().push(number);
        }
    }
    let (mut found, mut parents) = (Vec::new(), vec![pid]);
    while let Some(parent) = parents.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            let number = i32::try_from(child).ok().and_then(Pid::from_raw);
            let Some(Ok(process)) = number.map(|it| pidfd_open(it, PidfdFlags::empty())) else {
                continue;
            };
            // Its number may be another process's since.
            if status::parent(child) == Some(parent) {
                found.push(process);
                parents.push(child);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use rustix::process::{Signal, pidfd_send_signal};

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
        for child in found {
            pidfd_send_signal(child, Signal::KILL).expect("it runs");
        }
        assert!(shell.wait().is_ok());
        assert_eq!(descendants(other.id()).len(), 2, "nobody else's");
        for child in descendants(other.id()) {
            pidfd_send_signal(child, Signal::KILL).expect("it runs");
        }
        assert!(other.wait().is_ok());
    }
}
