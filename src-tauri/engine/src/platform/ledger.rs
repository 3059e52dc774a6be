//! Rows of the memory ledger: whose a process is. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};

use doctor::{MemoryGroup, ProcessSeen};

use super::name;

/// A process and what it holds.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) process: ProcessSeen,
    /// Runs in a container of the Docker engine on this kernel.
    pub(super) in_container: bool,
    pub(super) bytes: u64,
}

/// One row per owner, largest first; every pid is counted once, in the most specific row: what it
/// is itself, then what its nearest known ancestor is, then a configured row, then `python`.
pub(super) fn rows(held: &[Held], groups: &BTreeMap<String, Vec<String>>) -> Vec<MemoryGroup> {
    let by_pid: HashMap<u32, &Held> = held.iter().map(|one| (one.process.id.pid, one)).collect();
    let mut counted = HashSet::new();
    let mut sums: BTreeMap<&str, (u64, u32)> = BTreeMap::new();
    for one in held.iter().filter(|one| counted.insert(one.process.id.pid)) {
        let row = owner(one)
            .or_else(|| inherited(one, &by_pid))
            .or_else(|| configured(one, groups))
            .unwrap_or_else(|| last_resort(one));
        let (bytes, processes) = sums.entry(row).or_default();
        *bytes = bytes.saturating_add(one.bytes);
        *processes = processes.saturating_add(1);
    }
    let mut rows: Vec<MemoryGroup> = sums
        .into_iter()
        .map(|(name, (bytes, processes))| MemoryGroup { name: name.to_owned(), bytes, processes })
        .collect();
    rows.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    rows
}

/// What the process is by itself. A container comes first: an Ollama in it is Docker's memory.
fn owner(held: &Held) -> Option<&'static str> {
    let process = &held.process;
    let program = name::program(process);
    if held.in_container || is_docker(program) {
        Some("docker")
    } else if name::goes_by(process, &["ollama", "Ollama", "llama-server"]) {
        Some("ollama")
    } else if is_mlx(process) {
        Some("mlx")
    } else {
        None
    }
}

/// The row of the nearest ancestor that has one.
fn inherited(held: &Held, by_pid: &HashMap<u32, &Held>) -> Option<&'static str> {
    let mut above = held.process.parent;
    // A table read while processes come and go may hold a ring; no real line is this long.
    for _ in 0..64 {
        let parent = by_pid.get(&above?)?;
        if let Some(row) = owner(parent) {
            return Some(row);
        }
        above = parent.process.parent;
    }
    None
}

fn configured<'a>(held: &Held, groups: &'a BTreeMap<String, Vec<String>>) -> Option<&'a str> {
    let program = name::program(&held.process);
    groups
        .iter()
        .find(|(_, patterns)| patterns.iter().any(|pattern| name::matches(pattern, program)))
        .map(|(row, _)| row.as_str())
}

fn last_resort(held: &Held) -> &'static str {
    if name::is_python(name::program(&held.process)) { "python" } else { "others" }
}

/// Docker Desktop's processes and its virtual machine on macOS (FACTS C.4), the engine on Linux.
fn is_docker(program: &str) -> bool {
    program.starts_with("com.docker.")
        || program.starts_with("containerd-shim")
        || matches!(
            program,
            "com.apple.Virtualization.VirtualMachine"
                | "Docker Desktop"
                | "dockerd"
                | "docker-proxy"
                | "containerd"
        )
}

/// A Python that runs something of MLX: `-m mlx_lm.server`, `…/bin/mlx_lm.server`,
/// `…/mlx-server/main.py`; or a program that is called so.
fn is_mlx(process: &ProcessSeen) -> bool {
    let program = name::program(process);
    if program.starts_with("mlx") || program == "omlx" {
        return true;
    }
    name::is_python(program)
        && process
            .command
            .iter()
            .skip(1)
            .any(|argument| argument.split('/').any(|part| part.starts_with("mlx")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use doctor::{MemoryGroup, ProcessId, ProcessSeen};

    use super::{Held, rows};

    fn held(pid: u32, parent: u32, command: &[&str], bytes: u64) -> Held {
        let process = ProcessSeen {
            id: ProcessId { pid, started: 1, executable: command[0].to_owned() },
            uid: None,
            user: None,
            parent: Some(parent),
            command: command.iter().map(|&word| word.to_owned()).collect(),
            since: None,
        };
        Held { process, in_container: false, bytes }
    }

    fn row(name: &str, bytes: u64, processes: u32) -> MemoryGroup {
        MemoryGroup { name: name.to_owned(), bytes, processes }
    }

    #[test]
    fn each_process_is_in_exactly_one_row_the_most_specific() {
        let mut contained = held(30, 1, &["/usr/bin/ollama", "serve"], 4000);
        contained.in_container = true;
        let all = [
            held(10, 1, &["/usr/local/bin/ollama", "serve"], 100),
            held(11, 10, &["/usr/local/lib/ollama/llama-server", "--model", "x"], 5000),
            // A tool of the runner has no name of its own: it belongs to the runner.
            held(12, 11, &["/usr/bin/python3", "helper.py"], 7),
            // An orphaned runner is still Ollama's.
            held(13, 1, &["/usr/local/lib/ollama/llama-server"], 1),
            held(20, 1, &["/usr/bin/python3.12", "-m", "mlx_lm.server"], 900),
            held(21, 20, &["/usr/bin/python3.12", "-c", "tracker"], 9),
            contained,
            held(31, 1, &["/usr/bin/dockerd"], 50),
            held(32, 31, &["/usr/bin/runc"], 5),
            held(40, 1, &["/usr/bin/python3", "agent.py"], 60),
            held(41, 1, &["/opt/victoria/victoria-agent"], 70),
            held(50, 1, &["/usr/bin/node", "/usr/bin/ollama-mcp"], 3),
            held(1, 0, &["/sbin/init"], 2),
        ];
        let groups = BTreeMap::from([("victoria".to_owned(), vec!["victoria*".to_owned()])]);
        assert_eq!(
            rows(&all, &groups),
            [
                row("ollama", 5108, 4),
                row("docker", 4055, 3),
                row("mlx", 909, 2),
                row("victoria", 70, 1),
                row("python", 60, 1),
                row("others", 5, 2),
            ]
        );
    }

    #[test]
    fn a_pid_seen_twice_counts_once_and_a_ring_of_parents_ends() {
        let all =
            [held(5, 6, &["/bin/a"], 10), held(6, 5, &["/bin/b"], 10), held(5, 6, &["/bin/a"], 10)];
        assert_eq!(rows(&all, &BTreeMap::new()), [row("others", 20, 2)]);
    }

    #[test]
    fn a_configured_row_may_extend_one_of_ours() {
        let groups = BTreeMap::from([("python".to_owned(), vec!["uv*".to_owned()])]);
        let all = [held(5, 1, &["/bin/uvicorn"], 10), held(6, 1, &["/bin/python3"], 1)];
        assert_eq!(rows(&all, &groups), [row("python", 11, 2)]);
    }
}
