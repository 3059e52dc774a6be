//! Every number of the recovery policy in one value. Defaults are those of the rules named.

use std::time::Duration;

/// Thresholds, budgets and delays.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Hard fails in a row before a target may be called down (1.2).
    pub hard_fails: u32,
    /// Fails in a row, the last of them soft, before it counts as degraded (1.2); five are kept.
    pub soft_fails: usize,
    /// Good looks in a row before it is healthy again (1.2).
    pub successes: u32,
    /// An answer later than this is late (1.2 Slow).
    pub slow_after: Duration,
    /// … or than so many times the median of a day, whichever is more.
    pub slow_times: u32,
    /// Slow is over when five answers in a row took less than this share of the limit, in per cent.
    pub slow_leave_percent: u32,
    /// After a fail the next look comes this soon (1.3).
    pub retry: Duration,
    pub retry_docker: Duration,
    /// A look that brings nothing in this time counts as never made.
    pub look_deadline: Duration,
    /// Between two snapshots of all containers (R63).
    pub snapshot: Duration,
    /// Between two full looks at everything.
    pub full_check: Duration,
    /// Between two looks while a remedy is being verified.
    pub verify_every: Duration,
    /// A remedy must hold this long before it is verified (R46).
    pub soak: Duration,
    /// Grace is never stretched beyond this (R12).
    pub grace_ceiling: Duration,
    /// Attempts per episode (R25).
    pub attempts: u32,
    /// An episode closes after so long of continuous health (R25).
    pub episode_closes: Duration,
    /// Delay before the second attempt; doubles, up to the cap, with equal jitter (R26).
    pub backoff: Duration,
    pub backoff_cap: Duration,
    /// More restarts than this in an hour: one alert; re-arms at `restarts_rearm` (R28, R57).
    pub restarts_alert: usize,
    pub restarts_rearm: usize,
    /// More automatic restarts than this in an hour: given up (R28).
    pub restarts_limit: usize,
    /// First half-open trial after giving up; doubles, up to the cap (R27).
    pub trial: Duration,
    pub trial_cap: Duration,
    /// TERM to KILL (C2, 1.8).
    pub patience_ollama: Duration,
    pub patience_mlx: Duration,
    /// KILL to "it cannot be killed".
    pub patience_kill: Duration,
    /// After a start, how long another supervisor is given to do its work (R29).
    pub supervisor: Duration,
    /// Docker's own restart policy is given this long before we bring a container up (R29).
    pub docker_policy: Duration,
    /// Before acting, a reading older than this is confirmed by another (R11).
    pub confirm_within: Duration,
    /// Between two containers that are brought up: so long to twice as long (R17).
    pub stagger: Duration,
    /// After waking nothing is concluded for this long (R42).
    pub wake_hold: Duration,
    /// Sleeping longer than this is a sleep (R41).
    pub sleep: Duration,
    /// The verdict on a container's end waits for a late `oom` (1.14).
    pub verdict: Duration,
    /// Added to a container's stop timeout when its end is matched with a signal (R34).
    pub kill_to_die: Duration,
    /// Stops within this time before the engine went away were the engine's own (R34).
    pub daemon_stop: Duration,
    /// Stops told so soon after the engine came back are what it cleared up itself (R34).
    pub engine_clears_up: Duration,
    /// Five exits within this time are a crash loop (R30).
    pub crash_loop: Duration,
    pub crash_loop_exits: usize,
    /// So many in a row with the same code, each within a minute of its start, are one too.
    pub crash_loop_alike: usize,
    /// What was started light and has been stable for so long goes back to normal (R30).
    pub light_stable: Duration,
    /// A container's second OOM within this time is not restarted (1.14).
    pub oom_repeat: Duration,
    /// Memory warning, critical, and clear must last so long (1.3 Memory).
    pub pressure_warn: Duration,
    pub pressure_critical: Duration,
    pub pressure_clear: Duration,
    /// Of 21 states, this far apart, so many thousandths changed: it flaps, or no longer (R54).
    pub flap_slot: Duration,
    pub flap_start: u64,
    pub flap_stop: u64,
    /// Our restarts within those states before they are suspended.
    pub flap_restarts: usize,
    /// A critical container that a person stopped is told of after this time (R35).
    pub held_reminder: Duration,
    /// So many per cent of the watched containers, and at least so many, turned bad within this
    /// time: a storm; after this time at the longest each speaks for itself again (R18).
    pub storm_share: usize,
    pub storm_least: usize,
    pub storm_window: Duration,
    pub storm_longest: Duration,
    /// First notice of a problem, and when a remedy is under way (R50, R51).
    pub notice_after: Duration,
    pub notice_after_treated: Duration,
    /// The same key not more often than this (R53).
    pub notice_every: Duration,
    /// Notices in an hour before they are summed up (R53).
    pub notices_per_hour: usize,
    /// What is given up is told again this often (R53).
    pub reminder: Duration,
    /// So many calls of agents within an hour, and more than so many per cent of them in the cloud,
    /// are told (C10).
    pub cloud_calls: u64,
    pub cloud_percent: u64,
    /// Between two requests for one token to a model that is loaded (R5).
    pub deep_every: Duration,
    /// After a failed one the next comes this soon (R5).
    pub deep_retry: Duration,
    /// So many failed ones in a row, or one after an agent's complaint, make it down (R5, R23).
    pub deep_fails: u32,
    /// How long an agent's complaint counts (R23).
    pub complaint: Duration,
    /// Without work for so long, a process has no excuse not to answer (R5).
    pub idle_process: Duration,
    /// A reading of the work older than this says nothing about now.
    pub activity_fresh: Duration,
    /// Above this share of one core, in per cent, it works hard (R6, R61).
    pub hot_percent: u32,
    /// A request without a byte for so long is endless (R6).
    pub endless: Duration,
    /// Holding so many bytes more than the models explain is a leak once it has lasted (R61).
    pub leak_bytes: u64,
    pub leak_lasts: Duration,
    /// A runner that outlives its model by this is stuck.
    pub orphan: Duration,
    /// `/api/ps` that does not answer so many times in a row is stuck (FACTS 0, 7).
    pub ps_fails: u32,
    /// A line in a log explains what fails within this time.
    pub sign_lasts: Duration,
    /// What fails so soon after waking is put down to it.
    pub after_wake: Duration,
    /// A container that stays unhealthy for so long is down (1.2).
    pub unhealthy: Duration,
    /// A container's log that is silent for so long, while it never became healthy, is a hang.
    pub startup_silence: Duration,
    /// Containers killed without a reason within this time of one another: the machine they run
    /// in has run out of memory (1.14).
    pub killed_together: Duration,
    /// Killed for memory so soon after its start, while what it needs is not well (R58).
    pub oom_at_start: Duration,
    /// Whatever was loaded within this time is named when memory runs short.
    pub grew_lately: Duration,
    /// Memory of the machine that Docker runs in below which it is said to be too small, on a host
    /// with at least four times as much.
    pub docker_small_bytes: u64,
    /// A ping that takes longer than this woke Docker from its Resource Saver.
    pub resource_saver: Duration,
    /// A container that uses this much of a core, in per cent, is at work.
    pub busy_percent: u32,
    /// The same where the machine is overloaded, and it gets no more than that.
    pub starved_percent: u32,
    /// The machine is overloaded above this load per core, in per cent.
    pub overloaded_percent: u32,
    /// A loopback exchange with ourselves that takes longer: we are the slow one (R9).
    pub slow_self: Duration,
    /// Free space on a volume: below this many bytes, or this share, a warning (R64).
    pub disk_warn_bytes: u64,
    pub disk_warn_percent: u64,
    /// Below this many bytes it is critical (R64).
    pub disk_critical_bytes: u64,
    /// A model without a request for so long is idle (R61).
    pub idle_model: Duration,
    /// What we unloaded for want of memory and was loaded again within this time is in use: it is
    /// not unloaded again for as long.
    pub shed_again: Duration,
    /// An MLX server that is idle and holds less than this is not worth a word.
    pub idle_mlx_bytes: u64,
    /// The other model server counts as a rival for the GPU from this share of one core on, in per
    /// cent; a model is slowed below this share of its usual speed (C5).
    pub contends_percent: u32,
    pub slowed_percent: u32,
    /// While we have reason to doubt ourselves, fails count half (R9).
    pub doubt: Duration,
    /// Machine booted less than this ago: everything is still coming up (R14).
    pub boot_grace: Duration,
    /// The ledger is written at least so often while a model server lives: so well is the time
    /// known at which the machine went down (R32).
    pub heartbeat: Duration,
    /// A machine that goes down so soon after a server was started or busy is charged to it (R32).
    pub panic_within: Duration,
    /// So many charges within this time lock it.
    pub panics: usize,
    pub panic_memory: Duration,
    /// So many crashes of our own within this time, and nothing is done unasked for as long (R39).
    pub crashes: usize,
    pub crash_memory: Duration,
    /// Nothing is done unasked for so long after a configuration that cannot be read (fault 53).
    pub misconfigured: Duration,
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

impl Policy {
    /// From which share of a core on, in per cent, a container is at work.
    pub(crate) fn enough_work(&self, overloaded: bool) -> u32 {
        if overloaded { self.starved_percent } else { self.busy_percent }
    }

    /// How long what was given up waits after so many trials (R27).
    pub(crate) fn trial_after(&self, trials: u32) -> Duration {
        (self.trial * 2u32.saturating_pow(trials.min(8))).min(self.trial_cap)
    }
}

impl Default for Policy {
    #[allow(clippy::too_many_lines, reason = "one line for each number")]
    fn default() -> Self {
        Self {
            hard_fails: 3,
            soft_fails: 3,
            successes: 2,
            slow_after: seconds(1),
            slow_times: 5,
            slow_leave_percent: 70,
            retry: seconds(3),
            retry_docker: seconds(5),
            look_deadline: seconds(45),
            snapshot: seconds(60),
            full_check: seconds(300),
            verify_every: seconds(1),
            soak: seconds(60),
            grace_ceiling: seconds(120),
            attempts: 3,
            episode_closes: seconds(600),
            backoff: seconds(20),
            backoff_cap: seconds(300),
            restarts_alert: 3,
            restarts_rearm: 1,
            restarts_limit: 6,
            trial: seconds(30 * 60),
            trial_cap: seconds(240 * 60),
            patience_ollama: seconds(5),
            patience_mlx: seconds(30),
            patience_kill: seconds(5),
            supervisor: seconds(15),
            docker_policy: seconds(60),
            confirm_within: seconds(5),
            stagger: seconds(5),
            wake_hold: seconds(60),
            sleep: seconds(5),
            verdict: seconds(2),
            kill_to_die: seconds(5),
            daemon_stop: seconds(15),
            engine_clears_up: seconds(5),
            crash_loop: seconds(300),
            crash_loop_exits: 5,
            crash_loop_alike: 3,
            light_stable: seconds(600),
            oom_repeat: seconds(3600),
            pressure_warn: seconds(60),
            pressure_critical: seconds(10),
            pressure_clear: seconds(60),
            flap_slot: seconds(60),
            flap_start: 300,
            flap_stop: 200,
            flap_restarts: 2,
            held_reminder: seconds(30 * 60),
            storm_share: 40,
            storm_least: 3,
            storm_window: seconds(60),
            storm_longest: seconds(600),
            notice_after: seconds(30),
            notice_after_treated: seconds(60),
            notice_every: seconds(300),
            notices_per_hour: 6,
            reminder: seconds(4 * 3600),
            cloud_calls: 20,
            cloud_percent: 50,
            deep_every: seconds(120),
            deep_retry: seconds(5),
            deep_fails: 2,
            complaint: seconds(60),
            idle_process: seconds(30),
            activity_fresh: seconds(30),
            hot_percent: 80,
            endless: seconds(600),
            leak_bytes: 6 << 30,
            leak_lasts: seconds(600),
            orphan: seconds(60),
            ps_fails: 3,
            sign_lasts: seconds(600),
            after_wake: seconds(300),
            unhealthy: seconds(30),
            startup_silence: seconds(60),
            killed_together: seconds(30),
            oom_at_start: seconds(60),
            grew_lately: seconds(600),
            docker_small_bytes: 10 << 30,
            resource_saver: seconds(3),
            busy_percent: 50,
            starved_percent: 5,
            overloaded_percent: 150,
            slow_self: Duration::from_millis(200),
            disk_warn_bytes: 10 << 30,
            disk_warn_percent: 5,
            disk_critical_bytes: 2 << 30,
            idle_model: seconds(600),
            shed_again: seconds(3600),
            idle_mlx_bytes: 2 << 30,
            contends_percent: 10,
            slowed_percent: 60,
            doubt: seconds(60),
            boot_grace: seconds(120),
            heartbeat: seconds(300),
            panic_within: seconds(600),
            panics: 2,
            panic_memory: seconds(24 * 3600),
            crashes: 3,
            crash_memory: seconds(600),
            misconfigured: seconds(300),
        }
    }
}
