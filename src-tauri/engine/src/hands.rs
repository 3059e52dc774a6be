//! Carries out one step of a remedy on the right system.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use doctor::{Event, Lever, Listener, Outcome, ProcessId, Step, TargetId, Treatment};

use tokio::sync::mpsc;

use crate::action::{models, owner, process};
use crate::environments::{Variables, is_setting};
use crate::platform::{self, Places};
use crate::probe::port_of;
use crate::senses::Senses;
use crate::store;

pub struct Hands {
    pub senses: Arc<Senses>,
    /// Where the output of servers that we start goes.
    pub logs: PathBuf,
    /// Where our variables for containers go (R30).
    pub light: PathBuf,
    /// Where it is kept what a stopped job of launchd is started from.
    pub stopped_jobs: PathBuf,
    /// Where a long step tells how far it is.
    pub inbox: mpsc::Sender<Event>,
}

impl Hands {
    /// Always reports, and within the treatment's time.
    pub async fn carry_out(&self, treatment: &Treatment) -> Outcome {
        let within = treatment.within;
        let doing = self.act(treatment);
        tokio::time::timeout(within + Duration::from_secs(2), doing)
            .await
            .unwrap_or_else(|_| failed(format!("it took longer than {} s", within.as_secs())))
    }

    async fn act(&self, treatment: &Treatment) -> Outcome {
        let target = &treatment.target;
        let within = treatment.within;
        match &treatment.what {
            Step::FindListener => self.find_listener(target).await,
            Step::FindCopies => self.find_copies().await,
            Step::Terminate(process) => sent(process::terminate(process)),
            Step::Kill(process) => kill_with_runners(process).await,
            Step::AwaitGone(process) => {
                process::await_gone(process, Some(self.port(target)), within).await
            }
            Step::StopThrough { lever, process } => {
                owner::stop(lever, process.as_ref(), &self.stopped_jobs).await
            }
            Step::AwaitBack => owner::await_back(self.port(target), within).await,
            Step::Start(lever) => self.start(target, lever).await,
            Step::StartContainer { id } => self.senses.docker.start(id, within).await,
            Step::ComposeUp(compose) => {
                let stops_first = async {
                    let step = treatment.step.clone();
                    let _ = self.inbox.send(Event::StopsFirst { step }).await;
                };
                self.senses.docker.compose_up(compose, &self.light, within, stops_first).await
            }
            Step::StopContainer { id, started_ms } => {
                self.senses.docker.stop(id, *started_ms, within).await
            }
            Step::RaiseLimit { id, from, to } => {
                self.senses.docker.raise_limit(id, *from, *to, within).await
            }
            Step::RestartDocker => self.senses.docker.restart_desktop(within).await,
            Step::Unload { models } => self.unload(models, within).await,
            Step::UnloadMlx { server, model } => {
                models::unload_mlx(&self.senses.mlx, *server, model.as_deref(), within).await
            }
            Step::Measure { model } => {
                let ollama = &self.senses.ollama;
                let timing = models::measure(ollama, &self.senses.mlx.url, model, within).await;
                Outcome::Measured(Box::new(timing))
            }
            Step::FindModel { model } => models::find(&self.senses.ollama, model).await,
            Step::Pull { model, reserve } => {
                let teller = self.teller(treatment);
                let place = store::place(&self.senses.ollama.url).await;
                let ollama = &self.senses.ollama;
                models::pull(ollama, model, *reserve, place.as_deref(), within, &teller).await
            }
            Step::Create { model, modelfile } => {
                models::create(&self.senses.ollama, model, modelfile, within).await
            }
            Step::VerifyModels { model } => {
                let place = store::place(&self.senses.ollama.url).await;
                let reading = self.senses.store.reading();
                models::verify(reading, place, model.as_deref(), self.teller(treatment)).await
            }
            Step::RemoveBroken { model } => {
                let place = store::place(&self.senses.ollama.url).await;
                if let Some(reason) = self.senses.store.refusal(place.clone(), model).await {
                    return Outcome::Failed { reason, permanent: true };
                }
                let reading = self.senses.store.reading();
                models::remove_broken(reading, place, model, self.teller(treatment)).await
            }
            Step::Prove { model } => models::prove(&self.senses.ollama, model, within).await,
        }
    }

    fn teller(&self, treatment: &Treatment) -> models::Teller {
        models::Teller { inbox: self.inbox.clone(), step: treatment.step.clone() }
    }

    fn port(&self, target: &TargetId) -> u16 {
        let url = match target {
            TargetId::Mlx => &self.senses.mlx.url,
            TargetId::Host
            | TargetId::Docker
            | TargetId::Ollama
            | TargetId::Container(_)
            | TargetId::Service(_) => &self.senses.ollama.url,
        };
        port_of(url)
    }

    async fn find_listener(&self, target: &TargetId) -> Outcome {
        let port = self.port(target);
        match tokio::task::spawn_blocking(move || platform::listener(port)).await {
            Ok(listener) => Outcome::Listening(listener),
            Err(_) => Outcome::Listening(Listener::NotAsked),
        }
    }

    async fn find_copies(&self) -> Outcome {
        match self.senses.mlx.copies().await {
            Some(found) => Outcome::Found(found),
            None => failed("the processes could not be looked through".to_owned()),
        }
    }

    async fn start(&self, target: &TargetId, lever: &Lever) -> Outcome {
        match lever {
            Lever::Command(command) => {
                let log = self.logs.join(format!("{}.log", target.kind()));
                match process::start(command, &self.environment(target), &log).await {
                    Ok(process) => Outcome::Started { process: Some(process) },
                    Err(error) => failed(error.to_string()),
                }
            }
            Lever::Launchd(label) => owner::start_job(label, &self.stopped_jobs).await,
            Lever::App(app) => owner::started(platform::open_app(app).await),
            Lever::Unit(unit) => owner::started(platform::start_unit(unit, true).await),
            Lever::SystemUnit(unit) => owner::started(platform::start_unit(unit, false).await),
        }
    }

    /// A server gets the settings of the one that ran before; `ollama serve` listens where we look for
    /// it (FACTS A.6).
    fn environment(&self, target: &TargetId) -> Vec<(String, Option<String>)> {
        let port = self.port(target);
        let address = match target {
            TargetId::Ollama => {
                let url = reqwest::Url::parse(&self.senses.ollama.url).ok();
                let Some(host) = url.as_ref().and_then(reqwest::Url::host_str) else {
                    return Vec::new();
                };
                Some(format!("{host}:{port}"))
            }
            TargetId::Mlx => None,
            TargetId::Host | TargetId::Docker | TargetId::Container(_) | TargetId::Service(_) => {
                return Vec::new();
            }
        };
        let before = self.senses.environments.of(target, port);
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
        inherited(before, names, address, &Places::here())
    }

    async fn unload(&self, models: &[String], within: Duration) -> Outcome {
        // An MLX model is measured without being loaded by us: there is no unload (FACTS B.1).
        let (mlx, ollama): (Vec<_>, Vec<_>) =
            models.iter().cloned().partition(|name| name.starts_with("mlx:"));
        if !mlx.is_empty() && ollama.is_empty() {
            return Outcome::Done;
        }
        models::unload(&self.senses.ollama, &ollama, within).await
    }
}

/// What to set and what to take away of `ours`, so that it is as `before` as far as it matters.
/// Whoever listened on the port had the right `OLLAMA_HOST`; else it is `address`.
fn inherited(
    before: Option<Variables>,
    ours: Vec<String>,
    address: Option<String>,
    places: &Places,
) -> Vec<(String, Option<String>)> {
    const HOST: &str = "OLLAMA_HOST";
    let Some(mut before) = before else {
        return address.map(|address| (HOST.into(), Some(address))).into_iter().collect();
    };
    if let Some(address) = address {
        before.entry(HOST.into()).or_insert(address);
    }
    if let Some(path) = before.get_mut("PATH") {
        let whole = Places { path: path.as_str().into(), ..places.clone() }.search_path();
        *path = whole.into_string().unwrap_or_else(|_| path.clone());
    }
    let gone = ours.into_iter().filter(|name| is_setting(name) && !before.contains_key(name));
    let gone: Vec<_> = gone.map(|name| (name, None)).collect();
    before.into_iter().map(|(name, value)| (name, Some(value))).chain(gone).collect()
}

/// A killed `ollama serve` leaves its runners behind, and they keep the GPU's memory (FACTS A.1):
/// they are killed after it, each by its own identity.
async fn kill_with_runners(process: &ProcessId) -> Outcome {
    let process = process.clone();
    let killing = tokio::task::spawn_blocking(move || {
        let runners = platform::descendants(process.pid);
        let outcome = sent(process::kill(&process));
        if outcome == Outcome::Done {
            for runner in runners {
                if let Err(error) = process::kill(&runner) {
                    tracing::debug!(pid = runner.pid, %error, "a runner was gone already");
                }
            }
        }
        outcome
    });
    killing.await.unwrap_or_else(|error| failed(error.to_string()))
}

fn sent(result: Result<(), platform::SignalError>) -> Outcome {
    match result {
        Ok(()) => Outcome::Done,
        Err(platform::SignalError::Gone { .. }) => Outcome::Done,
        Err(platform::SignalError::Changed { .. }) => Outcome::IdentityChanged,
        Err(error) => Outcome::Failed { reason: error.to_string(), permanent: true },
    }
}

fn failed(reason: String) -> Outcome {
    Outcome::Failed { reason, permanent: false }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Places, inherited};

    const ADDRESS: &str = "127.0.0.1:11434";

    fn places() -> Places {
        Places { path: "/bin".into(), home: "/home/a".into(), root: "/".into() }
    }

    #[test]
    fn the_settings_of_the_one_before_come_back_and_ours_do_not_mix_in() {
        let before = [("OLLAMA_MODELS", "/m"), ("PATH", "/own/bin"), ("OLLAMA_HOST", "0.0.0.0")];
        let before = before.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let ours = ["OLLAMA_MODELS", "OLLAMA_DEBUG", "HOME"].map(str::to_owned).to_vec();
        let found = inherited(Some(before), ours, Some(ADDRESS.into()), &places());
        let mut found: BTreeMap<String, Option<String>> = found.into_iter().collect();
        let path = found.remove("PATH").flatten().unwrap();
        assert!(path.starts_with("/own/bin:") && path.contains("/usr/bin"), "{path}");
        let expected = [
            ("OLLAMA_MODELS", Some("/m")),
            ("OLLAMA_HOST", Some("0.0.0.0")),
            ("OLLAMA_DEBUG", None),
        ];
        let own = |value: Option<&str>| value.map(str::to_owned);
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), own(value))).into());
    }

    #[test]
    fn without_one_before_only_the_address_is_ours() {
        let found = inherited(None, vec!["OLLAMA_MODELS".into()], Some(ADDRESS.into()), &places());
        assert_eq!(found, [("OLLAMA_HOST".to_owned(), Some(ADDRESS.to_owned()))]);
        // The standard address needs no variable: so it stays when ours is another one.
        let bare = [("HOME".to_owned(), "/home/a".to_owned())].into();
        let found =
            inherited(Some(bare), vec!["OLLAMA_HOST".into()], Some(ADDRESS.into()), &places());
        assert!(found.contains(&("OLLAMA_HOST".into(), Some(ADDRESS.into()))), "{found:?}");
        // An MLX server has no such variable.
        assert_eq!(inherited(None, vec!["HF_HOME".into()], None, &places()), []);
    }
}
