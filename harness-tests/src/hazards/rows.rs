//! The rows.

use super::{By, Ends, Hazard, Need};

const fn program(name: &'static str, source: &'static str, line: &'static str) -> Hazard {
    let by = By::Program { source, flags: &[], options: &[], before: "", line };
    Hazard { name, by, needs: Need::Nothing, ends: ends(0, 0, "") }
}

const fn step(name: &'static str, plugin: &'static str, step: &'static str) -> Hazard {
    let by = By::Step { plugin, step, more: "" };
    Hazard { name, by, needs: Need::Nothing, ends: ends(0, 0, "") }
}

const fn ends(status: i32, blocks: u64, words: &'static str) -> Ends {
    Ends { status, blocks, words }
}

impl Hazard {
    const fn flags(mut self, more: &'static [&'static str]) -> Self {
        if let By::Program { flags, .. } = &mut self.by {
            *flags = more;
        }
        self
    }

    const fn options(mut self, more: &'static [&'static str]) -> Self {
        if let By::Program { options, .. } = &mut self.by {
            *options = more;
        }
        self
    }

    const fn after(mut self, preparation: &'static str) -> Self {
        if let By::Program { before, .. } = &mut self.by {
            *before = preparation;
        }
        self
    }

    const fn with(mut self, lines: &'static str) -> Self {
        if let By::Step { more, .. } = &mut self.by {
            *more = lines;
        }
        self
    }

    const fn needs(self, needs: Need) -> Self {
        Self { needs, ..self }
    }

    /// What it loses is found, and nothing else.
    const fn leaks(self, blocks: u64) -> Self {
        Self { ends: ends(1, blocks, ""), ..self }
    }

    /// It is not checked, for the reason that has these words; what it loses may be found.
    const fn is_not_checked(self, words: &'static str) -> Self {
        Self { ends: ends(3, self.ends.blocks, words), ..self }
    }

    /// It fails, and is told in these words.
    const fn fails(self, words: &'static str) -> Self {
        Self { ends: ends(4, 0, words), ..self }
    }

    const fn is_clean(self) -> Self {
        Self { ends: ends(0, 0, ""), ..self }
    }
}

/// All of them: how programs end, what their children do, what is in the way of the preload heap,
/// what there is not enough of, who lies, and plugins.
pub const HAZARDS: &[Hazard] = &[
    program("returns", "ends_by.c", "PROGRAM return 77").leaks(1),
    program("_exit", "ends_by.c", "PROGRAM _exit 77").leaks(1),
    program("quick_exit", "ends_by.c", "PROGRAM quick_exit 77").leaks(1),
    program("abort", "ends_by.c", "PROGRAM abort 77").fails("signal 6 (SIGABRT)"),
    program("SIGKILL", "ends_by.c", "PROGRAM kill 77").fails("signal 9 (SIGKILL)"),
    program("exit_group past libc", "ends_by.c", "PROGRAM syscall 77")
        .is_not_checked("without the preload heap seeing its exit"),
    program("exec", "ends_by.c", "PROGRAM exec 77").leaks(1),
    program("handlers of signals allocate", "allocates_in_a_signal_handler.c", "PROGRAM").leaks(1),
    program("every descriptor is closed", "closes_everything.c", "PROGRAM").leaks(1),
    program("fork and exit", "forks.c", "PROGRAM exit").leaks(1),
    program("fork and _exit", "forks.c", "PROGRAM _exit").leaks(1),
    program("clone past libc", "forks.c", "PROGRAM clone").leaks(1),
    program("vfork and exec", "forks.c", "PROGRAM vfork").leaks(1),
    program("posix_spawn", "forks.c", "PROGRAM spawn").leaks(1),
    program("a daemon lives on", "forks.c", "PROGRAM daemon").leaks(1),
    program("200 forks among allocating threads", "forks.c", "PROGRAM threads").leaks(1),
    program("followed past a fork", "forks_workers.c", "PROGRAM loses").options(FOLLOWED).leaks(1),
    program("a followed child ends its parent's blocks", "forks_workers.c", "PROGRAM frees")
        .options(FOLLOWED)
        .leaks(1),
    program("a followed daemon without descriptors", "forks_workers.c", "PROGRAM daemon")
        .options(FOLLOWED)
        .leaks(1),
    program("followed, and not by libc's fork", "forks_workers.c", "PROGRAM clones")
        .options(FOLLOWED)
        .leaks(1),
    program("followed, and no processes left", "forks_workers.c", "PROGRAM fails")
        .options(FOLLOWED)
        .leaks(1),
    program("dlclose with live blocks", "opens_apart.c", "PROGRAM unload LIBRARY lose_there")
        .leaks(1),
    program("RTLD_DEEPBIND", "opens_apart.c", "PROGRAM deepbind LIBRARY lose_there")
        .leaks(1)
        .is_not_checked("RTLD_DEEPBIND"),
    program("dlmopen", "opens_apart.c", "PROGRAM namespace LIBRARY lose_there")
        .is_not_checked("dlmopen"),
    program("a malloc of its own", "has_its_own_malloc.c", "PROGRAM")
        .flags(&["-rdynamic"])
        .is_not_checked("another malloc is in front of the preload heap's"),
    program("a hidden malloc of its own", "has_its_own_malloc.c", "PROGRAM")
        .flags(&["-fvisibility=hidden"])
        .is_not_checked("the program has an allocator of its own, `malloc`"),
    program("a known allocator by another name", "has_its_own_malloc.c", "PROGRAM")
        .flags(&[
            "-Dmalloc=_rjem_malloc",
            "-Dcalloc=_rjem_calloc",
            "-Drealloc=_rjem_realloc",
            "-Dfree=_rjem_sdallocx",
        ])
        .is_not_checked("the program has an allocator of its own, `_rjem_malloc`"),
    program("an allocator of Rust's own", "allocates_by.rs", "PROGRAM")
        .flags(&["--cfg", "own"])
        .is_not_checked("the program has an allocator of its own, `__rustc::__rust_alloc`"),
    program("Rust's allocator that passes on", "allocates_by.rs", "PROGRAM")
        .flags(&["--cfg", "counting"])
        .leaks(1),
    program("linked statically", "loses_a_block.c", "PROGRAM")
        .flags(&["-static"])
        .is_not_checked("it is statically linked"),
    program("started and linked statically", "loses_a_block.c", "exec PROGRAM")
        .flags(&["-static"])
        .is_not_checked("executed a program that is not preloaded"),
    program("set-id", "loses_a_block.c", "PROGRAM")
        .after("chown nobody PROGRAM && chmod 4755 PROGRAM")
        .needs(Need::Root)
        .is_not_checked("it is a set-id program"),
    program("musl", "loses_a_block.c", "PROGRAM")
        .after("musl-gcc -o PROGRAM SOURCE")
        .needs(Need::Musl)
        .is_not_checked("it is linked with musl"),
    program("an empty environment", "loses_a_block.c", "exec env -i PROGRAM")
        .is_not_checked("executed a program that is not preloaded"),
    program("no /proc", "loses_a_block.c", "exec unshare -m sh -c 'umount -l /proc; exec PROGRAM'")
        .needs(Need::Mounts)
        .is_not_checked("executed a program that is not preloaded"),
    program("RLIMIT_AS", "loses_a_block.c", "ulimit -v 1000000; exec PROGRAM")
        .is_not_checked("raise the limits"),
    program("RLIMIT_DATA", "loses_a_block.c", "ulimit -d 100000; exec PROGRAM")
        .is_not_checked("raise the limits"),
    program("a memory limit that is enough", "loses_a_block.c", LIMITED)
        .needs(Need::ControlGroup)
        .leaks(3),
    program("a memory limit that is not", "touches_64_mib.c", LIMITED)
        .needs(Need::ControlGroup)
        .fails("signal 9 (SIGKILL)"),
    program("a full heap", "touches_64_mib.c", "PROGRAM")
        .options(&["--heap", "32m"])
        .is_not_checked("the heap of 32 MiB was full"),
    program("lies of its path", "lies_in_its_ledger.c", "PROGRAM path PIPE").leaks(1),
    program("lies of sizes", "lies_in_its_ledger.c", "PROGRAM sizes")
        .is_not_checked("the program overwrote its ledger"),
    step("a step crashes", "crashes_in_step", "crash").fails("signal 11 (SIGSEGV)"),
    step("a step hangs", "hangs_in_step", "hang").with("timeout = \"500ms\"").fails("timed out"),
    step("a step ends the host", "exits_in_step", "leave 0").fails("ended the host"),
    step("a step closes descriptors", "closes_descriptors", "close 3 9").is_clean(),
    step("a step closes the socket", "closes_descriptors", "close 3 100").fails("`close 3 100`"),
    step("a step changes the directory", "leaves_its_place", "change directory").leaks(8),
    step("a step changes the root", "leaves_its_place", "change root").needs(Need::Root).leaks(8),
    step("a step drops its rights", "leaves_its_place", "drop privileges")
        .needs(Need::Root)
        .leaks(8),
    step("a step hides its memory", "leaves_its_place", "hide").needs(Need::Root).leaks(8),
    step("a step floods the socket", "answers_for_the_host", "flood").fails("`flood`"),
    step("a step drips into the socket", "answers_for_the_host", "drip")
        .with("timeout = \"2s\"")
        .fails("timed out"),
    step("a step writes 1 GiB", "fills_stdout", "fill").with("warmup = 0\nrepeat = 1").is_clean(),
];

const FOLLOWED: &[&str] = &["--follow"];
const LIMITED: &str = "echo $$ > CGROUP/cgroup.procs; exec PROGRAM";
