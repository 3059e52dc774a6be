//! The one place that reads the four clocks (R44).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use doctor::{Awake, Boot, Continuous, Now, Wall, millis};

use crate::platform;

/// All four clocks, read one after the other.
pub fn now() -> Now {
    Now {
        awake: Awake(millis(platform::awake())),
        continuous: Continuous(millis(platform::continuous())),
        wall: Wall(wall()),
        boot: Boot(platform::boot()),
    }
}

/// Milliseconds since 1970; a clock set before 1970 reads as 0.
fn wall() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::now;

    #[test]
    fn clocks_go_forward_and_the_boot_stays() {
        let first = now();
        let second = now();
        assert!(second.awake >= first.awake);
        assert!(second.continuous >= first.continuous);
        assert!(first.continuous.0 >= first.awake.0, "sleep can only add to the continuous clock");
        assert_eq!(first.boot, second.boot);
        assert_ne!(first.boot.0, 0);
        assert!(first.wall.0 > 1_700_000_000_000, "milliseconds, not seconds");
    }
}
