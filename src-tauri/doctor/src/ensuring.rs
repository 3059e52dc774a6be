//! Ensuring that models exist and work (C3): found, pulled, created, proven by one answer. Only a
//! person's wish does it; what the configuration names is offered when it is missing.

use std::time::Duration;

use crate::doctor::Doctor;
use crate::event::Asker;
use crate::incident::Verb;
use crate::order::Response;
use crate::patient::Patient;
use crate::plan::{Next, Plan};
use crate::remedy::{Outcome, Reserve, Step};
use crate::sentence::Sentence;
use crate::target::{Care, Ensured, TargetId};
use crate::timings::time_limit;
use crate::wishing::unknown;

/// The list of models comes at once, or Ollama is not well.
const FIND: Duration = Duration::from_secs(30);
/// Hundreds of gigabytes over a slow line; one that stands still ends sooner.
const PULL: Duration = Duration::from_hours(24);
/// The blobs of one model, read whole.
const READ: Duration = Duration::from_hours(1);
/// A file of weights is copied and may be quantised on the way.
const CREATE: Duration = Duration::from_hours(2);

/// The first of `models` is under way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EnsurePlan {
    wanted: Vec<Ensured>,
    models: Vec<Ensured>,
    reserve: Reserve,
    /// Names of those that could not be had.
    failed: Vec<String>,
    /// They are there, and broken: what is broken goes first.
    broken: bool,
}

impl EnsurePlan {
    fn new(wanted: Vec<Ensured>, reserve: Reserve) -> Self {
        Self { models: wanted.clone(), wanted, reserve, failed: Vec::new(), broken: false }
    }

    fn repairing(self) -> Self {
        Self { broken: true, ..self }
    }

    fn first(&self, model: String) -> Next {
        if self.broken { Next::Step(Step::RemoveBroken { model }, READ) } else { find(model) }
    }

    /// What follows; one model that cannot be had is no reason to leave out the others.
    pub(crate) fn next(&mut self, last: Option<(&Step, &Outcome)>) -> Next {
        let Some(ensured) = self.models.first() else { return self.end() };
        let model = ensured.model.clone();
        let base = ensured.base.clone().filter(|base| *base != model);
        match last {
            None => self.first(model),
            Some((_, Outcome::Removed { blobs, .. })) if blobs.is_empty() => prove(model),
            Some((_, Outcome::Removed { .. })) => match (base, &ensured.modelfile) {
                (Some(base), Some(_)) => self.pull(base),
                (None, Some(modelfile)) => create(model, modelfile),
                (_, None) => self.pull(model),
            },
            Some((_, Outcome::Failed { .. })) => {
                self.failed.push(model);
                self.following()
            }
            Some((Step::FindModel { model: asked }, Outcome::Installed(found))) => {
                match (found, &ensured.modelfile) {
                    (Some(_), None) => prove(model),
                    (Some(_), Some(_)) if *asked == model => prove(model),
                    (Some(_), Some(modelfile)) => create(model, modelfile),
                    (None, None) => self.pull(model),
                    (None, Some(modelfile)) => match base {
                        Some(base) if base == *asked => self.pull(base),
                        Some(base) => find(base),
                        None => create(model, modelfile),
                    },
                }
            }
            Some((Step::Pull { .. }, _)) => match &ensured.modelfile {
                Some(modelfile) => create(model, modelfile),
                None => prove(model),
            },
            Some((Step::Create { .. }, _)) => prove(model),
            Some(_) => self.following(),
        }
    }

    fn following(&mut self) -> Next {
        self.models.remove(0);
        match self.models.first() {
            Some(ensured) => self.first(ensured.model.clone()),
            None => self.end(),
        }
    }

    fn pull(&self, model: String) -> Next {
        Next::Step(Step::Pull { model, reserve: self.reserve }, PULL)
    }

    fn end(&self) -> Next {
        if self.failed.is_empty() {
            return Next::Finished;
        }
        let says = Sentence::new("step.not_ensured").with("models", self.failed.join(", "));
        Next::Failed { says, permanent: false }
    }
}

fn find(model: String) -> Next {
    Next::Step(Step::FindModel { model }, FIND)
}

fn create(model: String, modelfile: &str) -> Next {
    Next::Step(Step::Create { model, modelfile: modelfile.to_owned() }, CREATE)
}

/// How large it is is known only when it is there: the longest time is given.
fn prove(model: String) -> Next {
    Next::Step(Step::Prove { model }, time_limit(None))
}

impl Doctor {
    /// Refused while memory is short: the proof loads the model.
    pub(crate) fn wish_ensure(&mut self, model: Option<String>, by: Asker) -> Response {
        let Some(ollama) = self.patients.get(&TargetId::Ollama) else {
            return unknown(&TargetId::Ollama);
        };
        let wanted = match model {
            None => ollama.ensured().to_vec(),
            Some(model) => vec![ollama.origin(model)],
        };
        if wanted.is_empty() {
            return Response::Impossible(Sentence::new("why.nothing_to_ensure"));
        }
        self.bring(Verb::Ensure, wanted, by)
    }

    /// Only a person's word removes anything; what is known to be broken is meant, or what is named.
    pub(crate) fn wish_repair(&mut self, model: Option<String>, by: Asker) -> Response {
        let Some(ollama) = self.patients.get(&TargetId::Ollama) else {
            return unknown(&TargetId::Ollama);
        };
        if by != Asker::Person {
            return Response::Impossible(Sentence::new("why.only_a_person"));
        }
        let broken = model.map_or_else(|| ollama.broken(), |model| vec![model]);
        if broken.is_empty() {
            return Response::Impossible(Sentence::new("why.nothing_broken"));
        }
        let wanted = broken.into_iter().map(|model| ollama.origin(model)).collect();
        self.bring(Verb::Repair, wanted, by)
    }

    /// A8: reads, and changes nothing.
    pub(crate) fn wish_verify(&mut self, model: Option<String>, by: Asker) -> Response {
        if !self.patients.contains_key(&TargetId::Ollama) {
            return unknown(&TargetId::Ollama);
        }
        self.errand(Verb::Verify, by, Plan::Verify { model })
    }

    fn bring(&mut self, verb: Verb, wanted: Vec<Ensured>, by: Asker) -> Response {
        let Some(ollama) = self.patients.get(&TargetId::Ollama) else {
            return unknown(&TargetId::Ollama);
        };
        if !ollama.answers() {
            return Response::NotNow(Sentence::new("why.ollama_cannot_ensure"));
        }
        if self.is_short_of_memory() {
            return Response::NotNow(Sentence::new("why.under_pressure"));
        }
        let same = self.operations.iter().find(|one| {
            one.is_running()
                && one.verb == verb
                && matches!(&one.plan, Plan::Ensure(plan) if plan.wanted == wanted)
        });
        if let Some(running) = same {
            let operation = running.id.clone();
            return Response::Accepted { operation, targets: vec![TargetId::Ollama] };
        }
        let reserve =
            Reserve { bytes: self.policy.disk_warn_bytes, percent: self.policy.disk_warn_percent };
        let plan = EnsurePlan::new(wanted, reserve);
        let plan = if verb == Verb::Repair { plan.repairing() } else { plan };
        self.errand(verb, by, Plan::Ensure(plan))
    }
}

impl Patient {
    /// A click may have what is configured and missing; never by itself, since it may be large.
    pub(crate) fn offers_ensure(&self) -> bool {
        let Some(store) = &self.facts.insight.store else { return false };
        let wanted = |name: &String| self.ensured().iter().any(|one| is_same(&one.model, name));
        self.answers() && store.missing.iter().any(wanted)
    }

    /// A click may mend what is known to be broken; never by itself, since it removes files.
    pub(crate) fn offers_repair(&self) -> bool {
        self.answers() && !self.broken().is_empty()
    }

    /// The server's models directory, and why it cannot be read.
    pub fn unreadable_store(&self) -> Option<&str> {
        self.facts.insight.store.as_ref()?.unreadable.as_deref()
    }

    fn ensured(&self) -> &[Ensured] {
        match &self.spec.care {
            Care::Ollama { ensure, .. } => ensure,
            Care::Host
            | Care::Docker
            | Care::Mlx { .. }
            | Care::Container { .. }
            | Care::Service { .. } => &[],
        }
    }

    /// Where a model comes from: as configured, else from the registry.
    fn origin(&self, model: String) -> Ensured {
        let configured = self.ensured().iter().find(|one| is_same(&one.model, &model)).cloned();
        configured.unwrap_or(Ensured { model, modelfile: None, base: None })
    }

    /// Each model once that has a broken blob.
    fn broken(&self) -> Vec<String> {
        let store = self.facts.insight.store.iter();
        let mut names: Vec<String> =
            store.flat_map(|store| &store.corrupt).map(|(model, _)| model.clone()).collect();
        names.sort();
        names.dedup();
        names
    }
}

/// `llama3` and `llama3:latest` are the same model to Ollama (types/model/name.go `DefaultName`).
pub(crate) fn is_same(a: &str, b: &str) -> bool {
    let full = |name: &str| {
        let (_, last) = name.rsplit_once('/').unwrap_or(("", name));
        if last.contains(':') { name.to_owned() } else { format!("{name}:latest") }
    };
    full(a).eq_ignore_ascii_case(&full(b))
}
