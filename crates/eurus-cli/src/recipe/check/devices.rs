//! Devices that a stage may fit on: this machine, and GPUs by their memory.

use serde::Serialize;

/// A device, as far as memory is concerned.
#[derive(Debug, Clone, Serialize)]
pub struct Device {
    pub name: String,
    /// Unknown of a machine that does not tell.
    pub bytes: Option<u64>,
}

/// Bytes of a gigabyte, as memory of GPUs is counted at the least.
const GB: u64 = 1_000_000_000;

/// Sizes of GPUs that there are many of.
const GPUS: [u64; 4] = [24, 40, 80, 141];

pub fn all() -> Vec<Device> {
    let mut devices = vec![Device {
        name: "this machine's CPU".to_owned(),
        bytes: of_this_machine(),
    }];
    devices.extend(GPUS.map(|size| Device {
        name: format!("GPU of {size} GB"),
        bytes: Some(size * GB),
    }));
    devices
}

/// The memory that this machine, or the group of processes that this one is in, may use.
#[cfg(target_os = "linux")]
fn of_this_machine() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let limit: Option<u64> = limit.and_then(|text| text.trim().parse().ok());
    let all = kibibytes * 1024;
    Some(limit.map_or(all, |limit| limit.min(all)))
}

#[cfg(not(target_os = "linux"))]
fn of_this_machine() -> Option<u64> {
    None
}
