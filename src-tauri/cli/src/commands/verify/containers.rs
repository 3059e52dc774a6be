//! Docker and the critical containers: asked directly, as `docker ps` would.

use doctor::{Care, Spec, TargetId};
use engine::config::Config;
use engine::view::{Intent, Snapshot};

use super::{Check, seen};
use crate::docker;

pub(crate) async fn containers(config: &Config, snapshot: Option<&Snapshot>) -> Vec<Check> {
    let what = "docker";
    let endpoint = match docker::find(&config.docker.host).await {
        Ok(endpoint) => endpoint,
        Err(why) => {
            let configured = config.roster.iter().any(|spec| {
                spec.configured && matches!(spec.id, TargetId::Docker | TargetId::Container(_))
            });
            let found = seen(snapshot, what).is_some_and(|target| target.found);
            return vec![if configured || found {
                Check::failed(what, why, "start Docker Desktop, or the engine that you use")
            } else {
                Check::absent(what, format!("not found and not configured ({why})"))
            }];
        }
    };
    let mut checks = vec![Check::good(what, format!("the engine answers at {endpoint}"))];
    for spec in &config.roster {
        if let (TargetId::Container(name), Care::Container { critical: true, .. }) =
            (&spec.id, &spec.care)
        {
            checks.extend(container(&endpoint, name, spec, snapshot).await);
        }
    }
    checks
}

/// None: not there, and nobody asked for it.
async fn container(
    endpoint: &engine::docker_host::Endpoint,
    name: &str,
    spec: &Spec,
    snapshot: Option<&Snapshot>,
) -> Option<Check> {
    let what = spec.id.to_string();
    Some(match docker::state(endpoint, name).await {
        Ok(Some(state)) if state == "running" => Check::good(what, "runs"),
        Ok(Some(state)) => {
            stopped(&what, &state, seen(snapshot, &what).map(|target| target.intent))
        }
        Ok(None) if spec.configured => Check::failed(
            what,
            "does not exist",
            "create it with `docker compose up -d` in its project",
        ),
        Ok(None) => return None,
        Err(why) => Check::failed(what, why, "see `docker ps -a`"),
    })
}

/// What a person stopped, or what has done its work, is as it should be.
fn stopped(what: &str, state: &str, intent: Option<Intent>) -> Check {
    match intent {
        Some(Intent::Held) => Check::absent(
            what,
            format!("is {state} and held: it stays so until `homeostat start {what}`"),
        ),
        Some(Intent::Completed) => Check::absent(what, format!("is {state}: its work is done")),
        Some(Intent::Wanted) | None => {
            Check::failed(what, format!("is {state}"), format!("`homeostat start {what}`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    #[test]
    fn only_what_is_to_run_fails_when_it_is_stopped() {
        let state = |intent| stopped("container:db", "exited", intent).state;
        assert_eq!(state(Some(Intent::Held)), Outcome::Absent);
        assert_eq!(state(Some(Intent::Completed)), Outcome::Absent);
        assert_eq!(state(Some(Intent::Wanted)), Outcome::Failed);
        assert_eq!(state(None), Outcome::Failed, "nobody knows of a hold");
        let held = stopped("container:db", "exited", Some(Intent::Held));
        assert!(held.says.contains("held") && held.advice.is_empty(), "{held:?}");
    }
}
