//! The memory limit of one container, as it runs.

use std::time::Duration;

use bollard::models::{ContainerUpdateBody, HostConfig};
use bollard::query_parameters::InspectContainerOptions;
use doctor::{LimitLasts, Outcome, Reply};
use tokio::time::timeout;

use crate::audit::limit_place;
use crate::probe::docker::{CONTAINER, Docker, Limits, Trouble};

/// Bytes of the answer to a change: warnings, or words about an error.
const WORDS: u64 = 1 << 16;
/// Until its compose files are read.
const READ: Duration = Duration::from_secs(2);
/// Swap without a limit.
const NO_LIMIT: i64 = -1;

impl Docker {
    /// `POST /containers/{id}/update`, sent once, then read back: `Raised` only when the engine says that
    /// the limit is the one asked for. `IdentityChanged`: it was no longer `from`. It takes hold at
    /// once for what runs, and at the next start for what does not (moby `daemon/update.go`).
    pub async fn raise_limit(&self, id: &str, from: u64, to: u64, within: Duration) -> Outcome {
        let raised = timeout(within, self.raise(id, from, to))
            .await
            .unwrap_or_else(|_| failed("Docker did not answer in time", false));
        if raised != Outcome::Done {
            return raised;
        }
        self.what_makes_it_last(id, to).await.map_or(Outcome::Done, Outcome::Raised)
    }

    /// Looked up after the limit was raised: that it takes long, or fails, takes nothing from that.
    async fn what_makes_it_last(&self, id: &str, to: u64) -> Option<LimitLasts> {
        let seen = self.inspect(id).await.ok().flatten()?;
        let Some(compose) = seen.compose else { return Some(LimitLasts::WhenMade) };
        let words = LimitLasts::InCompose {
            file: compose.files.first().cloned().unwrap_or_default(),
            service: compose.service.clone(),
        };
        // A file may lie on a disk that is slow to answer.
        let read = tokio::task::spawn_blocking(move || limit_place(&compose, to));
        match timeout(READ, read).await {
            Ok(Ok(Some(place))) => Some(LimitLasts::Line(place)),
            Ok(Ok(None) | Err(_)) | Err(_) => Some(words),
        }
    }

    async fn raise(&self, id: &str, from: u64, to: u64) -> Outcome {
        let (Ok(from), Ok(to)) = (i64::try_from(from), i64::try_from(to)) else {
            return failed("no engine counts so many bytes", true);
        };
        let before = match self.limits_of(id).await {
            Ok(before) => before,
            Err(outcome) => return outcome,
        };
        let limit = before.memory.unwrap_or_default();
        if limit == to {
            return Outcome::Done;
        }
        if limit != from {
            return Outcome::IdentityChanged;
        }
        let body = ContainerUpdateBody {
            memory: Some(to),
            memory_swap: Some(with_swap(from, to, before.memory_swap.unwrap_or_default())),
            ..ContainerUpdateBody::default()
        };
        let limits = Limits { within: self.pace().answer, cap: WORDS };
        let sent =
            self.ask(limits, async |docker| docker.update_container(id, body.clone()).await).await;
        self.forget(id);
        // Whatever was answered, what counts is what the engine says of it now.
        match self.limits_of(id).await {
            Ok(after) if after.memory == Some(to) => Outcome::Done,
            Ok(_) => match sent {
                Ok(()) => failed("Docker took the new limit and does not show it", false),
                Err(trouble) => refused(&trouble),
            },
            Err(outcome) => outcome,
        }
    }

    async fn limits_of(&self, id: &str) -> Result<HostConfig, Outcome> {
        let limits = Limits { within: self.pace().answer, cap: CONTAINER };
        let none = None::<InspectContainerOptions>;
        self.ask(limits, async |docker| docker.inspect_container(id, none.clone()).await)
            .await
            .map(|found| found.host_config.unwrap_or_default())
            .map_err(|trouble| refused(&trouble))
    }
}

/// Memory and swap together may be so much. The engine refuses a memory limit above the one for both
/// unless that is given with it, where 0 is "not given" and -1 "without end"; and never takes one
/// below the memory limit (moby `container/container_unix.go`, `UpdateContainer`, and
/// `daemon/daemon_unix.go`, `verifyPlatformContainerResources`). What may be swapped stays as much as
/// it was; of an engine that noted nothing, twice the limit, which is its own choice (moby
/// `daemon/daemon_unix.go`, `adaptContainerSettings`).
fn with_swap(from: i64, to: i64, both: i64) -> i64 {
    match both {
        ..0 => NO_LIMIT,
        0 => to.saturating_mul(2),
        1.. => to.saturating_add(both.saturating_sub(from).max(0)),
    }
}

fn refused(trouble: &Trouble) -> Outcome {
    let place = &trouble.answer.url;
    let reason = format!("its memory limit was not raised: {} ({place})", trouble.message);
    // Wrong numbers, and a container that has gone (moby `daemon/update.go`).
    let permanent = matches!(trouble.answer.reply, Reply::Status { code: 400 | 404 | 409, .. });
    failed(&reason, permanent)
}

fn failed(reason: &str, permanent: bool) -> Outcome {
    Outcome::Failed { reason: reason.to_owned(), permanent }
}

#[cfg(test)]
mod tests {
    use super::with_swap;

    const M: i64 = 1 << 20;

    #[test]
    fn c8_what_may_be_swapped_stays_as_much_as_it_was() {
        // Docker's own choice is as much swap as memory; none; without end; not noted.
        for (both, expected) in
            [(48 * M, 88 * M), (24 * M, 64 * M), (-1, -1), (0, 128 * M), (8 * M, 64 * M)]
        {
            assert_eq!(with_swap(24 * M, 64 * M, both), expected, "{both}");
        }
    }
}
