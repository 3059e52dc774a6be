//! Reads a story: plain sentences about the world, each at its time.
//!
//! ```text
//! Ollama is killed; it is started again and proven.
//! covers: ollama.not_running R11 R46
//!
//! given ollama
//! 01:00  ollama dies
//! 05:00  the end
//! ```

use std::time::Duration;

use doctor::{
    Asker, Care, ContainerEvent, ContainerHealth, ContainerStatus, Event, Heal, Launch,
    LedgerFound, MeasurePlan, Reply, RestartPolicy, Spec, TargetId, Unload, Wish,
};

use super::World;
use super::containers::{Container, ContainerStarts, EngineState, Service};
use super::servers::{Answers, Server, Starts, Stops, loaded, process};

/// A story, read.
pub struct Story {
    pub title: String,
    pub covers: Vec<String>,
    pub given: Vec<String>,
    /// Time in milliseconds, the time as written, and what happens.
    pub happens: Vec<(u64, String, String)>,
}

impl Story {
    /// Indented lines are the doctor's, and not read.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        let title = lines.next().unwrap_or_default().to_owned();
        let mut story = Self { title, covers: Vec::new(), given: Vec::new(), happens: Vec::new() };
        for line in lines {
            if line.is_empty() || line.starts_with(' ') {
                continue;
            }
            if let Some(covers) = line.strip_prefix("covers:") {
                story.covers = covers.split_whitespace().map(String::from).collect();
            } else if let Some(given) = line.strip_prefix("given ") {
                story.given.push(given.into());
            } else {
                let (time, what) = line
                    .split_once(' ')
                    .ok_or_else(|| format!("`{line}` is neither `given …` nor `mm:ss  …`"))?;
                story.happens.push((time_of(time)?, time.into(), what.trim().into()));
            }
        }
        Ok(story)
    }

    /// Plays it and writes it down again, with what the doctor did under what happened.
    pub fn play(&self, seed: u64) -> Result<String, String> {
        let mut world = World::new(seed);
        let mut found = LedgerFound::None;
        for line in &self.given {
            if line == "a damaged ledger" {
                found = LedgerFound::Damaged;
            } else {
                given(&mut world, line).map_err(|error| format!("given {line}: {error}"))?;
            }
        }
        world.begin(found);
        let mut told = String::new();
        let mut written = 0;
        for (at, time, what) in &self.happens {
            world.run_until(*at);
            write_lines(&mut told, &world, &mut written);
            told += &format!("{time}  {what}\n");
            happen(&mut world, what).map_err(|error| format!("{time}  {what}: {error}"))?;
            write_lines(&mut told, &world, &mut written);
        }
        let given: String = self.given.iter().map(|line| format!("given {line}\n")).collect();
        let covers = self.covers.join(" ");
        Ok(format!("{}\ncovers: {covers}\n\n{given}\n{told}", self.title))
    }
}

fn write_lines(told: &mut String, world: &World, written: &mut usize) {
    for (at, line) in &world.tale.lines[*written..] {
        *told += &format!("    {}  {line}\n", clock(*at));
    }
    *written = world.tale.lines.len();
}

fn clock(ms: u64) -> String {
    let (seconds, tenths) = (ms / 1000, ms % 1000 / 100);
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    if hours > 0 {
        format!("{hours}:{:02}:{:02}.{tenths}", minutes % 60, seconds % 60)
    } else {
        format!("{minutes:02}:{:02}.{tenths}", seconds % 60)
    }
}

fn time_of(text: &str) -> Result<u64, String> {
    let wrong = |_| format!("`{text}` is not a time");
    let (whole, tenths) = text.split_once('.').unwrap_or((text, "0"));
    let mut total: u64 = 0;
    for part in whole.split(':') {
        total = total * 60 + part.parse::<u64>().map_err(wrong)?;
    }
    Ok(total * 1000 + tenths.parse::<u64>().map_err(wrong)? * 100)
}

/// `20 s`, `8 h`, `3 min`.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.trim().split_once(' ').ok_or(format!("`{text}` is no duration"))?;
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is no duration"))?;
    match unit {
        "s" => Ok(Duration::from_secs(number)),
        "min" => Ok(Duration::from_secs(60 * number)),
        "h" => Ok(Duration::from_secs(3600 * number)),
        _ => Err(format!("`{unit}` is no unit of time")),
    }
}

fn ms(text: &str) -> Result<u64, String> {
    duration(text).map(doctor::millis)
}

fn spec(id: TargetId, interval: u64, care: Care) -> Spec {
    Spec {
        name: id.to_string(),
        id,
        configured: true,
        heal: Heal::Auto,
        interval: Duration::from_secs(interval),
        grace: Duration::from_secs(50),
        needs: Vec::new(),
        care,
    }
}

/// A line before the first time: what there is.
pub fn given(world: &mut World, line: &str) -> Result<(), String> {
    if world.roster.is_empty() {
        world.roster.push(spec(TargetId::Host, 5, Care::Host));
    }
    if let Some(before) = line.strip_prefix("the machine was booted ") {
        let before = before.strip_suffix(" ago").ok_or("… ago")?;
        world.booted(duration(before)?);
        return Ok(());
    }
    let (what, traits) = line.split_once(':').unwrap_or((line, ""));
    let traits: Vec<&str> =
        traits.split(',').map(str::trim).filter(|one| !one.is_empty()).collect();
    let (kind, name) = what.split_once(' ').unwrap_or((what, ""));
    match kind {
        "ollama" | "mlx" => given_server(world, kind, &traits),
        "docker" => {
            world.engine.state = EngineState::Up;
            let mut docker = spec(TargetId::Docker, 15, Care::Docker);
            for one in traits {
                match one {
                    "absent" => world.engine.state = EngineState::Absent,
                    "not configured" => docker.configured = false,
                    _ => return Err(format!("`{one}` is not known of Docker")),
                }
            }
            world.roster.push(docker);
            Ok(())
        }
        "container" => given_container(world, name, &traits),
        "service" => given_service(world, name, &traits),
        _ => Err(format!("`{kind}` is nothing that is watched")),
    }
}

fn given_server(world: &mut World, kind: &str, traits: &[&str]) -> Result<(), String> {
    let (pid, run) = (world.new_pid(), world.run_ms());
    let mut server = if kind == "ollama" { Server::ollama() } else { Server::mlx() };
    let mut one = spec(server.id.clone(), 10, Care::Host);
    let mut runs = true;
    for each in traits {
        if let Some(launch) = each.strip_prefix("launch ") {
            server.launch = Some(launch_of(launch));
        } else if let Some(after) = each.strip_prefix("starts in ") {
            server.starts = Starts::After(ms(after)?);
        } else if let Some((name, size)) =
            each.strip_prefix("loaded ").and_then(|model| model.split_once(' '))
        {
            let size = size.strip_suffix(" GB").and_then(|size| size.parse().ok());
            server.loaded.push(loaded(name, size.ok_or("loaded NAME n GB")?));
        } else {
            match *each {
                "not running" => runs = false,
                "not installed" => server.installed.binary = None,
                "not configured" => one.configured = false,
                "without a launch command" => server.launch = None,
                "heal ask" => one.heal = Heal::Ask,
                "heal observe" => one.heal = Heal::Observe,
                "the app is installed" => {
                    server.installed.app = Some("/Applications/Ollama.app".into());
                }
                "a systemd unit exists" => {
                    server.installed.systemd_unit =
                        Some("/etc/systemd/system/ollama.service".into());
                }
                _ => return Err(format!("`{each}` is not known of a server")),
            }
        }
    }
    if runs {
        server.comes_up(pid, run);
    }
    one.care = match kind {
        "ollama" => Care::Ollama {
            launch: server.launch.clone().unwrap_or(Launch::Auto),
            pinned: vec!["nomic-embed-text".into()],
        },
        _ => Care::Mlx { launch: server.launch.clone() },
    };
    world.roster.push(one);
    if kind == "ollama" {
        world.ollama = Some(server);
    } else {
        world.mlx = Some(server);
    }
    Ok(())
}

fn launch_of(text: &str) -> Launch {
    match text {
        "auto" => Launch::Auto,
        "app" => Launch::App,
        "brew" => Launch::Brew,
        "serve" => Launch::Serve,
        other => match other.strip_prefix("launchd:") {
            Some(label) => Launch::Launchd(label.into()),
            None => Launch::Command(other.split(' ').map(String::from).collect()),
        },
    }
}

fn given_container(world: &mut World, name: &str, traits: &[&str]) -> Result<(), String> {
    let mut container = Container::new(name, world.engine_ms() - 60_000);
    let id = TargetId::Container(name.into());
    let mut one = spec(id, 60, Care::Container { critical: false, compose: None });
    one.configured = false;
    let mut critical = false;
    for each in traits {
        if let Some(policy) = each.strip_prefix("policy ") {
            container.seen.restart_policy = match policy {
                "no" => RestartPolicy::No,
                "always" => RestartPolicy::Always,
                "unless-stopped" => RestartPolicy::UnlessStopped,
                "on-failure" => RestartPolicy::OnFailure(3),
                _ => return Err(format!("`{policy}` is no restart policy")),
            };
        } else if let Some(code) = each.strip_prefix("exited with ") {
            container.seen.status = ContainerStatus::Exited;
            container.seen.exit_code = code.parse().map_err(|_| "exited with CODE")?;
            container.seen.finished_ms = Some(world.engine_ms() - 30_000);
        } else if let Some(need) = each.strip_prefix("needs ") {
            one.needs.push(need.parse()?);
        } else {
            match *each {
                "critical" => {
                    critical = true;
                    one.configured = true;
                }
                "compose" => container.with_compose(),
                "no memory limit" => container.seen.memory_limit = 0,
                "with a health check" => {
                    container.seen.health = Some(ContainerHealth::Healthy);
                }
                "skip" => container.seen.skip = true,
                _ => return Err(format!("`{each}` is not known of a container")),
            }
        }
    }
    if critical {
        one.care = Care::Container { critical, compose: None };
        world.roster.push(one);
    }
    world.containers.insert(name.into(), container);
    Ok(())
}

fn given_service(world: &mut World, name: &str, traits: &[&str]) -> Result<(), String> {
    let well = Reply::Status { code: 200, body: doctor::Body::Expected };
    let mut service = Service {
        url: "http://127.0.0.1:8010/health".into(),
        container: None,
        reply: well,
        cured_by_restart: true,
    };
    let mut one = spec(TargetId::Service(name.into()), 10, Care::Host);
    for each in traits {
        if let Some(container) = each.strip_prefix("in container ") {
            service.container = Some(container.into());
        } else if let Some(need) = each.strip_prefix("needs ") {
            one.needs.push(need.parse()?);
        } else if *each == "not cured by a restart" {
            service.cured_by_restart = false;
        } else {
            return Err(format!("`{each}` is not known of a service"));
        }
    }
    one.care = Care::Service { expect: vec![200], container: service.container.clone() };
    world.roster.push(one);
    world.services.insert(name.into(), service);
    Ok(())
}

/// A line of the timeline.
pub fn happen(world: &mut World, line: &str) -> Result<(), String> {
    if let Some(wish) = line.strip_prefix("a person asks: ") {
        let wish = wish_of(wish)?;
        world.wish(wish, Asker::Person);
        return Ok(());
    }
    if let Some(target) = line.strip_prefix("an agent complains about ") {
        let targets = match target {
            "everything" => Vec::new(),
            one => vec![one.parse()?],
        };
        world.wish(Wish::Recover { targets }, Asker::Agent);
        return Ok(());
    }
    if let Some(how_long) = line.strip_prefix("the machine sleeps for ") {
        let slept = duration(how_long)?;
        world.sleep(slept);
        world.tell_later(200, Event::Woke { slept });
        return Ok(());
    }
    if let Some(how_long) = line.strip_prefix("the machine sleeps unnoticed for ") {
        world.sleep(duration(how_long)?);
        return Ok(());
    }
    if let Some(away) = line.strip_prefix("the machine is booted anew, away for ") {
        world.reboot(duration(away)?);
        return Ok(());
    }
    if let Some(late) = line.strip_prefix("our own loop is late by ") {
        world.tell(Event::Late { by: duration(late)? });
        return Ok(());
    }
    if let Some(server) = server_named(line) {
        return server_happens(world, &server, line.split_once(' ').map_or("", |(_, what)| what));
    }
    match line {
        "the end" | "nothing happens" => Ok(()),
        "the wall clock jumps a day ahead" => {
            world.move_wall(86_400_000);
            Ok(())
        }
        "the wall clock is set back an hour" => {
            world.move_wall(-3_600_000);
            Ok(())
        }
        "the awake clock goes back 10 s" => {
            world.awake_goes_back(Duration::from_secs(10));
            Ok(())
        }
        "the disk is full" => {
            world.disk_full = true;
            Ok(())
        }
        "the disk has room again" => {
            world.disk_full = false;
            Ok(())
        }
        "Homeostat is relaunched" => {
            world.relaunch();
            Ok(())
        }
        "memory is under pressure" => {
            world.memory(2, 1);
            Ok(())
        }
        "memory is critical" => {
            world.memory(4, 4);
            Ok(())
        }
        "the swap is full and the level normal" => {
            world.memory(1, 16);
            Ok(())
        }
        "memory is calm again" => {
            world.memory(1, 0);
            Ok(())
        }
        "docker goes away" => {
            world.engine_goes_down(false);
            Ok(())
        }
        "docker shuts down, stopping all containers" => {
            world.engine_goes_down(true);
            Ok(())
        }
        "docker hangs" => {
            world.engine.state = EngineState::Hangs;
            Ok(())
        }
        "docker answers again" | "docker comes up" => {
            world.engine_comes_up();
            Ok(())
        }
        "the event stream stalls" => {
            world.engine.stalled = true;
            Ok(())
        }
        _ => thing_happens(world, line),
    }
}

fn server_named(line: &str) -> Option<TargetId> {
    match line.split_once(' ')?.0 {
        "ollama" => Some(TargetId::Ollama),
        "mlx" => Some(TargetId::Mlx),
        _ => None,
    }
}

fn server_happens(world: &mut World, id: &TargetId, what: &str) -> Result<(), String> {
    match what {
        "dies" => {
            world.dies(id);
            return Ok(());
        }
        "is started by a person" | "is started by somebody else" => {
            world.started_by_others(id);
            return Ok(());
        }
        "is restarted by somebody else" => {
            world.dies(id);
            world.started_by_others(id);
            return Ok(());
        }
        _ => {}
    }
    let server = world.server_mut(id).ok_or("no such server is given")?;
    if let Some(program) = what.strip_prefix("loses its port to ") {
        let (program, pid) = program.split_once(" pid ").ok_or("PROGRAM pid N")?;
        let pid = pid.parse().map_err(|_| "pid N")?;
        server.process = None;
        server.stranger = Some(process(pid, &[format!("/usr/bin/{program}")]));
        return Ok(());
    }
    if let Some(after) = what.strip_prefix("will start in ") {
        server.starts = Starts::After(ms(after)?);
        return Ok(());
    }
    if let Some(after) = what.strip_prefix("will die ") {
        let after =
            after.strip_suffix(" after each start").ok_or("will die N s after each start")?;
        server.starts = Starts::DiesAfter(ms(after)?);
        return Ok(());
    }
    if let Some(after) = what.strip_prefix("answers late, after ") {
        let after = after.strip_suffix(" ms").and_then(|ms| ms.parse().ok());
        server.answers = Answers::Late(after.ok_or("answers late, after N ms")?);
        return Ok(());
    }
    if let Some(code) = what.strip_prefix("answers with status ") {
        server.answers = Answers::Status(code.parse().map_err(|_| "a status code")?);
        return Ok(());
    }
    match what {
        "answers again" => server.answers = Answers::Well,
        "hangs" => server.answers = Answers::Hangs,
        "hangs behind a hidden listener" => {
            server.answers = Answers::Hangs;
            server.hidden = true;
        }
        "closes without an answer" => server.answers = Answers::Empty,
        "resets connections" => server.answers = Answers::Reset,
        "answers garbage" => server.answers = Answers::Garbage,
        "answers as another product" => server.answers = Answers::Other,
        "is not recognised" => server.recognised = false,
        "gets its port back" => server.stranger = None,
        "leaves an ollama-mcp running" => {
            let command = ["/usr/bin/node".to_owned(), "/opt/ollama-mcp.js".to_owned()];
            server.relatives.push(process(321, &command));
        }
        "is uninstalled" => server.installed.binary = None,
        "is installed" => server.installed.binary = Some("/usr/local/bin/ollama".into()),
        "ignores TERM" => server.stops = Stops::IgnoresTerm,
        "cannot be killed" => server.stops = Stops::Unkillable,
        "cannot be started" => server.starts = Starts::Fails,
        "starts do nothing" => server.starts = Starts::Nothing,
        "hangs after each start" => server.starts = Starts::Hangs,
        "can be started again" => server.starts = Starts::After(1500),
        _ => return Err(format!("`{what}` cannot happen to a server")),
    }
    Ok(())
}

fn thing_happens(world: &mut World, line: &str) -> Result<(), String> {
    for (before, act) in [
        ("a person stops ", World::stopped_by_hand as fn(&mut World, &str)),
        ("a person starts ", World::runs),
        ("compose makes anew ", World::recreated),
    ] {
        if let Some(name) = line.strip_prefix(before) {
            act(world, name);
            return Ok(());
        }
    }
    let (name, what) = line.split_once(' ').ok_or("what?")?;
    if world.services.contains_key(name) {
        return service_happens(world, name, what);
    }
    if !world.containers.contains_key(name) {
        return Err(format!("`{name}` is nothing that is given"));
    }
    container_happens(world, name, what)
}

fn service_happens(world: &mut World, name: &str, what: &str) -> Result<(), String> {
    let service = world.services.get_mut(name).ok_or("no such service")?;
    service.reply = match what {
        "refuses connections" => Reply::Refused,
        "hangs" => Reply::Silent,
        "closes without an answer" => Reply::Empty,
        "answers again" => Reply::Status { code: 200, body: doctor::Body::Expected },
        other => match other.strip_prefix("answers with status ") {
            Some(code) => Reply::Status {
                code: code.parse().map_err(|_| "a status code")?,
                body: doctor::Body::Other,
            },
            None => return Err(format!("`{what}` cannot happen to a service")),
        },
    };
    Ok(())
}

fn container_happens(world: &mut World, name: &str, what: &str) -> Result<(), String> {
    if let Some(code) =
        what.strip_prefix("exits with ").and_then(|code| code.strip_suffix(" and stays down"))
    {
        let container = world.containers.get_mut(name).ok_or("no such container")?;
        container.policy_is_off = true;
        world.ends(name, code.parse().map_err(|_| "a code")?, false);
        return Ok(());
    }
    if let Some(code) = what.strip_prefix("exits with ") {
        world.ends(name, code.parse().map_err(|_| "a code")?, false);
        return Ok(());
    }
    if let Some(rest) = what.strip_prefix("will exit with ") {
        let (code, after) = rest.split_once(" after ").ok_or("CODE after N s")?;
        let (code, after) = (code.parse().map_err(|_| "a code")?, ms(after)?);
        let container = world.containers.get_mut(name).ok_or("no such container")?;
        container.starts = ContainerStarts::ExitsAfter(after, code);
        return Ok(());
    }
    if let Some(signal) = what.strip_prefix("is sent signal ") {
        world.news(name, ContainerEvent::Kill { signal: signal.into() });
        return Ok(());
    }
    match what {
        "runs out of memory" => world.ends(name, 137, true),
        "runs out of memory unseen" => {
            world.engine.stalled = true;
            world.ends(name, 137, true);
            world.engine.stalled = false;
        }
        "loses a child for want of memory" => world.news(name, ContainerEvent::Oom),
        "becomes unhealthy" => world.health(name, ContainerHealth::Unhealthy),
        "becomes healthy" => world.health(name, ContainerHealth::Healthy),
        "is paused" => {
            if let Some(container) = world.containers.get_mut(name) {
                container.seen.status = ContainerStatus::Paused;
            }
            world.news(name, ContainerEvent::Pause);
        }
        "is unpaused" => {
            if let Some(container) = world.containers.get_mut(name) {
                container.seen.status = ContainerStatus::Running;
            }
            world.news(name, ContainerEvent::Unpause);
        }
        "is removed" => {
            world.news(name, ContainerEvent::Destroy);
            world.containers.remove(name);
        }
        "is started unheard" => {
            world.engine.stalled = true;
            world.runs(name);
            world.engine.stalled = false;
        }
        "cannot be started" => set_starts(world, name, ContainerStarts::Fails),
        "can never be started" => set_starts(world, name, ContainerStarts::Never),
        "will start without saying so" => set_starts(world, name, ContainerStarts::Silently),
        "can be started again" => set_starts(world, name, ContainerStarts::Works),
        "ignores being stopped" => {
            if let Some(container) = world.containers.get_mut(name) {
                container.ignores_stop = true;
            }
        }
        _ => return Err(format!("`{what}` cannot happen to a container")),
    }
    Ok(())
}

fn set_starts(world: &mut World, name: &str, starts: ContainerStarts) {
    if let Some(container) = world.containers.get_mut(name) {
        container.starts = starts;
    }
}

fn wish_of(text: &str) -> Result<Wish, String> {
    match text {
        "recover everything" => return Ok(Wish::Recover { targets: Vec::new() }),
        "check everything" => return Ok(Wish::CheckEverything),
        "unload all" => return Ok(Wish::Unload(Unload::All)),
        "unload idle" => return Ok(Wish::Unload(Unload::Idle)),
        "measure" => return Ok(Wish::Measure(MeasurePlan::default())),
        "cancel the measurement" => return Ok(Wish::CancelMeasure),
        _ => {}
    }
    let (verb, what) = text.split_once(' ').ok_or("VERB TARGET")?;
    if verb == "unload" {
        return Ok(Wish::Unload(Unload::Model(what.into())));
    }
    let target: TargetId = what.parse()?;
    match verb {
        "recover" => Ok(Wish::Recover { targets: vec![target] }),
        "restart" => Ok(Wish::Restart { target }),
        "start" => Ok(Wish::Start { target }),
        "stop" => Ok(Wish::Stop { target }),
        "hold" => Ok(Wish::Hold { target }),
        "release" => Ok(Wish::Release { target }),
        _ => Err(format!("`{verb}` is nothing a person can ask")),
    }
}
