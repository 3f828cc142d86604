// SPDX-License-Identifier: GPL-2.0-only

//! A program that stops where it asks the kernel; the only `unsafe` here.

use nix::sys::ptrace;
use nix::unistd::chdir;
use nix::unistd::chroot;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::ptr;

/// Has a program run in `root`, traced by the thread that starts it, with a stop
/// (`PTRACE_EVENT_SECCOMP`) at these system calls and at no others.
pub fn traced(command: &mut Command, root: &Path, stops: &[libc::c_long]) {
    let root = root.to_path_buf();
    let filter = filter(stops);
    let prepare = move || {
        chroot(&root)?;
        chdir("/")?;
        ptrace::traceme()?;
        end_after(SECONDS)?;
        stop_at(&filter)
    };
    // SAFETY: Between fork and exec it makes system calls and nothing else, of values made before;
    // nix keeps a path of this length on the stack.
    unsafe { command.pre_exec(prepare) };
}

/// How long a program may compute. None needs as much; one that goes round in a list for ever would be waited for.
const SECONDS: libc::rlim_t = 20;

/// It dies of a signal then.
fn end_after(seconds: libc::rlim_t) -> io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: seconds,
        rlim_max: seconds + 1,
    };
    // SAFETY: The call reads the limit and nothing else.
    match unsafe { libc::setrlimit(libc::RLIMIT_CPU, &limit) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The number of the system call; what it is compared with; what follows.
fn filter(stops: &[libc::c_long]) -> Vec<libc::sock_filter> {
    let statement = |code: u32, k: u32| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    };
    // struct seccomp_data starts with the number.
    let mut program = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0)];
    for call in stops {
        program.push(libc::sock_filter {
            jf: 1,
            ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, *call as u32)
        });
        program.push(statement(
            libc::BPF_RET | libc::BPF_K,
            libc::SECCOMP_RET_TRACE,
        ));
    }
    program.push(statement(
        libc::BPF_RET | libc::BPF_K,
        libc::SECCOMP_RET_ALLOW,
    ));
    program
}

fn stop_at(filter: &[libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: The program and its statements live through the call, which only reads them.
    let result = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            ptr::from_ref(&program),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
