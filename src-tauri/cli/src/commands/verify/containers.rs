//! Docker and the critical containers: asked directly, as `docker ps` would.

use doctor::{Care, Spec, TargetId};
use engine::config::Config;
use engine::view::Snapshot;

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
            checks.extend(container(&endpoint, name, spec).await);
        }
    }
    checks
}

/// None: not there, and nobody asked for it.
async fn container(
    endpoint: &engine::docker_host::Endpoint,
    name: &str,
    spec: &Spec,
) -> Option<Check> {
    let what = spec.id.to_string();
    Some(match docker::state(endpoint, name).await {
        Ok(Some(state)) if state == "running" => Check::good(what, "runs"),
        Ok(Some(state)) => {
            Check::failed(&what, format!("is {state}"), format!("`homeostat start {what}`"))
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
