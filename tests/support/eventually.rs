//! Waiting for a condition instead of sleeping.

use std::time::{Duration, Instant};

/// Asks `closure` every 20 ms until it gives something; panics with `what` when the deadline passes.
#[track_caller]
pub fn eventually<T>(what: &str, deadline: Duration, mut closure: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = closure() {
            return value;
        }
        assert!(began.elapsed() < deadline, "not within {deadline:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// [`eventually`] for a yes or no.
#[track_caller]
pub fn wait_until(what: &str, deadline: Duration, mut holds: impl FnMut() -> bool) {
    eventually(what, deadline, || holds().then_some(()));
}
