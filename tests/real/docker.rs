//! The Docker probe and actions against a real engine, with containers that really die.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use doctor::{
    Body, Compose, ContainerEvent, ContainerSeen, ContainerStatus, Event, Outcome, Reply,
    RestartPolicy,
};
use engine::docker_host::Surroundings;
use engine::probe::docker::{Docker, Pace};
use tokio::sync::mpsc;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn out_of_memory_is_told_and_kept() {
    let engine = Engine::shared();
    let docker = engine.docker();
    let mut inbox = listen(&docker);
    connected(&mut inbox).await;
    engine.command(
        "run -d --name hungry --memory 24m --memory-swap 24m busybox:local tail /dev/zero",
    );
    let (mut killed, mut died) = (false, false);
    while !(killed && died) {
        let what = news(&mut inbox, "hungry").await;
        assert!(!matches!(what, ContainerEvent::Kill { .. } | ContainerEvent::Stop), "{what:?}");
        killed |= what == ContainerEvent::Oom;
        if let ContainerEvent::Die { exit_code } = what {
            assert_eq!(exit_code, 137);
            died = true;
        }
    }
    let seen = docker.snapshot(&BTreeSet::new()).await;
    assert!(seen.unread.is_empty());
    let known = seen.engine.unwrap();
    assert!(!known.version.is_empty() && known.memory_bytes > 1 << 28, "{known:?}");
    let hungry = seen.containers.unwrap().into_iter().find(|seen| seen.name == "hungry").unwrap();
    assert!(hungry.oom_killed);
    assert_eq!((hungry.status, hungry.exit_code), (ContainerStatus::Exited, 137));
    assert_eq!((hungry.memory_limit, hungry.image.as_str()), (24 << 20, "busybox:local"));
    assert_eq!(hungry.restart_policy, RestartPolicy::No);
    assert!(hungry.finished_ms >= hungry.started_ms && hungry.started_ms.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_stops_and_we_start() {
    let engine = Engine::shared();
    let docker = engine.docker();
    let mut inbox = listen(&docker);
    connected(&mut inbox).await;
    engine.command("run -d --name quiet --label homeostat.skip=true busybox:local sleep 1000");
    assert_eq!(news(&mut inbox, "quiet").await, ContainerEvent::Create);
    assert_eq!(news(&mut inbox, "quiet").await, ContainerEvent::Start);
    let first = container(&docker, "quiet").await;
    assert!(first.skip && first.compose.is_none() && !first.oom_killed);

    engine.command("stop -t 1 quiet");
    assert_eq!(news(&mut inbox, "quiet").await, ContainerEvent::Kill { signal: "15".into() });
    assert_eq!(news(&mut inbox, "quiet").await, ContainerEvent::Kill { signal: "9".into() });
    assert_eq!(news(&mut inbox, "quiet").await, ContainerEvent::Die { exit_code: 137 });
    assert_eq!(news(&mut inbox, "quiet").await, ContainerEvent::Stop);
    let stopped = container(&docker, "quiet").await;
    assert_eq!((stopped.status, stopped.oom_killed), (ContainerStatus::Exited, false));

    assert_eq!(docker.start(&first.id, DEADLINE).await, Outcome::Done);
    assert_eq!(news(&mut inbox, "quiet").await, ContainerEvent::Start);
    let again = container(&docker, "quiet").await;
    assert_eq!((again.status, &again.id), (ContainerStatus::Running, &first.id));
    assert!(again.started_ms > first.started_ms);
    // Running already is as good.
    assert_eq!(docker.start(&first.id, DEADLINE).await, Outcome::Done);

    // What is paused goes on.
    engine.command("pause quiet");
    assert_eq!(news(&mut inbox, "quiet").await, ContainerEvent::Pause);
    assert_eq!(docker.start(&first.id, DEADLINE).await, Outcome::Done);
    assert_eq!(news(&mut inbox, "quiet").await, ContainerEvent::Unpause);
    assert_eq!(container(&docker, "quiet").await.status, ContainerStatus::Running);

    // The incarnation of before is not stopped.
    assert_eq!(docker.stop(&first.id, first.started_ms, DEADLINE).await, Outcome::IdentityChanged);
    assert_eq!(container(&docker, "quiet").await.status, ContainerStatus::Running);

    engine.command("rm -f quiet");
    assert_eq!(docker.container("quiet").await, Ok(None));
    assert_eq!(docker.stop(&first.id, again.started_ms, DEADLINE).await, Outcome::Gone);
    let outcome = docker.start(&first.id, DEADLINE).await;
    assert!(matches!(outcome, Outcome::Failed { permanent: true, .. }), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_ignores_term_is_stopped_all_the_same() {
    let engine = Engine::shared();
    let docker = engine.docker();
    let mut inbox = listen(&docker);
    connected(&mut inbox).await;
    let script = "trap '' TERM; echo ready; while :; do sleep 0.2; done";
    let options = ["run", "-d", "--name", "deaf", "--stop-timeout", "2", "busybox:local"];
    engine.run(&[options.as_slice(), &["sh", "-c", script]].concat());
    until(|| engine.run(&["logs", "deaf"]).contains("ready")).await;
    let deaf = container(&docker, "deaf").await;
    assert_eq!(deaf.stop_timeout_s, 2);
    // We hang up before the engine is done; it goes on, and we look instead of asking again.
    let hurried = docker.stop(&deaf.id, deaf.started_ms, Duration::from_millis(500)).await;
    assert_eq!(hurried, Outcome::StillThere);
    let mut told = Vec::new();
    while told.last() != Some(&ContainerEvent::Stop) {
        told.push(news(&mut inbox, "deaf").await);
    }
    assert_eq!(docker.stop(&deaf.id, deaf.started_ms, DEADLINE).await, Outcome::Gone);
    let stopped = container(&docker, "deaf").await;
    assert_eq!((stopped.status, stopped.exit_code), (ContainerStatus::Exited, 137));
    // It was told once: one TERM by us, one KILL by the engine.
    let kills = told.iter().filter(|what| matches!(what, ContainerEvent::Kill { .. })).count();
    assert_eq!(kills, 2, "{told:?}");

    assert_eq!(docker.start(&deaf.id, DEADLINE).await, Outcome::Done);
    let deaf = container(&docker, "deaf").await;
    assert_eq!(docker.stop(&deaf.id, deaf.started_ms, DEADLINE).await, Outcome::Done);
    assert_eq!(container(&docker, "deaf").await.status, ContainerStatus::Exited);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_never_run_fails_for_good() {
    let engine = Engine::shared();
    engine.command("create --name missing busybox:local no-such-program");
    let docker = engine.docker();
    let missing = container(&docker, "missing").await;
    assert_eq!((missing.status, missing.started_ms), (ContainerStatus::Created, None));
    let outcome = docker.start(&missing.id, DEADLINE).await;
    let Outcome::Failed { reason, permanent: true } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("no-such-program"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn compose_brings_a_service_back() {
    let engine = Engine::shared();
    let (project, light) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = project.path().join("docker-compose.yml");
    let yaml = |word: &str| {
        format!(
            "version: '2.4'\nservices:\n  web:\n    image: busybox:local\n    network_mode: none\n    \
             environment: [WORD={word}]\n    command: sleep 1000\n  other:\n    image: busybox:local\n    \
             network_mode: none\n    command: sleep 1000\n"
        )
    };
    fs::write(&file, yaml("first")).unwrap();
    engine.compose(project.path(), &["-p", "knowledge", "up", "-d", "web"]);

    let docker = engine.docker();
    let seen = docker.snapshot(&BTreeSet::new()).await.containers.unwrap();
    let web = seen.into_iter().find(|seen| seen.name.contains("web")).unwrap();
    let compose = web.compose.clone().unwrap();
    assert_eq!(compose.files, [file.display().to_string()]);
    assert_eq!((compose.service.as_str(), compose.project.as_deref()), ("web", Some("knowledge")));
    assert_eq!(compose.directory, Some(project.path().display().to_string()));

    engine.run(&["stop", "-t", "0", &web.name]);
    assert_eq!(docker.compose_up(&compose, light.path(), DEADLINE, async {}).await, Outcome::Done);
    let back = container(&docker, &web.name).await;
    assert_eq!((back.status, &back.id), (ContainerStatus::Running, &web.id));
    assert!(back.started_ms > web.started_ms);

    // Another description makes another container, under the same name; its neighbours stay.
    fs::write(&file, yaml("second")).unwrap();
    assert_eq!(docker.compose_up(&compose, light.path(), DEADLINE, async {}).await, Outcome::Done);
    let anew = container(&docker, &web.name).await;
    assert_ne!(anew.id, back.id);
    assert!(!engine.run(&["ps", "-a"]).contains("other"));

    fs::write(&file, "services: [").unwrap();
    let outcome = docker.compose_up(&compose, light.path(), DEADLINE, async {}).await;
    let Outcome::Failed { reason, permanent: false } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("docker-compose.yml"), "{reason}");

    fs::remove_file(&file).unwrap();
    let outcome = docker.compose_up(&compose, light.path(), DEADLINE, async {}).await;
    let Outcome::Failed { reason, permanent: true } = outcome else { panic!("{outcome:?}") };
    assert!(reason.contains("is missing"), "{reason}");
}

/// R30: it crashes unless a variable is set. Its own files stay as they are, and take it back.
#[tokio::test(flavor = "multi_thread")]
async fn r30_a_light_start_adds_variables_and_goes_back() {
    let engine = Engine::shared();
    let (project, light) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = project.path().join("docker-compose.yml");
    let yaml = "version: '2.4'\nservices:\n  agent:\n    image: busybox:local\n    network_mode: none\n    \
                restart: always\n    environment: [USE_ELK=true, KEPT=yes]\n    command: sh -c 'if [ $$USE_ELK = true ]; then exit 3; fi; exec sleep 1000'\n";
    fs::write(&file, yaml).unwrap();
    engine.compose(project.path(), &["-p", "light", "up", "-d"]);
    let docker = engine.docker();
    let name = "light_agent_1";
    until(|| engine.run(&["inspect", "-f", "{{.RestartCount}}", name]).trim() != "0").await;
    let looping = container(&docker, name).await;
    let compose = looping.compose.clone().unwrap();
    assert!(!looping.light && compose.light.is_empty());

    let variables = [("USE_ELK", "false"), ("ODD", "a $HOME \"b\" #c")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let lighter = Compose { light: variables.into(), ..compose.clone() };
    assert_eq!(docker.compose_up(&lighter, light.path(), DEADLINE, async {}).await, Outcome::Done);
    let runs = container(&docker, name).await;
    assert_ne!(runs.id, looping.id);
    // Our own file is no part of its project.
    assert!(runs.light && runs.compose.as_ref() == Some(&compose), "{runs:?}");
    assert_eq!((runs.status, runs.restart_count), (ContainerStatus::Running, 0));
    let environment = engine.run(&["inspect", "-f", "{{.Config.Env}}", name]);
    for part in ["USE_ELK=false", "KEPT=yes", "ODD=a $HOME \"b\" #c"] {
        assert!(environment.contains(part), "{environment}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), yaml);

    // Stopped and brought up again it is the same container.
    engine.run(&["stop", "-t", "0", name]);
    assert_eq!(docker.compose_up(&lighter, light.path(), DEADLINE, async {}).await, Outcome::Done);
    assert_eq!(container(&docker, name).await.id, runs.id);

    assert_eq!(docker.compose_up(&compose, light.path(), DEADLINE, async {}).await, Outcome::Done);
    let normal = container(&docker, name).await;
    assert!(!normal.light && normal.id != runs.id, "{normal:?}");
    until(|| engine.run(&["inspect", "-f", "{{.RestartCount}}", name]).trim() != "0").await;
    engine.run(&["rm", "-f", name]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_hangs_dies_and_returns() {
    let engine = Engine::start();
    let pace = Pace {
        answer: Duration::from_secs(1),
        idle: Duration::from_millis(500),
        reconnect: Duration::from_millis(100),
        reconnect_at_most: Duration::from_millis(500),
        ..Pace::default()
    };
    let docker = Docker::with_pace(engine.host(), Surroundings::default(), pace);
    let mut inbox = listen(&docker);
    connected(&mut inbox).await;

    engine.signal("STOP");
    assert_eq!(docker.ping().await.ping.reply, Reply::Silent);
    assert_eq!(next(&mut inbox).await, Event::DockerStream { connected: false });
    engine.signal("CONT");
    connected(&mut inbox).await;

    engine.script("kill");
    assert_eq!(next(&mut inbox).await, Event::DockerStream { connected: false });
    assert_eq!(docker.ping().await.ping.reply, Reply::Refused);
    engine.script("start");
    connected(&mut inbox).await;
    let seen = docker.snapshot(&BTreeSet::new()).await;
    assert_eq!(seen.ping.reply, Reply::Status { code: 200, body: Body::Expected });
    assert_eq!(seen.containers, Some(Vec::new()));
    engine.command("create --name late busybox:local true");
    assert_eq!(news(&mut inbox, "late").await, ContainerEvent::Create);
}

/// A real engine in a folder of its own, gone with its last user.
struct Engine {
    folder: tempfile::TempDir,
}

impl Engine {
    /// The one that tests use which leave it alive.
    fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Engine>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = shared.upgrade() {
            return engine;
        }
        let engine = Arc::new(Self::start());
        *shared = Arc::downgrade(&engine);
        engine
    }

    fn start() -> Self {
        let engine = Self { folder: tempfile::tempdir().unwrap() };
        engine.script("start");
        engine.script("image");
        engine
    }

    fn script(&self, verb: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("real/docker-engine");
        said(Command::new(script).arg(verb).arg(self.folder.path()));
    }

    fn signal(&self, signal: &str) {
        let pid = fs::read_to_string(self.folder.path().join("pid")).unwrap();
        said(Command::new("kill").arg(format!("-{signal}")).arg(pid.trim()));
    }

    fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }

    /// Found by the variable, as a person's terminal has it.
    fn docker(&self) -> Docker {
        let mut surroundings = Surroundings::of_this_process();
        surroundings.variables.insert("DOCKER_HOST".into(), self.host());
        Docker::new("auto", surroundings)
    }

    fn command(&self, arguments: &str) -> String {
        self.run(&arguments.split(' ').collect::<Vec<_>>())
    }

    fn run(&self, arguments: &[&str]) -> String {
        said(Command::new("docker").args(arguments).env("DOCKER_HOST", self.host()))
    }

    fn compose(&self, project: &Path, arguments: &[&str]) -> String {
        let mut command = Command::new("docker-compose");
        said(command.args(arguments).current_dir(project).env("DOCKER_HOST", self.host()))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("real/docker-engine");
        let stopped = Command::new(script).arg("stop").arg(self.folder.path()).status();
        assert!(
            std::thread::panicking() || stopped.is_ok_and(|status| status.success()),
            "the engine did not stop"
        );
    }
}

/// What a command wrote; it must succeed. The output goes to a file: the engine that the script
/// leaves running would hold a pipe open.
fn said(command: &mut Command) -> String {
    let mut output = tempfile::NamedTempFile::new().unwrap();
    let (out, error) = (output.reopen().unwrap(), output.reopen().unwrap());
    let status = command.stdout(out).stderr(error).status().unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(output.as_file_mut(), &mut text).unwrap();
    assert!(status.success(), "{command:?}: {status}: {text}");
    text
}

fn listen(docker: &Docker) -> mpsc::Receiver<Event> {
    let (sender, inbox) = mpsc::channel(256);
    tokio::spawn(docker.clone().watch(sender, None));
    inbox
}

async fn next(inbox: &mut mpsc::Receiver<Event>) -> Event {
    timeout(DEADLINE, inbox.recv()).await.expect("an event within the deadline").unwrap()
}

async fn connected(inbox: &mut mpsc::Receiver<Event>) {
    assert_eq!(next(inbox).await, Event::DockerStream { connected: true });
}

/// The next news of this container; tests share the engine, so there are others.
async fn news(inbox: &mut mpsc::Receiver<Event>, name: &str) -> ContainerEvent {
    loop {
        let event = next(inbox).await;
        let Event::ContainerNews(news) = event else { panic!("{event:?}") };
        if news.name == name {
            return news.what;
        }
    }
}

async fn container(docker: &Docker, name: &str) -> ContainerSeen {
    docker.container(name).await.unwrap().unwrap_or_else(|| panic!("{name} is there"))
}

async fn until(condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(DEADLINE, met).await.expect("the condition within the deadline");
}
