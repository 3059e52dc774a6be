//! What there is at the beginning of a story, in plain sentences.

use std::collections::BTreeMap;
use std::time::Duration;

use doctor::{
    Care, ContainerHealth, ContainerStatus, EngineKeeper, Ensured, Heal, Launch, MlxServer, Reply,
    RestartPolicy, Spec, TargetId,
};

use super::World;
use super::containers::{Container, EngineState, Service};
use super::script::{duration, ms};
use super::servers::{Server, Starts, loaded};

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
            world.engine.memory_gb = 24;
            let mut docker = spec(TargetId::Docker, 15, Care::Docker);
            for one in traits {
                match one {
                    "absent" => world.engine.state = EngineState::Absent,
                    "closed to us" => world.engine.state = EngineState::Forbidden,
                    "starting" => world.engine.state = EngineState::Starts,
                    "not configured" => docker.configured = false,
                    "on the host itself" => world.engine.memory_gb = 64,
                    "in a small machine" => world.engine.memory_gb = 8,
                    "of OrbStack" => world.engine.takes_as_needed = true,
                    "of Docker Desktop" => {
                        world.engine.keeper = Some(EngineKeeper::Desktop { runs: true });
                    }
                    "of the system's unit docker" => {
                        world.engine.keeper = Some(EngineKeeper::Unit("docker".into()));
                    }
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
                wish if wish.starts_with("wants ") => {}
                "keeps its models" => {}
                "is LM Studio" => server.kind = MlxServer::LmStudio,
                "is oMLX" => server.kind = MlxServer::Omlx,
                "is mlx-omni-server" => server.kind = MlxServer::Omni,
                "its work is read" => server.insides.unread = false,
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
                "a systemd unit of the user exists" => {
                    server.installed.systemd_unit =
                        Some("/home/a/.config/systemd/user/ollama.service".into());
                }
                _ => return Err(format!("`{each}` is not known of a server")),
            }
        }
    }
    if runs {
        server.comes_up(pid, run);
        if kind == "mlx" {
            server.holds_its_models();
        }
    }
    one.care = match kind {
        "ollama" => Care::Ollama {
            launch: server.launch.clone().unwrap_or(Launch::Auto),
            pinned: vec!["nomic-embed-text".into()],
            unload_under_pressure: !traits.contains(&"keeps its models"),
            ensure: ensured(traits),
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

/// `wants MODEL`, `wants MODEL made from BASE`.
fn ensured(traits: &[&str]) -> Vec<Ensured> {
    let wanted = traits.iter().filter_map(|each| each.strip_prefix("wants "));
    let ensured = wanted.map(|text| match text.split_once(" made from ") {
        Some((model, base)) => Ensured {
            model: model.into(),
            modelfile: Some(format!("/home/ann/{model}.Modelfile")),
            base: Some(base.into()),
        },
        None => Ensured { model: text.into(), modelfile: None, base: None },
    });
    ensured.collect()
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
    let (mut light, mut after) = (BTreeMap::new(), Vec::new());
    let care =
        Care::Container { critical: false, compose: None, light: light.clone(), after: Vec::new() };
    let mut one = spec(id, 60, care);
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
        } else if let Some(code) = each.strip_prefix("could not start with ") {
            container.is_only_created();
            container.seen.exit_code = code.parse().map_err(|_| "could not start with CODE")?;
        } else if *each == "only created" {
            container.is_only_created();
        } else if let Some(code) = each.strip_prefix("exited with ") {
            container.seen.status = ContainerStatus::Exited;
            container.seen.exit_code = code.parse().map_err(|_| "exited with CODE")?;
            container.seen.finished_ms = Some(world.engine_ms() - 30_000);
        } else if let Some(project) = each.strip_prefix("needs project:") {
            after.push(project.into());
        } else if let Some(need) = each.strip_prefix("needs ") {
            one.needs.push(need.parse()?);
        } else if let Some(service) = each.strip_prefix("depends on ") {
            container.seen.depends_on.push(service.into());
        } else if let Some(project) = each.strip_prefix("compose project ") {
            container.with_compose();
            if let Some(compose) = &mut container.seen.compose {
                compose.project = Some(project.into());
            }
        } else if let Some(label) = each.strip_prefix("autoheal of ") {
            let label = Some(label.to_owned()).filter(|label| label != "all");
            container.seen.healer = Some(doctor::Healer::Autoheal { label });
        } else if let Some(label) = each.strip_prefix("labelled ") {
            container.seen.marks.push(label.into());
        } else {
            match *each {
                "watchtower" => container.seen.healer = Some(doctor::Healer::Watchtower),
                "critical" => {
                    critical = true;
                    one.configured = true;
                }
                "compose" => container.with_compose(),
                "light start" => {
                    light.insert("USE_ELK".into(), "false".into());
                }
                "cured by a light start" => {
                    light.insert("USE_ELK".into(), "false".into());
                    container.cured_by_light = true;
                }
                "heal ask" => one.heal = Heal::Ask,
                "no memory limit" => container.seen.memory_limit = 0,
                "with a health check" => {
                    container.seen.health = Some(ContainerHealth::Healthy);
                }
                "skip" => container.seen.skip = true,
                "heal observe" => one.heal = Heal::Observe,
                _ => return Err(format!("`{each}` is not known of a container")),
            }
        }
    }
    if critical {
        one.care = Care::Container { critical, compose: None, light, after };
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
        elsewhere: None,
        behind: None,
        cpu_percent: None,
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
