//! The host's memory: how long a pressure has lasted decides (RECOVERY 1.3 Memory); and its disks
//! (R64).

use crate::clock::Awake;
use crate::observation::{HostSeen, VolumeSeen};
use crate::policy::Policy;

/// The worse of pressure level and swap, and since when.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Pressure {
    /// Last reading: 1, 2 or 4.
    level: u8,
    warn_since: Option<Awake>,
    critical_since: Option<Awake>,
    clear_since: Option<Awake>,
    last_swap: u64,
    /// The swap alone made the last strain, the level was normal.
    pub(crate) by_swap: bool,
    /// What has lasted long enough to be said.
    pub(crate) verdict: Strain,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Strain {
    #[default]
    None,
    Warning,
    Critical,
}

const GB: u64 = 1 << 30;

impl Pressure {
    pub(crate) fn take(&mut self, seen: &HostSeen, now: Awake, policy: &Policy) {
        self.level = seen.pressure.max(self.swap_level(seen));
        if self.level >= 2 {
            self.by_swap = seen.pressure < 2;
        }
        self.last_swap = seen.swap_used_bytes;
        let since = |condition: bool, before: Option<Awake>| {
            if condition { before.or(Some(now)) } else { None }
        };
        self.warn_since = since(self.level >= 2, self.warn_since);
        self.critical_since = since(self.level >= 4, self.critical_since);
        self.clear_since = since(self.level <= 1, self.clear_since);
        let lasted =
            |since: Option<Awake>, long| since.is_some_and(|since| now.since(since) >= long);
        if lasted(self.critical_since, policy.pressure_critical) {
            self.verdict = Strain::Critical;
        } else if lasted(self.clear_since, policy.pressure_clear) {
            self.verdict = Strain::None;
        } else if self.verdict == Strain::None && lasted(self.warn_since, policy.pressure_warn) {
            self.verdict = Strain::Warning;
        }
    }

    /// Since when the level has been above normal without a break.
    pub(crate) fn strained_since(&self) -> Option<Awake> {
        self.warn_since
    }

    /// Swap is a second axis: it counts while it grows, or when it is all but full.
    fn swap_level(&self, seen: &HostSeen) -> u8 {
        let used = seen.swap_used_bytes;
        let share =
            |part: u64, whole: u64| part.saturating_mul(100).checked_div(whole).unwrap_or(0);
        let full = share(used, seen.swap_total_bytes);
        let growing = self.last_swap > 0 && used > self.last_swap;
        if !growing && full < 95 {
            return 1;
        }
        if share(used, seen.memory_bytes) >= 25 {
            4
        } else if full >= 80 && used >= 2 * GB {
            2
        } else {
            1
        }
    }
}

/// The volume with the least room.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Disk {
    pub(crate) worst: Option<VolumeSeen>,
    pub(crate) verdict: Strain,
}

impl Disk {
    /// Volumes are not read every time: what is not told stays as it was.
    pub(crate) fn take(&mut self, volumes: &[VolumeSeen], policy: &Policy) {
        let Some(worst) = volumes.iter().min_by_key(|volume| volume.free_bytes) else { return };
        let short = volumes.iter().find(|volume| strain(volume, policy) > Strain::None);
        let worst =
            if strain(worst, policy) > Strain::None { worst } else { short.unwrap_or(worst) };
        self.verdict = strain(worst, policy);
        self.worst = Some(worst.clone());
    }
}

fn strain(volume: &VolumeSeen, policy: &Policy) -> Strain {
    if volume.free_bytes < policy.disk_critical_bytes {
        return Strain::Critical;
    }
    let share = volume.free_bytes.saturating_mul(100).checked_div(volume.total_bytes);
    let small = share.is_some_and(|share| share < policy.disk_warn_percent);
    if small || volume.free_bytes < policy.disk_warn_bytes { Strain::Warning } else { Strain::None }
}
