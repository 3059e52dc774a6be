//! Planning: the smallest remedy for what a target has (RECOVERY 1.8).

use std::time::Duration;

use crate::cause::CauseId;
use crate::diagnosis;
use crate::doctor::Doctor;
use crate::incident::Verb;
use crate::ledger::{HeldBy, Intent};
use crate::lever::{keeper, lever};
use crate::light;
use crate::observation::{ContainerStatus, Listener};
use crate::patient::Patient;
use crate::phase::Reason;
use crate::plan::{ContainerPlan, Owner, Plan, ServerPlan, StopPlan};
use crate::remedy::Lever;
use crate::sentence::Sentence;
use crate::target::{Care, Compose, TargetId};

/// How long the start of a server may take to return.
const START_WITHIN: Duration = Duration::from_secs(20);

/// systemd kills what has not ended 90 s after it was told to (systemd-system.conf(5),
/// `DefaultTimeoutStopSec`), launchd after some 20 s (launchd.plist(5), `ExitTimeOut`).
const OWNER_STOPS: Duration = Duration::from_secs(100);

impl Doctor {
    /// The remedy for what this target has, or the reason why there is none.
    pub(crate) fn plan(&self, patient: &Patient) -> Result<(Verb, Plan), Reason> {
        let none = |key: &str| Err(Reason::new("R60", key));
        let Some(cause) = patient.phase.cause() else { return none("why.no_remedy") };
        // R38: neither for its own sake nor for that of a service inside it.
        let acted_on = self.patients.get(&self.container_in(&patient.spec.id));
        let seen = acted_on.and_then(|one| one.facts.container.as_ref());
        if seen.is_some_and(|seen| seen.skip) {
            return Err(Reason::new("R38", "why.skip"));
        }
        if self.light_is_due(patient, cause) {
            let plan = light::plan(patient, true);
            return match plan {
                Some(plan) => Ok((Verb::Restart, plan)),
                None => none("why.no_remedy"),
            };
        }
        match &patient.spec.care {
            Care::Ollama { .. } | Care::Mlx { .. } => {
                let remedy = match (cause.id, patient.listener()) {
                    // The same lines are found in the log of one that hangs and of one that died.
                    (CauseId::MlxMetalOom, Listener::Nobody) => Some(Verb::Start),
                    (CauseId::MlxMetalOom, _) => Some(Verb::Restart),
                    (id, _) => server_remedy(id),
                };
                let stops = match remedy {
                    Some(Verb::Restart) => true,
                    Some(_) => false,
                    None => return none("why.no_remedy"),
                };
                let verb = if stops { Verb::Restart } else { Verb::Start };
                let plan = self.server_plan(patient, stops);
                let mut plan = plan.map_err(|says| Reason::says("R60", says))?;
                if let (Plan::Server(plan), true) = (&mut plan, stops) {
                    plan.unsticking = self.unsticking(patient, cause.id);
                }
                Ok((verb, plan))
            }
            Care::Container { critical: true, .. } => {
                let curable = matches!(
                    cause.id,
                    CauseId::ContainerStopped
                        | CauseId::ContainerKilled
                        | CauseId::ContainerOomLimit
                        | CauseId::ContainerLoggerCrash
                        | CauseId::ContainerHostPressure
                        | CauseId::DockerVmOom
                        | CauseId::DockerMemoryTooSmall
                ) || patient.urged
                    && matches!(
                        cause.id,
                        CauseId::ContainerCannotRun | CauseId::ContainerCrashLoop
                    );
                if matches!(cause.id, CauseId::ContainerUnhealthy | CauseId::ContainerStartupHang) {
                    return self.unwell_plan(patient);
                }
                if curable {
                    self.its_turn(patient)?;
                }
                match container_plan(patient, false, true) {
                    Some(plan) if curable => Ok((Verb::Start, plan)),
                    Some(_) | None => none("why.no_remedy"),
                }
            }
            Care::Container { critical: false, .. } => none("why.not_critical"),
            Care::Service { container: Some(name), .. } => {
                self.service_plan(patient, cause.id, name)
            }
            Care::Service { container: None, .. } => none("why.no_container"),
            Care::Docker => self.docker_plan(patient).map(|plan| (Verb::Restart, plan)),
            Care::Host => none("why.no_remedy"),
        }
    }

    /// A service that no longer answers, in a container that runs: the container is restarted,
    /// unless what it needs is itself unwell, or has only just come back (R16, R17).
    fn service_plan(
        &self,
        patient: &Patient,
        cause: CauseId,
        name: &str,
    ) -> Result<(Verb, Plan), Reason> {
        let curable = matches!(
            cause,
            CauseId::ServiceRefused | CauseId::ServiceTimeout | CauseId::ServiceEmptyReply
        );
        if !curable {
            return Err(Reason::new("R60", "why.no_remedy"));
        }
        self.is_left_to_us(&self.container_in(&patient.spec.id), patient.urged)?;
        self.needs_are_well(patient)?;
        let container = self
            .patients
            .get(&TargetId::Container(name.into()))
            .filter(|container| container.account.intent == Intent::Wanted);
        match container.and_then(|container| container_plan(container, true, true)) {
            Some(plan) => Ok((Verb::Restart, plan)),
            None => Err(Reason::new("R60", "why.no_such_container")),
        }
    }

    /// It runs and is unhealthy: stopped within its own time, and started (1.8), unless what it
    /// needs is the reason.
    fn unwell_plan(&self, patient: &Patient) -> Result<(Verb, Plan), Reason> {
        self.is_left_to_us(&patient.spec.id, patient.urged)?;
        self.needs_are_well(patient)?;
        match container_plan(patient, true, true) {
            Some(plan) => Ok((Verb::Restart, plan)),
            None => Err(Reason::new("R60", "why.no_such_container")),
        }
    }

    /// R16, R17: what it needs must be well, and have been so for one grace.
    fn needs_are_well(&self, patient: &Patient) -> Result<(), Reason> {
        for need in self.needs_of(patient) {
            let Some(parent) = self.patients.get(need).filter(|need| need.is_found()) else {
                continue;
            };
            let says = Sentence::new("why.soft_parent").with("parent", need.name());
            if !parent.phase.is_usable() {
                return Err(Reason::says("R16", says));
            }
            let settled = parent.healthy_since.map(|since| since + patient.spec.grace);
            if let Some(settled) = settled
                && parent.healthy_since > Some(patient.since.awake)
                && self.now.awake < settled
            {
                return Err(Reason::says("R17", says).until(settled));
            }
        }
        Ok(())
    }

    pub(crate) fn server_plan(&self, patient: &Patient, stops: bool) -> Result<Plan, Sentence> {
        match lever(patient) {
            Some(Ok(lever)) => Ok(self.started_with(patient, stops, lever)),
            Some(Err(says)) => Err(says),
            None => Err(Sentence::new("why.no_launch")),
        }
    }

    fn started_with(&self, patient: &Patient, stops: bool, lever: Lever) -> Plan {
        Plan::Server(ServerPlan {
            unsticking: None,
            stop: stops.then(|| self.stop_plan(patient)),
            unproven: patient.started.clone(),
            start: Some(lever),
            loads_first: matches!(patient.spec.care, Care::Mlx { .. }),
            patience: self.patience(patient),
            killed: false,
            start_within: START_WITHIN,
            lingers: false,
            came_back: false,
        })
    }

    /// Only the process that was judged sick may be stopped, by its identity (R4).
    pub(crate) fn stop_plan(&self, patient: &Patient) -> StopPlan {
        let allowed = match patient.listener() {
            Listener::Process(process) if diagnosis::is_own_server(patient, process) => {
                vec![process.id.clone()]
            }
            Listener::Process(_) | Listener::Nobody | Listener::Hidden | Listener::NotAsked => {
                Vec::new()
            }
        };
        let patience = self.patience(patient);
        StopPlan { allowed, patience, patience_kill: self.policy.patience_kill, owner: None }
    }

    /// A person's stop goes through whoever keeps it running (R29, R37): what is only told to end is
    /// started again by it.
    pub(crate) fn stop_by_a_person(&self, patient: &Patient) -> Result<Plan, Sentence> {
        let owner = match keeper(patient) {
            Some(Ok(lever)) => {
                Some(Owner { lever, patience: OWNER_STOPS, watch: self.policy.supervisor })
            }
            Some(Err(says)) => return Err(says),
            None => None,
        };
        Ok(Plan::Server(ServerPlan {
            unsticking: None,
            stop: Some(StopPlan { owner, ..self.stop_plan(patient) }),
            unproven: patient.started.clone(),
            start: None,
            loads_first: false,
            patience: self.patience(patient),
            killed: false,
            start_within: Duration::ZERO,
            lingers: false,
            came_back: false,
        }))
    }

    /// What a person had stopped through its owner comes back through it.
    pub(crate) fn start_by_a_person(&self, patient: &Patient) -> Result<Plan, Sentence> {
        let stopped = patient.account.hold.as_ref().is_some_and(|hold| hold.by == HeldBy::Stop);
        let owner = keeper(patient).and_then(Result::ok).filter(|_| stopped);
        match owner {
            Some(owner) => Ok(self.started_with(patient, false, owner)),
            None => self.server_plan(patient, false),
        }
    }

    /// From TERM to KILL (C2, 1.8).
    pub(crate) fn patience(&self, patient: &Patient) -> Duration {
        match patient.spec.care {
            Care::Mlx { .. } => self.policy.patience_mlx,
            Care::Host
            | Care::Docker
            | Care::Ollama { .. }
            | Care::Container { .. }
            | Care::Service { .. } => self.policy.patience_ollama,
        }
    }
}

/// Starting is enough for what is gone; what hangs is stopped first; nothing else is touched.
pub(crate) fn server_remedy(id: CauseId) -> Option<Verb> {
    let hangs = matches!(
        id,
        CauseId::OllamaWedged
            | CauseId::OllamaAfterWake
            | CauseId::OllamaEmptyAnswers
            | CauseId::OllamaMetalSessionLost
            | CauseId::OllamaMetalOom
            | CauseId::OllamaMetalContention
            | CauseId::OllamaLeak
            | CauseId::MlxWedged
            | CauseId::MlxGenerationDead
            | CauseId::HostWoke
    );
    if hangs {
        return Some(Verb::Restart);
    }
    let gone = matches!(
        id,
        CauseId::OllamaNotRunning
            | CauseId::OllamaOnlyMcp
            | CauseId::OllamaCrashed
            | CauseId::MlxNotRunning
            | CauseId::MlxCrashed
    );
    gone.then_some(Verb::Start)
}

/// What a person took down, made anew as its files say, at their word only. Without its files there is
/// nothing else to start.
pub(crate) fn removed_plan(patient: &Patient) -> Option<Plan> {
    if patient.facts.container.is_some() {
        return None;
    }
    let mut compose = match &patient.facts.removed {
        Some(compose) => Compose::clone(compose),
        None => light::compose(patient)?,
    };
    if patient.account.is_light() {
        compose.light = light::variables(patient).clone();
    }
    Some(Plan::Container(ContainerPlan {
        id: String::new(),
        started_ms: None,
        stop: false,
        start: true,
        compose: Some(compose),
        anew: true,
        stop_timeout: Duration::ZERO,
    }))
}

pub(crate) fn container_plan(patient: &Patient, stop: bool, start: bool) -> Option<Plan> {
    let seen = patient.facts.container.as_ref()?;
    let mut compose = light::compose(patient);
    if let Some(compose) = compose.as_mut().filter(|_| patient.account.is_light()) {
        compose.light = light::variables(patient).clone();
    }
    // What is paused goes on as it is: to Compose it runs already.
    let compose = compose.filter(|_| seen.status != ContainerStatus::Paused);
    Some(Plan::Container(ContainerPlan {
        id: seen.id.clone(),
        started_ms: seen.started_ms,
        stop,
        start,
        compose,
        anew: false,
        stop_timeout: Duration::from_secs(seen.stop_timeout_s),
    }))
}
