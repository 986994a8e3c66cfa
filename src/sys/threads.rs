//! Threads that wait for one thing: a pipe, a child, an answer.
#![allow(unsafe_code)] // mallopt(3)

use std::io;

/// Of each thread. They call nothing deep; but the system's limit would let each have 8 MiB, in each of thousands of stages
/// on a machine, and where memory is not overcommitted that counts.
const STACK: usize = 128 << 10;

/// Starts one. Nobody joins it: it says what it has to say through a channel, and ends with what it waits for.
///
/// `name` is for people who look with `ps -L`; the kernel shows 15 characters of it.
///
/// # Errors
/// A limit on processes (`ulimit -u`, pids of a control group) is reached. The body has not run and is dropped.
pub fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.into()).stack_size(STACK).spawn(body).map(drop)
}

/// Has all threads of this process share one heap. glibc makes one for each, of 64 MiB of addresses, with system calls and
/// pages of its own; and these threads hardly ever allocate at the same time. To be called before there is another thread.
#[cfg(target_env = "gnu")]
pub fn share_one_heap() {
    // SAFETY: plain integers.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// Elsewhere they do.
#[cfg(not(target_env = "gnu"))]
pub fn share_one_heap() {}
