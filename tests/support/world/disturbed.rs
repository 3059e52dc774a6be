//! The policy with one number disturbed: what nothing notices is a number that nothing proves.

use std::time::Duration;

use doctor::Policy;

/// Which way a number is moved: small counts by one, all else to half and to double.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Smaller,
    Larger,
}

pub const WAYS: [Way; 2] = [Way::Smaller, Way::Larger];

/// A number, and how to disturb it.
pub struct Number {
    pub name: &'static str,
    pub disturb: fn(&mut Policy, Way),
}

trait Disturb {
    fn disturb(&mut self, way: Way);
}

impl Disturb for Duration {
    fn disturb(&mut self, way: Way) {
        *self = match way {
            Way::Smaller => *self / 2,
            Way::Larger => *self * 2,
        };
    }
}

macro_rules! disturb_counts {
    ($($count:ty),*) => {
        $(impl Disturb for $count {
            fn disturb(&mut self, way: Way) {
                *self = match (way, *self <= 10) {
                    (Way::Smaller, true) => self.saturating_sub(1),
                    (Way::Smaller, false) => *self / 2,
                    (Way::Larger, true) => *self + 1,
                    (Way::Larger, false) => *self * 2,
                };
            }
        })*
    };
}

disturb_counts!(u32, u64, usize);

macro_rules! numbers {
    ($($name:ident,)*) => {
        /// Every number there is: one that is added and not named here does not compile.
        pub fn numbers() -> Vec<Number> {
            let Policy { $($name: _,)* } = Policy::default();
            vec![$(Number {
                name: stringify!($name),
                disturb: |policy, way| policy.$name.disturb(way),
            },)*]
        }
    };
}

numbers! {
    hard_fails,
    soft_fails,
    successes,
    slow_after,
    slow_times,
    slow_leave_percent,
    retry,
    retry_docker,
    look_deadline,
    snapshot,
    full_check,
    verify_every,
    soak,
    grace_ceiling,
    attempts,
    episode_closes,
    backoff,
    backoff_cap,
    restarts_alert,
    restarts_rearm,
    restarts_limit,
    trial,
    trial_cap,
    patience_ollama,
    patience_mlx,
    patience_kill,
    supervisor,
    docker_policy,
    confirm_within,
    stagger,
    wake_hold,
    sleep,
    verdict,
    kill_to_die,
    daemon_stop,
    engine_clears_up,
    crash_loop,
    crash_loop_exits,
    crash_loop_alike,
    light_stable,
    oom_repeat,
    pressure_warn,
    pressure_critical,
    pressure_clear,
    flap_slot,
    flap_start,
    flap_stop,
    flap_restarts,
    held_reminder,
    storm_share,
    storm_least,
    storm_window,
    storm_longest,
    notice_after,
    notice_after_treated,
    notice_every,
    notices_per_hour,
    reminder,
    cloud_calls,
    cloud_percent,
    deep_every,
    deep_retry,
    deep_fails,
    complaint,
    idle_process,
    activity_fresh,
    hot_percent,
    endless,
    leak_bytes,
    leak_lasts,
    orphan,
    ps_fails,
    sign_lasts,
    after_wake,
    unhealthy,
    startup_silence,
    killed_together,
    oom_at_start,
    grew_lately,
    docker_small_bytes,
    resource_saver,
    busy_percent,
    starved_percent,
    overloaded_percent,
    slow_self,
    disk_warn_bytes,
    disk_warn_percent,
    disk_critical_bytes,
    idle_model,
    shed_again,
    idle_mlx_bytes,
    contends_percent,
    slowed_percent,
    doubt,
    boot_grace,
    heartbeat,
    panic_within,
    panics,
    panic_memory,
    crashes,
    crash_memory,
    misconfigured,
}

/// What a test process was told to disturb: `DISTURB=soak:Larger`.
pub fn policy() -> Policy {
    let mut policy = Policy::default();
    if let Ok(told) = std::env::var("DISTURB") {
        for number in numbers() {
            for way in WAYS {
                if told == format!("{}:{way:?}", number.name) {
                    (number.disturb)(&mut policy, way);
                }
            }
        }
    }
    policy
}
