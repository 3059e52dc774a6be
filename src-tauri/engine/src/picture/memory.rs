//! Who holds the memory now, and who did in the last hours.

use std::time::Duration;

use doctor::{Doctor, TargetId};

use crate::view::{Memory, MemoryGroup, ServerWork};

/// Of the history of memory, and how many of them are drawn.
const STEP: Duration = Duration::from_mins(10);
const STEPS: u8 = 36;
/// Of the servers' work.
const MINUTES: usize = 60;

pub(super) fn memory(doctor: &Doctor) -> Memory {
    let host = doctor.patient(&TargetId::Host);
    let Some(seen) = host.and_then(|host| host.facts.host.as_ref()) else {
        return Memory::default();
    };
    let (timeline, now) = (doctor.timeline(), doctor.now().wall);
    let groups = seen.ledger.iter().flatten().map(|group| MemoryGroup {
        name: group.name.clone(),
        bytes: group.bytes,
        processes: group.processes,
        grew_10m_bytes: timeline.growth(&group.name, STEP, now),
        grew_6h_bytes: timeline.growth(&group.name, STEP * u32::from(STEPS), now),
        history: timeline.history(&group.name, STEP, STEPS.into(), now),
    });
    let servers = [TargetId::Ollama, TargetId::Mlx];
    let work = servers.iter().map(|server| ServerWork {
        server: server.kind().into(),
        percent: timeline.work(server, MINUTES, now),
    });
    Memory {
        total_bytes: seen.memory_bytes,
        available_bytes: seen.available_bytes,
        pressure: seen.pressure,
        swap_total_bytes: seen.swap_total_bytes,
        swap_used_bytes: seen.swap_used_bytes,
        gpu_limit_bytes: seen.gpu_limit.map(|limit| limit.bytes),
        gpu_limit_is_set: seen.gpu_limit.is_some_and(|limit| limit.is_set),
        groups: groups.collect(),
        work: work.filter(|one| one.percent.iter().any(Option::is_some)).collect(),
    }
}
