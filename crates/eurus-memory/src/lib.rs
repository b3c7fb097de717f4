#![doc = include_str!("../README.md")]

#[cfg(not(feature = "system-allocator"))]
mod allocator {
    pub use mimalloc::MiMalloc as TrainingAllocator;

    /// `mi_option_purge_delay` in `mimalloc.h`; the bindings leave it out. The number is part of mimalloc's interface.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

    pub fn keep_freed_memory() {
        const NEVER: std::ffi::c_long = -1;
        // SAFETY: sets a number inside the allocator; the option exists in every mimalloc since 2.0.
        unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, NEVER) }
    }
}

#[cfg(feature = "system-allocator")]
mod allocator {
    pub use std::alloc::System as TrainingAllocator;

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    pub fn keep_freed_memory() {
        // The most that glibc allows: what is larger is mapped and given back, which costs little beside its use.
        const LARGEST_KEPT: libc::c_int = 32 << 20;
        // SAFETY: sets numbers inside the allocator.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGEST_KEPT);
            libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
        }
    }

    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    pub fn keep_freed_memory() {}
}

pub use allocator::TrainingAllocator;

/// Tells [`TrainingAllocator`] to keep freed memory for the next allocation instead of giving it back to the system, where it
/// can be told. The process then stays as large as it has ever been. With mimalloc an explicit `MIMALLOC_PURGE_DELAY` in
/// the environment stands.
pub fn keep_freed_memory() {
    allocator::keep_freed_memory();
}

/// The most memory that this process had resident, in bytes; mapped files count. `None` outside Linux.
pub fn peak_resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Counts the peak from here on. Returns whether the system allows it (Linux); otherwise it goes on counting from the start of
/// the process.
pub fn reset_peak() -> bool {
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}
