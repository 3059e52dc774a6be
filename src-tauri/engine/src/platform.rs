//! What differs between operating systems, and nothing else. `linux` and `macos` are siblings of
//! equal shape, chosen here once; what is built on top of them is written once.
//!
//! Everything here blocks, though briefly: whoever is async calls it on a blocking thread when it
//! walks over all processes (`listener`, `processes_named`, `descendants`, `memory_ledger`).

mod deaths;
mod exit;
mod ledger;
mod lever;
mod name;
mod place;
mod signal;
mod socket;
mod supervisor;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as system;

#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
use macos as system;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use doctor::{MemoryGroup, ProcessId, ProcessSeen};

pub use exit::{Exit, exit};
pub use lever::{
    LeverError, begin_job, end_job, job_file, kickstart, load_job, loaded_jobs, open_app, quit_app,
    run, run_whole, start_unit, stop_unit, unload_job,
};
pub use name::goes_by;
pub use place::{Places, home, installed_ollama};
pub use signal::{Signal, SignalError, signal};
pub use supervisor::{is_wanted, supervisor, would_start};
pub use system::{
    Activity, Deaths, awake, boot, continuous, detach, environment, footprint, has_tray_host,
    is_listening, is_same, keep_awake_activity, listener, lower_priority, memory, memory_peak,
    open_ports, process, unit, usage, user_home, user_id, variable, watch_power, working_directory,
    written_files,
};

/// News of the machine's sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    WillSleep,
    Woke,
}

/// What a process has used since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time on a processor, of all its threads.
    pub processor: Duration,
    /// Times that it waited for a page to be read from disk.
    pub page_ins: u64,
}

/// A systemd unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Such as `ollama.service`.
    pub name: String,
    /// Of a user's own systemd, not of the system's.
    pub of_user: bool,
}

/// Living processes that go by one of these names: by the file name of their executable, of their
/// `argv[0]`, or, for an interpreter, of its script. Whole names only, with case.
pub fn processes_named(names: &[&str]) -> Vec<ProcessSeen> {
    let found = system::processes().into_iter().filter(|process| name::goes_by(process, names));
    // All that is known is asked of these few alone.
    found.filter_map(|seen| process(seen.id.pid).filter(|whole| whole.id == seen.id)).collect()
}

/// Where things lie that grow: models, our own state, Docker's containers (R64).
pub fn places_that_fill() -> Vec<PathBuf> {
    let home = std::env::home_dir();
    let models = std::env::var_os("OLLAMA_MODELS").map(PathBuf::from);
    let models = models.or_else(|| home.as_ref().map(|home| home.join(".ollama")));
    let cache = home.map(|home| home.join(".cache/huggingface"));
    let docker = PathBuf::from("/var/lib/docker");
    models.into_iter().chain(cache).chain([data_directory(), docker]).collect()
}

/// Where Ollama's own log may lie: the app's, and Homebrew's service on either kind of Mac (FACTS A.8).
pub fn ollama_logs() -> Vec<PathBuf> {
    let app = place::home().join(".ollama/logs/server.log");
    let brew = ["/opt/homebrew", "/usr/local"]
        .map(|prefix| PathBuf::from(prefix).join("var/log/ollama.log"));
    [app].into_iter().chain(brew).collect()
}

/// Children of `pid`, their children and so on, as far as they are alive; without `pid` itself.
pub fn descendants(pid: u32) -> Vec<ProcessId> {
    let mut left = system::processes();
    let mut found: Vec<ProcessId> = Vec::new();
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        let (children, others): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|process| process.parent == Some(parent));
        left = others;
        for child in children {
            // Pid 0 is its own parent on macOS.
            if child.id.pid != pid {
                parents.push(child.id.pid);
                found.push(child.id);
            }
        }
    }
    found
}

/// Like [`descendants`], and cheap enough for every look: it reads no process but these.
pub fn offspring(pid: u32) -> Vec<ProcessId> {
    let mut found = system::children(pid);
    let mut next = 0;
    // A table read while processes come and go may hold a ring; no real family is this large.
    while let Some(process) = found.get(next).filter(|_| found.len() < 256) {
        let grandchildren = system::children(process.pid);
        let fresh: Vec<_> = grandchildren.into_iter().filter(|one| !found.contains(one)).collect();
        found.extend(fresh);
        next += 1;
    }
    found
}

/// Memory by owner, largest first: `ollama`, `mlx`, `docker`, `python`, the configured `groups`
/// (row name to executable name patterns with `*`) and `others`. Each process is counted once; rows
/// without processes are left out. Bytes as [`footprint`] counts them. It walks over every
/// process and takes up to some hundred milliseconds on a large machine: for full looks only.
pub fn memory_ledger(groups: &BTreeMap<String, Vec<String>>) -> Vec<MemoryGroup> {
    let held: Vec<ledger::Held> = system::processes()
        .into_iter()
        .filter_map(|process| {
            let bytes = footprint(process.id.pid).filter(|bytes| *bytes > 0)?;
            let in_container = system::is_in_container(process.id.pid);
            Some(ledger::Held { process, in_container, bytes })
        })
        .collect();
    ledger::rows(&held, groups)
}

/// Where journal, ledger, token and logs live unless told otherwise.
/// macOS `~/Library/Application Support/Homeostat`, Linux `$XDG_DATA_HOME/homeostat`.
pub fn data_directory() -> PathBuf {
    system::data_directory(&place::home(), std::env::var_os("XDG_DATA_HOME"))
}

/// Where the configuration is looked for unless told otherwise.
/// macOS `~/Library/Application Support/Homeostat/config.toml`, Linux
/// `$XDG_CONFIG_HOME/homeostat/config.toml`.
pub fn config_file() -> PathBuf {
    system::config_directory(&place::home(), std::env::var_os("XDG_CONFIG_HOME"))
        .join("config.toml")
}

#[cfg(test)]
mod tests;
