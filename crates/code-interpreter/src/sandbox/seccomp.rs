//! Which system calls a worker may make, as programs for seccomp.
//!
//! An allowlist: what is not named here answers "operation not permitted", and a call by another processor's convention
//! (`int 0x80`) kills. Left out on purpose, with what they would reach: `ptrace`, `process_vm_*`, `pidfd_getfd`, `kcmp`
//! (other processes), `socket` (all but stream pairs, which reach nobody), shared anonymous `mmap`, `memfd_*`, `shm*`,
//! `sem*`, `msg*`, `mq_*` (memory that no limit counts), `keyctl` (keys outlive the process), `mount` and its kin,
//! `unshare`, `setns`, `chroot` (other roots), `bpf`, `perf_event_open`, `userfaultfd`, `io_uring_*`, `modify_ldt`,
//! `personality` (a large surface of the kernel's), `set*id`, `capset` (other users).

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

use SeccompCmpArgLen::{Dword, Qword};
use SeccompCmpOp::{Eq, MaskedEq, Ne};

/// Flags of `clone` that make namespaces.
const CLONE_NEW: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u64;
/// Memory of sockets is counted against no process, so its size per socket stays at the system's default.
const SOCKET_BUFFERS: [i32; 4] = [
    libc::SO_SNDBUF,
    libc::SO_RCVBUF,
    libc::SO_SNDBUFFORCE,
    libc::SO_RCVBUFFORCE,
];
const PR_SET_VMA: i32 = 0x5356_4d41;

/// Calls that are allowed with any arguments, on every processor.
#[rustfmt::skip]
const ALLOWED: &[libc::c_long] = &[
    // files and folders
    libc::SYS_read, libc::SYS_write, libc::SYS_close, libc::SYS_fstat, libc::SYS_lseek, libc::SYS_pread64,
    libc::SYS_pwrite64, libc::SYS_readv, libc::SYS_writev, libc::SYS_preadv, libc::SYS_pwritev, libc::SYS_preadv2,
    libc::SYS_pwritev2, libc::SYS_sendfile, libc::SYS_dup, libc::SYS_dup3, libc::SYS_flock, libc::SYS_fsync,
    libc::SYS_fdatasync, libc::SYS_truncate, libc::SYS_ftruncate, libc::SYS_fallocate, libc::SYS_getcwd,
    libc::SYS_chdir, libc::SYS_fchdir, libc::SYS_fchmod, libc::SYS_fchmodat, libc::SYS_fchown, libc::SYS_fchownat,
    libc::SYS_umask, libc::SYS_statfs, libc::SYS_fstatfs, libc::SYS_getdents64, libc::SYS_fadvise64,
    libc::SYS_openat, libc::SYS_openat2, libc::SYS_mkdirat, libc::SYS_mknodat, libc::SYS_unlinkat,
    libc::SYS_renameat2, libc::SYS_linkat, libc::SYS_symlinkat, libc::SYS_readlinkat, libc::SYS_faccessat,
    libc::SYS_faccessat2, libc::SYS_newfstatat, libc::SYS_statx, libc::SYS_utimensat, libc::SYS_pipe2,
    libc::SYS_splice, libc::SYS_tee, libc::SYS_copy_file_range, libc::SYS_readahead,
    libc::SYS_close_range, libc::SYS_getxattr, libc::SYS_lgetxattr, libc::SYS_fgetxattr, libc::SYS_listxattr,
    libc::SYS_llistxattr, libc::SYS_flistxattr,
    // memory of its own
    libc::SYS_mprotect, libc::SYS_munmap, libc::SYS_brk, libc::SYS_mremap, libc::SYS_msync,
    libc::SYS_mincore, libc::SYS_madvise, libc::SYS_mlock, libc::SYS_munlock, libc::SYS_membarrier,
    // further restrictions of its own
    libc::SYS_landlock_create_ruleset, libc::SYS_landlock_add_rule, libc::SYS_landlock_restrict_self,
    // processes and threads of its own
    libc::SYS_clone3, libc::SYS_execve, libc::SYS_execveat, libc::SYS_exit, libc::SYS_exit_group, libc::SYS_wait4,
    libc::SYS_waitid, libc::SYS_kill, libc::SYS_tkill, libc::SYS_tgkill, libc::SYS_getpid, libc::SYS_getppid,
    libc::SYS_gettid, libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getegid,
    libc::SYS_getresuid, libc::SYS_getresgid, libc::SYS_getgroups, libc::SYS_capget, libc::SYS_setpgid,
    libc::SYS_getpgid, libc::SYS_setsid, libc::SYS_getsid, libc::SYS_getpriority, libc::SYS_getrusage,
    libc::SYS_times, libc::SYS_sysinfo, libc::SYS_uname, libc::SYS_getcpu, libc::SYS_set_tid_address,
    libc::SYS_set_robust_list, libc::SYS_get_robust_list, libc::SYS_rseq, libc::SYS_futex, libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity, libc::SYS_sched_getparam, libc::SYS_sched_getscheduler,
    libc::SYS_sched_get_priority_max, libc::SYS_sched_get_priority_min, libc::SYS_sched_rr_get_interval,
    libc::SYS_restart_syscall,
    // signals, time, waiting
    libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn, libc::SYS_rt_sigpending,
    libc::SYS_rt_sigtimedwait, libc::SYS_rt_sigsuspend, libc::SYS_sigaltstack, libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep, libc::SYS_clock_gettime, libc::SYS_clock_getres, libc::SYS_gettimeofday,
    libc::SYS_getitimer, libc::SYS_setitimer, libc::SYS_timer_create, libc::SYS_timer_settime,
    libc::SYS_timer_gettime, libc::SYS_timer_getoverrun, libc::SYS_timer_delete, libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime, libc::SYS_timerfd_gettime, libc::SYS_eventfd2, libc::SYS_signalfd4,
    libc::SYS_ppoll, libc::SYS_pselect6, libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_pwait,
    libc::SYS_inotify_init1, libc::SYS_inotify_add_watch, libc::SYS_inotify_rm_watch, libc::SYS_getrandom,
    // both ends of a pair of sockets; which kind is said below
    libc::SYS_sendto, libc::SYS_recvfrom, libc::SYS_sendmsg, libc::SYS_recvmsg, libc::SYS_recvmmsg,
    libc::SYS_sendmmsg, libc::SYS_shutdown, libc::SYS_getsockname, libc::SYS_getpeername, libc::SYS_getsockopt,
];

/// What x86-64 alone has: older names for the same.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const ALLOWED_HERE: &[libc::c_long] = &[
    libc::SYS_open, libc::SYS_creat, libc::SYS_stat, libc::SYS_lstat, libc::SYS_access, libc::SYS_pipe,
    libc::SYS_dup2, libc::SYS_rename, libc::SYS_renameat, libc::SYS_mkdir, libc::SYS_rmdir, libc::SYS_link,
    libc::SYS_unlink, libc::SYS_symlink, libc::SYS_readlink, libc::SYS_chmod, libc::SYS_chown, libc::SYS_lchown,
    libc::SYS_mknod, libc::SYS_utime, libc::SYS_utimes, libc::SYS_futimesat, libc::SYS_getdents, libc::SYS_poll,
    libc::SYS_select, libc::SYS_epoll_create, libc::SYS_epoll_wait, libc::SYS_eventfd, libc::SYS_signalfd,
    libc::SYS_inotify_init, libc::SYS_pause, libc::SYS_alarm, libc::SYS_fork, libc::SYS_vfork, libc::SYS_getpgrp,
    libc::SYS_time, libc::SYS_sync_file_range, libc::SYS_arch_prctl, libc::SYS_getrlimit, libc::SYS_setrlimit,
];
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_HERE: &[libc::c_long] = &[];

/// `prctl`s that touch nothing but the caller's own name, timers and end.
const ALLOWED_PRCTL: &[i32] = &[
    libc::PR_SET_PDEATHSIG,
    libc::PR_GET_PDEATHSIG,
    libc::PR_GET_DUMPABLE,
    libc::PR_SET_NAME,
    libc::PR_GET_NAME,
    libc::PR_GET_SECCOMP,
    libc::PR_SET_SECCOMP,
    libc::PR_CAPBSET_READ,
    libc::PR_SET_TIMERSLACK,
    libc::PR_GET_TIMERSLACK,
    libc::PR_SET_NO_NEW_PRIVS,
    libc::PR_GET_NO_NEW_PRIVS,
    libc::PR_SET_THP_DISABLE,
    libc::PR_GET_THP_DISABLE,
    PR_SET_VMA,
];

/// The programs in the order in which they are installed. The last one's answer counts where both refuse.
pub(crate) fn programs() -> Result<Vec<BpfProgram>, BackendError> {
    let refuse = |errno: i32| SeccompAction::Errno(errno.unsigned_abs());
    // Its flags lie in memory, where no filter can look. The C library goes on with `clone` when it is not there.
    let without_clone3 = SeccompFilter::new(
        BTreeMap::from([(libc::SYS_clone3, Vec::new())]),
        SeccompAction::Allow,
        refuse(libc::ENOSYS),
        architecture()?,
    )?;
    let allowlist = SeccompFilter::new(
        rules()?,
        refuse(libc::EPERM),
        SeccompAction::Allow,
        architecture()?,
    )?;
    Ok(vec![without_clone3.try_into()?, allowlist.try_into()?])
}

fn architecture() -> Result<TargetArch, BackendError> {
    TargetArch::try_from(std::env::consts::ARCH)
}

fn rules() -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED
        .iter()
        .chain(ALLOWED_HERE)
        .map(|call| (*call, Vec::new()))
        .collect();
    let when = |position, length, operator, value| {
        SeccompCondition::new(position, length, operator, value)
    };
    let word = |value: i32| u64::from(value.cast_unsigned());
    let none_of = |position, values: &[u64]| -> Result<Vec<SeccompRule>, BackendError> {
        let conditions = values
            .iter()
            .map(|value| when(position, Dword, Ne, *value))
            .collect::<Result<_, _>>()?;
        Ok(vec![SeccompRule::new(conditions)?])
    };
    let one_of = |position, values: &[u64]| -> Result<Vec<SeccompRule>, BackendError> {
        values
            .iter()
            .map(|value| SeccompRule::new(vec![when(position, Dword, Eq, *value)?]))
            .collect()
    };
    rules.insert(
        libc::SYS_clone,
        vec![SeccompRule::new(vec![when(
            0,
            Qword,
            MaskedEq(CLONE_NEW),
            0,
        )?])?],
    );
    // Memory that is shared and of no file stays as long as any process maps a page of it, and shows in no process that has
    // not touched it: it could not be counted. Either there is a file, or the mapping is private.
    let flags_with = |mask: i32, value: i32| {
        SeccompRule::new(vec![when(3, Dword, MaskedEq(word(mask)), word(value))?])
    };
    rules.insert(
        libc::SYS_mmap,
        vec![
            flags_with(libc::MAP_ANONYMOUS, 0)?,
            flags_with(libc::MAP_TYPE, libc::MAP_PRIVATE)?,
        ],
    );
    // Pairs alone: they reach nobody, and a stream's end can't be pointed elsewhere, as one of datagrams can.
    rules.insert(
        libc::SYS_socketpair,
        vec![SeccompRule::new(vec![
            when(0, Dword, Eq, word(libc::AF_UNIX))?,
            when(1, Dword, MaskedEq(0xf), word(libc::SOCK_STREAM))?,
        ])?],
    );
    let buffers = SOCKET_BUFFERS.map(word);
    rules.insert(libc::SYS_setsockopt, none_of(2, &buffers)?);
    // No signal to a process of the caller's choice by way of a descriptor.
    rules.insert(
        libc::SYS_fcntl,
        none_of(1, &[libc::F_SETOWN, F_SETSIG, F_SETOWN_EX].map(word))?,
    );
    // Nor by a terminal, whose input the last two would type.
    rules.insert(
        libc::SYS_ioctl,
        none_of(1, &[0x8901, 0x8902, 0x5412, 0x541c])?,
    );
    // Their targets could be any process of the user; 0 is the caller.
    for call in [libc::SYS_prlimit64, libc::SYS_sched_setaffinity] {
        rules.insert(call, one_of(0, &[0])?);
    }
    rules.insert(
        libc::SYS_setpriority,
        vec![SeccompRule::new(vec![
            when(0, Dword, Eq, 0)?,
            when(1, Dword, Eq, 0)?,
        ])?],
    );
    let mut prctl = one_of(
        0,
        &ALLOWED_PRCTL.iter().copied().map(word).collect::<Vec<_>>(),
    )?;
    // Only towards being seen: what hides its memory cannot be counted.
    prctl.push(SeccompRule::new(vec![
        when(0, Dword, Eq, word(libc::PR_SET_DUMPABLE))?,
        when(1, Qword, Eq, 1)?,
    ])?);
    rules.insert(libc::SYS_prctl, prctl);
    Ok(rules)
}

const F_SETSIG: i32 = 10;
const F_SETOWN_EX: i32 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_fit_into_the_kernel_and_the_allowlist_is_the_last() {
        let programs = programs().unwrap();
        assert_eq!(programs.len(), 2);
        assert!(programs[0].len() < programs[1].len());
        assert!(programs[1].len() < 4096);
    }

    #[test]
    fn calls_that_reach_other_processes_or_uncounted_memory_are_not_among_the_rules() {
        let rules = rules().unwrap();
        for call in [
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_memfd_create,
            libc::SYS_shmget,
            libc::SYS_keyctl,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_mount,
            libc::SYS_bpf,
            libc::SYS_io_uring_setup,
            libc::SYS_userfaultfd,
            libc::SYS_pidfd_getfd,
        ] {
            assert!(!rules.contains_key(&call), "{call}");
        }
    }
}
