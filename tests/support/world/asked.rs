//! What the doctor orders: looks are asked, steps are done, each as the real thing would.

use std::collections::VecDeque;

use doctor::{
    Depth, Event, Listener, Look, Observation, Outcome, Reply, Step, TargetId, Treatment,
};

use super::containers::Container;
use super::servers::Server;
use super::{World, noise};

impl World {
    pub(super) fn look(&mut self, look: &Look) {
        let (mut observation, mut took) = self.observe(look);
        if let Some(noise) = &mut self.noise {
            (observation, took) = noise.spoil(observation, took);
        }
        if self.blind {
            let reason = "too many open files".into();
            (observation, took) = (Observation::Unasked { reason }, 1);
        }
        let foretold = self.foretold.get_mut(&look.target).and_then(VecDeque::pop_front);
        if let Some(reply) = foretold.flatten() {
            (observation, took) = noise::brings(observation, took, reply);
        }
        let event = Event::Looked {
            look: look.id,
            target: look.target.clone(),
            observation: Box::new(observation),
        };
        self.tell_later(took, event);
    }

    pub(super) fn observe(&mut self, look: &Look) -> (Observation, u64) {
        let (depth, model) = (look.depth, look.model.as_deref());
        match &look.target {
            TargetId::Host => {
                let mut seen = self.host.clone();
                if depth == Depth::Shallow {
                    seen.ledger = None;
                }
                self.host.ended.clear();
                (Observation::Host(seen), 1)
            }
            TargetId::Ollama => match &mut self.ollama {
                Some(server) => {
                    let (seen, took) = server.ollama_seen(depth, self.clocks.run, model);
                    (Observation::Ollama(seen), took)
                }
                None => unasked(),
            },
            TargetId::Mlx => match &mut self.mlx {
                Some(server) => {
                    let (seen, took) = server.mlx_seen(depth, self.clocks.run, model);
                    (Observation::Mlx(seen), took)
                }
                None => unasked(),
            },
            TargetId::Docker => self.docker_seen(depth),
            TargetId::Container(name) => {
                let (ping, took) = self.engine.ping();
                if matches!(ping.reply, Reply::Status { .. }) {
                    let seen = self.containers.get(name).map(Container::seen);
                    (Observation::Container(seen), took)
                } else {
                    let reason = "the engine does not answer".into();
                    (Observation::Unasked { reason }, took)
                }
            }
            TargetId::Service(name) => match self.services.get(name) {
                Some(service) => {
                    let up = service.container.as_ref().is_none_or(|name| {
                        self.containers.get(name).is_some_and(Container::is_running)
                    });
                    let (seen, took) = service.seen(up);
                    (Observation::Service(seen), took)
                }
                None => unasked(),
            },
        }
    }

    pub(super) fn treat(&mut self, treatment: Treatment) {
        let step = treatment.step.clone();
        match treatment.what.clone() {
            Step::FindListener => {
                let run = self.clocks.run;
                let server = self.server(&treatment.target);
                let listener = server.map_or(Listener::Nobody, |server| server.listener(run));
                self.report(20, step, Outcome::Listening(listener));
            }
            Step::FindCopies => {
                let server = self.server(&treatment.target);
                let found = server.map_or_else(Vec::new, Server::processes);
                self.report(20, step, Outcome::Found(found));
            }
            Step::Terminate(process) => {
                let outcome = self.signal(&treatment.target, &process, false);
                self.report(5, step, outcome);
            }
            Step::Kill(process) => {
                let outcome = self.signal(&treatment.target, &process, true);
                self.report(5, step, outcome);
            }
            Step::AwaitGone(process) => {
                let deadline = self.clocks.run + doctor::millis(treatment.within);
                self.await_gone(treatment.target, process, step, deadline);
            }
            Step::StopThrough { lever, process } => {
                let outcome = self.stop_through(&treatment.target, &lever, process.as_ref());
                self.report(60, step, outcome);
            }
            Step::AwaitBack => {
                let deadline = self.clocks.run + doctor::millis(treatment.within);
                self.await_back(treatment.target, step, deadline);
            }
            Step::Start(lever) => self.start_server(&treatment.target, &lever, step),
            Step::StartContainer { id } => self.start_container(&id, step),
            Step::ComposeUp(compose) => self.compose_up(&compose, step),
            Step::StopContainer { id, started_ms } => self.stop_container(&id, started_ms, step),
            Step::RaiseLimit { id, from, to } => self.raise_limit(&id, from, to, step),
            Step::RestartDocker => self.restart_docker(step),
            Step::Unload { models } => self.unload(&models, step),
            Step::UnloadMlx { model, .. } => self.unload_mlx(model.as_deref(), step),
            Step::Measure { model } => self.measure(model, step),
            Step::FindModel { model } => self.find_model(&model, step),
            Step::Pull { model, reserve } => self.pull(&model, reserve, step),
            Step::Create { model, .. } => self.create(&model, step),
            Step::VerifyModels { .. } => self.verify_models(step),
            Step::RemoveBroken { model } => self.remove_broken(&model, step),
            Step::Prove { model } => self.prove(&model, treatment.within, step),
        }
    }
}

fn unasked() -> (Observation, u64) {
    (Observation::Unasked { reason: "there is no such target in this world".into() }, 1)
}
