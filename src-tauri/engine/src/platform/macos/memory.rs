//! Memory of the host and of one process.

use std::ffi::CStr;
use std::io;

use doctor::{GpuLimit, HostSeen};

use super::{available_pages, physical_footprint, sysctl_by_name};

/// Memory and swap of the host, without the ledger. `pressure` is the kernel's own level
/// (`kern.memorystatus_vm_pressure_level`, FACTS B.5); available is free and inactive memory.
pub fn memory() -> io::Result<HostSeen> {
    let level = number(c"kern.memorystatus_vm_pressure_level")?;
    let pages = available_pages()
        .ok_or_else(|| io::Error::other("host_statistics64 gives no memory statistics"))?;
    // struct xsw_usage: total, available and used, 64 bits each (XNU bsd/sys/sysctl.h).
    let swap = read(c"vm.swapusage")?;
    let swap_at = |at: usize| {
        swap.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes)
    };
    let memory_bytes = number(c"hw.memsize")?;
    Ok(HostSeen {
        memory_bytes,
        available_bytes: pages.saturating_mul(number(c"hw.pagesize")?),
        pressure: u8::try_from(level).unwrap_or(1),
        swap_total_bytes: swap_at(0),
        swap_used_bytes: swap_at(16),
        load_percent: 0,
        // Not on Intel.
        gpu_limit: number(c"iogpu.wired_limit_mb").ok().map(|set| gpu_limit(set, memory_bytes)),
        ledger: None,
        volumes: Vec::new(),
        ended: Vec::new(),
    })
}

/// Bytes that a process really holds: its physical footprint, which counts Metal and compressed
/// memory as the resident set size does not. None when there is no such process, or when it is
/// another user's.
pub fn footprint(pid: u32) -> Option<u64> {
    physical_footprint(pid)
}

/// None: containers run in a machine of their own, whose numbers are not told here.
pub fn memory_peak(_pid: u32, _container: &str) -> Option<u64> {
    None
}

/// 0 is the system's own policy, about 2/3 of the memory up to 36 GB and 3/4 above (FACTS B.5).
fn gpu_limit(set_mb: u64, memory_bytes: u64) -> GpuLimit {
    const SMALL: u64 = 36 << 30;
    let policy = if memory_bytes <= SMALL { memory_bytes / 3 * 2 } else { memory_bytes / 4 * 3 };
    match set_mb {
        0 => GpuLimit { bytes: policy, is_set: false },
        set => GpuLimit { bytes: set.saturating_mul(1 << 20), is_set: true },
    }
}

/// A whole number of 4 or 8 bytes.
fn number(name: &CStr) -> io::Result<u64> {
    let bytes = read(name)?;
    if let Ok(bytes) = <[u8; 8]>::try_from(&*bytes) {
        return Ok(u64::from_ne_bytes(bytes));
    }
    if let Ok(bytes) = <[u8; 4]>::try_from(&*bytes) {
        return Ok(u64::from(u32::from_ne_bytes(bytes)));
    }
    Err(io::Error::other(format!("sysctl {} is not a number", name.to_string_lossy())))
}

fn read(name: &CStr) -> io::Result<Vec<u8>> {
    sysctl_by_name(name)
        .ok_or_else(|| io::Error::other(format!("sysctl {} is unreadable", name.to_string_lossy())))
}
