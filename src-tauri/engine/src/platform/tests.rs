//! Against real processes of this machine.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use doctor::{Listener, ProcessId};

use super::{
    Signal, SignalError, boot, data_directory, descendants, footprint, is_same, listener,
    memory_ledger, process, processes_named, signal, system, user_id,
};

fn sleeper() -> Child {
    Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap()
}

/// The identity once the child has become the program that it was to be: the executable is seen a
/// moment before the argument list.
fn identity(child: &Child) -> ProcessId {
    let is_sleep = || process(child.id()).filter(|seen| seen.command == ["sleep", "600"]);
    poll("the child's identity", is_sleep).id
}

fn poll<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_process_is_told_with_owner_parent_and_age() {
    let child = sleeper();
    let id = identity(&child);
    let seen = process(child.id()).unwrap();
    assert_eq!(seen.command, ["sleep", "600"]);
    assert_eq!(seen.parent, Some(std::process::id()));
    assert_eq!(seen.uid, Some(super::user_id()));
    assert!(seen.user.is_some());
    let now = crate::clock::now().wall.0 / 1000;
    assert!((now - seen.since.unwrap()).abs() < 20, "{:?} is not about {now}", seen.since);
    assert!(id.executable.starts_with('/'));
    assert!(is_same(&id));
    end(child);
    assert_eq!(process(id.pid), None);
    assert!(!is_same(&id));
}

#[test]
fn a_zombie_is_nobody() {
    let mut child = sleeper();
    let id = identity(&child);
    child.kill().unwrap();
    poll("the zombie to be seen as gone", || (!is_same(&id)).then_some(()));
    assert_eq!(process(id.pid), None);
    assert!(matches!(signal(&id, Signal::Kill), Err(SignalError::Gone { .. })));
    child.wait().unwrap();
}

#[test]
fn a_signal_reaches_the_right_process_only() {
    let mut child = sleeper();
    let id = identity(&child);
    let reused = ProcessId { started: id.started + 1, ..id.clone() };
    let other = ProcessId { executable: "/usr/bin/ollama".to_owned(), ..id.clone() };
    for wrong in [reused, other] {
        match signal(&wrong, Signal::Kill) {
            Err(SignalError::Changed { expected, found }) => {
                assert_eq!((expected, found), (wrong, id.clone()));
            }
            result => panic!("{result:?}"),
        }
    }
    assert!(is_same(&id) && child.try_wait().unwrap().is_none(), "nothing was sent");
    let unknown = ProcessId { executable: String::new(), ..id };
    signal(&unknown, Signal::Terminate).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGTERM));
    assert!(matches!(signal(&unknown, Signal::Kill), Err(SignalError::Gone { .. })));
}

#[test]
fn a_replaced_executable_is_still_the_same_process() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("ollama");
    fs::copy("/bin/sleep", &file).unwrap();
    let child = Command::new(&file).arg("600").spawn().unwrap();
    let id = poll("the child", || process(child.id()).filter(|p| p.id.program() == "ollama")).id;
    fs::remove_file(&file).unwrap();
    assert!(is_same(&id));
    assert_eq!(process(id.pid).unwrap().id.program(), "ollama");
    end(child);
}

#[test]
fn we_and_what_we_run_under_are_never_signalled() {
    let us = std::process::id();
    let mut line = vec![0, 1, us];
    line.extend(system::parent(us));
    line.extend(system::parent(us).and_then(system::parent));
    line.push(u32::MAX);
    for pid in line {
        let id = process(pid)
            .map_or(ProcessId { pid, started: 0, executable: String::new() }, |process| process.id);
        let result = signal(&id, Signal::Kill);
        assert!(matches!(result, Err(SignalError::NotPermitted { .. })), "{pid}: {result:?}");
    }
}

#[test]
fn a_script_goes_by_its_own_name() {
    let place = tempfile::tempdir().unwrap();
    let script = place.path().join("ollama-mcp");
    fs::write(&script, "#!/bin/sh\nwhile :; do sleep 0.1; done\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let child = Command::new("/bin/sh").arg(&script).spawn().unwrap();
    let has = |name: &str| processes_named(&[name]).iter().any(|found| found.id.pid == child.id());
    poll("the script by its name", || has("ollama-mcp").then_some(()));
    let found = processes_named(&["ollama-mcp"]);
    let found = found.into_iter().find(|found| found.id.pid == child.id());
    assert_eq!(found.and_then(|found| found.uid), Some(user_id()), "with its owner");
    assert!(!has("ollama"), "a part of the name is not the name");
    assert!(!has("mcp"));
    end(child);
}

#[test]
fn descendants_are_children_and_theirs() {
    let text = "sh -c 'sleep 600 & wait' & wait";
    let child = Command::new("sh").args(["-c", text]).spawn().unwrap();
    let below = poll("child and grandchild", || {
        let below = descendants(child.id());
        below.iter().any(|id| id.program() == "sleep").then_some(below)
    });
    assert!(!below.iter().any(|id| id.pid == child.id() || id.pid == std::process::id()));
    assert!(below.iter().all(is_same));
    end(child);
    for id in below {
        // A shell may end by itself when what it waits for has ended.
        let _ = signal(&id, Signal::Kill);
        poll("the descendants to be gone", || (!is_same(&id)).then_some(()));
    }
    assert_eq!(descendants(u32::MAX), []);
}

#[test]
fn the_listener_is_the_one_that_opened_the_socket() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    // A child that inherits the socket, as a worker of a server does.
    let stdin = Stdio::from(std::os::fd::OwnedFd::from(socket.try_clone().unwrap()));
    let child = Command::new("sleep").arg("600").stdin(stdin).spawn().unwrap();
    let id = identity(&child);
    let Listener::Process(found) = listener(port) else { panic!("nobody") };
    assert_eq!(found.id.pid, std::process::id());
    drop(socket);
    // A child forked by another test holds the socket too until it has become its program.
    poll("the child as the listener", || match listener(port) {
        Listener::Process(found) => (found.id == id).then_some(()),
        Listener::Nobody | Listener::Hidden | Listener::NotAsked => None,
    });
    end(child);
    poll("nobody to listen", || (listener(port) == Listener::Nobody).then_some(()));
}

#[test]
fn the_ledger_has_our_row() {
    let us = process(std::process::id()).unwrap();
    let groups = BTreeMap::from([("tests".to_owned(), vec![us.id.program().to_owned()])]);
    let block = vec![1_u8; 32 << 20];
    let rows = memory_ledger(&groups);
    let row = rows.iter().find(|row| row.name == "tests").expect("a row of our own");
    assert!(row.processes >= 1 && row.bytes >= 32 << 20, "{row:?}");
    assert!(rows.is_sorted_by(|a, b| a.bytes >= b.bytes));
    assert!(rows.iter().any(|row| row.name == "others"));
    assert!(footprint(us.id.pid).unwrap() >= block.len() as u64);
}

#[test]
fn places_of_this_machine() {
    assert!(data_directory().is_absolute() && super::config_file().ends_with("config.toml"));
    assert_eq!(boot(), boot());
}
