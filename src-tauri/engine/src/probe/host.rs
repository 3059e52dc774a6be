//! Memory of the host (RECOVERY 1.3), and the room on its disks (R64).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use doctor::{Depth, HostSeen, Observation, VolumeSeen};

use crate::platform;

/// How long a look may take. Walking over all processes costs some hundred milliseconds on a
/// machine under load; longer than this is a machine that does not answer.
const DEADLINE: Duration = Duration::from_secs(20);

/// Reads memory, swap and pressure; in a full look also the ledger by owner, with a row for each
/// of the configured `groups`.
/// And the room on the file systems of `paths`.
pub async fn look(
    depth: Depth,
    groups: &BTreeMap<String, Vec<String>>,
    paths: &[PathBuf],
) -> Observation {
    let paths = paths.to_vec();
    let groups = match depth {
        Depth::Shallow => None,
        Depth::Full | Depth::Deep => Some(groups.clone()),
    };
    let reading = tokio::task::spawn_blocking(move || -> std::io::Result<HostSeen> {
        let volumes = if groups.is_some() { volumes(&paths) } else { Vec::new() };
        let ledger = groups.map(|groups| platform::memory_ledger(&groups));
        Ok(HostSeen { ledger, volumes, load_percent: load(), ..platform::memory()? })
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

/// Load of the last minute per core, in per cent; 0 where it is not told.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast keeps to the limits of the number, and makes 0 of what is none"
)]
fn load() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let cores = u32::try_from(cores).unwrap_or(1);
    let load = sysinfo::System::load_average().map_or(0.0, |load| load.one);
    (load * 100.0 / f64::from(cores)) as u32
}

/// Room on the file systems of these paths, each file system once. A path that is not there lies
/// on the one of its nearest parent; what cannot be asked is left out.
pub(crate) fn volumes(paths: &[PathBuf]) -> Vec<VolumeSeen> {
    let mut seen = BTreeMap::new();
    for path in paths {
        let Some(there) = path.ancestors().find(|path| path.exists()) else { continue };
        let Ok(system) = rustix::fs::statvfs(there) else { continue };
        seen.entry(system.f_fsid).or_insert_with(|| VolumeSeen {
            path: there.display().to_string(),
            // What a user without privileges may fill.
            free_bytes: system.f_bavail.saturating_mul(system.f_frsize),
            total_bytes: system.f_blocks.saturating_mul(system.f_frsize),
        });
    }
    seen.into_values().collect()
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
        let Observation::Host(shallow) = look(Depth::Shallow, &groups, &[]).await else { panic!() };
        assert_eq!(shallow.ledger, None);
        assert!(shallow.volumes.is_empty());
        let folder = tempfile::tempdir().unwrap();
        let paths = [folder.path().to_path_buf(), folder.path().join("not/there/yet")];
        let Observation::Host(full) = look(Depth::Full, &groups, &paths).await else { panic!() };
        // Both lie on one file system.
        let [volume] = full.volumes.as_slice() else { panic!("{:?}", full.volumes) };
        assert!(volume.free_bytes > 0 && volume.free_bytes <= volume.total_bytes);
        let held: u64 = full.ledger.unwrap().iter().map(|row| row.bytes).sum();
        assert!(held > 0 && held <= full.memory_bytes, "{held} of {}", full.memory_bytes);
    }
}
