//! What is known around a target, and conclusions drawn with it.

use std::time::Duration;

use crate::cause::Cause;
use crate::container;
use crate::diagnosis::{self, Around, Case, Growth, Outer};
use crate::doctor::Doctor;
use crate::host::Strain;
use crate::incident::{IncidentState, StoryKind};
use crate::observation::{ContainerHealth, Reply};
use crate::patient::Patient;
use crate::sentence::{Sentence, Value};
use crate::sharing::Sharing;
use crate::target::{Care, TargetId};

/// So long after its return an end is the engine's own doing: its grace, and a look after it.
const ENGINE_BACK: Duration = Duration::from_mins(2);
/// The stream tells of one want of memory in all containers that it hits within this time. On a Linux
/// host it was 1 to 2 ms; two that reach limits of their own half a second apart are a coincidence.
const SAME_WANT_MS: i64 = 100;

impl Doctor {
    /// What is wrong with this target.
    pub(crate) fn diagnose(&self, patient: &Patient) -> Cause {
        let around = self.around(patient);
        diagnosis::diagnose(&Case { around: &around, ..self.case(patient) })
    }

    /// What ended this container, which Docker may have started again since.
    pub(crate) fn diagnose_end(&self, patient: &Patient) -> Cause {
        let around = self.around(patient);
        diagnosis::ended(&Case { around: &around, ..self.case(patient) })
    }

    /// What does not work of a target that answers.
    pub(crate) fn impairment(&self, target: &TargetId) -> Option<Cause> {
        let patient = self.patients.get(target)?;
        // This is asked at every look.
        let shares = patient.facts.insight.tells_of_sharing();
        let around = Around {
            unwell_need: self.unwell_need(patient),
            other_engine_works: self.other_engine_works(patient),
            sharing: if shares { self.sharing(patient) } else { Sharing::default() },
            ..Around::default()
        };
        diagnosis::impairment(&Case { around: &around, ..self.case(patient) })
    }

    fn case<'a>(&'a self, patient: &'a Patient) -> Case<'a> {
        Case::of(patient, self.now, &self.policy)
    }

    fn around(&self, patient: &Patient) -> Around {
        let now = self.now.awake;
        let host = self.patients.get(&TargetId::Host);
        let woke = self.woke_at.map(|at| now.since(at));
        Around {
            woke: woke.filter(|ago| *ago <= self.policy.after_wake),
            strain: host.map(|host| host.facts.pressure.verdict).unwrap_or_default(),
            grown: self.grown(),
            other_engine_works: self.other_engine_works(patient),
            outer: self.outer(patient),
            engine_back: self.engine_back.is_some_and(|back| now.since(back) <= ENGINE_BACK),
            unwell_need: self.unwell_need(patient),
            overloaded: self.is_overloaded(),
            container_fails: self.container_fails(patient),
            sharing: self.sharing(patient),
            growth: self.grown_owners(patient),
            host_bytes: host
                .and_then(|host| host.facts.host.as_ref())
                .map_or(0, |seen| seen.memory_bytes),
            other_limits: self.other_limits(patient),
            docker_bytes: self.docker_bytes(),
        }
    }

    fn container_fails(&self, patient: &Patient) -> bool {
        let inside = self.patients.get(&self.container_in(&patient.spec.id));
        let seen = inside.and_then(|inside| inside.facts.container.as_ref());
        seen.is_some_and(|seen| seen.health == Some(ContainerHealth::Unhealthy))
    }

    /// Of the machine that Docker runs in; 0: not known.
    pub(crate) fn docker_bytes(&self) -> u64 {
        let docker = self.patients.get(&TargetId::Docker);
        docker
            .and_then(|docker| docker.facts.docker.as_ref())
            .and_then(|seen| seen.engine.as_ref())
            .map_or(0, |engine| engine.memory_bytes)
    }

    /// Docker's own memory, judged before anything has ended for want of it: what the containers that
    /// run may take together, or a share that is too small on a large host (the first users: 10 to 14 GB on
    /// 64 to 128 GB). A note, nothing more. On Linux the memory is the host's own.
    pub(crate) fn docker_memory_note(&self) -> Option<Cause> {
        const LARGE_HOST: u64 = 64 << 30;
        let facts = |id: &TargetId| self.patients.get(id).map(|patient| &patient.facts);
        let host = facts(&TargetId::Host)?.host.as_ref()?.memory_bytes;
        let engine = facts(&TargetId::Docker)?.docker.as_ref()?.engine.as_ref()?;
        let docker = engine.memory_bytes;
        if docker == 0 || engine.takes_as_needed || is_shared(docker, host) {
            return None;
        }
        let bytes = Value::Bytes;
        // Of what is chosen the machine itself keeps a part: of 8 GB Docker tells 7.7.
        let small = host >= LARGE_HOST && docker < self.policy.docker_small_bytes / 10 * 9;
        let small = small.then(|| {
            let line = Sentence::new("evidence.docker_memory");
            line.with("docker", bytes(docker)).with("host", bytes(host))
        });
        let sum = self.limits_of(|_| true);
        let beyond = (sum > docker).then(|| {
            let line = Sentence::new("evidence.limits_together");
            line.with("sum", bytes(sum)).with("docker", bytes(docker))
        });
        let evidence: Vec<Sentence> = beyond.into_iter().chain(small).collect();
        (!evidence.is_empty()).then(|| diagnosis::docker_memory(evidence))
    }

    /// What the other containers that run may take, as far as they have limits.
    pub(crate) fn other_limits(&self, patient: &Patient) -> u64 {
        self.limits_of(|other| other.spec.id != patient.spec.id)
    }

    fn limits_of(&self, which: impl Fn(&Patient) -> bool) -> u64 {
        let which = self.patients.values().filter(|patient| which(patient));
        let seen = which.filter_map(|other| other.facts.container.as_ref());
        let up = seen.filter(|seen| container::is_up(seen.status));
        up.fold(0, |sum, seen| sum.saturating_add(seen.memory_limit))
    }

    /// The model that was loaded last, if that was lately: it is what grew.
    fn grown(&self) -> Option<(String, u64)> {
        let now = self.now.awake;
        let loaded = &self.patients.get(&TargetId::Ollama)?.facts.loaded;
        let newest = loaded.iter().max_by_key(|fact| fact.since)?;
        let lately = now.since(newest.since) <= self.policy.grew_lately;
        lately.then(|| (newest.seen.name.clone(), newest.seen.size_bytes))
    }

    /// Whoever has grown by gigabytes, over the shorter time in which that is so.
    fn grown_owners(&self, patient: &Patient) -> Vec<Growth> {
        const GB: i64 = 1 << 30;
        let Care::Host = patient.spec.care else { return Vec::new() };
        let ledger = patient.facts.host.as_ref().and_then(|seen| seen.ledger.as_ref());
        let grown = ledger.into_iter().flatten().filter_map(|group| {
            [Duration::from_mins(10), Duration::from_hours(6)].into_iter().find_map(|over| {
                let grown = self.timeline.growth(&group.name, over, self.now.wall)?;
                let bytes = u64::try_from(grown).ok().filter(|_| grown >= GB)?;
                Some(Growth { owner: group.name.clone(), over, bytes })
            })
        });
        grown.collect()
    }

    /// Whether the other model server is at work on the same GPU; none: nobody can tell.
    fn other_engine_works(&self, patient: &Patient) -> Option<bool> {
        let other = match patient.spec.care {
            Care::Ollama { .. } => TargetId::Mlx,
            Care::Mlx { .. } => TargetId::Ollama,
            Care::Host | Care::Docker | Care::Container { .. } | Care::Service { .. } => {
                return None;
            }
        };
        let Some(other) = self.patients.get(&other).filter(|other| other.is_found()) else {
            return Some(false);
        };
        if !other.phase.is_usable() {
            return None;
        }
        other.facts.insight.activity.map(|_| other.facts.insight.is_working())
    }

    fn outer(&self, patient: &Patient) -> Outer {
        if self.oom_around(patient) {
            Outer::Told
        } else if self.killed_together(patient) {
            Outer::Killed
        } else {
            Outer::None
        }
    }

    /// 1.14: another container was killed at the same time and nobody said why, or the engine
    /// hardly answers: the machine that Docker runs in has run out of memory.
    fn killed_together(&self, patient: &Patient) -> bool {
        let Care::Container { .. } = patient.spec.care else { return false };
        let Some(end) = container::unexplained_kill(&patient.facts, &self.policy) else {
            return false;
        };
        if self.memory_is_plentiful() {
            return false;
        }
        let slow = self
            .patients
            .get(&TargetId::Docker)
            .and_then(|docker| docker.facts.docker.as_ref())
            .is_some_and(|seen| {
                matches!(seen.ping.reply, Reply::Silent | Reply::Stalled)
                    || u128::from(seen.ping.took_ms) >= self.policy.resource_saver.as_millis()
            });
        let limit = i64::try_from(self.policy.killed_together.as_millis()).unwrap_or(i64::MAX);
        slow || self.patients.values().any(|other| {
            other.spec.id != patient.spec.id
                && container::unexplained_kill(&other.facts, &self.policy)
                    .is_some_and(|at| (at - end).abs() <= limit)
        })
    }

    /// The stream told of a want of memory in this container and in another one at the same moment,
    /// and one of both lives on: the limit that was reached lies around them. A control group of the
    /// first version tells all groups beneath it of that, whichever the kernel then takes from (Linux:
    /// mm/memcontrol-v1.c, `mem_cgroup_oom_notify`); what reaches its own limit is told alone.
    pub(crate) fn oom_around(&self, patient: &Patient) -> bool {
        let want = |patient: &Patient| patient.facts.container_news.want_of_memory();
        let Some((at, ended)) = want(patient) else { return false };
        // This one is itself no such other.
        self.patients.values().filter_map(want).any(|(other_at, other_ended)| {
            ended != other_ended && (other_at - at).abs() <= SAME_WANT_MS
        })
    }

    /// Docker shares the host's memory, of which there is enough: nothing was killed for want of it.
    /// What is not known is not plentiful, nor is the memory of a machine inside the host.
    fn memory_is_plentiful(&self) -> bool {
        let facts = |id: &TargetId| self.patients.get(id).map(|patient| &patient.facts);
        let (Some(host), Some(docker)) = (facts(&TargetId::Host), facts(&TargetId::Docker)) else {
            return false;
        };
        let engine = docker.docker.as_ref().and_then(|seen| seen.engine.as_ref());
        let (Some(seen), Some(engine)) = (host.host.as_ref(), engine) else { return false };
        let whole = seen.memory_bytes;
        let shared = is_shared(engine.memory_bytes, whole);
        let calm =
            host.pressure.verdict == Strain::None && host.pressure.strained_since().is_none();
        whole > 0 && shared && calm && seen.available_bytes.saturating_mul(10) > whole
    }

    /// Written down as an incident that is over already; nobody is told.
    pub(crate) fn note_down(&mut self, target: &TargetId, cause: Cause) {
        let open = self
            .patients
            .get(target)
            .and_then(|patient| patient.incident.as_ref())
            .is_some_and(|incident| incident.closed.is_none());
        if open {
            let key = format!("cause.{}.text", cause.id);
            let says = Sentence { key, values: cause.says.values };
            self.tell_story(target, StoryKind::Seen, says);
            return;
        }
        self.begin_incident(target, cause, self.now.awake);
        self.notices.close(target);
        self.close_incident(target, IncidentState::Closed, None);
    }

    /// Written down, and told at once: the target itself goes on.
    pub(crate) fn remark(&mut self, target: &TargetId, cause: Cause) {
        self.tell_oom(target, &cause);
        self.note_down(target, cause);
    }
}

/// Docker has the memory of the host itself, no machine of its own inside it.
fn is_shared(docker: u64, host: u64) -> bool {
    docker.abs_diff(host).saturating_mul(10) <= host
}
