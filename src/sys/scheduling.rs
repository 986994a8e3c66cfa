//! How well a process is treated: when it runs, where, and whether the lack of memory hits it.
//!
//! A site gives its runner `Nice=`, `CPUSchedulingPolicy=`, `CPUAffinity=`, `IOSchedulingClass=` or `OOMScoreAdjust=` so that
//! it answers whatever happens. A job that inherited that would be served before everybody else on a login node, and would be the
//! last to go when memory is short. For jobs there are limits of control groups, which they cannot change.
#![allow(unsafe_code)] // raw calls in a forked child

use std::io;

/// Bits of a set of processors: as many as no machine has.
const CPUS: usize = 8192;
/// `IOPRIO_WHO_PROCESS` of ioprio_set(2).
const IOPRIO_WHO_PROCESS: libc::c_int = 1;
/// Class none, which follows the nice value.
const IOPRIO_NONE: libc::c_int = 0;

/// Makes this process one like any other. To be called between fork and exec: plain system calls only.
///
/// What the kernel refuses stays. Without root's rights that is what is worse for the job than it should be, and the score
/// for the lack of memory: a process that hides itself cannot open the file of it. See `executor-scripts/launcher.bash`.
pub(super) fn as_any_process() {
    let all = [0xff_u8; CPUS / 8];
    let param = libc::sched_param { sched_priority: 0 };
    // SAFETY: plain integers, or pointers to what is on this stack, with its length.
    unsafe {
        libc::syscall(libc::SYS_sched_setscheduler, 0, libc::SCHED_OTHER, &raw const param);
        libc::syscall(libc::SYS_setpriority, libc::PRIO_PROCESS, 0, 0);
        // The kernel leaves out those that the control group (cpuset) does not have.
        libc::syscall(libc::SYS_sched_setaffinity, 0, all.len(), all.as_ptr());
        libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_NONE);
    }
    let _ = no_better_without_memory();
}

/// `oom_score_adj` of proc(5).
fn no_better_without_memory() -> io::Result<()> {
    // SAFETY: a C string, then a descriptor of ours and a string with its length.
    unsafe {
        let file = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if file < 0 {
            return Err(io::Error::last_os_error());
        }
        let written = libc::write(file, c"0".as_ptr().cast(), 1);
        libc::close(file);
        if written == 1 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}
