//! Who has started a process and would start it again (FACTS A.8, D.4).

use std::path::Path;

use doctor::{ProcessSeen, Supervisor};

use super::{Places, Unit, lever, name, system};

/// Of a process that was found on a port. It may fork `systemctl` or `launchctl` once: for a process
/// that was not seen before, never in every look.
pub async fn supervisor(process: &ProcessSeen) -> Supervisor {
    let pid = process.id.pid;
    if let Some(unit) = other_unit(pid)
        && lever::main_process(&unit).await == Some(pid)
    {
        return Supervisor::Unit { name: unit.name, of_user: unit.of_user };
    }
    if process.uid != Some(system::user_id()) {
        return match (&process.user, process.uid) {
            (Some(user), Some(_)) => Supervisor::OtherUser(user.clone()),
            (None, Some(uid)) => Supervisor::OtherUser(uid.to_string()),
            (_, None) => Supervisor::NotVisible,
        };
    }
    if let Some(by_parent) = by_parent(process) {
        return by_parent;
    }
    match lever::label(pid).await {
        Some(label) => Supervisor::Launchd(label),
        None => Supervisor::Nobody,
    }
}

/// Everything that would start Ollama by itself on this port, by name. `running` are processes with
/// Ollama's names, `supervisor` is the one of the process that listens. What is set up without a
/// word about its port uses the standard one.
pub fn would_start(
    places: &Places,
    running: &[ProcessSeen],
    supervisor: Option<&Supervisor>,
    port: u16,
) -> Vec<String> {
    let mut names = Vec::new();
    match supervisor {
        Some(Supervisor::App(app)) => names.push(file_name(app)),
        Some(Supervisor::Launchd(name) | Supervisor::Unit { name, .. }) => names.push(name.clone()),
        Some(
            Supervisor::Homeostat
            | Supervisor::Shell(_)
            | Supervisor::Program(_)
            | Supervisor::OtherUser(_)
            | Supervisor::Nobody
            | Supervisor::NotVisible,
        )
        | None => {}
    }
    if port == STANDARD_PORT {
        let app = running.iter().find_map(|process| bundle(&process.id.executable));
        names.extend(app.filter(|app| app.ends_with("/Ollama.app")).map(file_name));
        names.extend(jobs(places));
        names.extend(enabled_units(places));
    }
    names.sort();
    names.dedup();
    names
}

/// `OLLAMA_HOST` unless set (FACTS A.6).
const STANDARD_PORT: u16 = 11434;

/// The unit that it runs in. Ours holds whatever we have started, and is not its supervisor.
fn other_unit(pid: u32) -> Option<Unit> {
    system::unit(pid).filter(|unit| system::unit(std::process::id()).as_ref() != Some(unit))
}

/// None: process 1 has it now, whether it started it or took it over.
fn by_parent(process: &ProcessSeen) -> Option<Supervisor> {
    let parent = process.parent.filter(|parent| *parent > 1)?;
    if parent == std::process::id() {
        return Some(Supervisor::Homeostat);
    }
    // It has ended since: somebody else is the parent now.
    let parent = system::process(parent)?;
    Some(parent_is(&parent))
}

fn parent_is(parent: &ProcessSeen) -> Supervisor {
    let program = name::program(parent);
    match bundle(&parent.id.executable) {
        Some(app) if app.ends_with("/Ollama.app") => Supervisor::App(app.to_owned()),
        Some(app) => Supervisor::Program(file_name(app)),
        // A user's systemd takes over orphans as process 1 does.
        None if program == "systemd" => Supervisor::Nobody,
        None if name::is_shell(program) => Supervisor::Shell(program.to_owned()),
        None => Supervisor::Program(program.to_owned()),
    }
}

/// The application bundle that an executable lies in.
fn bundle(executable: &str) -> Option<&str> {
    let (app, _) = executable.split_once("/Contents/MacOS/")?;
    app.rsplit_once('.').filter(|(_, kind)| *kind == "app").map(|_| app)
}

/// Homebrew's property list is there exactly while its service is registered (FACTS A.8).
fn jobs(places: &Places) -> Vec<String> {
    const FILE: &str = "homebrew.mxcl.ollama.plist";
    let user = places.home.join("Library/LaunchAgents").join(FILE);
    let root = places.root.join("Library/LaunchDaemons").join(FILE);
    let found = [(user, ""), (root, " (root)")].into_iter().filter(|(file, _)| file.is_file());
    found.map(|(_, of)| format!("homebrew.mxcl.ollama{of}")).collect()
}

/// A unit that is enabled is linked from a target's `.wants` (systemctl(1), `enable`).
fn enabled_units(places: &Places) -> Vec<String> {
    let of_system = places.root.join("etc/systemd/system");
    let of_user = places.home.join(".config/systemd/user");
    let mut found = Vec::new();
    for unit in ["ollama.service", "homebrew.ollama.service"] {
        found.extend(is_wanted(&of_system, unit).then(|| unit.to_owned()));
        found.extend(is_wanted(&of_user, unit).then(|| unit.to_owned()));
    }
    found
}

/// Whether a unit is enabled: linked from a target's `.wants`.
pub fn is_wanted(directory: &Path, unit: &str) -> bool {
    directory.read_dir().into_iter().flatten().flatten().any(|entry| {
        let path = entry.path();
        let wants = path.extension().is_some_and(|kind| kind == "wants");
        wants && path.join(unit).symlink_metadata().is_ok()
    })
}

fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use doctor::ProcessId;

    use super::*;
    use crate::platform;

    fn process(executable: &str) -> ProcessSeen {
        ProcessSeen {
            id: ProcessId { pid: 70, started: 1, executable: executable.into() },
            uid: Some(501),
            user: Some("ann".into()),
            parent: Some(1),
            command: Vec::new(),
            since: None,
        }
    }

    #[test]
    fn a_parent_tells_by_what_it_is() {
        let app = "/Applications/Ollama.app";
        for (executable, expected) in [
            ("/Applications/Ollama.app/Contents/MacOS/Ollama", Supervisor::App(app.into())),
            (
                "/Applications/Other.app/Contents/MacOS/Other",
                Supervisor::Program("Other.app".into()),
            ),
            ("/bin/zsh", Supervisor::Shell("zsh".into())),
            ("/usr/lib/systemd/systemd", Supervisor::Nobody),
            ("/usr/bin/supervisord", Supervisor::Program("supervisord".into())),
        ] {
            assert_eq!(parent_is(&process(executable)), expected, "{executable}");
        }
    }

    #[tokio::test]
    async fn ours_a_shells_and_one_that_lost_its_parent_are_told_apart() {
        let mut own = Command::new("sleep").arg("60").spawn().unwrap();
        let seen = platform::process(own.id()).unwrap();
        assert_eq!(supervisor(&seen).await, Supervisor::Homeostat);
        let theirs = ProcessSeen { uid: seen.uid.map(|uid| uid + 1), ..seen.clone() };
        assert!(matches!(supervisor(&theirs).await, Supervisor::OtherUser(_)));
        own.kill().unwrap();
        own.wait().unwrap();

        let mut shell = Command::new("bash")
            .args(["-c", "sleep 60 & echo $!; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = shell.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).unwrap();
        let pid: u32 = line.trim().parse().unwrap();
        // It is a copy of the shell until it has become its program.
        let deadline = Instant::now() + Duration::from_secs(20);
        let child = loop {
            let child = platform::process(pid).unwrap();
            if child.id.program() == "sleep" {
                break child;
            }
            assert!(Instant::now() < deadline, "{child:?}");
            std::thread::yield_now();
        };
        assert_eq!(supervisor(&child).await, Supervisor::Shell("bash".into()));
        shell.kill().unwrap();
        shell.wait().unwrap();
        platform::signal(&child.id, platform::Signal::Kill).unwrap();
    }

    #[test]
    fn all_that_would_start_it_are_named_once() {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("home/a");
        let places = Places { path: "".into(), home: home.clone(), root: root.path().into() };
        assert_eq!(would_start(&places, &[], None, 11434), [""; 0]);
        let agents = home.join("Library/LaunchAgents");
        fs::create_dir_all(&agents).unwrap();
        fs::write(agents.join("homebrew.mxcl.ollama.plist"), "").unwrap();
        let wants = root.path().join("etc/systemd/system/default.target.wants");
        fs::create_dir_all(&wants).unwrap();
        let app = [process("/Applications/Ollama.app/Contents/MacOS/Ollama")];
        let brew = Supervisor::Launchd("homebrew.mxcl.ollama".into());
        let both = ["Ollama.app", "homebrew.mxcl.ollama"];
        assert_eq!(would_start(&places, &app, Some(&brew), 11434), both);
        // At another port only who started it is known to.
        assert_eq!(would_start(&places, &app, Some(&brew), 11500), ["homebrew.mxcl.ollama"]);
        assert_eq!(would_start(&places, &app, Some(&Supervisor::Homeostat), 11500), [""; 0]);
        // A unit that is there and not enabled starts nothing.
        fs::write(root.path().join("etc/systemd/system/ollama.service"), "").unwrap();
        assert_eq!(would_start(&places, &[], None, 11434), ["homebrew.mxcl.ollama"]);
        std::os::unix::fs::symlink("../ollama.service", wants.join("ollama.service")).unwrap();
        let found = would_start(&places, &[], None, 11434);
        assert_eq!(found, ["homebrew.mxcl.ollama", "ollama.service"]);
    }
}
