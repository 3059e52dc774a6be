//! The request for one token leaves no trace, and tells what is the matter: on the fake Ollama with
//! real runner processes.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use doctor::{DeepOutcome, DeepSeen, Depth, Look, Observation, OllamaSeen, TargetId};
use engine::config::Canary;
use engine::probe::ollama::Ollama as Probe;
use jiff::Timestamp;
use serde_json::{Value, json};
use tests::{Control, Mode, Model, Ollama, Runners, http, wait_until};

const SOON: Duration = Duration::from_secs(5);
const NAME: &str = "llama3.2:latest";

fn probe(ollama: &Ollama) -> Probe {
    Probe::new(&ollama.url(), SOON, None, Canary::Auto, &[])
}

fn ordered(depth: Depth, model: Option<&str>) -> Look {
    let model = model.map(str::to_owned);
    Look { id: 1, target: TargetId::Ollama, depth, stretch: 1, model }
}

fn look(probe: &Probe, look: &Look) -> OllamaSeen {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let seen = runtime.block_on(probe.look(look));
    let Observation::Ollama(seen) = seen else { panic!("{seen:?}") };
    seen
}

fn deep(probe: &Probe) -> Option<DeepSeen> {
    look(probe, &ordered(Depth::Deep, None)).signs.deep
}

fn outcome(probe: &Probe) -> DeepOutcome {
    deep(probe).unwrap().outcome
}

fn post(ollama: &Ollama, path: &str, body: &Value) -> Value {
    let client = http::client(Duration::from_secs(10));
    let answer = client.post(format!("{}{path}", ollama.url())).json(body).send().unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().unwrap());
    answer.json().unwrap()
}

fn load(ollama: &Ollama, body: &Value) {
    post(ollama, "/api/generate", body);
}

fn listed(ollama: &Ollama) -> Vec<Value> {
    let client = http::client(Duration::from_secs(10));
    let answer = client.get(format!("{}/api/ps", ollama.url())).send().unwrap();
    answer.json::<Value>().unwrap()["models"].as_array().unwrap().clone()
}

fn ends(ollama: &Ollama) -> Timestamp {
    listed(ollama)[0]["expires_at"].as_str().unwrap().parse().unwrap()
}

fn moved(ollama: &Ollama, before: Timestamp) -> f64 {
    ends(ollama).duration_since(before).as_secs_f64().abs()
}

fn with(capabilities: &[&str], model: Model) -> Model {
    Model { capabilities: capabilities.iter().map(|&one| one.to_owned()).collect(), ..model }
}

#[test]
fn r7_a_token_leaves_the_models_end_and_its_runner_as_they_were() {
    // Slow enough that a clumsy question would move the end by seconds.
    let slow = Model { tokens_per_s: 0.8, ..Model::named(NAME) };
    let ollama = Ollama::start(&[slow]).unwrap();
    // A context of its own: another one would load it anew.
    let own = json!({"model": NAME, "keep_alive": "1h2m3s", "options": {"num_ctx": 8192}});
    load(&ollama, &own);
    let (before, runners) = (ends(&ollama), ollama.running());
    let probe = probe(&ollama);
    for round in 0..2 {
        let seen = deep(&probe).unwrap();
        assert_eq!((seen.model.as_str(), seen.outcome), (NAME, DeepOutcome::Answered));
        assert!(seen.took_ms >= 1000, "{seen:?}");
        wait_until("the end where it was", SOON, || moved(&ollama, before) < 1.0);
        assert_eq!(ollama.running(), runners, "round {round}");
    }
}

#[test]
fn r7_what_stays_for_ever_stays_for_ever() {
    let ollama = Ollama::start(&[Model::named(NAME)]).unwrap();
    load(&ollama, &json!({"model": NAME, "keep_alive": -1}));
    assert_eq!(outcome(&probe(&ollama)), DeepOutcome::Answered);
    assert!(ends(&ollama).duration_since(Timestamp::now()).as_hours() > 24 * 366);
}

#[test]
fn r7_the_time_that_a_token_shortened_is_given_back_after_the_next_request() {
    let ollama = Ollama::start(&[Model::named(NAME)]).unwrap();
    load(&ollama, &json!({"model": NAME, "keep_alive": "5m"}));
    let probe = probe(&ollama);
    look(&probe, &ordered(Depth::Shallow, None));
    let left = || ends(&ollama).duration_since(Timestamp::now()).as_secs_f64();
    wait_until("an end nearer by seconds", SOON * 2, || left() < 296.0);
    assert_eq!(outcome(&probe), DeepOutcome::Answered);
    wait_until("an end nearer by more", SOON * 2, || left() < 292.5);
    load(&ollama, &json!({"model": NAME, "prompt": "hi", "stream": false}));
    assert!(left() < 296.5, "somebody's request got our shortened time: {}", left());
    look(&probe, &ordered(Depth::Shallow, None));
    assert!(left() > 298.0, "{}", left());
}

#[test]
fn r7_nothing_is_loaded_for_a_token_and_what_goes_soon_is_let_go() {
    let ollama = Ollama::start(&[Model::named(NAME), Model::named("other:latest")]).unwrap();
    let probe = probe(&ollama);
    assert_eq!(deep(&probe), None);
    assert_eq!(ollama.running().len(), 1);
    load(&ollama, &json!({"model": NAME, "keep_alive": "20s"}));
    assert_eq!(deep(&probe), None);
}

#[test]
fn r46_the_model_that_failed_may_be_loaded_to_be_heard() {
    let slow = Model { load_ms: 1500, ..Model::named(NAME) };
    let ollama = Ollama::start(&[slow]).unwrap();
    let seen = look(&probe(&ollama), &ordered(Depth::Deep, Some(NAME))).signs.deep.unwrap();
    assert_eq!(seen.outcome, DeepOutcome::Answered);
    assert_eq!(listed(&ollama).len(), 1);
}

#[test]
fn r5_an_answer_without_a_token_is_none() {
    let ollama = Ollama::start(&[Model::named(NAME)]).unwrap();
    load(&ollama, &json!({"model": NAME}));
    let probe = probe(&ollama);
    ollama.turn(Mode::EmptyAnswers).unwrap();
    assert_eq!(outcome(&probe), DeepOutcome::Empty);
    ollama.turn(Mode::FailsLate).unwrap();
    assert_eq!(outcome(&probe), DeepOutcome::Failed { status: 500 });
    // Errors at the surface as well would be no matter of this.
    let busy = Control { mode: Mode::Busy, path: "/api/generate".into(), ..Control::default() };
    ollama.misbehave(&busy).unwrap();
    assert_eq!(outcome(&probe), DeepOutcome::Busy);
    ollama.turn(Mode::Well).unwrap();
    assert_eq!(outcome(&probe), DeepOutcome::Answered);
}

#[test]
fn models_that_think_are_heard_whether_or_not_they_can_be_told_not_to() {
    let thinker = with(&["completion", "thinking"], Model::named("thinker:latest"));
    let stubborn = with(
        &["completion", "thinking"],
        Model { always_thinks: true, ..Model::named("z:latest") },
    );
    let ollama = Ollama::start(&[thinker, stubborn]).unwrap();
    for name in ["thinker:latest", "z:latest"] {
        load(&ollama, &json!({"model": name}));
    }
    let probe = probe(&ollama);
    // They take turns.
    let asked: Vec<_> = (0..3).map(|_| deep(&probe).unwrap()).collect();
    assert_eq!(
        asked.iter().map(|one| one.model.as_str()).collect::<Vec<_>>(),
        ["thinker:latest", "z:latest", "thinker:latest"]
    );
    assert!(asked.iter().all(|one| one.outcome == DeepOutcome::Answered), "{asked:?}");
}

#[test]
fn a_model_that_only_embeds_is_asked_to_embed() {
    let ollama = Ollama::start(&[Model::embedding("nomic-embed-text:latest")]).unwrap();
    post(&ollama, "/api/embed", &json!({"model": "nomic-embed-text", "input": "x"}));
    let before = ends(&ollama);
    assert_eq!(outcome(&probe(&ollama)), DeepOutcome::Answered);
    assert!(moved(&ollama, before) < 1.0);
    assert!(!ollama.log().contains("/api/generate"), "{}", ollama.log());
}

#[test]
fn r5_a_runner_at_work_is_not_asked() {
    let ollama = Ollama::start(&[Model::named(NAME)]).unwrap();
    load(&ollama, &json!({"model": NAME}));
    let probe = probe(&ollama);
    let work = Control {
        runners: Runners::Work,
        mode: Mode::Hang,
        path: "/api/generate".into(),
        ..Control::default()
    };
    ollama.misbehave(&work).unwrap();
    wait_until("a look that says busy", Duration::from_secs(30), || {
        outcome(&probe) == DeepOutcome::Busy
    });
    let requests = ollama.log().matches("/api/generate").count();
    assert_eq!(outcome(&probe), DeepOutcome::Busy);
    assert_eq!(ollama.log().matches("/api/generate").count(), requests);
    // R6: a request has no byte yet. How hard it works depends on what else the machine does.
    wait_until("work without a byte", Duration::from_mins(1), || {
        let seen = look(&probe, &ordered(Depth::Shallow, None));
        seen.signs.activity.is_some_and(|activity| {
            activity.runners_percent > activity.server_percent
                && activity.silent_for_s.is_some_and(|seconds| seconds >= 1)
        })
    });
}

/// That its slots are told is no work; for how long it is waited for all the same is a test of its own.
#[test]
fn r5_a_request_that_has_just_been_met_is_waited_for_though_nothing_works() {
    let ollama = Ollama::start(&[Model::named(NAME)]).unwrap();
    load(&ollama, &json!({"model": NAME}));
    let probe = probe(&ollama);
    let stands = Control {
        runners: Runners::Stand,
        mode: Mode::Hang,
        path: "/api/generate".into(),
        ..Control::default()
    };
    ollama.misbehave(&stands).unwrap();
    wait_until("a look that says busy", Duration::from_secs(30), || {
        outcome(&probe) == DeepOutcome::Busy
    });
}

#[test]
fn r5_no_first_byte_of_an_idle_server_in_twenty_seconds() {
    let ollama = Ollama::start(&[Model::named(NAME)]).unwrap();
    load(&ollama, &json!({"model": NAME}));
    let probe = probe(&ollama);
    let wedged = Control { mode: Mode::Hang, path: "/api/generate".into(), ..Control::default() };
    ollama.misbehave(&wedged).unwrap();
    let seen = look(&probe, &ordered(Depth::Deep, None));
    assert_eq!(seen.version.url, format!("{}/api/version", ollama.url()));
    assert_eq!(seen.product_version.as_deref(), Some("0.32.15"));
    let deep = seen.signs.deep.unwrap();
    assert_eq!(deep.outcome, DeepOutcome::NoFirstByte);
    assert!(deep.took_ms >= 20_000, "{deep:?}");
}

#[test]
fn nobody_is_asked_whom_the_configuration_does_not_name() {
    let ollama = Ollama::start(&[Model::named(NAME), Model::named("b:latest")]).unwrap();
    for name in [NAME, "b:latest"] {
        load(&ollama, &json!({"model": name}));
    }
    let off = Probe::new(&ollama.url(), SOON, None, Canary::Off, &[]);
    assert_eq!(deep(&off), None);
    let named = Canary::Models(vec!["llama3.2".into()]);
    let one = Probe::new(&ollama.url(), SOON, None, named, &[]);
    for _ in 0..2 {
        assert_eq!(deep(&one).unwrap().model, NAME);
    }
}

/// To set the time of a model that has gone would load it.
#[test]
fn r7_what_a_person_unloads_meanwhile_is_not_brought_back() {
    let slow = Model { tokens_per_s: 0.2, ..Model::named(NAME) };
    let ollama = Ollama::start(&[slow]).unwrap();
    load(&ollama, &json!({"model": NAME, "keep_alive": "1h"}));
    let probe = probe(&ollama);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| deep(&probe));
        wait_until("what it can do is asked", SOON, || ollama.log().contains("/api/show"));
        // More than once, for it counts only while the question is under way, which takes six seconds.
        let began = std::time::Instant::now();
        wait_until("unloads while it is asked", SOON, || {
            load(&ollama, &json!({"model": NAME, "keep_alive": 0}));
            began.elapsed() > Duration::from_secs(2)
        });
        assert_eq!(asking.join().unwrap().unwrap().outcome, DeepOutcome::Answered);
    });
    wait_until("it has gone", SOON, || listed(&ollama).is_empty());
}
