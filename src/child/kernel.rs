//! Pointers that a program has given to the kernel and may keep nowhere else: what comes back with
//! an event. A server's connections often hang on nothing but these.
//!
//! ```text
//!   epoll_ctl(2)     data of each watched descriptor    /proc/PID/fdinfo/FD, lines `tfd:`
//!   timer_create(2)  the value of each timer's signal   /proc/PID/timers, lines `signal:`
//! ```
//! Both forms are in proc(5), proc_pid_fdinfo(5) and proc_pid_timers(5). What is in a pipe, a
//! socket or an io_uring can't be seen.

use std::fs;
use std::path::Path;

use super::proc_file;
use super::reach::{Origin, Root};

/// Every word that the kernel keeps for `pid` and that may be a root. A file that can't be read (a process that has just
/// closed the descriptor, a kernel without timers' files) holds none.
pub(super) fn roots(pid: u32) -> Vec<Root> {
    let proc = Path::new("/proc").join(pid.to_string());
    let of = |origin| move |word| Root { word, origin };
    let timers = timers(&proc_file::text(proc.join("timers")).unwrap_or_default());
    let mut roots: Vec<Root> = timers.into_iter().map(of(Origin::Timer)).collect();
    let descriptors = fs::read_dir(proc.join("fd")).into_iter().flatten().flatten();
    for descriptor in descriptors {
        let is_epoll = |target: &Path| target.as_os_str() == "anon_inode:[eventpoll]";
        if fs::read_link(descriptor.path()).is_ok_and(|target| is_epoll(&target)) {
            let info = proc.join("fdinfo").join(descriptor.file_name());
            let watched = watched(&proc_file::text(info).unwrap_or_default());
            roots.extend(watched.into_iter().map(of(Origin::Epoll)));
        }
    }
    roots
}

/// The data of the descriptors that an epoll instance watches.
fn watched(info: &str) -> Vec<u64> {
    let data = |line: &str| {
        let mut fields = line.strip_prefix("tfd:")?.split_ascii_whitespace();
        fields.find(|field| *field == "data:")?;
        u64::from_str_radix(fields.next()?, 16).ok()
    };
    info.lines().filter_map(data).collect()
}

/// The values that timers' signals bring.
fn timers(text: &str) -> Vec<u64> {
    let value = |line: &str| {
        let (_, value) = line.strip_prefix("signal:")?.rsplit_once('/')?;
        u64::from_str_radix(value.trim(), 16).ok()
    };
    text.lines().filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_epoll_instance_watches_has_data() {
        let info = "pos:\t0\nflags:\t02\nmnt_id:\t17\nino:\t1038\n\
                    tfd:        4 events:       19 data:     55f8a6ef32a0  pos:0 ino:40e sdev:10\n\
                    tfd:        9 events: 80000019 data: ffffffffffffffff  pos:0 ino:40e sdev:10\n\
                    tfd:        9 events: 80000019 data:";
        assert_eq!(watched(info), [0x55f8_a6ef_32a0, u64::MAX]);
    }

    #[test]
    fn a_timer_s_signal_brings_a_value() {
        let text = "ID: 0\nsignal: 10/000055f8a6ef42e0\nnotify: signal/pid.5627\nClockID: 1\n\
                    ID: 1\nsignal: 0/0000000000000001\nnotify: none/pid.5627\nClockID: 0\n";
        assert_eq!(timers(text), [0x55f8_a6ef_42e0, 1]);
    }

    #[test]
    fn a_process_that_is_gone_keeps_nothing() {
        assert_eq!(roots(u32::MAX), []);
    }
}
