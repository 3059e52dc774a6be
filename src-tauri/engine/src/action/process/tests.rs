//! Real children: they refuse to end, end too early, and outlive whoever started them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use doctor::{Outcome, ProcessId};

use super::{StartError, await_gone, kill, start, terminate};
use crate::platform;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(200);

/// A shell that says when it is ready and then waits for ever.
const DEAF: &str = "trap '' TERM; echo ready; while :; do sleep 0.1; done";

fn words(command: &[&str]) -> Vec<String> {
    command.iter().map(|&word| word.to_owned()).collect()
}

fn poll<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LONG;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn says(log: &Path, word: &str) {
    poll(word, || fs::read_to_string(log).ok().filter(|text| text.contains(word)));
}

async fn end(process: &ProcessId) {
    kill(process).unwrap();
    assert_eq!(await_gone(process, None, LONG).await, Outcome::Gone);
}

#[tokio::test]
async fn a_process_that_ignores_term_is_killed() {
    let place = tempfile::tempdir().unwrap();
    let log = place.path().join("deaf.log");
    let process = start(&words(&["sh", "-c", DEAF]), &[], &log).await.unwrap();
    says(&log, "ready");
    terminate(&process).unwrap();
    assert_eq!(await_gone(&process, None, SHORT).await, Outcome::StillThere);
    end(&process).await;
    assert!(terminate(&process).is_err(), "it is gone");
}

#[tokio::test]
async fn it_has_a_session_of_its_own_no_input_and_its_environment() {
    let place = tempfile::tempdir().unwrap();
    let log = place.path().join("a.log");
    let text = "read -r line || echo no input; echo $GREETING${CARGO_MANIFEST_DIR:-.}; \
                while :; do sleep 0.1; done";
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some(), "it is there to be taken away");
    let environment = [
        ("GREETING".to_owned(), Some("good morning".to_owned())),
        ("CARGO_MANIFEST_DIR".to_owned(), None),
    ];
    let process = start(&words(&["sh", "-c", text]), &environment, &log).await.unwrap();
    says(&log, "no input\ngood morning.\n");
    if cfg!(target_os = "linux") {
        let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid)).unwrap();
        let after: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let pid = process.pid.to_string();
        assert_eq!((after[2], after[3]), (&*pid, &*pid), "process group and session");
    }
    end(&process).await;
}

#[tokio::test]
async fn a_child_that_died_is_collected() {
    let place = tempfile::tempdir().unwrap();
    let process = start(&words(&["sleep", "600"]), &[], &place.path().join("a.log")).await.unwrap();
    end(&process).await;
    let deadline = Instant::now() + LONG;
    while cfg!(target_os = "linux") && Path::new(&format!("/proc/{}", process.pid)).exists() {
        assert!(Instant::now() < deadline, "it stays as a zombie");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Who ended it, or with what code it left, is told to its parent alone.
#[tokio::test]
async fn how_a_child_of_ours_has_ended_is_kept() {
    let place = tempfile::tempdir().unwrap();
    let log = place.path().join("a.log");
    let start = async |command: &[&str]| start(&words(command), &[], &log).await.unwrap();
    let killed = start(&["sleep", "600"]).await;
    kill(&killed).unwrap();
    let left = start(&["sh", "-c", "sleep 1; exit 3"]).await;
    let deadline = Instant::now() + LONG;
    for (process, how) in
        [(killed, doctor::ExitHow::Signal("SIGKILL".into())), (left, doctor::ExitHow::Code(3))]
    {
        loop {
            let found = super::exits().into_iter().find(|exit| exit.process == process);
            if let Some(exit) = found {
                assert_eq!(exit.how, how);
                break;
            }
            assert!(Instant::now() < deadline, "nobody knows how {process:?} ended");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn a_zombie_counts_as_gone() {
    let mut child = Command::new("sleep").arg("600").spawn().unwrap();
    let process = platform::process(child.id()).unwrap().id;
    assert_eq!(await_gone(&process, None, Duration::ZERO).await, Outcome::StillThere);
    child.kill().unwrap();
    assert_eq!(await_gone(&process, None, LONG).await, Outcome::Gone);
    assert!(Path::new("/bin/sh").exists() && child.wait().is_ok(), "it was not collected before");
}

#[tokio::test]
async fn gone_means_the_port_is_free_too() {
    let mut child = Command::new("true").spawn().unwrap();
    let gone = ProcessId { pid: child.id(), started: 1, executable: String::new() };
    child.wait().unwrap();
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    assert_eq!(await_gone(&gone, Some(port), SHORT).await, Outcome::StillThere);
    drop(socket);
    assert_eq!(await_gone(&gone, Some(port), LONG).await, Outcome::Gone);
}

#[tokio::test]
async fn who_ends_at_once_is_quoted() {
    let place = tempfile::tempdir().unwrap();
    let log = place.path().join("a.log");
    fs::write(&log, "from yesterday\n").unwrap();
    let text = "echo 'Error: listen tcp 127.0.0.1:11434: bind: address already in use' >&2; exit 1";
    let error = start(&words(&["sh", "-c", text]), &[], &log).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "sh ended at once with code 1: \
         Error: listen tcp 127.0.0.1:11434: bind: address already in use"
    );
    let error = start(&words(&["sh", "-c", "kill -9 $$"]), &[], &log).await.unwrap_err();
    assert_eq!(error.to_string(), "sh ended at once with signal 9");
}

#[tokio::test]
async fn what_cannot_be_started_is_said() {
    let place = tempfile::tempdir().unwrap();
    let log = place.path().join("a.log");
    let file = place.path().join("plain");
    fs::write(&file, "text").unwrap();
    for name in ["no-such-program-anywhere", "/nowhere/ollama", ""] {
        let error = start(&words(&[name]), &[], &log).await.unwrap_err();
        assert!(matches!(error, StartError::NotFound { .. }), "{name}: {error}");
    }
    assert!(matches!(start(&[], &[], &log).await, Err(StartError::NotFound { .. })));
    let error = start(&words(&[&file.to_string_lossy()]), &[], &log).await.unwrap_err();
    assert!(matches!(error, StartError::NotPermitted { .. }), "{error}");
    fs::write(&file, "#!/nowhere/python3\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    let error = start(&words(&[&file.to_string_lossy()]), &[], &log).await.unwrap_err();
    assert!(error.to_string().contains("interpreter"), "{error}");
    let error = start(&words(&["sleep", "600"]), &[], &file.join("a.log")).await.unwrap_err();
    assert!(matches!(error, StartError::Log { .. }), "{error}");
}

/// Set for a second run of this test program, which starts a process and ends.
const STARTER: &str = "HOMEOSTAT_TEST_STARTER_LOG";

#[tokio::test]
async fn it_outlives_whoever_started_it() {
    if let Ok(log) = std::env::var(STARTER) {
        start(&words(&["sh", "-c", "echo pid=$$.; exec sleep 600"]), &[], Path::new(&log))
            .await
            .unwrap();
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let log = place.path().join("a.log");
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "action::process::tests::it_outlives_whoever_started_it"])
        .env(STARTER, &log)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let text = fs::read_to_string(&log).unwrap();
    let pid = text.split_once("pid=").unwrap().1.split_once('.').unwrap().0.parse().unwrap();
    let process = platform::process(pid).expect("alive after its starter ended");
    assert_eq!(process.command, ["sleep", "600"]);
    end(&process.id).await;
}
