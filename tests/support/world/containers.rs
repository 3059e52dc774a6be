//! The Docker engine with its containers, and HTTP services: their ends, events and policies as
//! the real engine makes them.

use std::collections::{BTreeMap, VecDeque};

use doctor::{
    Answer, Behind, Body, Compose, ContainerEvent, ContainerHealth, ContainerNews, ContainerSeen,
    ContainerStatus, Depth, DockerSeen, EngineKeeper, EngineSeen, Event, LimitLasts, Observation,
    Outcome, Reply, RestartPolicy, ServiceSeen, StepId,
};

use super::{World, answer};

/// The engine.
#[derive(Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a trait of its own")]
pub struct Engine {
    pub state: EngineState,
    /// The event stream is open.
    pub stream: bool,
    /// When it was opened.
    pub since: u64,
    /// The events that it keeps, with the time of the story; an engine that ends loses them.
    pub told: VecDeque<(u64, ContainerNews)>,
    /// The stream is open, and says nothing.
    pub stalled: bool,
    /// It was killed: what ran is cleared up when it is started again.
    pub crashed: bool,
    /// Memory of the machine that it runs in.
    pub memory_gb: u64,
    /// It takes of the host's what it needs.
    pub takes_as_needed: bool,
    /// It answers after so many milliseconds.
    pub wakes_in: Option<u64>,
    /// What it runs in.
    pub keeper: Option<EngineKeeper>,
    /// A restart brings nothing back.
    pub incurable: bool,
    /// Compose fetches the image first, for so many milliseconds.
    pub compose_takes: u64,
    /// What was taken down: Compose makes it again.
    pub removed: BTreeMap<String, Container>,
    /// It is Compose 1: it stops what it replaces before it makes another.
    pub compose_1: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineState {
    #[default]
    Absent,
    Up,
    Hangs,
    /// Its socket is there, and closed to us.
    Forbidden,
    /// Its socket answers, and nothing behind it yet.
    Starts,
}

/// One container.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a trait of its own")]
pub struct Container {
    pub seen: ContainerSeen,
    pub starts: ContainerStarts,
    /// A light start keeps it from ending.
    pub cured_by_light: bool,
    pub ignores_stop: bool,
    /// A person stopped it, and the stream told of it: nobody but a person starts it (P12).
    pub held: bool,
    stopped_by_hand: bool,
    /// Restarts by its policy in a row, each after less than ten seconds of life.
    pub in_a_row: u64,
    /// The engine took some signal for a stop, and its policy no longer applies.
    pub policy_is_off: bool,
    runs: u32,
}

/// What a start of a container leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerStarts {
    Works,
    /// The engine says no.
    Fails,
    /// It says no, and always will.
    Never,
    /// It runs and ends after so many milliseconds with this code.
    ExitsAfter(u64, i64),
    /// The engine starts it and does not get round to saying so in time.
    Silently,
}

/// An HTTP service.
#[derive(Clone, Debug)]
pub struct Service {
    pub url: String,
    pub container: Option<String>,
    pub reply: Reply,
    /// A restart of its container makes it answer again.
    pub cured_by_restart: bool,
    pub elsewhere: Option<Answer>,
    /// Told while it fails.
    pub behind: Option<Behind>,
    pub cpu_percent: Option<u32>,
}

impl Engine {
    pub fn answers(&self) -> bool {
        self.state == EngineState::Up
    }

    pub fn ping(&self) -> (Answer, u64) {
        let url = "unix:///var/run/docker.sock/_ping";
        match self.state {
            EngineState::Up => {
                let reply = Reply::Status { code: 200, body: Body::Expected };
                let took = self.wakes_in.unwrap_or(2);
                (answer(url, reply, took), took + 2)
            }
            EngineState::Hangs => (answer(url, Reply::Silent, 12_000), 12_000),
            EngineState::Absent => (answer(url, Reply::Refused, 1), 1),
            EngineState::Starts => {
                let reply = Reply::Status { code: 503, body: Body::Other };
                (answer(url, reply, 3), 3)
            }
            EngineState::Forbidden => {
                let reason = "this user may not open it".into();
                (answer(url, Reply::Unreachable { reason }, 1), 1)
            }
        }
    }
}

impl Container {
    /// As `docker create` leaves it.
    pub fn is_only_created(&mut self) {
        self.seen.status = ContainerStatus::Created;
        self.seen.exit_code = 0;
        (self.seen.started_ms, self.seen.finished_ms) = (None, None);
    }

    pub fn new(name: &str, started_ms: i64) -> Self {
        Self {
            seen: ContainerSeen {
                id: id_of(name, 1),
                name: name.into(),
                image: format!("{name}:latest"),
                status: ContainerStatus::Running,
                health: None,
                exit_code: 0,
                oom_killed: false,
                started_ms: Some(started_ms),
                finished_ms: None,
                restart_count: 0,
                restart_policy: RestartPolicy::No,
                memory_limit: 512 << 20,
                peak_bytes: None,
                stop_timeout_s: 10,
                settings: Vec::new(),
                addresses: Vec::new(),
                stop_signal: "SIGTERM".into(),
                start_period_s: 0,
                log: doctor::ContainerLog::default(),
                progress: None,
                compose: None,
                light: false,
                depends_on: Vec::new(),
                marks: Vec::new(),
                healer: None,
                skip: false,
            },
            starts: ContainerStarts::Works,
            cured_by_light: false,
            ignores_stop: false,
            held: false,
            stopped_by_hand: false,
            in_a_row: 0,
            policy_is_off: false,
            runs: 1,
        }
    }

    pub fn seen(&self) -> ContainerSeen {
        self.seen.clone()
    }

    pub fn is_running(&self) -> bool {
        self.seen.status == ContainerStatus::Running
    }

    pub fn with_compose(&mut self) {
        self.seen.compose = Some(Compose {
            files: vec!["/home/ann/site/docker-compose.yml".into()],
            service: self.seen.name.clone(),
            project: Some("site".into()),
            directory: Some("/home/ann/site".into()),
            env_file: None,
            light: BTreeMap::new(),
        });
    }
}

impl Service {
    fn is_well(&self) -> bool {
        matches!(self.reply, Reply::Status { code: 200, .. })
    }

    pub fn seen(&self, up: bool) -> (ServiceSeen, u64) {
        let (reply, took) = if !up {
            (Reply::Refused, 1)
        } else if self.reply == Reply::Silent {
            (Reply::Silent, 5000)
        } else {
            (self.reply.clone(), 8)
        };
        let seen = ServiceSeen {
            answer: answer(&self.url, reply, took),
            address: self.url.clone(),
            elsewhere: self.elsewhere.clone(),
            behind: self.behind.clone(),
            cpu_percent: self.cpu_percent,
        };
        (seen, took)
    }
}

impl World {
    pub(super) fn docker_seen(&mut self, depth: Depth) -> (Observation, u64) {
        let (ping, took) = self.engine.ping();
        let up = self.engine.answers();
        let full = up && depth >= Depth::Full;
        let engine = full.then(|| EngineSeen {
            version: "28.4".into(),
            memory_bytes: self.engine.memory_gb << 30,
            takes_as_needed: self.engine.takes_as_needed,
        });
        let containers = full.then(|| self.containers.values().map(Container::seen).collect());
        let lives = matches!(self.engine.state, EngineState::Hangs | EngineState::Starts)
            || self.engine.crashed;
        let keeper = self.engine.keeper.clone().filter(|_| !up && depth >= Depth::Full);
        let keeper = keeper.map(|keeper| match keeper {
            EngineKeeper::Desktop { .. } => EngineKeeper::Desktop { runs: lives },
            EngineKeeper::Unit(unit) => EngineKeeper::Unit(unit),
        });
        (
            Observation::Docker(DockerSeen {
                ping,
                engine,
                containers,
                unread: Vec::new(),
                keeper,
            }),
            took + u64::from(full) * 30,
        )
    }

    /// Puts an event on the stream.
    pub fn news(&mut self, name: &str, what: ContainerEvent) {
        let Some(container) = self.containers.get(name) else { return };
        let (id, at_ms) = (container.seen.id.clone(), self.engine_ms());
        self.tells(ContainerNews { id, name: name.into(), at_ms, what });
    }

    fn tells(&mut self, news: ContainerNews) {
        if self.engine.answers() {
            self.engine.told.push_back((self.story_ms(), news.clone()));
            if self.engine.told.len() > 256 {
                self.engine.told.pop_front();
            }
        }
        if !self.engine.stream || self.engine.stalled || !self.engine.answers() {
            return;
        }
        self.tell_later(5, Event::ContainerNews(news));
    }

    /// Its main process ends by itself, or is ended.
    pub fn ends(&mut self, name: &str, code: i64, oom: bool) {
        let at = self.engine_ms();
        let Some(container) = self.containers.get_mut(name) else { return };
        if !matches!(container.seen.status, ContainerStatus::Running | ContainerStatus::Paused) {
            return;
        }
        container.seen.status = ContainerStatus::Exited;
        container.seen.exit_code = code;
        container.seen.oom_killed = oom;
        container.seen.finished_ms = Some(at);
        container.seen.health = None;
        if oom {
            self.news(name, ContainerEvent::Oom);
        }
        self.news(name, ContainerEvent::Die { exit_code: code });
        self.policy_applies(name, code);
    }

    /// moby's restart manager: 100 ms, doubled each time, up to a minute; anew after ten seconds of
    /// life.
    fn policy_applies(&mut self, name: &str, code: i64) {
        let now = self.engine_ms();
        let Some(container) = self.containers.get_mut(name) else { return };
        let tries_left = match container.seen.restart_policy {
            RestartPolicy::No => false,
            RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
            RestartPolicy::OnFailure(tries) => {
                code != 0 && (tries == 0 || container.seen.restart_count < tries)
            }
        };
        if !tries_left || container.stopped_by_hand || container.policy_is_off {
            return;
        }
        if container.seen.started_ms.is_some_and(|started| now - started > 10_000) {
            container.in_a_row = 0;
        }
        let count = container.in_a_row.min(10);
        container.in_a_row += 1;
        container.seen.restart_count += 1;
        container.seen.status = ContainerStatus::Restarting;
        let wait = (100u64 << count).min(60_000);
        let name = name.to_owned();
        self.later(wait, move |world| {
            let waits = |one: &Container| one.seen.status == ContainerStatus::Restarting;
            if world.engine.answers() && world.containers.get(&name).is_some_and(waits) {
                world.runs(&name);
            }
        });
    }

    /// A new incarnation runs.
    pub fn runs(&mut self, name: &str) {
        let at = self.engine_ms();
        let Some(container) = self.containers.get_mut(name) else { return };
        container.seen.status = ContainerStatus::Running;
        container.seen.started_ms = Some(at);
        container.seen.exit_code = 0;
        container.seen.oom_killed = false;
        container.stopped_by_hand = false;
        container.held = false;
        container.runs += 1;
        let runs = container.runs;
        let cured = container.cured_by_light && container.seen.light;
        let starts = if cured { ContainerStarts::Works } else { container.starts };
        self.news(name, ContainerEvent::Start);
        for service in self.services.values_mut() {
            let inside = service.container.as_deref() == Some(name);
            if inside && service.cured_by_restart && !service.is_well() {
                service.reply = Reply::Status { code: 200, body: Body::Expected };
            }
        }
        if let ContainerStarts::ExitsAfter(after, code) = starts {
            let name = name.to_owned();
            self.later(after, move |world| {
                if world.containers.get(&name).is_some_and(|one| one.runs == runs) {
                    world.ends(&name, code, false);
                }
            });
        }
    }

    /// As `docker stop` does it: TERM, the end, and `stop`.
    pub fn stopped_by_hand(&mut self, name: &str) {
        let Some(container) = self.containers.get_mut(name) else { return };
        match container.seen.status {
            ContainerStatus::Running | ContainerStatus::Restarting | ContainerStatus::Paused => {}
            // Stopping what is stopped is nothing to the engine: it tells nobody.
            ContainerStatus::Created
            | ContainerStatus::Removing
            | ContainerStatus::Exited
            | ContainerStatus::Dead => return,
        }
        let (runs, told) = (container.runs, self.doctor_seed);
        // A stop of ours is under way: nobody could tell the two apart.
        let ours = std::mem::replace(&mut container.stopped_by_hand, true);
        let waiting = container.seen.status == ContainerStatus::Restarting;
        if waiting {
            container.seen.status = ContainerStatus::Exited;
        } else {
            self.news(name, ContainerEvent::Kill { signal: "15".into() });
            self.ends(name, 143, false);
        }
        self.news(name, ContainerEvent::Stop);
        if !ours && self.engine.stream && !self.engine.stalled && self.engine.answers() {
            let name = name.to_owned();
            self.later(6, move |world| {
                if let Some(container) = world.containers.get_mut(&name) {
                    let stopped = container.seen.status == ContainerStatus::Exited;
                    // A doctor that began since has not heard of it.
                    let heard = world.doctor_seed == told;
                    container.held = stopped && heard && container.runs == runs;
                }
                world.held_in_the_clearing_up();
            });
        }
    }

    /// A person stops it while we do not run; the engine tells it to whoever asks since when.
    pub fn stopped_while_away(&mut self, name: &str) {
        self.quit();
        self.engine.stream = false;
        self.stopped_by_hand(name);
        self.relaunch();
    }

    /// The engine goes away; with or without stopping its containers first.
    pub fn engine_goes_down(&mut self, stops_all: bool) {
        if stops_all {
            let names: Vec<String> = self.containers.keys().cloned().collect();
            for name in names {
                if self.containers.get(&name).is_some_and(Container::is_running) {
                    self.stopped_by_hand(&name);
                }
            }
        }
        self.later(400, |world| {
            world.engine.state = EngineState::Absent;
            world.engine.told.clear();
            // Stopped just before its end, it was the engine's doing as far as anybody can tell.
            world.containers.values_mut().for_each(|one| one.held = false);
            if std::mem::replace(&mut world.engine.stream, false) {
                world.tell(&Event::DockerStream { connected: false });
            }
        });
    }

    /// The engine is killed, and with it every container; nobody is left to tell of it.
    pub fn engine_crashes(&mut self) {
        self.engine.crashed = true;
        self.engine.state = EngineState::Absent;
        self.engine.told.clear();
        if std::mem::replace(&mut self.engine.stream, false) {
            self.tell(&Event::DockerStream { connected: false });
        }
    }

    /// As Docker Desktop does it: its containers are stopped as far as it still can, then all of it,
    /// and it comes up again.
    pub(super) fn restart_docker(&mut self, step: StepId) {
        if self.engine.answers() {
            self.report(100, step, Outcome::IdentityChanged);
            return;
        }
        if self.engine.state == EngineState::Hangs {
            self.engine.state = EngineState::Up;
            self.engine_goes_down(true);
        }
        self.later(15_000, |world| {
            if world.engine.incurable {
                world.engine.state = EngineState::Hangs;
            } else {
                world.engine_comes_up();
            }
        });
        self.report(20_000, step, Outcome::Done);
    }

    pub fn engine_comes_up(&mut self) {
        self.engine.state = EngineState::Up;
        if std::mem::take(&mut self.engine.crashed) {
            // As a real one does: it kills what it finds running, and stops it (dockerd 28).
            self.later(3300, |world| {
                let names: Vec<String> = world.containers.keys().cloned().collect();
                for name in names {
                    if world.containers.get(&name).is_some_and(Container::is_running) {
                        world.news(&name, ContainerEvent::Kill { signal: "9".into() });
                        world.ends(&name, 137, false);
                        world.news(&name, ContainerEvent::Stop);
                    }
                }
            });
        }
        self.later(300, |world| {
            if !world.engine.answers() {
                return;
            }
            if !std::mem::replace(&mut world.engine.stream, true) {
                world.engine.since = world.story_ms();
                world.tell(&Event::DockerStream { connected: true });
            }
            // What waited for its policy when the engine went is restarted by the next one.
            let waits = |one: &&Container| one.seen.status == ContainerStatus::Restarting;
            let waiting: Vec<String> =
                world.containers.values().filter(waits).map(|one| one.seen.name.clone()).collect();
            for name in waiting {
                world.runs(&name);
            }
        });
    }

    pub(super) fn name_of(&self, id: &str) -> Option<String> {
        self.containers.values().find(|one| one.seen.id == id).map(|one| one.seen.name.clone())
    }

    pub(super) fn start_container(&mut self, id: &str, step: StepId) {
        if let Some(name) = self.name_of(id) {
            self.bring_up(&name, step);
        } else {
            let reason = format!("no such container: {}", id.get(..12).unwrap_or(id));
            self.report(5, step, Outcome::Failed { reason, permanent: true });
        }
    }

    /// Noted for what runs and for what does not (moby `container/container_unix.go`, `UpdateContainer`).
    pub(super) fn raise_limit(&mut self, id: &str, from: u64, to: u64, step: StepId) {
        let answers = self.engine.answers();
        let found = self.name_of(id).and_then(|name| self.containers.get_mut(&name));
        let outcome = match found {
            Some(container) if answers && container.seen.memory_limit == from => {
                container.seen.memory_limit = to;
                Outcome::Raised(LimitLasts::WhenMade)
            }
            Some(_) if answers => Outcome::IdentityChanged,
            Some(_) | None => {
                Outcome::Failed { reason: "no such container".into(), permanent: true }
            }
        };
        self.report(20, step, outcome);
    }

    pub(super) fn compose_up(&mut self, compose: &Compose, step: StepId) {
        let name = compose.service.clone();
        let light = !compose.light.is_empty();
        let there = |one: &Container| one.starts != ContainerStarts::Never;
        if self.engine.removed.get(&name).is_some_and(there)
            && let Some(mut removed) = self.engine.removed.remove(&name)
        {
            removed.seen.id = id_of(&name, removed.runs + 1);
            removed.seen.status = ContainerStatus::Created;
            removed.seen.started_ms = None;
            self.containers.insert(name.clone(), removed);
            self.news(&name, ContainerEvent::Create);
        }
        let other = self.containers.get(&name).is_some_and(|one| one.seen.light != light);
        if other && self.engine.answers() {
            // Another description: Compose makes it anew.
            let mut takes = self.engine.compose_takes;
            if self.engine.compose_1 {
                self.tell_later(300, Event::StopsFirst { step: step.clone() });
                takes = takes.max(600);
            }
            if takes == 0 {
                self.made_anew(&name, light);
            } else {
                self.later(takes, move |world| world.made_anew(&name, light));
            }
            self.report(takes + 900, step, Outcome::Done);
        } else {
            self.bring_up(&name, step);
        }
    }

    /// Stopped, removed, and run under the same name with another description.
    fn made_anew(&mut self, name: &str, light: bool) {
        if !self.engine.compose_1 {
            self.creates_anew(name);
        }
        let Some(container) = self.containers.get_mut(name) else { return };
        container.stopped_by_hand = true;
        let code = match container.seen.status {
            ContainerStatus::Running => Some(143),
            ContainerStatus::Restarting => None,
            ContainerStatus::Created
            | ContainerStatus::Paused
            | ContainerStatus::Removing
            | ContainerStatus::Exited
            | ContainerStatus::Dead => {
                self.is_anew(name, light);
                return;
            }
        };
        container.seen.status = match code {
            Some(_) => container.seen.status,
            None => ContainerStatus::Exited,
        };
        if let Some(code) = code {
            self.news(name, ContainerEvent::Kill { signal: "15".into() });
            self.ends(name, code, false);
        }
        self.news(name, ContainerEvent::Stop);
        self.is_anew(name, light);
    }

    fn is_anew(&mut self, name: &str, light: bool) {
        if self.engine.compose_1 {
            self.is_made_after(name, light);
            return;
        }
        let old = self.new_name(name);
        self.news(name, ContainerEvent::Destroy);
        if let Some(container) = self.containers.get_mut(name) {
            container.seen.id = id_of(name, container.runs + 1);
            container.seen.status = ContainerStatus::Created;
            container.seen.light = light;
            container.seen.restart_count = 0;
        }
        self.news(name, ContainerEvent::Rename { old });
        self.runs(name);
    }

    /// Renamed out of the way, and removed when the new one runs.
    fn is_made_after(&mut self, name: &str, light: bool) {
        let Some(container) = self.containers.get(name) else { return };
        let (old, new) = (container.seen.id.clone(), id_of(name, container.runs + 1));
        let (away, at_ms) = (self.new_name(name), self.engine_ms());
        let what = ContainerEvent::Rename { old: name.to_owned() };
        self.tells(ContainerNews { id: old.clone(), name: away.clone(), at_ms, what });
        if let Some(container) = self.containers.get_mut(name) {
            container.seen.id = new;
            container.seen.status = ContainerStatus::Created;
            container.seen.light = light;
            container.seen.restart_count = 0;
        }
        self.news(name, ContainerEvent::Create);
        self.runs(name);
        let at_ms = self.engine_ms();
        self.tells(ContainerNews { id: old, name: away, at_ms, what: ContainerEvent::Destroy });
    }

    /// After a pause it is what it was.
    pub fn goes_on(&mut self, name: &str) {
        let Some(container) = self.containers.get_mut(name) else { return };
        if container.seen.status == ContainerStatus::Paused {
            container.seen.status = ContainerStatus::Running;
            self.news(name, ContainerEvent::Unpause);
        }
    }

    /// Under the short id of the old one, which it does not stop before.
    fn creates_anew(&mut self, name: &str) {
        let Some(container) = self.containers.get(name) else { return };
        let (id, at_ms) = (id_of(name, container.runs + 1), self.engine_ms());
        let news =
            ContainerNews { id, name: self.new_name(name), at_ms, what: ContainerEvent::Create };
        self.tells(news);
    }

    fn new_name(&self, name: &str) -> String {
        let old = self.containers.get(name).map_or("", |one| one.seen.id.as_str());
        format!("{}_{name}", old.get(..12).unwrap_or_default())
    }

    fn bring_up(&mut self, name: &str, step: StepId) {
        let failed = |permanent| Outcome::Failed { reason: "port is allocated".into(), permanent };
        if !self.engine.answers() {
            self.report(20, step, failed(false));
            return;
        }
        let Some(container) = self.containers.get(name) else {
            self.report(20, step, failed(true));
            return;
        };
        match container.starts {
            ContainerStarts::Fails => self.report(300, step, failed(false)),
            ContainerStarts::Never => self.report(300, step, failed(true)),
            ContainerStarts::Silently => {
                self.runs(name);
                let reason = "no answer within 30 s".into();
                self.report(30_000, step, Outcome::Failed { reason, permanent: false });
            }
            ContainerStarts::Works | ContainerStarts::ExitsAfter(..) => {
                if container.seen.status == ContainerStatus::Paused {
                    self.goes_on(name);
                } else if !container.is_running() {
                    self.runs(name);
                }
                self.report(300, step, Outcome::Done);
            }
        }
    }

    pub(super) fn stop_container(&mut self, id: &str, started: Option<i64>, step: StepId) {
        let Some(name) = self.name_of(id) else {
            self.report(5, step, Outcome::IdentityChanged);
            return;
        };
        let Some(container) = self.containers.get_mut(&name) else { return };
        if container.seen.started_ms != started {
            self.report(5, step, Outcome::IdentityChanged);
            return;
        }
        if container.ignores_stop {
            // The engine sends the signal, then KILL, and waits for an end that does not come.
            self.news(&name, ContainerEvent::Kill { signal: "15".into() });
            self.later(10_000, move |world| {
                world.news(&name, ContainerEvent::Kill { signal: "9".into() });
            });
            self.report(20_000, step, Outcome::StillThere);
            return;
        }
        if container.is_running() {
            container.stopped_by_hand = true;
            self.news(&name, ContainerEvent::Kill { signal: "15".into() });
            self.later(700, move |world| {
                world.ends(&name, 143, false);
                world.news(&name, ContainerEvent::Stop);
            });
        }
        self.report(750, step, Outcome::Done);
    }

    /// Another one was created under the name of one that was removed, and nobody has started it yet.
    pub fn created(&mut self, name: &str) {
        let Some(mut container) = self.engine.removed.remove(name) else { return };
        container.seen.id = id_of(name, container.runs + 1);
        container.is_only_created();
        self.containers.insert(name.to_owned(), container);
        self.news(name, ContainerEvent::Create);
    }

    /// Compose made it anew: another id under the same name.
    pub fn recreated(&mut self, name: &str) {
        self.stopped_by_hand(name);
        self.news(name, ContainerEvent::Destroy);
        if let Some(container) = self.containers.get_mut(name) {
            container.seen.id = id_of(name, container.runs + 1);
            container.seen.status = ContainerStatus::Created;
        }
        self.news(name, ContainerEvent::Create);
        self.runs(name);
    }

    pub fn health(&mut self, name: &str, health: ContainerHealth) {
        if let Some(container) = self.containers.get_mut(name) {
            container.seen.health = Some(health);
        }
        self.news(name, ContainerEvent::Health(health));
    }
}

fn id_of(name: &str, run: u32) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325u64 ^ u64::from(run);
    for byte in name.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}").repeat(4)
}
