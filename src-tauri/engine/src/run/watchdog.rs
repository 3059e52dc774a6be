//! Who watches the loop: a thread of its own, since a loop that hangs cannot say so itself (R39).

use std::io::Write as _;
use std::time::Duration;

use tokio::sync::watch;

use crate::handle::Handle;

/// Three periods of the loop's longest wait.
const PATIENCE: Duration = Duration::from_secs(3 * 30);
const EVERY: Duration = Duration::from_secs(10);
/// `EX_SOFTWARE` of sysexits(3): launchd and systemd start what ended so again.
const CODE: i32 = 70;

/// Ends the process when the loop has not come round for three periods; whoever started us starts us
/// again. Sleep does not count: the loop's clock stands in it.
pub(super) fn watch(handle: Handle, stopping: watch::Receiver<bool>) {
    let watching = move || {
        while !is_over(&stopping) {
            std::thread::sleep(EVERY);
            let silent = handle.silent_for();
            if silent >= PATIENCE && !is_over(&stopping) {
                let seconds = silent.as_secs();
                tracing::error!(
                    seconds,
                    "the loop does not come round any more; ending to be started again"
                );
                // Without a terminal nobody reads it; the log has it.
                let _ = writeln!(
                    std::io::stderr(),
                    "homeostat: the loop has not come round for {seconds} s; ending to be started again"
                );
                std::process::exit(CODE);
            }
        }
    };
    if let Err(error) = std::thread::Builder::new().name("watchdog".into()).spawn(watching) {
        tracing::warn!(%error, "nobody watches the loop");
    }
}

/// Told to stop, or whoever could tell it is gone.
fn is_over(stopping: &watch::Receiver<bool>) -> bool {
    *stopping.borrow() || stopping.has_changed().is_err()
}
