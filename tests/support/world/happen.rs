//! What happens in a story, in plain sentences.

use std::time::Duration;

use doctor::{
    Asker, Calls, ContainerEvent, ContainerHealth, ContainerStatus, Event, MeasurePlan, Reply,
    TargetId, Unload, Wish,
};

use super::World;
use super::containers::{ContainerStarts, EngineState};
use super::noise::foretold;
use super::script::{duration, ms};
use super::servers::{Answers, Starts, Stops, process};
use super::signs::server_shows;

/// A line of the timeline.
pub fn happen(world: &mut World, line: &str) -> Result<(), String> {
    if let Some(wish) = line.strip_prefix("a person asks: ") {
        let wish = match wish {
            "cancel what is ensured" => cancel(world),
            _ => wish_of(wish)?,
        };
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
    if let Some(calls) = line.strip_prefix("agents report ") {
        let (local, cloud) = calls
            .strip_suffix(" in the cloud")
            .and_then(|calls| calls.split_once(" calls here and "))
            .ok_or("N calls here and N in the cloud")?;
        let number = |text: &str| text.parse().map_err(|_| format!("`{text}` is no number"));
        world.tell(&Event::Called(Calls { local: number(local)?, cloud: number(cloud)? }));
        return Ok(());
    }
    if let Some(looks) = line.strip_prefix("the next looks at ") {
        let (target, brings) = looks.split_once(" bring ").ok_or("at TARGET bring ANSWER, …")?;
        world.foretold.insert(target.parse()?, foretold(brings)?);
        return Ok(());
    }
    if machine_happens(world, line)? {
        return Ok(());
    }
    if let Some(late) = line.strip_prefix("our own loop is late by ") {
        world.tell(&Event::Late { by: duration(late)? });
        return Ok(());
    }
    if let Some(percent) = line.strip_prefix("the load of each core is ") {
        let percent = percent.strip_suffix(" %").and_then(|percent| percent.parse().ok());
        world.host.load_percent = percent.ok_or("the load of each core is N %")?;
        return Ok(());
    }
    if let Some(took) = line.strip_prefix("we answer ourselves after ") {
        world.tell(&Event::SelfProbed { took: duration(took)? });
        return Ok(());
    }
    if let Some(crowd) = line.strip_prefix("fifty agents complain about ") {
        let target: TargetId = crowd.parse()?;
        for _ in 0..50 {
            world.wish(Wish::Recover { targets: vec![target.clone()] }, Asker::Agent);
        }
        return Ok(());
    }
    if let Some(shown) = world.host_shows(line) {
        return shown;
    }
    if let Some(server) = server_named(line) {
        return server_happens(world, &server, line.split_once(' ').map_or("", |(_, what)| what));
    }
    plain_happens(world, line).unwrap_or_else(|| thing_happens(world, line))
}

/// Sentences without a value; none: it is another one.
fn plain_happens(world: &mut World, line: &str) -> Option<Result<(), String>> {
    match line {
        "the end" | "nothing happens" => {}
        "twenty dark wakes pass" => {
            for _ in 0..20 {
                world.sleep(Duration::from_mins(24));
                world.run_until(world.story_ms() + 20_000);
            }
        }
        "we run out of file descriptors" => {
            world.blind = true;
        }
        "we have file descriptors again" => {
            world.blind = false;
        }
        "Homeostat is relaunched over a damaged ledger" => {
            world.relaunch_over_damage();
        }
        "the wall clock jumps a day ahead" => {
            world.move_wall(86_400_000);
        }
        "the wall clock is set back an hour" => {
            world.move_wall(-3_600_000);
        }
        "the awake clock goes back 10 s" => {
            world.awake_goes_back(Duration::from_secs(10));
        }
        "the disk is full" => {
            world.disk_full = true;
        }
        "the disk has room again" => {
            world.disk_full = false;
        }
        "memory is under pressure" => {
            world.memory(2, 1);
        }
        "memory is critical" => {
            world.memory(4, 4);
        }
        "the swap is full and the level normal" => {
            world.memory(1, 16);
        }
        "memory is calm again" => {
            world.memory(1, 0);
        }
        "docker goes away" => {
            world.engine_goes_down(false);
        }
        "docker shuts down, stopping all containers" => {
            world.engine_goes_down(true);
        }
        "docker crashes" => {
            world.engine_crashes();
        }
        "docker hangs" => {
            world.engine.state = EngineState::Hangs;
            world.containers.values_mut().for_each(|one| one.held = false);
        }
        "docker answers that it is starting" => {
            world.engine.state = EngineState::Starts;
        }
        "docker is not cured by a restart" => {
            world.engine.incurable = true;
        }
        "docker is closed to us" => {
            world.engine.state = EngineState::Forbidden;
        }
        "docker wakes from its Resource Saver" => {
            world.engine.wakes_in = Some(4000);
        }
        "docker is awake again" => {
            world.engine.wakes_in = None;
        }
        "docker answers again" | "docker comes up" => {
            world.engine_comes_up();
        }
        "the event stream stalls" => {
            world.engine.stalled = true;
        }
        _ => return None,
    }
    Some(Ok(()))
}

/// Sleeps and boots of the machine, ends and starts of the app; false: it is something else.
fn machine_happens(world: &mut World, line: &str) -> Result<bool, String> {
    if let Some(how_long) = line.strip_prefix("the machine sleeps for ") {
        let slept = duration(how_long)?;
        world.sleep(slept);
        world.tell_later(200, Event::Woke { slept });
        return Ok(true);
    }
    if let Some(how_long) = line.strip_prefix("the machine sleeps unnoticed for ") {
        world.sleep(duration(how_long)?);
        return Ok(true);
    }
    if let Some(away) = line.strip_prefix("the kernel panics, and the machine is back after ") {
        for server in [TargetId::Ollama, TargetId::Mlx] {
            world.dies(&server);
        }
        world.reboot(duration(away)?);
        return Ok(true);
    }
    if let Some(away) = line.strip_prefix("the machine is booted anew, away for ") {
        world.quit();
        world.reboot(duration(away)?);
        return Ok(true);
    }
    match line {
        "Homeostat is quit and started again" => {
            world.quit();
            world.relaunch();
        }
        "Homeostat is relaunched" => world.relaunch(),
        "another healer runs" => {
            world.tell(&Event::OtherHealers { names: vec!["host_recovery_listener.py".into()] });
        }
        "no other healer runs" => world.tell(&Event::OtherHealers { names: Vec::new() }),
        "the configuration cannot be read" => world.tell(&Event::Misconfigured),
        _ => return Ok(false),
    }
    Ok(true)
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
        "is quit" | "crashes with its app" => {
            world.dies(id);
            let normal = what == "is quit";
            world.tell(&Event::Quit { target: id.clone(), normal });
            return Ok(());
        }
        "is started by a person" | "is started by somebody else" => {
            world.started_by_others(id);
            return Ok(());
        }
        "is started and loads" => {
            world.starts_and_loads(id);
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
    if let Some(shown) = server_shows(server, what) {
        return shown;
    }
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
        "answers every other time" => server.answers = Answers::EveryOther,
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
    if let Some(what) = line.strip_prefix("notices ") {
        world.notices_fail = what == "cannot be shown";
        return Ok(());
    }
    for (before, act) in [
        ("a person stops ", World::stopped_by_hand as fn(&mut World, &str)),
        ("while Homeostat does not run, a person stops ", World::stopped_while_away),
        ("a person starts ", World::runs),
        ("compose makes anew ", World::recreated),
        ("somebody only creates ", World::created),
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
    if world.service_shows(name, what) {
        return Ok(());
    }
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
    if let Some(shown) = world.container_shows(name, what) {
        return shown;
    }
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
    if let Some(things) = what.strip_prefix("tells of ").and_then(|it| it.strip_suffix(" things")) {
        let things: u32 = things.parse().map_err(|_| "tells of N things")?;
        for thing in 0..things {
            let signal = if thing % 2 == 0 { "28" } else { "10" };
            world.news(name, ContainerEvent::Kill { signal: signal.into() });
        }
        return Ok(());
    }
    if let Some(signal) = what.strip_prefix("is sent signal ") {
        world.news(name, ContainerEvent::Kill { signal: signal.into() });
        return Ok(());
    }
    match what {
        "runs out of memory" => world.ends(name, 137, true),
        "runs out of memory, told in disorder" => {
            world.news(name, ContainerEvent::Die { exit_code: 137 });
            world.ends(name, 137, true);
            world.news(name, ContainerEvent::Die { exit_code: 137 });
            world.news(name, ContainerEvent::Oom);
        }
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
                if container.seen.status != ContainerStatus::Running {
                    return Ok(());
                }
                container.seen.status = ContainerStatus::Paused;
            }
            world.news(name, ContainerEvent::Pause);
        }
        "is unpaused" => world.goes_on(name),
        "is removed" => {
            world.news(name, ContainerEvent::Destroy);
            if let Some(container) = world.containers.remove(name) {
                world.engine.removed.insert(name.to_owned(), container);
            }
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

/// Of what runs; none that there is when nothing does.
fn cancel(world: &World) -> Wish {
    let running = world.doctor.operations().find(|one| one.is_running() && one.can_be_cancelled());
    Wish::Cancel { operation: running.map(|one| one.id.clone()).unwrap_or_default() }
}

fn wish_of(text: &str) -> Result<Wish, String> {
    match text {
        "recover everything" => return Ok(Wish::Recover { targets: Vec::new() }),
        "check everything" => return Ok(Wish::CheckEverything),
        "unload all" => return Ok(Wish::Unload(Unload::All)),
        "unload idle" => return Ok(Wish::Unload(Unload::Idle)),
        "measure" => return Ok(Wish::Measure(MeasurePlan::default())),
        "ensure" => return Ok(Wish::Ensure { model: None }),
        "cancel the measurement" => return Ok(Wish::CancelMeasure),
        _ => {}
    }
    let (verb, what) = text.split_once(' ').ok_or("VERB TARGET")?;
    if verb == "unload" {
        return Ok(Wish::Unload(Unload::Model(what.into())));
    }
    if text == "verify the models" {
        return Ok(Wish::VerifyModels { model: None });
    }
    if let ("repair", "everything broken") = (verb, what) {
        return Ok(Wish::Repair { model: None });
    }
    if verb == "repair" {
        return Ok(Wish::Repair { model: Some(what.into()) });
    }
    if verb == "ensure" {
        return Ok(Wish::Ensure { model: Some(what.into()) });
    }
    if verb == "raise" {
        let (what, to) = match what.split_once(" to ") {
            Some((what, to)) => {
                let megabytes = to.strip_suffix('m').ok_or("raise TARGET to 768m")?;
                let megabytes: u64 = megabytes.parse().map_err(|_| "raise TARGET to 768m")?;
                (what, Some(megabytes << 20))
            }
            None => (what, None),
        };
        return Ok(Wish::Raise { target: what.parse()?, to });
    }
    let (what, within) = match what.split_once(" for ") {
        Some((what, within)) => (what, Some(duration(within)?)),
        None => (what, None),
    };
    let target: TargetId = what.parse()?;
    match verb {
        "recover" => Ok(Wish::Recover { targets: vec![target] }),
        "restart" => Ok(Wish::Restart { target }),
        "start" => Ok(Wish::Start { target }),
        "stop" => Ok(Wish::Stop { target, within }),
        "hold" => Ok(Wish::Hold { target, within }),
        "release" => Ok(Wish::Release { target }),
        _ => Err(format!("`{verb}` is nothing a person can ask")),
    }
}
