//! Memory of the host (RECOVERY 1.3).

use std::collections::BTreeMap;
use std::time::Duration;

use doctor::{Depth, HostSeen, Observation};

use crate::platform;

/// How long a look may take. Walking over all processes costs some hundred milliseconds on a
/// machine under load; longer than this is a machine that does not answer.
const DEADLINE: Duration = Duration::from_secs(20);

/// Reads memory, swap and pressure; in a full look also the ledger by owner, with a row for each
/// of the configured `groups`.
pub async fn look(depth: Depth, groups: &BTreeMap<String, Vec<String>>) -> Observation {
    let groups = match depth {
        Depth::Shallow => None,
        Depth::Full => Some(groups.clone()),
    };
    let reading = tokio::task::spawn_blocking(move || -> std::io::Result<HostSeen> {
        let ledger = groups.map(|groups| platform::memory_ledger(&groups));
        Ok(HostSeen { ledger, ..platform::memory()? })
    });
    match tokio::time::timeout(DEADLINE, reading).await {
        Ok(Ok(Ok(seen))) => Observation::Host(seen),
        Ok(Ok(Err(error))) => {
            unasked(format!("the memory of this machine cannot be read: {error}"))
        }
        Ok(Err(error)) => unasked(format!("reading the memory of this machine broke off: {error}")),
        Err(_) => unasked(format!("reading memory took longer than {} s", DEADLINE.as_secs())),
    }
}

fn unasked(reason: String) -> Observation {
    Observation::Unasked { reason }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use doctor::{Depth, Observation};

    use super::look;

    #[tokio::test]
    async fn only_a_full_look_has_a_ledger() {
        let groups = BTreeMap::new();
        let Observation::Host(shallow) = look(Depth::Shallow, &groups).await else { panic!() };
        assert_eq!(shallow.ledger, None);
        let Observation::Host(full) = look(Depth::Full, &groups).await else { panic!() };
        let held: u64 = full.ledger.unwrap().iter().map(|row| row.bytes).sum();
        assert!(held > 0 && held <= full.memory_bytes, "{held} of {}", full.memory_bytes);
    }
}
