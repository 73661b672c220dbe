//! What the kernel says of a child's threads while they run.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::proc_file;

/// Whether every thread of `pid` waits for something: none runs, or is about to.
pub(crate) fn is_waiting(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    threads.flatten().all(|thread| {
        // A thread that is gone does nothing any more.
        proc_file::text(thread.path().join("stat")).map_or(true, |stat| waits(&stat))
    })
}

/// Whether `pid` has a thread that is none of `known`.
pub(crate) fn has_threads_beside(pid: u32, known: &[u32]) -> bool {
    let folder = format!("/proc/{pid}/task");
    // A link for each, and two of the folder's own: most have one, and nobody looks for its number.
    if fs::metadata(&folder).is_ok_and(|folder| folder.nlink() <= 3) && known.contains(&pid) {
        return false;
    }
    let Ok(threads) = fs::read_dir(folder) else { return false };
    let number = |thread: fs::DirEntry| thread.file_name().to_str()?.parse().ok();
    threads.flatten().filter_map(number).any(|id: u32| !known.contains(&id))
}

/// How often children of `pid` that it has waited for made the kernel find them a page: more than
/// before, and it had another one (proc_pid_stat(5): `cminflt`).
pub(crate) fn faults_of_children(pid: u32) -> u64 {
    let stat = proc_file::text(format!("/proc/{pid}/stat")).unwrap_or_default();
    fields(&stat).nth(8).and_then(|field| field.parse().ok()).unwrap_or_default()
}

/// Sleeping, stopped, or at its end; what waits for a disk has yet to go on.
fn waits(stat: &str) -> bool {
    fields(stat).next().is_some_and(|state| ["S", "T", "t", "Z", "X"].contains(&state))
}

/// The fields from the state on: in front of it stands a name that may hold anything.
fn fields(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        assert!(waits("7 (a) R 1) S 1 2 3"));
        assert!(!waits("7 (S) R 1 2 3"));
        assert!(!waits("7 (x) D 1 2 3"));
        assert!(!waits(""));
        let stat = "7 (x y) S 1 2 3 4 5 6 7 4711 9";
        assert_eq!(fields(stat).nth(8), Some("4711"));
    }

    #[test]
    fn threads_are_told_from_those_that_are_known() {
        let own = std::process::id();
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let id = rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned();
            tell.send(id).expect("somebody waits");
            ended.recv().expect_err("it is dropped");
        });
        let other = told.recv().expect("it tells");
        let all = fs::read_dir("/proc/self/task").expect("this process has threads").flatten();
        let all = all.filter_map(|thread| thread.file_name().to_str()?.parse().ok());
        let without: Vec<u32> = all.filter(|id| *id != other).collect();
        // Other tests start threads, too: one more is found, whoever they are.
        assert!(has_threads_beside(own, &without));
        assert!(!has_threads_beside(0, &[]), "there is no such process");
        drop(end);
        thread.join().expect("it ends");
    }

    #[test]
    fn who_looks_does_not_wait() {
        assert!(!is_waiting(std::process::id()));
        assert!(!is_waiting(0), "there is no such process");
    }
}
