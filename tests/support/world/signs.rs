//! What tells more than answers do, in plain sentences: work, logs, disks, requests for a token.

use std::collections::BTreeMap;

use doctor::{
    Activity, Answer, Body, CauseId, Confidence, DeepOutcome, DeepSeen, Depth, Elsewhere,
    EndedSeen, EndedWhy, ExitHow, ExitSeen, GpuLimit, LogSign, MemoryGroup, ProgressSeen, Reply,
    RunnerSeen, Setting, Signs, StoreSeen, Supervisor, TargetId, VolumeSeen,
};

use super::World;
use super::script::duration;
use super::servers::{Server, process};

const GB: u64 = 1 << 30;

/// What a server's signs are made of.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a trait of its own")]
pub struct Insides {
    /// Nobody could tell how hard it works.
    pub unread: bool,
    pub activity: Activity,
    pub generates: DeepOutcome,
    pub store: Option<StoreSeen>,
    pub supervisors: Vec<String>,
    /// Who has started it.
    pub supervisor: Option<Supervisor>,
    /// We are the superuser.
    pub root: bool,
    pub runners: Option<Vec<RunnerSeen>>,
    pub ps_hangs: bool,
    /// Lines that no look has brought yet.
    pub log: Vec<LogSign>,
    /// A new process generates as it should.
    pub cured_by_restart: bool,
    /// Only a model's runner is stuck: loaded anew it generates as it should.
    pub cured_by_unload: bool,
    /// What is asked to be unloaded stays on the list.
    pub keeps_models: bool,
    /// How many requests at once it lets through.
    pub settings: Vec<Setting>,
    /// Tokens a second, when it is measured.
    pub speed: f64,
    /// How its process will end, when it is our own child.
    pub ends_by: Option<ExitHow>,
    /// How our children have ended.
    pub exits: Vec<ExitSeen>,
    /// When each model was last asked something (run time).
    pub used: BTreeMap<String, u64>,
}

impl Default for Insides {
    fn default() -> Self {
        Self {
            unread: true,
            activity: Activity {
                server_percent: 0,
                runners_percent: 0,
                footprint_bytes: GB,
                silent_for_s: None,
            },
            generates: DeepOutcome::Answered,
            store: None,
            supervisors: Vec::new(),
            supervisor: None,
            root: false,
            runners: None,
            ps_hangs: false,
            log: Vec::new(),
            cured_by_restart: true,
            cured_by_unload: false,
            keeps_models: false,
            settings: Vec::new(),
            speed: 42.0,
            ends_by: None,
            exits: Vec::new(),
            used: BTreeMap::new(),
        }
    }
}

impl Server {
    /// What a look brings beyond the answers, and how long that took.
    pub fn signs(&mut self, depth: Depth, well: bool, model: Option<&str>) -> (Signs, u64) {
        let full = depth >= Depth::Full;
        let known = model.map(String::from).or_else(|| self.asked_model());
        let deep = known.filter(|_| depth == Depth::Deep && well).map(|model| {
            let took_ms = match self.insides.generates {
                DeepOutcome::NoFirstByte => 20_000,
                DeepOutcome::Answered
                | DeepOutcome::Empty
                | DeepOutcome::Failed { .. }
                | DeepOutcome::Busy => 180,
            };
            DeepSeen { model, outcome: self.insides.generates, took_ms }
        });
        let took = deep.as_ref().map_or(0, |deep| deep.took_ms);
        let there = self.process.is_some() && !self.insides.unread;
        let signs = Signs {
            activity: there.then_some(self.insides.activity),
            log: std::mem::take(&mut self.insides.log),
            store: self.insides.store.clone().filter(|_| full),
            supervisors: if full { self.insides.supervisors.clone() } else { Vec::new() },
            runners: self.insides.runners.clone().filter(|_| full),
            deep,
            exits: if self.process.is_none() { self.insides.exits.clone() } else { Vec::new() },
        };
        (signs, took)
    }

    fn asked_model(&self) -> Option<String> {
        let first = self.loaded.first().map(|model| model.name.clone());
        first.or_else(|| self.models.first().map(|model| model.name.clone()))
    }

    pub fn restarted(&mut self) {
        if self.insides.cured_by_restart {
            self.insides.generates = DeepOutcome::Answered;
            self.insides.ps_hangs = false;
            self.insides.keeps_models = false;
            self.insides.runners = None;
            self.insides.activity.server_percent = 0;
            self.insides.activity.footprint_bytes = GB;
        }
    }
}

/// A sentence about a server's insides; none: it is about something else.
pub fn server_shows(server: &mut Server, what: &str) -> Option<Result<(), String>> {
    let insides = &mut server.insides;
    match what {
        "has nothing to do" => {
            insides.unread = false;
            insides.activity.server_percent = 0;
            insides.activity.runners_percent = 0;
            insides.activity.silent_for_s = None;
        }
        "works" => {
            insides.unread = false;
            insides.activity.runners_percent = 300;
        }
        "spins without a runner at work" => {
            insides.unread = false;
            insides.activity.server_percent = 99;
            insides.activity.runners_percent = 0;
        }
        "gives no token" => insides.generates = DeepOutcome::NoFirstByte,
        "gives empty answers" => insides.generates = DeepOutcome::Empty,
        "fails every generation" => insides.generates = DeepOutcome::Failed { status: 500 },
        "generates again" => insides.generates = DeepOutcome::Answered,
        "is not cured by a restart" => insides.cured_by_restart = false,
        "is cured by an unload" => insides.cured_by_unload = true,
        "does not let go of its models" => insides.keeps_models = true,
        "does not list what is loaded" => insides.ps_hangs = true,
        "lists what is loaded again" => insides.ps_hangs = false,
        "shows the models of another user" => {
            server.models.clear();
            server.loaded.clear();
            if let Some(running) = &mut server.process {
                running.seen.uid = Some(0);
                running.seen.user = Some("root".into());
            }
            insides.store =
                Some(StoreSeen { owner_uid: 501, manifests: 4, ..StoreSeen::default() });
        }
        "shows the models of another directory" => {
            server.models.clear();
            server.loaded.clear();
            let owner_uid = server.process.as_ref().and_then(|one| one.seen.uid).unwrap_or(501);
            let elsewhere = Some(Elsewhere {
                served: "/Volumes/Models".into(),
                own: "/Users/anna/.ollama/models".into(),
            });
            let store = StoreSeen { owner_uid, manifests: 4, elsewhere, ..StoreSeen::default() };
            insides.store = Some(store);
        }
        "is not shown to us" => {
            server.hidden = true;
        }
        "has no models at all" => {
            server.models.clear();
            server.loaded.clear();
            insides.store = Some(StoreSeen { owner_uid: 501, ..StoreSeen::default() });
        }
        "has all its models" => {
            insides.store =
                Some(StoreSeen { owner_uid: 501, manifests: 4, ..StoreSeen::default() });
        }
        "is started by the app and by Homebrew" => {
            insides.supervisors = vec!["Ollama.app".into(), "homebrew.mxcl.ollama".into()];
        }
        "leaves a runner behind" => {
            let runner = process(977, &["/usr/local/lib/ollama/llama-server".to_owned()]);
            insides.runners = Some(vec![RunnerSeen {
                process: runner.id,
                model: Some("llama3:70b".into()),
                footprint_bytes: 40 * GB,
                left_behind: false,
            }]);
        }
        "has a runner of a dead server beside its own" => {
            let runner = |pid: u32, left_behind| RunnerSeen {
                process: process(pid, &["/usr/local/lib/ollama/llama-server".to_owned()]).id,
                model: Some("llama3:8b".into()),
                footprint_bytes: 5 * GB,
                left_behind,
            };
            insides.runners = Some(vec![runner(977, true), runner(978, false)]);
        }
        "has no runner left" => insides.runners = Some(Vec::new()),
        _ => return server_shows_so_much(server, what),
    }
    Some(Ok(()))
}

fn server_shows_so_much(server: &mut Server, what: &str) -> Option<Result<(), String>> {
    let insides = &mut server.insides;
    if let Some(line) = what.strip_prefix("logs ") {
        let sign = log_sign(line);
        return Some(sign.map(|sign| insides.log.push(sign)));
    }
    if let Some(silent) =
        what.strip_prefix("works, and a request waits for ").and_then(|text| duration(text).ok())
    {
        insides.unread = false;
        insides.activity.runners_percent = 300;
        insides.activity.silent_for_s = Some(silent.as_secs());
        return Some(Ok(()));
    }
    let unit = |name: &str, of_user| Some(Supervisor::Unit { name: name.into(), of_user });
    if let Some(name) = what.strip_prefix("was started by the user's unit ") {
        insides.supervisor = unit(name, true);
        return Some(Ok(()));
    }
    if let Some(name) = what.strip_prefix("was started by the system's unit ") {
        insides.supervisor = unit(name, false);
        return Some(Ok(()));
    }
    if what == "is watched by root" {
        insides.root = true;
        return Some(Ok(()));
    }
    if let Some(label) = what.strip_prefix("was started by the launchd job ") {
        insides.supervisor = Some(Supervisor::Launchd(label.into()));
        return Some(Ok(()));
    }
    if let Some(app) = what.strip_prefix("was started by the app ") {
        insides.supervisor = Some(Supervisor::App(app.into()));
        return Some(Ok(()));
    }
    if let Some(user) = what.strip_prefix("was started by the user ") {
        insides.supervisor = Some(Supervisor::OtherUser(user.into()));
        return Some(Ok(()));
    }
    if let Some(name) = what.strip_prefix("was started by the shell ") {
        insides.supervisor = Some(Supervisor::Shell(name.into()));
        return Some(Ok(()));
    }
    if let Some(gb) = what.strip_prefix("holds ").and_then(|text| text.strip_suffix(" GB")) {
        insides.unread = false;
        let gb: Result<u64, _> = gb.parse();
        return Some(
            gb.map(|gb| insides.activity.footprint_bytes = gb * GB).map_err(|_| "n GB".into()),
        );
    }
    if let Some(end) = what.strip_prefix("is our child, to end with ") {
        insides.ends_by = Some(end_of(end));
        return Some(Ok(()));
    }
    if let Some(model) = what.strip_prefix("lacks ") {
        let store = insides.store.get_or_insert_with(StoreSeen::default);
        store.missing = vec![model.into()];
        return Some(Ok(()));
    }
    if let Some(model) = what.strip_prefix("has a broken blob of ") {
        let store = insides.store.get_or_insert_with(StoreSeen::default);
        store.corrupt = vec![(model.into(), "sha256-6a0746a1ec1a".into())];
        return Some(Ok(()));
    }
    if let Some(percent) =
        what.strip_prefix("works with ").and_then(|text| text.strip_suffix(" % of a core"))
    {
        insides.unread = false;
        let percent = percent.parse().map_err(|_| "n % of a core".to_owned());
        return Some(percent.map(|percent| insides.activity.runners_percent = percent));
    }
    if let Some(setting) = what.strip_prefix("runs with ") {
        return Some(setting_of(setting).map(|setting| insides.settings.push(setting)));
    }
    if let Some(speed) =
        what.strip_prefix("writes ").and_then(|text| text.strip_suffix(" tokens a second"))
    {
        return Some(speed.parse().map(|speed| insides.speed = speed).map_err(|_| "n".into()));
    }
    if let Some((model, context)) =
        what.strip_prefix("loads ").and_then(|text| text.split_once(" with a context of "))
    {
        let (model, file) = model.split_once(" GB of a ")?;
        let (name, size) = model.split_once(' ')?;
        let (file, size): (u64, u64) =
            (file.strip_suffix(" GB file")?.parse().ok()?, size.parse().ok()?);
        server.models.retain(|one| one.name != name);
        server.models.push(super::servers::model(name, file * GB));
        let mut loaded = super::servers::loaded(name, size);
        loaded.context_length = context.parse().ok()?;
        server.loaded.push(loaded);
        return Some(Ok(()));
    }
    if let Some(model) = what.strip_prefix("loads ") {
        let (name, size) = model.split_once(' ')?;
        let size = size.strip_suffix(" GB")?.parse().ok()?;
        server.loaded.push(super::servers::loaded(name, size));
        return Some(Ok(()));
    }
    None
}

/// A code, or the name of a signal.
fn end_of(text: &str) -> ExitHow {
    text.parse().map_or_else(|_| ExitHow::Signal(text.into()), ExitHow::Code)
}

/// `NAME = N`.
fn setting_of(text: &str) -> Result<Setting, String> {
    let (name, value) = text.split_once(" = ").ok_or("NAME = N")?;
    let value = value.parse().map_err(|_| "NAME = N")?;
    Ok(Setting { name: name.into(), value })
}

/// `CAUSE: LINE`, or `CAUSE, possibly: LINE`.
fn log_sign(text: &str) -> Result<LogSign, String> {
    let (cause, line) = text.split_once(": ").ok_or("logs CAUSE: LINE")?;
    let (cause, confidence) = match cause.strip_suffix(", possibly") {
        Some(cause) => (cause, Confidence::Possible),
        None => (cause, Confidence::Likely),
    };
    let cause = CauseId::ALL.iter().find(|id| id.as_str() == cause).ok_or("a cause")?;
    Ok(LogSign { cause: *cause, confidence, line: line.into() })
}

impl World {
    /// A sentence about the host or about ourselves; none: it is about something else.
    pub fn host_shows(&mut self, line: &str) -> Option<Result<(), String>> {
        if let Some(program) = line.strip_prefix("the system ends ") {
            let (victim, largest) = match program.split_once(" while ") {
                Some((victim, rest)) => (victim, rest.strip_suffix(" holds most")),
                None => (program, None),
            };
            let (victim, why) = match victim.strip_suffix(" for its limit") {
                Some(victim) => (victim, EndedWhy::OverLimit),
                None => (victim, EndedWhy::OutOfMemory),
            };
            // A server that is watched is that very process, and gone.
            let server = match victim {
                "the server ollama" => Some(TargetId::Ollama),
                "the server mlx" => Some(TargetId::Mlx),
                _ => None,
            };
            let process = server.as_ref().and_then(|id| self.server_mut(id)?.process.as_ref());
            let (victim, pid) = process.map_or((victim.to_owned(), 4321), |process| {
                (process.seen.id.program().to_owned(), process.seen.id.pid)
            });
            let largest = largest.map(String::from);
            self.host.ended.push(EndedSeen { victim, pid, largest, why });
            if let Some(server) = server {
                self.dies(&server);
            }
            return Some(Ok(()));
        }
        if let Some(program) = line.strip_suffix(" crashes, says the system") {
            self.host.ended.push(EndedSeen {
                victim: program.into(),
                pid: 4321,
                largest: None,
                why: EndedWhy::Crashed { signal: "SIGABRT".into() },
            });
            return Some(Ok(()));
        }
        if let Some(gb) = line.strip_prefix("the GPU may hold ") {
            let (gb, is_set) = match gb.strip_suffix(" by default") {
                Some(gb) => (gb, false),
                None => (gb, true),
            };
            let gb: u64 = gb.strip_suffix(" GB")?.parse().ok()?;
            self.host.gpu_limit = Some(GpuLimit { bytes: gb * GB, is_set });
            return Some(Ok(()));
        }
        if let Some((owner, gb)) = line.split_once(" grows to ") {
            let gb: u64 = gb.strip_suffix(" GB")?.parse().ok()?;
            let ledger = self.host.ledger.get_or_insert_default();
            ledger.retain(|group| group.name != owner);
            ledger.push(MemoryGroup { name: owner.into(), bytes: gb * GB, processes: 1 });
            return Some(Ok(()));
        }
        let (gb, path) = line.strip_suffix(" left")?.split_once(" GB of ")?;
        let Ok(gb) = gb.parse::<u64>() else { return Some(Err("n GB of PATH left".into())) };
        let (total, path) = path.split_once(" GB of ").unwrap_or(("1000", path));
        let Ok(total) = total.parse::<u64>() else { return Some(Err("of n GB of PATH".into())) };
        self.host.volumes =
            vec![VolumeSeen { path: path.into(), free_bytes: gb * GB, total_bytes: total * GB }];
        Some(Ok(()))
    }

    /// A sentence about what a container's log and work show.
    pub fn container_shows(&mut self, name: &str, what: &str) -> Option<Result<(), String>> {
        let seen = &mut self.containers.get_mut(name)?.seen;
        if let Some(line) = what.strip_prefix("logs ") {
            return Some(log_sign(line).map(|sign| seen.log.signs = vec![sign]));
        }
        if let Some(silent) = what.strip_prefix("has logged nothing for ") {
            let silent = duration(silent).map(|silent| silent.as_secs());
            return Some(silent.map(|silent| {
                seen.log.silent_for_s = Some(silent);
                seen.log.last_line = Some("Database pool создан".into());
            }));
        }
        if let Some(silent) = what.strip_prefix("has got nothing done for ") {
            let silent = duration(silent).map(|silent| silent.as_secs());
            return Some(silent.map(|silent_for_s| {
                seen.progress = Some(ProgressSeen { silent_for_s, within_s: 1800 });
            }));
        }
        if let Some(setting) = what.strip_prefix("runs with ") {
            return Some(setting_of(setting).map(|setting| seen.settings.push(setting)));
        }
        if what == "gets work done again" {
            seen.progress = Some(ProgressSeen { silent_for_s: 5, within_s: 1800 });
            return Some(Ok(()));
        }
        if what == "comes up slowly" {
            seen.health = Some(doctor::ContainerHealth::Starting);
            return Some(Ok(()));
        }
        None
    }

    /// A sentence about where else a service answers, or how hard its container works.
    pub fn service_shows(&mut self, name: &str, what: &str) -> bool {
        let Some(service) = self.services.get_mut(name) else { return false };
        let elsewhere = "http://127.0.0.1:18010/health".to_owned();
        let share = what.strip_prefix("works with ").and_then(|it| it.strip_suffix(" % of a core"));
        if let Some(Ok(percent)) = share.map(str::parse) {
            (service.reply, service.cpu_percent) = (Reply::Silent, Some(percent));
            return true;
        }
        match what {
            "answers at another published port" => {
                let reply = Reply::Status { code: 200, body: Body::Expected };
                service.elsewhere = Some(Answer { url: elsewhere, reply, took_ms: 6 });
            }
            "answers nowhere else" => {
                service.elsewhere =
                    Some(Answer { url: elsewhere, reply: Reply::Refused, took_ms: 1 });
            }
            "works on one long task" => {
                service.reply = Reply::Silent;
                service.cpu_percent = Some(97);
            }
            "hangs without any work" => {
                service.reply = Reply::Silent;
                service.cpu_percent = Some(0);
            }
            _ => return false,
        }
        true
    }
}
