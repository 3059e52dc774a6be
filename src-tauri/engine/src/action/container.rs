//! Start and stop of one container, each sent once (R24) and then watched until it is so.

use std::time::Duration;

use bollard::query_parameters::{StartContainerOptions, StopContainerOptions};
use doctor::{ContainerSeen, ContainerStatus, Outcome, Reply};
use tokio::time::{Instant, sleep};

use crate::probe::docker::{Docker, Limits, Trouble};

/// Bytes of an answer that has no body but words about an error.
const WORDS: u64 = 1 << 16;

impl Docker {
    /// `POST /containers/{id}/start`; `Done` when it runs, also when it did already. The engine's
    /// restart call is never used: it would start what a person stopped a moment before. What is
    /// paused is let go on.
    pub async fn start(&self, id: &str, within: Duration) -> Outcome {
        let deadline = Instant::now() + within;
        let paused = match self.inspect(id).await {
            Ok(Some(seen)) if seen.status == ContainerStatus::Paused => true,
            Ok(Some(seen)) if runs(&seen) => return Outcome::Done,
            Ok(Some(_)) => false,
            Ok(None) => return gone_for_ever(id),
            Err(trouble) => return failed("was not started", &trouble),
        };
        let limits = Limits { within: left(deadline).min(self.pace().answer), cap: WORDS };
        let sent = self
            .ask(limits, async |docker| {
                // The engine refuses to start what is paused (moby `daemon/start.go`).
                if paused {
                    docker.unpause_container(id).await
                } else {
                    docker.start_container(id, None::<StartContainerOptions>).await
                }
            })
            .await;
        match sent {
            Ok(()) => Outcome::Done,
            Err(trouble) if may_have_arrived(&trouble.answer.reply) => {
                let is_up = |seen: Option<&ContainerSeen>| match seen {
                    Some(seen) => runs(seen).then_some(Outcome::Done),
                    None => Some(gone_for_ever(id)),
                };
                let late = failed("was told to start and does not run yet", &trouble);
                self.await_state(id, deadline, is_up).await.unwrap_or(late)
            }
            Err(trouble) => failed("was not started", &trouble),
        }
    }

    /// Stops this incarnation with its own signal and time-out. `Gone`: it did not run any more;
    /// `IdentityChanged`: it was started anew since; `StillThere`: not stopped within the time.
    pub async fn stop(&self, id: &str, started_ms: Option<i64>, within: Duration) -> Outcome {
        let deadline = Instant::now() + within;
        let grace = match self.inspect(id).await {
            Ok(None) => return Outcome::Gone,
            Ok(Some(seen)) if !runs(&seen) => return Outcome::Gone,
            Ok(Some(seen)) if seen.started_ms != started_ms => return Outcome::IdentityChanged,
            Ok(Some(seen)) => Duration::from_secs(seen.stop_timeout_s),
            Err(trouble) => return failed("was not stopped", &trouble),
        };
        let answer_due = grace.saturating_add(self.pace().answer);
        let limits = Limits { within: left(deadline).min(answer_due), cap: WORDS };
        let sent = self
            .ask(limits, async |docker| {
                docker.stop_container(id, None::<StopContainerOptions>).await
            })
            .await;
        match sent {
            Ok(()) => Outcome::Done,
            Err(trouble) if is_missing(&trouble) => Outcome::Gone,
            Err(trouble) if may_have_arrived(&trouble.answer.reply) => {
                let is_down = |seen: Option<&ContainerSeen>| match seen {
                    None => Some(Outcome::Done),
                    Some(seen) if !runs(seen) => Some(Outcome::Done),
                    Some(seen) if seen.started_ms != started_ms => Some(Outcome::IdentityChanged),
                    Some(_) => None,
                };
                self.await_state(id, deadline, is_down).await.unwrap_or(Outcome::StillThere)
            }
            Err(trouble) => failed("was not stopped", &trouble),
        }
    }

    /// Looks until `verdict` has one or the time is up. An engine that does not answer may be back
    /// before that, so its silence is no verdict.
    async fn await_state(
        &self,
        id: &str,
        deadline: Instant,
        verdict: impl Fn(Option<&ContainerSeen>) -> Option<Outcome>,
    ) -> Option<Outcome> {
        loop {
            let looked = tokio::time::timeout_at(deadline, self.inspect(id)).await.ok()?;
            if let Ok(seen) = looked
                && let Some(outcome) = verdict(seen.as_ref())
            {
                return Some(outcome);
            }
            if left(deadline) < self.pace().poll {
                return None;
            }
            sleep(self.pace().poll).await;
        }
    }
}

fn runs(seen: &ContainerSeen) -> bool {
    match seen.status {
        ContainerStatus::Running | ContainerStatus::Paused | ContainerStatus::Restarting => true,
        ContainerStatus::Created
        | ContainerStatus::Removing
        | ContainerStatus::Exited
        | ContainerStatus::Dead => false,
    }
}

/// Whether the engine may be carrying it out although we have no answer.
fn may_have_arrived(reply: &Reply) -> bool {
    match reply {
        Reply::Silent
        | Reply::Stalled
        | Reply::Reset
        | Reply::Empty
        | Reply::Malformed { .. }
        | Reply::TooLarge => true,
        Reply::Refused
        | Reply::Unreachable { .. }
        | Reply::ConnectTimeout
        | Reply::Status { .. } => false,
    }
}

fn is_missing(trouble: &Trouble) -> bool {
    matches!(trouble.answer.reply, Reply::Status { code: 404, .. })
}

fn gone_for_ever(id: &str) -> Outcome {
    let reason = format!("the engine knows no container {id}: it was removed");
    Outcome::Failed { reason, permanent: true }
}

/// In the engine's words. What it can't run it never can (R31): it answers 400 for a command that
/// is missing or not executable, and 404 for an image or a network that is gone
/// (moby `daemon/errors.go`).
fn failed(what: &str, trouble: &Trouble) -> Outcome {
    let permanent = matches!(trouble.answer.reply, Reply::Status { code: 400 | 404, .. });
    let place = &trouble.answer.url;
    Outcome::Failed { reason: format!("{what}: {} ({place})", trouble.message), permanent }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
