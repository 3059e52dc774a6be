//! Processes that the system ended for want of memory, or that crashed, as the system wrote it down
//! (A13). What is told of them is a name, a pid and a reason: nothing else of a report is kept.

#[cfg(any(target_os = "linux", test))]
pub(super) mod kernel;
#[cfg(any(target_os = "macos", test))]
pub(super) mod report;

use doctor::{EndedSeen, EndedWhy};

/// Beginnings of names that are worth telling of: what is watched, what it runs in, and the agents'
/// Python. Linux cuts a name after 15 characters, a Jetsam report after 32.
const OURS: [&str; 9] = [
    "ollama",
    "llama-",
    "llama_",
    "mlx",
    "omlx",
    "python",
    "com.docker",
    "docker",
    // Docker Desktop's machine.
    "com.apple.virtualization",
];

/// Whether a person who has us watch their servers wants to know of it. Where the whole machine ran
/// out of memory, any victim counts when it was one of ours that held most of it.
pub(super) fn is_told(ended: &EndedSeen) -> bool {
    let by_largest =
        ended.why == EndedWhy::OutOfMemory && ended.largest.as_deref().is_some_and(is_ours);
    is_ours(&ended.victim) || by_largest
}

pub(super) fn is_ours(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    OURS.iter().any(|start| name.starts_with(start))
}

/// The name of a program as it may be shown: no path, nothing that is not to be printed.
fn plain(name: &str) -> String {
    let name = name.rsplit('/').next().unwrap_or_default().trim();
    name.chars().filter(|one| !one.is_control()).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(victim: &str, largest: Option<&str>, why: EndedWhy) -> EndedSeen {
        EndedSeen { victim: victim.into(), pid: 1, largest: largest.map(String::from), why }
    }

    #[test]
    fn what_is_ours_is_told_and_what_it_pushed_out() {
        use EndedWhy::{OutOfMemory, OverLimit};
        for (told, one) in [
            (true, ended("Python", None, EndedWhy::Crashed { signal: String::new() })),
            (true, ended("python3.12", None, OutOfMemory)),
            (true, ended("ollama_llama_se", None, OverLimit)),
            (true, ended("com.apple.Virtualization.Virtual", None, OutOfMemory)),
            (true, ended("chrome", Some("ollama"), OutOfMemory)),
            (false, ended("chrome", Some("ollama"), OverLimit)),
            (false, ended("chrome", Some("firefox"), OutOfMemory)),
            (false, ended("chrome", None, OutOfMemory)),
            (false, ended("bpython", None, OutOfMemory)),
        ] {
            assert_eq!(is_told(&one), told, "{one:?}");
        }
    }

    #[test]
    fn a_name_has_no_path() {
        assert_eq!(plain("/Users/ann/bin/mlx\u{7}_lm"), "mlx_lm");
    }
}
