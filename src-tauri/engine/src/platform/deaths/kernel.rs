//! What Linux writes into its log when it ends a process for want of memory (Linux
//! `mm/oom_kill.c`: `dump_header`, `dump_tasks`, `dump_oom_summary`, `__oom_kill_process`).

use std::collections::BTreeMap;

use doctor::{EndedSeen, EndedWhy};

use super::plain;

/// A kill by the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Kill {
    pub(in super::super) ended: EndedSeen,
    /// The control group of the victim, where it was told: Linux 4.19 and later.
    pub(in super::super) group: Option<String>,
}

/// All kills in these lines of the kernel's log, in their order.
pub(in super::super) fn kills<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<Kill> {
    let mut found = Vec::new();
    let mut dump = Dump::default();
    for line in lines {
        if line.contains(" invoked oom-killer: ") {
            dump = Dump::default();
        } else if let Some(columns) = line.trim_start().strip_prefix("[  pid  ]") {
            dump.columns = columns.split_whitespace().map(str::to_owned).collect();
        } else if let Some(rest) = line.trim_start().strip_prefix('[') {
            dump.task(rest);
        } else if let Some(rest) = line.trim_start().strip_prefix("oom-kill:") {
            dump.group = value(rest, "task_memcg=");
        } else if let Some((before, rest)) = line.split_once("Killed process ")
            && let Some((pid, victim)) = victim(rest)
        {
            let of_group = before.contains("Memory cgroup out of memory");
            let why = if of_group { EndedWhy::OverLimit } else { EndedWhy::OutOfMemory };
            // Of a group only its own members are listed: that is not the whole machine.
            let largest = dump.largest().filter(|_| !of_group);
            let ended = EndedSeen { victim, pid, largest, why };
            found.push(Kill { ended, group: dump.group.clone() });
        }
    }
    found
}

/// What comes before the line that names the victim.
#[derive(Default)]
struct Dump {
    /// `uid tgid total_vm rss … swapents oom_score_adj name`; which there are differs by version.
    columns: Vec<String>,
    /// Pages in memory and in swap, by name.
    pages: BTreeMap<String, u64>,
    group: Option<String>,
}

impl Dump {
    /// `   1234]  1000  1234   268435    65536 …    0 python3`
    fn task(&mut self, rest: &str) {
        let Some((pid, fields)) = rest.split_once(']') else { return };
        if pid.trim().parse::<u32>().is_err() || self.columns.is_empty() {
            return;
        }
        let words: Vec<&str> = fields.split_whitespace().collect();
        let number = |name: &str| -> u64 {
            let at = self.columns.iter().position(|column| column == name);
            at.and_then(|at| words.get(at)?.parse().ok()).unwrap_or(0)
        };
        let pages = number("rss").saturating_add(number("swapents"));
        let Some(name) = words.get(self.columns.len().saturating_sub(1)..) else { return };
        // A name may hold spaces.
        let sum = self.pages.entry(plain(&name.join(" "))).or_default();
        *sum = sum.saturating_add(pages);
    }

    fn largest(&self) -> Option<String> {
        let (name, pages) = self.pages.iter().max_by_key(|(_, pages)| **pages)?;
        (*pages > 0 && !name.is_empty()).then(|| name.clone())
    }
}

/// `1234 (python3) total-vm:…` and, before Linux 4.20, `1234 (python3), UID 1000, total-vm:…`. The
/// name may hold anything, parentheses too.
fn victim(rest: &str) -> Option<(u32, String)> {
    let (pid, rest) = rest.split_once(" (")?;
    let (name, _) = rest.split_once(" total-vm:")?;
    let name = name.split_once("), UID ").map_or(name, |(name, _)| name);
    Some((pid.parse().ok()?, plain(name.trim_end_matches([')', ',']))))
}

/// `task_memcg=/system.slice/ollama.service,task=ollama,pid=…`
fn value(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(name)?;
    rest.split_once(",task=").map(|(value, _)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kill by the limit of a container, as Linux 6.18 wrote it.
    const LIMIT: &str = "\
tail invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
CPU: 1 UID: 0 PID: 6433 Comm: tail Not tainted 6.18.44 #1 PREEMPT(none)
memory: usage 24576kB, limit 24576kB, failcnt 56
Tasks state (memory values in pages):
[  pid  ]   uid  tgid total_vm      rss rss_anon rss_file rss_shmem pgtables_bytes swapents oom_score_adj name
[   6433]     0  6433     6580     6364     6048      316         0    90112        0             0 tail
oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=fa0b,mems_allowed=0,oom_memcg=/docker/fa0b,task_memcg=/docker/fa0b,task=tail,pid=6433,uid=0
Memory cgroup out of memory: Killed process 6433 (tail) total-vm:26320kB, anon-rss:24192kB, file-rss:1264kB, shmem-rss:0kB, UID:0 pgtables:92kB oom_score_adj:0
oom_reaper: reaped process 6433 (tail), now anon-rss:0kB, file-rss:332kB, shmem-rss:0kB";

    /// A want of memory of the whole machine, as Linux 5 writes it.
    const WHOLE: &str = "\
chromium invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE|__GFP_COMP), order=0, oom_score_adj=200
Tasks state (memory values in pages):
[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name
[    722]     0   722    12345     1000    69632        0          -250 systemd-journal
[  19331]  1000 19331   226026    29603  1314816        7           999 npm start
[   9001]  1000  9001  5588434   700000  8069120   100000             0 llama-server
[   9002]  1000  9002  5588434   700000  8069120        0             0 python3
[   9003]  1000  9003  5588434   200000  8069120        0             0 llama-server
oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/user.slice/user-1000.slice/session-2.scope,task=python3,pid=9002,uid=1000
Out of memory: Killed process 9002 (python3) total-vm:22353736kB, anon-rss:2800000kB, file-rss:936kB, shmem-rss:0kB, UID:1000 pgtables:38108kB oom_score_adj:0";

    fn one(text: &str) -> Kill {
        let mut found = kills(text.lines());
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    #[test]
    fn a_limit_of_a_group_is_no_want_of_the_machine() {
        let kill = one(LIMIT);
        let victim = "tail".into();
        let why = EndedWhy::OverLimit;
        assert_eq!(kill.ended, EndedSeen { victim, pid: 6433, largest: None, why });
        assert_eq!(kill.group.as_deref(), Some("/docker/fa0b"));
    }

    #[test]
    fn of_the_whole_machine_the_largest_is_named_with_all_its_processes_and_its_swap() {
        let kill = one(WHOLE);
        assert_eq!(kill.ended.victim, "python3");
        assert_eq!(kill.ended.pid, 9002);
        assert_eq!(kill.ended.why, EndedWhy::OutOfMemory);
        assert_eq!(kill.ended.largest.as_deref(), Some("llama-server"));
        assert_eq!(kill.group.as_deref(), Some("/user.slice/user-1000.slice/session-2.scope"));
    }

    #[test]
    fn older_kernels_and_odd_names() {
        for (line, pid, name) in [
            (
                "Killed process 799153 (node), UID 1000, total-vm:606096kB, anon-rss:1kB",
                799_153,
                "node",
            ),
            ("Killed process 31357 (sh) total-vm:5400kB, anon-rss:252kB", 31357, "sh"),
            ("Out of memory: Killed process 15925 ((resolved)) total-vm:1kB", 15925, "(resolved"),
            ("Out of memory: Killed process 7 (a) b) total-vm:1kB", 7, "a) b"),
            ("Out of memory (oom_kill_allocating_task): Killed process 8 (x) total-vm:1kB", 8, "x"),
        ] {
            let kill = one(line);
            assert_eq!((kill.ended.pid, kill.ended.victim.as_str()), (pid, name), "{line}");
        }
    }

    #[test]
    fn one_dump_may_have_several_victims_and_the_next_begins_anew() {
        let text =
            format!("{WHOLE}\nOut of memory: Killed process 5 (npm start) total-vm:1kB\n{LIMIT}");
        let found = kills(text.lines());
        let victims: Vec<&str> = found.iter().map(|kill| kill.ended.victim.as_str()).collect();
        assert_eq!(victims, ["python3", "npm start", "tail"]);
        assert_eq!(found[1].ended.largest.as_deref(), Some("llama-server"));
        assert_eq!(found[2].ended.largest, None);
    }

    #[test]
    fn other_lines_are_no_kills() {
        let text = "Out of memory: Kill process 19961 (python) score 17 or sacrifice child\n\
                    oom_reaper: reaped process 2092 (node), now anon-rss:0kB\n\
                    Killed process\nKilled process x (y) total-vm:1kB\n\
                    [  pid  ]\n[ x] 1 2\n[1]\noom-kill:";
        assert_eq!(kills(text.lines()), []);
    }
}
