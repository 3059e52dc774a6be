//! Memory of the host and of one process.

use std::fs;
use std::io;

use doctor::HostSeen;

use super::page_size;
use super::process::read;

/// Memory and swap of the host, without the ledger. `pressure` is counted from pressure stall
/// information and available memory, since Linux has no level of its own (R65).
pub fn memory() -> io::Result<HostSeen> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let kilobytes = |name: &str| field(&text, name).unwrap_or(0).saturating_mul(1024);
    let memory_bytes = kilobytes("MemTotal:");
    let available_bytes = kilobytes("MemAvailable:");
    let swap_total_bytes = kilobytes("SwapTotal:");
    // Absent where the kernel was built or started without it (psi=0).
    let stalls =
        fs::read_to_string("/proc/pressure/memory").ok().and_then(|psi| Stalls::parse(&psi));
    Ok(HostSeen {
        memory_bytes,
        available_bytes,
        pressure: level(stalls, memory_bytes, available_bytes),
        swap_total_bytes,
        swap_used_bytes: swap_total_bytes.saturating_sub(kilobytes("SwapFree:")),
        load_percent: 0,
        // Its own memory is what a graphics card may hold here, and the card's driver knows that.
        gpu_limit: None,
        ledger: None,
        volumes: Vec::new(),
        ended: Vec::new(),
    })
}

/// Bytes that a process really holds: its proportional set size (PSS, `smaps_rollup`), in which
/// memory that several share counts once in all. Where `smaps_rollup` is unreadable (another
/// user's process) it is the resident set size (RSS), which counts shared memory fully. None when
/// there is no such process; 0 for a kernel thread.
pub fn footprint(pid: u32) -> Option<u64> {
    proportional(pid).or_else(|| resident(pid))
}

/// The most bytes that the processes of this container held since its start, less the files that are
/// kept in memory now and given back when it is wanted: those fill any limit and end nothing. None:
/// this process is no member of it (the engine counts its processes in another machine), or the
/// kernel does not tell. Sources: Linux Documentation/admin-guide/cgroup-v2.rst (`memory.peak`, since
/// 5.19, and `memory.stat`), cgroup-v1/memory.rst; docker/cli `cli/command/container/stats_helpers.go`
/// takes the cache off in the same way.
pub fn memory_peak(pid: u32, container: &str) -> Option<u64> {
    let groups = read(&format!("/proc/{pid}/cgroup"))?;
    peak_below("/sys/fs/cgroup", &String::from_utf8_lossy(&groups), container)
}

/// [`memory_peak`] of these groups, whose hierarchies are mounted there.
fn peak_below(mounted: &str, groups: &str, container: &str) -> Option<u64> {
    let (directory, peak, cache) = group(mounted, groups, container)?;
    let text = |name: &str| {
        let text = read(&format!("{directory}/{name}"))?;
        Some(String::from_utf8_lossy(&text).into_owned())
    };
    let peak: u64 = text(peak)?.trim().parse().ok()?;
    let stat = text("memory.stat")?;
    let files = cache.iter().map(|name| field(&stat, name).unwrap_or(0)).sum();
    Some(peak.saturating_sub(files))
}

/// Where a group of processes counts its memory: its directory, the file with the most that it held,
/// and the lines about files in memory.
type Group = (String, &'static str, [&'static str; 2]);

/// `0::/system.slice/docker-ID.scope`, or `4:memory:/docker/ID` (cgroups(7)).
fn group(mounted: &str, groups: &str, container: &str) -> Option<Group> {
    let of_container = groups.lines().filter(|line| line.contains(container));
    of_container.filter_map(|line| line.split_once(':')).find_map(|(number, rest)| {
        let (controllers, path) = rest.split_once(':')?;
        if controllers.split(',').any(|name| name == "memory") {
            let files = ["total_inactive_file ", "total_active_file "];
            let directory = format!("{mounted}/memory{path}");
            return Some((directory, "memory.max_usage_in_bytes", files));
        }
        let unified = number == "0" && controllers.is_empty();
        let counted = || !groups.lines().any(|line| line.contains(":memory:"));
        (unified && counted()).then(|| {
            let files = ["inactive_file ", "active_file "];
            (format!("{mounted}{path}"), "memory.peak", files)
        })
    })
}

fn proportional(pid: u32) -> Option<u64> {
    let rollup = read(&format!("/proc/{pid}/smaps_rollup"))?;
    field(&String::from_utf8_lossy(&rollup), "Pss:").map(|kilobytes| kilobytes.saturating_mul(1024))
}

/// The second number of `/proc/PID/statm`, in pages.
fn resident(pid: u32) -> Option<u64> {
    let statm = read(&format!("/proc/{pid}/statm"))?;
    let pages: u64 = String::from_utf8_lossy(&statm).split_whitespace().nth(1)?.parse().ok()?;
    Some(pages.saturating_mul(page_size()))
}

/// The number in the line that begins with `name`.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// Share of the last 10 s, in percent, in which some or all tasks waited for memory
/// (Linux Documentation/accounting/psi.rst).
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stalls {
    some: f64,
    full: f64,
}

impl Stalls {
    fn parse(text: &str) -> Option<Self> {
        let average = |kind: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(kind))?
                .split_whitespace()
                .find_map(|part| part.strip_prefix("avg10="))?
                .parse::<f64>()
                .ok()
        };
        Some(Self { some: average("some ")?, full: average("full ")? })
    }
}

/// R65: the worse of what stalls and what available memory say; 1 normal, 2 warning, 4 critical.
fn level(stalls: Option<Stalls>, memory_bytes: u64, available_bytes: u64) -> u8 {
    let by_stalls = match stalls {
        Some(Stalls { full, .. }) if full >= 10.0 => 4,
        Some(Stalls { some, .. }) if some >= 10.0 => 2,
        Some(_) | None => 1,
    };
    let is_below =
        |percent: u128| u128::from(available_bytes) * 100 < u128::from(memory_bytes) * percent;
    let by_memory = if is_below(4) {
        4
    } else if is_below(10) {
        2
    } else {
        1
    };
    by_memory.max(by_stalls)
}

#[cfg(test)]
mod tests {
    use super::{
        Stalls, field, footprint, group, level, memory, memory_peak, peak_below, proportional,
        resident,
    };

    #[test]
    fn c8_the_group_of_a_container_is_found_by_its_id() {
        let id = "0f3a";
        let found = |groups: &str| {
            let (place, peak, _) = group("/sys/fs/cgroup", groups, id)?;
            Some(format!("{place}/{peak}"))
        };
        let unified = "/sys/fs/cgroup/system.slice/docker-0f3a.scope/memory.peak";
        assert_eq!(found("0::/system.slice/docker-0f3a.scope\n").as_deref(), Some(unified));
        let both = "9:name=systemd:/docker/0f3a\n4:memory:/docker/0f3a\n0::/docker/0f3a\n";
        let first = "/sys/fs/cgroup/memory/docker/0f3a/memory.max_usage_in_bytes";
        assert_eq!(found(both).as_deref(), Some(first));
        // A number that means another process here, as those of a machine inside the host do.
        assert_eq!(found("0::/user.slice/session-2.scope\n"), None);
        assert_eq!(found("4:memory:/docker/77\n0::/docker/77\n"), None);
        assert_eq!(memory_peak(std::process::id(), id), None);
    }

    /// The files of a container's group as a kernel with the second version writes them: `memory.peak`
    /// is one number, `memory.stat` has a line for each kind (Linux
    /// Documentation/admin-guide/cgroup-v2.rst).
    #[test]
    fn c8_the_peak_is_read_in_both_versions_of_groups() {
        const SECOND: &str = "anon 201326592\nfile 75497472\nkernel 3145728\nsock 0\nshmem 4194304\n\
            inactive_anon 205520896\nactive_anon 0\ninactive_file 50331648\nactive_file 20971520\n\
            workingset_refault_anon 0\npgscan 0\n";
        const FIRST: &str = "cache 75497472\nrss 201326592\ninactive_file 1\nactive_file 2\n\
            total_inactive_file 50331648\ntotal_active_file 20971520\n";
        let root = tempfile::tempdir().unwrap();
        let mounted = root.path().to_str().unwrap();
        let write = |place: &str, name: &str, text: &str| {
            let place = root.path().join(place);
            std::fs::create_dir_all(&place).unwrap();
            std::fs::write(place.join(name), text).unwrap();
        };
        let (peak, files) = (300 << 20, 68 << 20);
        let second = "0::/system.slice/docker-0f3a.scope\n";
        let place = "system.slice/docker-0f3a.scope";
        assert_eq!(peak_below(mounted, second, "0f3a"), None, "its group has gone with it");
        write(place, "memory.stat", SECOND);
        assert_eq!(peak_below(mounted, second, "0f3a"), None, "a kernel before 5.19");
        write(place, "memory.peak", &format!("{peak}\n"));
        assert_eq!(peak_below(mounted, second, "0f3a"), Some(peak - files));
        let first = "9:cpu:/docker/0f3a\n4:memory:/docker/0f3a\n0::/docker/0f3a\n";
        write("memory/docker/0f3a", "memory.stat", FIRST);
        write("memory/docker/0f3a", "memory.max_usage_in_bytes", &format!("{peak}\n"));
        assert_eq!(peak_below(mounted, first, "0f3a"), Some(peak - files));
        // What is kept of files now may be more than was held at the peak.
        write(place, "memory.peak", "1048576\n");
        assert_eq!(peak_below(mounted, second, "0f3a"), Some(0));
    }

    #[test]
    fn pressure_stall_information() {
        let text = "some avg10=12.50 avg60=1.00 avg300=0.10 total=123\n\
                    full avg10=3.25 avg60=0.00 avg300=0.00 total=45\n";
        assert_eq!(Stalls::parse(text), Some(Stalls { some: 12.5, full: 3.25 }));
        for broken in ["", "some avg10=1.0", "some avg10=x\nfull avg10=1\n", "some\nfull\n"] {
            assert_eq!(Stalls::parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn r65_the_level_is_the_worse_of_both() {
        let table = [
            (0.0, 0.0, 50, 1),
            (9.99, 9.99, 10, 1),
            (10.0, 0.0, 50, 2),
            (10.0, 10.0, 50, 4),
            (0.0, 0.0, 9, 2),
            (0.0, 0.0, 4, 2),
            (0.0, 0.0, 3, 4),
            (10.0, 0.0, 3, 4),
            (0.0, 10.0, 9, 4),
        ];
        for (some, full, available, expected) in table {
            let found = level(Some(Stalls { some, full }), 100, available);
            assert_eq!(found, expected, "some {some} full {full} available {available} %");
        }
        assert_eq!(level(None, 100, 50), 1, "a kernel without stall information");
        assert_eq!(level(None, 100, 3), 4);
    }

    #[test]
    fn this_host_has_memory() {
        let seen = memory().unwrap();
        assert!(seen.memory_bytes > seen.available_bytes && seen.available_bytes > 0, "{seen:?}");
        assert!(seen.swap_used_bytes <= seen.swap_total_bytes);
        assert!([1, 2, 4].contains(&seen.pressure));
    }

    #[test]
    fn fields_of_a_table() {
        assert_eq!(field("MemTotal:  12 kB\nMemFree: 3 kB\n", "MemFree:"), Some(3));
        assert_eq!(field("MemTotal:  x kB\n", "MemTotal:"), None);
    }

    #[test]
    fn what_a_process_takes_shows_in_its_footprint() {
        let us = std::process::id();
        let before = footprint(us).unwrap();
        let block = vec![1_u8; 64 << 20];
        let grown = footprint(us).unwrap().saturating_sub(before);
        assert!(grown > 48 << 20, "{grown}");
        assert!(resident(us).unwrap() >= proportional(us).unwrap() / 2);
        drop(block);
        assert_eq!(footprint(u32::MAX), None);
    }
}
