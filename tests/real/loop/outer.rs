//! Memory that runs out around the containers, as it does in the machine that Docker runs in.

use tests::Engine;
use tests::docker::DockerEngine;

use crate::containers::{run, tells};
use crate::ended::Group;
use crate::{SOON, cause_is, is_healthy};

/// 1.14: exit 137 and `oom` without a limit of its own: there is none to raise. Its neighbours under
/// the same outer limit live on, and nothing is told of them.
#[test]
fn t114_what_an_outer_limit_ends_is_not_told_as_its_own() {
    // Before the engine: it can go when nothing is in it, however this ends.
    let group = Group::new("homeostat-outer", 64 << 20);
    let docker = DockerEngine::start().unwrap();
    let driver = docker.docker(&["info", "-f", "{{.CgroupDriver}}"]).unwrap();
    assert_eq!(driver.trim(), "cgroupfs", "the group of this test is made by hand");
    let engine = Engine::start(&format!("[docker]\nhost = \"{}\"\n", docker.host()), &[]).unwrap();
    engine.wait_for_target("docker", "healthy", SOON, is_healthy);
    let outer = group.name();
    let outer = ["--cgroup-parent", &outer];
    run(&docker, "free", &outer, "sleep 1000");
    let limit = ["--memory", "512m", "--memory-swap", "512m"];
    run(&docker, "limited", &[outer.as_slice(), &limit].concat(), "sleep 1000");
    for name in ["free", "limited"] {
        engine.wait_for_target(&format!("container:{name}"), "healthy", SOON, is_healthy);
    }

    run(&docker, "hungry", &outer, "exec tail /dev/zero");
    let told = engine.wait_for_target("container:hungry", "its cause", SOON, |target| {
        cause_is(target, "docker.vm_oom")
    });
    let cause = told.cause.unwrap();
    assert!(cause.evidence.iter().any(|line| line.contains("no memory limit")), "{cause:#?}");
    assert!(!told.actions.iter().any(|action| action == "raise"), "there is no limit to raise");
    assert_eq!(tells(&docker, "hungry", "{{.State.ExitCode}} {{.State.OOMKilled}}"), "137 true");

    // It has a limit, and never came near it.
    run(&docker, "roomy", &[outer.as_slice(), &limit].concat(), "exec tail /dev/zero");
    let told = engine
        .wait_for_target("container:roomy", "its cause", SOON, |target| target.cause.is_some());
    assert!(cause_is(&told, "docker.vm_oom"), "{told:#?}");
    for name in ["free", "limited"] {
        let target = engine.target(&format!("container:{name}")).unwrap();
        assert!(is_healthy(&target), "{target:#?}");
    }
    let told = engine.incidents().unwrap();
    assert!(!told.iter().any(|one| one.cause.id == "container.oom_child"), "{told:#?}");
}
