//! The tale: what the doctor did and concluded, one line each, for people.

use std::collections::BTreeMap;

use doctor::{
    Confidence, Doctor, Incident, IncidentState, Intent, Lever, Notice, NoticeKind, Order, Patient,
    Phase, RemedyResult, Response, Step, TargetId, Tell, Value, Verb,
};

/// Lines with their time in the story, in milliseconds.
#[derive(Default)]
pub struct Tale {
    pub lines: Vec<(u64, String)>,
    known: BTreeMap<TargetId, Seen>,
    ended: Vec<String>,
}

#[derive(Clone, Default, PartialEq)]
struct Seen {
    state: String,
    wait: String,
    intent: Intent,
    inhibited: Option<TargetId>,
    incident: Option<(String, IncidentState, bool, &'static str, usize)>,
}

impl Tale {
    /// A new doctor knows nothing: its states are compared with none.
    pub fn forget_doctor(&mut self) {
        self.known.clear();
        self.ended.clear();
    }

    pub fn say(&mut self, at: u64, line: impl Into<String>) {
        self.lines.push((at, line.into()));
    }

    pub fn ordered(&mut self, at: u64, order: &Order) {
        match order {
            Order::Look(_) | Order::Record(_) => {}
            Order::Treat(treatment) => {
                let line = format!("> {}: {}", treatment.target, step(&treatment.what));
                self.say(at, line);
            }
            Order::Tell(Tell::Notice(notice)) => self.say(at, notice_line(notice)),
            Order::Tell(Tell::Answer { response, .. }) => self.say(at, answer_line(response)),
        }
    }

    /// Writes down what is different from the last time.
    pub fn observe(&mut self, at: u64, doctor: &Doctor) {
        for operation in doctor.operations() {
            if let Some(result) = operation.result
                && operation.verb != Verb::Check
                && !self.ended.contains(&operation.id)
            {
                self.ended.push(operation.id.clone());
                let result = match result {
                    RemedyResult::Verified => "done",
                    RemedyResult::Failed => "failed",
                    RemedyResult::Superseded => "superseded",
                };
                let why = operation.log.last().map(|(_, says)| says.key.clone());
                let why = why.filter(|_| result != "done").map(|why| format!(": {why}"));
                let verb = verb(operation.verb);
                let line = format!("{verb} {}: {result}", operation.target);
                self.say(at, line + &why.unwrap_or_default());
            }
        }
        let patients: Vec<(TargetId, Seen, Option<String>)> = doctor
            .patients()
            .map(|patient| {
                let incident = patient.incident.as_ref().map(|one| incident_line(patient, one));
                (patient.spec.id.clone(), Seen::of(patient), incident)
            })
            .collect();
        let gone: Vec<TargetId> = self
            .known
            .keys()
            .filter(|id| !patients.iter().any(|(known, _, _)| known == *id))
            .cloned()
            .collect();
        for id in gone {
            self.known.remove(&id);
            self.say(at, format!("{id}: no longer watched"));
        }
        for (id, seen, incident) in patients {
            let before = self.known.get(&id).cloned().unwrap_or_default();
            if before == seen {
                continue;
            }
            if before.intent != seen.intent {
                let intent = match seen.intent {
                    Intent::Wanted => "is wanted to run",
                    Intent::Held => "is held: nobody but a person starts it",
                    Intent::Completed => "has completed",
                };
                self.say(at, format!("{id} {intent}"));
            }
            if before.state != seen.state {
                self.say(at, format!("{id} {}", seen.state));
            } else if before.wait != seen.wait && !seen.wait.is_empty() {
                self.say(at, format!("{id} waits {}", seen.wait));
            }
            if before.incident != seen.incident
                && let Some(line) = incident
            {
                self.say(at, line);
            }
            self.known.insert(id, seen);
        }
    }
}

impl Seen {
    fn of(patient: &Patient) -> Self {
        let rule = patient.reason.rule;
        let cause = |cause: &doctor::Cause| format!("{}, {}", cause.id, sure(cause.confidence));
        let state = match &patient.phase {
            Phase::Unknown => match &patient.inhibited_by {
                Some(parent) => format!("unknown, {parent} is not well"),
                None => format!("unknown [{rule} {}]", patient.reason.says.key),
            },
            Phase::Starting { .. } => match &patient.note {
                Some(known) => format!("starting [{rule}], noted: {}", cause(known)),
                None => format!("starting [{rule}]"),
            },
            Phase::Healthy => match &patient.note {
                Some(known) => format!("healthy, noted: {}", cause(known)),
                None => "healthy".into(),
            },
            Phase::Slow => match &patient.note {
                Some(known) => format!("slow, noted: {}", cause(known)),
                None => "slow".into(),
            },
            Phase::Degraded { cause: None } => "degraded".into(),
            Phase::Degraded { cause: Some(known) } => format!("degraded: {}", cause(known)),
            Phase::Down { cause: known, .. } => format!("down: {}", cause(known)),
            Phase::Recovering { cause: None, .. } => "recovering".into(),
            Phase::Recovering { cause: Some(known), .. } => {
                format!("recovering from {}", cause(known))
            }
            Phase::GivenUp { cause: known, trial: None } => {
                format!("given up, no restart helps: {}", cause(known))
            }
            Phase::GivenUp { cause: known, trial: Some(_) } => {
                format!("given up until a trial: {}", cause(known))
            }
        };
        let wait = match &patient.phase {
            Phase::Down { .. } if rule != "R11" => {
                format!("[{rule} {}]", patient.reason.says.key)
            }
            Phase::Recovering { .. } if patient.reason.says.key == "why.soaking" => {
                "out the soak: it answers again [R46]".into()
            }
            Phase::Unknown
            | Phase::Starting { .. }
            | Phase::Healthy
            | Phase::Slow
            | Phase::Degraded { .. }
            | Phase::Down { .. }
            | Phase::Recovering { .. }
            | Phase::GivenUp { .. } => String::new(),
        };
        Self {
            state,
            wait,
            intent: patient.account.intent,
            inhibited: patient.inhibited_by.clone(),
            incident: patient.incident.as_ref().map(|one| {
                let affects = one.affects.len();
                (one.id.clone(), one.state, one.closed.is_some(), one.cause.id.as_str(), affects)
            }),
        }
    }
}

fn incident_line(patient: &Patient, incident: &Incident) -> String {
    let id = &patient.spec.id;
    let cause = incident.cause.id;
    let seconds = |ms: u64| format!("{}.{} s", ms / 1000, ms % 1000 / 100);
    let after = |what: &str, ms: Option<u64>| {
        ms.map(|ms| format!(", {what} after {}", seconds(ms))).unwrap_or_default()
    };
    let with: Vec<String> = incident.affects.iter().map(ToString::to_string).collect();
    let with = if with.is_empty() { String::new() } else { format!("; also {}", with.join(", ")) };
    let line = match incident.state {
        IncidentState::Open => {
            let found = seconds(incident.detected_after_ms);
            format!("incident {id} {cause}: open, detected after {found}")
        }
        IncidentState::Healing => {
            format!("incident {id} {cause}: healing, attempt {}", incident.attempts)
        }
        IncidentState::GivenUp => format!("incident {id} {cause}: given up"),
        IncidentState::Verified => format!(
            "incident {id} {cause}: verified{}{}",
            after("answering", incident.answering_after_ms),
            after("recovered", incident.recovered_after_ms)
        ),
        IncidentState::HealedItself => format!(
            "incident {id} {cause}: healed by itself{}",
            after("well", incident.recovered_after_ms)
        ),
        IncidentState::Closed => format!("incident {id} {cause}: closed"),
    };
    line + &with
}

fn step(step: &Step) -> String {
    match step {
        Step::FindListener => "find who listens".into(),
        Step::FindCopies => "find copies".into(),
        Step::Terminate(id) => format!("TERM to {} {}", id.program(), id.pid),
        Step::Kill(id) => format!("KILL to {} {}", id.program(), id.pid),
        Step::AwaitGone(id) => format!("wait until {} {} is gone", id.program(), id.pid),
        Step::StopThrough { lever, .. } => match lever {
            Lever::Command(command) => format!("stop `{}`", command.join(" ")),
            Lever::Launchd(label) => format!("boot out launchd job {label}"),
            Lever::App(app) => format!("quit {app}"),
            Lever::Unit(unit) => format!("stop unit {unit}"),
            Lever::SystemUnit(unit) => format!("stop the system's unit {unit}"),
        },
        Step::AwaitBack => "watch whether it comes back".into(),
        Step::Start(Lever::Command(command)) => format!("start `{}`", command.join(" ")),
        Step::Start(Lever::Launchd(label)) => format!("start launchd job {label}"),
        Step::Start(Lever::App(app)) => format!("open {app}"),
        Step::Start(Lever::Unit(unit)) => format!("start unit {unit}"),
        Step::Start(Lever::SystemUnit(unit)) => format!("start the system's unit {unit}"),
        Step::StartContainer { .. } => "start the container".into(),
        Step::ComposeUp(compose) if compose.light.is_empty() => {
            format!("compose up -d {}", compose.service)
        }
        Step::ComposeUp(compose) => format!("compose up -d {}, light", compose.service),
        Step::StopContainer { .. } => "stop the container".into(),
        Step::RaiseLimit { from, to, .. } => {
            format!("raise its memory limit from {} to {} MiB", from >> 20, to >> 20)
        }
        Step::RestartDocker => "restart Docker Desktop".into(),
        Step::Unload { models } if models.is_empty() => "unload all models".into(),
        Step::Unload { models } => format!("unload {}", models.join(", ")),
        Step::UnloadMlx { model, .. } => {
            format!("unload {} of MLX", model.as_deref().unwrap_or("all"))
        }
        Step::Measure { model } => format!("measure {model}"),
        Step::FindModel { model } => format!("is {model} installed?"),
        Step::Pull { model, .. } => format!("pull {model}"),
        Step::Create { model, modelfile } => format!("create {model} from {modelfile}"),
        Step::VerifyModels { model } => {
            format!("read {}", model.as_deref().unwrap_or("all models"))
        }
        Step::RemoveBroken { model } => format!("remove what is broken of {model}"),
        Step::Prove { model } => format!("ask {model} for a token"),
    }
}

fn notice_line(notice: &Notice) -> String {
    let kind = match notice.kind {
        NoticeKind::Problem => "problem",
        NoticeKind::OutOfMemory => "out of memory",
        NoticeKind::NeedsYou => "needs you",
        NoticeKind::Recovered => "recovered",
        NoticeKind::RestartRate => "too many restarts",
        NoticeKind::Flapping => "flapping",
        NoticeKind::Held => "still held",
        NoticeKind::CloudCalls => "cloud calls",
        NoticeKind::Digest => "digest",
        NoticeKind::Ourselves => "about ourselves",
    };
    match (notice.kind, notice.cause) {
        (NoticeKind::Held, _) => format!("NOTICE {kind}: {}", notice.target),
        (NoticeKind::Digest, _) => {
            let names = notice.lines.iter().find_map(|line| line.values.get("names"));
            match (notice.title.values.get("count"), names) {
                (Some(Value::Count(count)), Some(Value::Text(names))) => {
                    format!("NOTICE {kind}: {count} more, about {names}")
                }
                _ => format!("NOTICE {kind}"),
            }
        }
        (_, Some(cause)) => format!("NOTICE {kind}: {} {cause}", notice.target),
        (_, None) => format!("NOTICE {kind}: {}", notice.title.key),
    }
}

fn answer_line(response: &Response) -> String {
    match response {
        Response::Accepted { targets, .. } => {
            let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
            format!("answer: accepted for {}", targets.join(", "))
        }
        Response::Done => "answer: done".into(),
        Response::Held(says) => format!("answer: held ({})", says.key),
        Response::NotNow(says) => format!("answer: not now ({})", says.key),
        Response::Impossible(says) => format!("answer: impossible ({})", says.key),
    }
}

fn sure(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Possible => "possible",
        Confidence::Likely => "likely",
        Confidence::Certain => "certain",
    }
}

fn verb(verb: Verb) -> &'static str {
    match verb {
        Verb::Check => "check",
        Verb::Start => "start",
        Verb::Stop => "stop",
        Verb::Restart => "restart",
        Verb::Unload => "unload",
        Verb::Measure => "measure",
        Verb::Ensure => "ensure",
        Verb::Verify => "verify",
        Verb::Repair => "repair",
        Verb::Raise => "raise",
    }
}
