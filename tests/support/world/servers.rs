//! Ollama and MLX as the doctor's probes would see them, and as its hands would find them.

use doctor::{
    Answer, Body, DeepOutcome, Depth, ExitSeen, Holder, Installed, Launch, Lever, Listener,
    LoadedSeen, MlxSeen, MlxServer, ModelSeen, OllamaSeen, Outcome, ProcessId, ProcessSeen, Reply,
    StepId, Supervisor, Surroundings, TargetId, Timing, Unloaded,
};

use super::signs::Insides;
use super::{World, answer};

const GB: u64 = 1 << 30;

/// A model server: the process, how it answers, and how it takes being started and stopped.
#[derive(Clone, Debug)]
pub struct Server {
    pub id: TargetId,
    pub launch: Option<Launch>,
    pub process: Option<Running>,
    pub answers: Answers,
    /// Another program sits on the port.
    pub stranger: Option<ProcessSeen>,
    /// The system does not show who listens.
    pub hidden: bool,
    pub relatives: Vec<ProcessSeen>,
    pub installed: Installed,
    pub starts: Starts,
    pub stops: Stops,
    pub models: Vec<ModelSeen>,
    pub loaded: Vec<LoadedSeen>,
    /// MLX: answers, but to none of the known paths, and does not say what it is.
    pub recognised: bool,
    /// Which program the MLX server is.
    pub kind: MlxServer,
    pub insides: Insides,
    /// How often it was looked at.
    pub asked: u32,
}

#[derive(Clone, Debug)]
pub struct Running {
    pub seen: ProcessSeen,
    /// Listens from then on (run time).
    pub ready: u64,
}

/// How the server's own process answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    Well,
    /// In this many milliseconds.
    Late(u64),
    Hangs,
    /// Well and not at all, in turn.
    EveryOther,
    Empty,
    Reset,
    Garbage,
    Status(u16),
    /// As another product would.
    Other,
}

/// What a start leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starts {
    /// Listens after so many milliseconds.
    After(u64),
    Fails,
    /// The start is reported, and nothing runs.
    Nothing,
    Hangs,
    /// Answers at once and is gone after so many milliseconds.
    DiesAfter(u64),
}

/// What a stop leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stops {
    Obeys,
    IgnoresTerm,
    Unkillable,
}

impl Server {
    pub fn ollama() -> Self {
        let binary = Some("/usr/local/bin/ollama".into());
        Self {
            id: TargetId::Ollama,
            launch: Some(Launch::Auto),
            process: None,
            answers: Answers::Well,
            stranger: None,
            hidden: false,
            relatives: Vec::new(),
            installed: Installed { binary, ..Installed::default() },
            starts: Starts::After(1500),
            stops: Stops::Obeys,
            models: vec![model("llama3:8b", 5 * GB), model("nomic-embed-text", GB / 4)],
            loaded: Vec::new(),
            recognised: true,
            kind: MlxServer::MlxLm,
            insides: Insides::default(),
            asked: 0,
        }
    }

    pub fn mlx() -> Self {
        let command = ["/opt/mlx/bin/mlx_lm.server", "--port", "11435"];
        Self {
            id: TargetId::Mlx,
            launch: Some(Launch::Command(command.map(String::from).to_vec())),
            installed: Installed::default(),
            starts: Starts::After(8000),
            models: vec![model("qwen3", 20 * GB)],
            ..Self::ollama()
        }
    }

    /// It holds what is loaded in its own processes.
    pub fn holds_its_models(&mut self) {
        let held: u64 = self.loaded.iter().map(|one| one.size_bytes).sum();
        self.insides.activity.footprint_bytes = GB + held;
    }

    /// Its own executable, and what it is called with.
    fn command(&self) -> Vec<String> {
        match &self.launch {
            Some(Launch::Command(command)) => command.clone(),
            _ if self.id == TargetId::Ollama => {
                vec!["/usr/local/bin/ollama".into(), "serve".into()]
            }
            _ => vec!["/opt/mlx/bin/mlx_lm.server".into()],
        }
    }

    pub fn url(&self) -> &'static str {
        if self.id == TargetId::Ollama {
            "http://127.0.0.1:11434"
        } else {
            "http://127.0.0.1:11435"
        }
    }

    pub fn comes_up(&mut self, pid: u32, ready: u64) {
        self.restarted();
        let seen = process(pid, &self.command());
        self.process = Some(Running { seen, ready });
    }

    /// Who holds the port; a process that is still loading holds none.
    pub fn listener(&self, run: u64) -> Listener {
        if let Some(stranger) = &self.stranger {
            return Listener::Process(stranger.clone());
        }
        match &self.process {
            Some(running) if running.ready <= run && self.hidden => Listener::Hidden,
            Some(running) if running.ready <= run => Listener::Process(running.seen.clone()),
            Some(_) | None => Listener::Nobody,
        }
    }

    fn surroundings(&self, depth: Depth) -> Option<Surroundings> {
        (depth >= Depth::Full).then(|| Surroundings {
            relatives: self.processes(),
            installed: self.installed.clone(),
            supervisor: self.insides.supervisor.clone(),
            root: self.insides.root,
        })
    }

    /// Whatever is named like it, its own process included, though it may not listen yet.
    pub fn processes(&self) -> Vec<ProcessSeen> {
        let own = self.process.iter().map(|running| running.seen.clone());
        self.relatives.iter().cloned().chain(own).collect()
    }

    /// What a question to this path comes to, and after how long.
    fn ask(&self, path: &str, run: u64) -> Answer {
        let url = format!("{}{path}", self.url());
        let status = |code, body| Reply::Status { code, body };
        if self.stranger.is_some() {
            return answer(&url, status(200, Body::Other), 5);
        }
        if self.process.as_ref().is_none_or(|running| running.ready > run) {
            return answer(&url, Reply::Refused, 1);
        }
        match self.answers {
            Answers::Well => answer(&url, status(200, Body::Expected), 4),
            Answers::Late(took) => answer(&url, status(200, Body::Expected), took),
            Answers::Hangs => answer(&url, Reply::Silent, 5000),
            Answers::EveryOther if self.asked.is_multiple_of(2) => answer(&url, Reply::Refused, 1),
            Answers::EveryOther => answer(&url, status(200, Body::Expected), 4),
            Answers::Empty => answer(&url, Reply::Empty, 3),
            Answers::Reset => answer(&url, Reply::Reset, 3),
            Answers::Garbage => answer(&url, status(200, Body::Garbage), 4),
            Answers::Status(code) => answer(&url, status(code, Body::Other), 4),
            Answers::Other => answer(&url, status(200, Body::Other), 4),
        }
    }

    pub fn ollama_seen(
        &mut self,
        depth: Depth,
        run: u64,
        model: Option<&str>,
    ) -> (OllamaSeen, u64) {
        self.asked += 1;
        let version = self.ask("/api/version", run);
        let well = matches!(version.reply, Reply::Status { code: 200, body: Body::Expected });
        let full = depth >= Depth::Full;
        let (signs, asked) = self.signs(depth, well, model);
        let took = version.took_ms + asked + if full { 60 } else { 0 };
        let lists = well && !self.insides.ps_hangs;
        let seen = OllamaSeen {
            product_version: well.then(|| "0.12.3".into()),
            installed: (well && full).then(|| self.models.clone()),
            loaded: lists.then(|| self.loaded_now(run)),
            ps_fails: (well && !lists).then_some(Reply::Silent),
            signs,
            listener: self.listener(run),
            surroundings: self.surroundings(depth),
            version,
        };
        (seen, took)
    }

    /// Each with the time that is left to it: a request would move its end.
    fn loaded_now(&mut self, run: u64) -> Vec<LoadedSeen> {
        let works = self.insides.activity.runners_percent > 0 && !self.insides.unread;
        let mut loaded = self.loaded.clone();
        for model in &mut loaded {
            let used = self.insides.used.entry(model.name.clone()).or_insert(run);
            if works {
                *used = run;
            }
            let unused = (run - *used) / 1000;
            model.expires_in_s = model.expires_in_s.map(|left| left.saturating_sub(unused));
        }
        loaded
    }

    /// What an MLX server says that it holds, where its kind tells; when it lets go of it is not told.
    fn mlx_loaded(&self, well: bool) -> Option<Vec<LoadedSeen>> {
        let tells_size = match self.kind {
            MlxServer::Omlx | MlxServer::LmStudio => true,
            MlxServer::Omni => false,
            MlxServer::MlxLm
            | MlxServer::OpenAi
            | MlxServer::ModelServer
            | MlxServer::Ollama
            | MlxServer::Unrecognised => return None,
        };
        let told = self.loaded.iter().map(|one| LoadedSeen {
            size_bytes: if tells_size { one.size_bytes } else { 0 },
            expires_in_s: None,
            ..one.clone()
        });
        (well && self.stranger.is_none()).then(|| told.collect())
    }

    pub fn mlx_seen(&mut self, depth: Depth, run: u64, model: Option<&str>) -> (MlxSeen, u64) {
        self.asked += 1;
        let first = self.ask("/health", run);
        let goes_on = matches!(first.reply, Reply::Status { code: 404, .. });
        let mut asked = vec![first];
        if goes_on {
            asked.extend(["/v1/models", "/api/tags", "/"].map(|path| self.ask(path, run)));
        }
        let well = matches!(asked[0].reply, Reply::Status { code: 200, body: Body::Expected });
        let (signs, deep) = self.signs(depth, well, model);
        let took = asked.iter().map(|answer| answer.took_ms).sum::<u64>() + deep;
        let known = self.recognised && self.stranger.is_none();
        let seen = MlxSeen {
            server: if known { self.kind } else { MlxServer::Unrecognised },
            models: well.then(|| self.models.iter().map(|model| model.name.clone()).collect()),
            loaded: self.mlx_loaded(well),
            settings: (depth >= Depth::Full).then(|| self.insides.settings.clone()),
            listener: self.listener(run),
            surroundings: self.surroundings(depth),
            asked,
            signs,
        };
        (seen, took + if depth >= Depth::Full { 60 } else { 0 })
    }
}

impl World {
    pub fn server(&self, target: &TargetId) -> Option<&Server> {
        if *target == TargetId::Ollama { self.ollama.as_ref() } else { self.mlx.as_ref() }
    }

    pub fn server_mut(&mut self, target: &TargetId) -> Option<&mut Server> {
        if *target == TargetId::Ollama { self.ollama.as_mut() } else { self.mlx.as_mut() }
    }

    /// Starts it as a person or another supervisor would.
    pub fn started_by_others(&mut self, target: &TargetId) {
        let (pid, run) = (self.new_pid(), self.run_ms());
        if let Some(server) = self.server_mut(target) {
            server.answers = Answers::Well;
            server.comes_up(pid, run);
        }
    }

    /// A person starts it, and it takes its usual time until it listens.
    pub fn starts_and_loads(&mut self, target: &TargetId) {
        let (pid, run) = (self.new_pid(), self.run_ms());
        if let Some(server) = self.server_mut(target) {
            let after = if let Starts::After(after) = server.starts { after } else { 0 };
            server.comes_up(pid, run + after);
        }
    }

    pub fn dies(&mut self, target: &TargetId) {
        if let Some(server) = self.server_mut(target) {
            let ended = server.process.take();
            if let (Some(running), Some(how)) = (ended, server.insides.ends_by.take()) {
                server.insides.exits.push(ExitSeen { process: running.seen.id, how });
            }
            server.loaded.clear();
        }
    }

    pub(super) fn signal(&mut self, target: &TargetId, to: &ProcessId, kill: bool) -> Outcome {
        let Some(server) = self.server(target) else { return Outcome::IdentityChanged };
        match &server.process {
            Some(running) if running.seen.id == *to => {}
            Some(_) => return Outcome::IdentityChanged,
            None => return Outcome::Gone,
        }
        let obeys = match server.stops {
            Stops::Obeys => true,
            Stops::IgnoresTerm => kill,
            Stops::Unkillable => false,
        };
        if obeys {
            let (target, to) = (target.clone(), to.clone());
            self.later(if kill { 40 } else { 600 }, move |world| {
                let same = |running: &Running| running.seen.id == to;
                if world.server(&target).is_some_and(|one| one.process.as_ref().is_some_and(same)) {
                    world.dies(&target);
                }
            });
        }
        Outcome::Done
    }

    pub(super) fn await_gone(
        &mut self,
        target: TargetId,
        process: ProcessId,
        step: StepId,
        deadline: u64,
    ) {
        let there = self
            .server(&target)
            .and_then(|server| server.process.as_ref())
            .is_some_and(|running| running.seen.id == process);
        if !there {
            self.report(1, step, Outcome::Gone);
        } else if self.run_ms() >= deadline {
            self.report(1, step, Outcome::StillThere);
        } else {
            self.later(100, move |world| world.await_gone(target, process, step, deadline));
        }
    }

    /// An owner stops only what it keeps; what ignores its TERM it kills after its own time.
    pub(super) fn stop_through(
        &mut self,
        target: &TargetId,
        lever: &Lever,
        process: Option<&ProcessId>,
    ) -> Outcome {
        let Some(server) = self.server(target) else { return Outcome::IdentityChanged };
        let running = server.process.as_ref().map(|running| running.seen.id.clone());
        let keeps = match (&server.insides.supervisor, lever) {
            (Some(Supervisor::App(own)), Lever::App(asked))
            | (Some(Supervisor::Launchd(own)), Lever::Launchd(asked))
            | (Some(Supervisor::Unit { name: own, of_user: true }), Lever::Unit(asked))
            | (Some(Supervisor::Unit { name: own, of_user: false }), Lever::SystemUnit(asked)) => {
                own == asked
            }
            (None, _) => true,
            (Some(_), _) => false,
        };
        if process.is_some() && (!keeps || process != running.as_ref()) {
            return Outcome::IdentityChanged;
        }
        let after = match server.stops {
            Stops::Obeys => 600,
            Stops::IgnoresTerm => 20_000,
            Stops::Unkillable => return Outcome::Done,
        };
        let target = target.clone();
        self.later(after, move |world| {
            let now = world.server(&target).and_then(|server| server.process.as_ref());
            if now.map(|running| &running.seen.id) == running.as_ref() {
                world.dies(&target);
            }
        });
        Outcome::Done
    }

    pub(super) fn await_back(&mut self, target: TargetId, step: StepId, deadline: u64) {
        let run = self.run_ms();
        let server = self.server(&target);
        let listener = server.map_or(Listener::Nobody, |server| server.listener(run));
        if listener != Listener::Nobody || run >= deadline {
            self.report(1, step, Outcome::Listening(listener));
        } else {
            self.later(250, move |world| world.await_back(target, step, deadline));
        }
    }

    pub(super) fn start_server(&mut self, target: &TargetId, lever: &Lever, step: StepId) {
        let (pid, run) = (self.new_pid(), self.run_ms());
        let Some(server) = self.server_mut(target) else { return };
        let ready = match server.starts {
            Starts::After(after) => Some(after),
            Starts::Hangs | Starts::DiesAfter(_) => Some(200),
            Starts::Nothing => None,
            Starts::Fails => {
                let reason = "permission denied".into();
                self.report(50, step, Outcome::Failed { reason, permanent: false });
                return;
            }
        };
        // A second copy cannot bind the port and ends.
        if server.process.is_none()
            && let Some(ready) = ready
        {
            server.answers =
                if server.starts == Starts::Hangs { Answers::Hangs } else { Answers::Well };
            server.comes_up(pid, run + ready);
        }
        let started = match lever {
            Lever::Command(command) => Some(process(pid, command).id),
            Lever::Launchd(_) | Lever::App(_) | Lever::Unit(_) | Lever::SystemUnit(_) => None,
        };
        if let Starts::DiesAfter(after) = server.starts {
            let target = target.clone();
            self.later(after, move |world| world.dies(&target));
        }
        self.report(300, step, Outcome::Started { process: started });
    }

    pub(super) fn unload(&mut self, models: &[String], step: StepId) {
        let mut unloaded = Unloaded {
            models: Vec::new(),
            left: Vec::new(),
            holders: Vec::new(),
            freed_bytes: Some(0),
            expected_bytes: 0,
        };
        let mut freed = 0;
        if let Some(server) = &mut self.ollama {
            let keeps = server.insides.keeps_models;
            server.loaded.retain(|loaded| {
                let meant = models.is_empty() || models.contains(&loaded.name);
                if meant {
                    unloaded.models.push(loaded.name.clone());
                    unloaded.expected_bytes += loaded.size_bytes;
                    if keeps {
                        unloaded.left.push(loaded.name.clone());
                    } else {
                        freed += loaded.size_bytes;
                    }
                }
                !meant || keeps
            });
            if server.insides.cured_by_unload && !keeps {
                server.insides.generates = DeepOutcome::Answered;
            }
        }
        let runners = self
            .ollama
            .as_ref()
            .and_then(|server| server.insides.runners.clone())
            .unwrap_or_default();
        // A runner that outlives its model keeps what it took.
        for runner in runners {
            if runner.model.as_ref().is_some_and(|model| unloaded.models.contains(model)) {
                freed = freed.saturating_sub(runner.footprint_bytes);
                let bytes = runner.footprint_bytes;
                unloaded.holders.push(Holder { pid: runner.process.pid, bytes });
            }
        }
        unloaded.freed_bytes = Some(freed);
        self.report(900, step, Outcome::Unloaded(unloaded));
    }

    /// As an unload of Ollama's: all that it holds without a name.
    pub(super) fn unload_mlx(&mut self, model: Option<&str>, step: StepId) {
        let mut freed = 0;
        let mut models: Vec<String> = model.map(str::to_owned).into_iter().collect();
        let mut holders = Vec::new();
        if let Some(server) = &mut self.mlx {
            let keeps = server.insides.keeps_models;
            server.loaded.retain(|loaded| {
                let meant = model.is_none_or(|model| model == loaded.name);
                if meant {
                    freed += loaded.size_bytes;
                }
                !meant || keeps
            });
            if let (true, Some(running)) = (keeps, &server.process) {
                holders.push(Holder { pid: running.seen.id.pid, bytes: freed });
                freed = 0;
            }
            let held = &mut server.insides.activity.footprint_bytes;
            *held = held.saturating_sub(freed);
        }
        if models.is_empty() {
            models.push("MLX".into());
        }
        let unloaded = Unloaded {
            models,
            left: Vec::new(),
            holders,
            freed_bytes: Some(freed),
            expected_bytes: 0,
        };
        self.report(900, step, Outcome::Unloaded(unloaded));
    }

    pub(super) fn measure(&mut self, model: String, step: StepId) {
        let timing = Timing {
            server: TargetId::Ollama,
            model,
            at: self.now().wall,
            load_ms: Some(6000),
            first_token_ms: Some(200),
            prompt_tokens_per_s: Some(300.0),
            tokens_per_s: Some(self.ollama.as_ref().map_or(42.0, |one| one.insides.speed)),
            memory_bytes: Some(5 * GB),
            error: None,
        };
        self.report(12_000, step, Outcome::Measured(Box::new(timing)));
    }
}

/// A process that this command line runs.
pub fn process(pid: u32, command: &[String]) -> ProcessSeen {
    ProcessSeen {
        id: ProcessId {
            pid,
            started: u64::from(pid) * 1000,
            executable: command.first().cloned().unwrap_or_default(),
        },
        uid: Some(501),
        user: Some("ann".into()),
        parent: Some(1),
        command: command.to_vec(),
        since: None,
    }
}

pub(super) fn model(name: &str, size_bytes: u64) -> ModelSeen {
    ModelSeen {
        name: name.into(),
        size_bytes,
        parameters: "8.0B".into(),
        quantisation: "Q4_0".into(),
    }
}

/// A loaded model, kept for four hours after its last use.
pub fn loaded(name: &str, size_gb: u64) -> LoadedSeen {
    LoadedSeen {
        name: name.into(),
        size_bytes: size_gb * GB,
        vram_bytes: size_gb * GB,
        context_length: 4096,
        expires_in_s: Some(4 * 3600),
        stays: false,
    }
}
