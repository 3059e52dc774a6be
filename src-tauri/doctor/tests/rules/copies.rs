//! Never a second copy of a large model: two of 70 GB are an out-of-memory by our own hand (1.8).

use doctor::{ProcessId, ProcessSeen};

use super::world;
use crate::world::World;

/// The doctor's last full look is older than the process that loads.
#[test]
fn r62_a_person_starts_no_second_copy_beside_one_that_loads() {
    for verb in ["start", "restart", "recover"] {
        let mut world = world(&["mlx: starts in 100 s"]);
        world.then("mlx dies", 0).then("mlx is started and loads", 5);
        world.then(&format!("a person asks: {verb} mlx"), 20);
        assert_eq!(world.told("> mlx: start"), 0, "{verb}");
        assert_eq!(world.told("TERM"), 0, "{verb}");
        world.pass(200);
        assert_eq!(world.phase("mlx"), "healthy", "{verb}");
        assert_eq!(world.told("> mlx: start"), 0, "{verb}");
    }
}

#[test]
fn r62_a_person_starts_what_has_no_copy() {
    for verb in ["start", "restart"] {
        let mut world = world(&["mlx: starts in 20 s"]);
        world.then("mlx dies", 5).then(&format!("a person asks: {verb} mlx"), 20);
        assert_eq!(world.told("> mlx: start"), 1, "{verb}");
    }
}

/// Look-alikes: a server that was told to listen elsewhere, and a program of another kind.
#[test]
fn r62_what_serves_elsewhere_is_no_copy() {
    let server = "/opt/mlx/bin/mlx_lm.server";
    for command in [&[server, "--port", "8081"][..], &[server, "--port=8081"], &["/usr/bin/vim"]] {
        let mut world = world(&["mlx: starts in 20 s"]);
        beside(&mut world, command);
        world.then("mlx dies", 120);
        assert_eq!(world.told("> mlx: start"), 1, "{command:?}");
        assert_eq!(world.phase("mlx"), "healthy", "{command:?}");
    }
}

/// Its own port, or none that is said: it may become this server.
#[test]
fn r62_what_may_come_to_listen_here_is_a_copy() {
    let server = "/opt/mlx/bin/mlx_lm.server";
    for command in [&[server, "--port", "11435"][..], &[server, "--port=11435"], &[server]] {
        let mut world = world(&["mlx: starts in 20 s"]);
        beside(&mut world, command);
        world.then("mlx dies", 120).then("a person asks: start mlx", 30);
        assert_eq!(world.told("> mlx: start"), 0, "{command:?}");
    }
}

fn beside(world: &mut World, command: &[&str]) {
    let program = command.first().copied().unwrap_or_default();
    let seen = ProcessSeen {
        id: ProcessId { pid: 4321, started: 1, executable: program.into() },
        uid: None,
        user: None,
        parent: None,
        command: command.iter().map(|&word| word.into()).collect(),
        since: None,
    };
    world.mlx.as_mut().expect("mlx").relatives.push(seen);
}
