//! 1.12: nothing is recovered until it is proven.

use doctor::{IncidentState, RemedyResult};

use super::world;

#[test]
fn r46_verified_only_after_the_soak() {
    let mut world = world(&["ollama"]);
    world.then("ollama dies", 0);
    world.until_told("waits out the soak");
    world.pass(55);
    assert_eq!(world.phase("ollama"), "recovering");
    world.pass(10);
    assert_eq!(world.phase("ollama"), "healthy");
    let incident = world.patient("ollama").incident.clone().expect("an incident");
    assert_eq!(incident.state, IncidentState::Verified);
    assert!(incident.answering_after_ms < incident.recovered_after_ms);
}

#[test]
fn r46_a_start_that_leads_nowhere_has_failed_at_its_deadline() {
    let mut world = world(&["ollama"]);
    world.then("ollama starts do nothing", 0).then("ollama dies", 75);
    assert_eq!(world.told("start ollama: failed: step.not_answering"), 1);
}

#[test]
fn r46_the_old_process_answering_again_proves_no_restart() {
    let mut world = world(&["ollama"]);
    world.then("ollama ignores TERM", 0).then("ollama hangs", 0);
    world.until_told("TERM");
    world.then("ollama answers again", 3);
    assert_eq!(world.told("waits out the soak"), 0);
}

/// R46 (1): that an answer comes from a new process must be seen, not believed.
#[test]
fn r46_an_answer_of_who_knows_whom_proves_no_restart() {
    let mut world = world(&["ollama"]);
    world.then("ollama hangs", 0).until_told("TERM");
    world.server_mut(&doctor::TargetId::Ollama).expect("ollama").hidden = true;
    world.pass(40);
    assert_eq!(world.told("waits out the soak"), 0, "{:#?}", world.tale.lines);
}

#[test]
fn r46_a_process_that_is_replaced_in_the_soak_has_failed() {
    let mut world = world(&["ollama"]);
    world.then("ollama dies", 0);
    world.until_told("waits out the soak");
    world.then("ollama is restarted by somebody else", 10);
    assert_eq!(world.told("failed: step.failed_in_soak"), 1);
}

#[test]
fn r46_the_container_must_be_another_incarnation() {
    let given = ["docker", "container web: critical", "service api: in container web"];
    let mut world = world(&given);
    world.then("web ignores being stopped", 0).then("api hangs", 90);
    assert!(world.told("service:api: failed") >= 1);
    assert_eq!(world.told("waits out the soak"), 0);
}

#[test]
fn r47_a_failure_in_the_soak_is_the_next_attempt_of_the_same_incident() {
    let mut world = world(&["ollama"]);
    world.then("ollama will die 20 s after each start", 0).then("ollama dies", 60);
    let incident = world.patient("ollama").incident.clone().expect("an incident");
    assert_eq!(incident.attempts, 2);
    assert_eq!(incident.closed, None);
}

#[test]
fn r47_a_failure_within_ten_minutes_is_the_next_attempt() {
    let mut world = world(&["ollama"]);
    world.then("ollama dies", 400).then("ollama dies", 60);
    assert_eq!(world.patient("ollama").account.attempts, 2);
}

#[test]
fn r4_a_process_that_changed_since_is_not_touched() {
    let mut world = world(&["ollama"]);
    world.then("ollama hangs", 0);
    world.until_done();
    // Between the look-up of the owner and the signal somebody else restarts it.
    world.then("ollama is restarted by somebody else", 10);
    let ended = world.doctor.operations().last().and_then(|operation| operation.result);
    assert_eq!(ended, Some(RemedyResult::Superseded));
    assert_eq!(world.told("KILL"), 0);
    assert_eq!(world.phase("ollama"), "healthy");
}

#[test]
fn r4_a_second_copy_is_never_started_beside_one_that_still_loads() {
    let mut world = world(&["ollama"]);
    // Longer than even the stretched grace.
    world.then("ollama will start in 150 s", 0).then("ollama dies", 200);
    assert!(world.told("> ollama: start") >= 2);
    assert_eq!(world.told("TERM"), world.told("> ollama: start") - 1);
}
