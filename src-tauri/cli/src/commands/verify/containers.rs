//! Docker and the critical containers: asked directly, as `docker ps` would.

use doctor::{Care, Sentence, Spec, TargetId};
use engine::config::Config;
use engine::view::{Intent, Snapshot};
use engine::words::Words;

use super::{Check, seen};
use crate::docker;

pub(crate) async fn containers(
    config: &Config,
    snapshot: Option<&Snapshot>,
    words: &Words,
) -> Vec<Check> {
    let what = "docker";
    let endpoint = match docker::find(&config.docker.host).await {
        Ok(endpoint) => endpoint,
        Err(why) => {
            let configured = config.roster.iter().any(|spec| {
                spec.configured && matches!(spec.id, TargetId::Docker | TargetId::Container(_))
            });
            let found = seen(snapshot, what).is_some_and(|target| target.found);
            return vec![if configured || found {
                Check::failed(what, why, words.say("cli.check_start_docker"))
            } else {
                Check::absent(
                    what,
                    words.sentence(&Sentence::new("cli.check_no_docker").with("why", why)),
                )
            }];
        }
    };
    let mut checks = vec![Check::good(
        what,
        words.sentence(&Sentence::new("cli.check_docker").with("address", endpoint.to_string())),
    )];
    for spec in &config.roster {
        if let (TargetId::Container(name), Care::Container { critical: true, .. }) =
            (&spec.id, &spec.care)
        {
            checks.extend(container(&endpoint, name, spec, snapshot, words).await);
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
    words: &Words,
) -> Option<Check> {
    let what = spec.id.to_string();
    Some(match docker::state(endpoint, name).await {
        Ok(Some(state)) if state == "running" => Check::good(what, words.say("cli.check_runs")),
        Ok(Some(state)) => {
            let intent = seen(snapshot, &what).map(|target| target.intent);
            stopped(&what, &state, intent, words)
        }
        Ok(None) if spec.configured => {
            Check::failed(what, words.say("cli.check_no_container"), words.say("cli.check_create"))
        }
        Ok(None) => return None,
        Err(why) => Check::failed(what, why, words.say("cli.check_docker_ps")),
    })
}

/// What a person stopped, or what has done its work, is as it should be.
fn stopped(what: &str, state: &str, intent: Option<Intent>, words: &Words) -> Check {
    let says =
        |key: &str| words.sentence(&Sentence::new(key).with("state", state).with("target", what));
    match intent {
        Some(Intent::Held) => Check::absent(what, says("cli.check_held")),
        Some(Intent::Completed) => Check::absent(what, says("cli.check_completed")),
        Some(Intent::Wanted) | None => {
            Check::failed(what, says("cli.check_stopped"), format!("`homeostat start {what}`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Outcome;
    use super::*;

    #[test]
    fn only_what_is_to_run_fails_when_it_is_stopped() {
        let words = Words::new("en");
        let state = |intent| stopped("container:db", "exited", intent, &words).state;
        assert_eq!(state(Some(Intent::Held)), Outcome::Absent);
        assert_eq!(state(Some(Intent::Completed)), Outcome::Absent);
        assert_eq!(state(Some(Intent::Wanted)), Outcome::Failed);
        assert_eq!(state(None), Outcome::Failed, "nobody knows of a hold");
        let held = stopped("container:db", "exited", Some(Intent::Held), &words);
        assert!(held.says.contains("held") && held.advice.is_empty(), "{held:?}");
    }
}
