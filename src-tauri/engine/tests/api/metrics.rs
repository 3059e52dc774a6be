//! `GET /metrics`, read as a server of Prometheus reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use doctor::Restarted;
use engine::view::{MemoryGroup, Snapshot, State};

use crate::world::{World, model, snapshot};

type Labels = BTreeMap<String, String>;

/// Families by name: their kind and their samples.
#[derive(Default)]
struct Page(BTreeMap<String, (String, Vec<(Labels, f64)>)>);

impl Page {
    /// The text format 0.0.4, strictly: each family in one piece, described before its first sample,
    /// no series twice.
    fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line ends as well");
        let mut page = Self::default();
        let mut help = String::new();
        let mut current = String::new();
        let mut series = BTreeSet::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, says) = rest.split_once(' ').expect("a name and a text");
                assert!(!says.is_empty(), "{line}");
                name.clone_into(&mut help);
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a name and a kind");
                assert_eq!(name, help, "described first");
                assert!(["counter", "gauge"].contains(&kind), "{line}");
                assert!(is_name(name, true), "{name}");
                assert!(name.starts_with("homeostat_"), "{name}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
                let told = page.0.insert(name.to_owned(), (kind.to_owned(), Vec::new()));
                assert!(told.is_none(), "{name} twice");
                name.clone_into(&mut current);
            } else {
                let end = line.find(['{', ' ']).expect("a name");
                let (name, rest) = line.split_at(end);
                assert_eq!(name, current, "a family is in one piece");
                let (labels, rest) = labels(rest);
                let value: f64 =
                    rest.strip_prefix(' ').expect("a space").parse().expect("a number");
                assert!(series.insert((name.to_owned(), labels.clone())), "twice: {line}");
                page.0.get_mut(name).expect("its kind").1.push((labels, value));
            }
        }
        page
    }

    fn value(&self, name: &str, wanted: &[(&str, &str)]) -> Option<f64> {
        let wanted: Labels = wanted.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
        let (_, samples) = self.0.get(name)?;
        samples.iter().find(|(labels, _)| *labels == wanted).map(|(_, value)| *value)
    }
}

fn is_name(name: &str, colon: bool) -> bool {
    let fits = |one: char| one.is_ascii_alphanumeric() || one == '_' || (colon && one == ':');
    !name.is_empty()
        && !name.starts_with(|one: char| one.is_ascii_digit())
        && name.chars().all(fits)
}

fn labels(text: &str) -> (Labels, &str) {
    let mut found = Labels::new();
    let Some(mut rest) = text.strip_prefix('{') else { return (found, text) };
    loop {
        let (name, after) = rest.split_once("=\"").expect("a label");
        assert!(is_name(name, false) && !name.starts_with("__"), "{name}");
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().expect("an end") {
                (at, '"') => break at + 1,
                (_, '\\') => value.push(match chars.next().expect("what is escaped").1 {
                    'n' => '\n',
                    other => {
                        assert!(['\\', '"'].contains(&other), "\\{other}");
                        other
                    }
                }),
                (_, other) => value.push(other),
            }
        };
        assert!(found.insert(name.into(), value).is_none(), "{name} twice");
        rest = &after[end..];
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return (found, rest.strip_prefix('}').expect("a brace")),
        }
    }
}

fn busy() -> Snapshot {
    let mut snapshot = snapshot();
    snapshot.targets[1].state = State::GivenUp;
    snapshot.targets[1].detail.clear();
    let mut odd = snapshot.targets[0].clone();
    odd.id = "service:a \"b\" \\ c\nd".into();
    odd.state = State::Unknown;
    let mut absent = odd.clone();
    (absent.id, absent.found) = ("mlx".into(), false);
    snapshot.targets.extend([odd, absent]);
    snapshot.models.push(model("llama3:8b", 5, None, false));
    let python = MemoryGroup {
        name: "python".into(),
        bytes: 7,
        processes: 1,
        grew_10m_bytes: None,
        grew_6h_bytes: None,
        history: Vec::new(),
    };
    snapshot.memory.groups.push(python);
    snapshot
}

async fn read(world: &World) -> Page {
    let reply = world.get("/metrics").await;
    assert_eq!(reply.status, 200);
    let kind = reply.header("content-type").unwrap();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    Page::read(&reply.body)
}

#[tokio::test]
async fn metrics_are_what_prometheus_reads() {
    let world = World::new().await;
    world.beat(Duration::ZERO);
    world.snapshot.send_replace(Arc::new(busy()));
    let counts = Restarted { us: 2, person: 1, others: 0 };
    world.restarts.send_replace(Arc::new([("ollama".to_owned(), counts)].into()));
    let page = read(&world).await;
    let value = |name: &str, labels: &[(&str, &str)]| page.value(name, labels);
    assert_eq!(value("homeostat_build_info", &[("version", "0.1.0")]), Some(1.0));
    assert_eq!(value("homeostat_targets", &[]), Some(3.0), "what was not found is none");
    let up = |id: &str, kind: &str| value("homeostat_target_up", &[("target", id), ("kind", kind)]);
    assert_eq!((up("ollama", "ollama"), up("container:web", "container")), (Some(1.0), Some(0.0)));
    let odd = "service:a \"b\" \\ c\nd";
    assert_eq!(up(odd, "ollama"), None, "nobody knows");
    for (id, wanted) in [("ollama", "healthy"), ("container:web", "given_up"), (odd, "unknown")] {
        let states = ["unknown", "starting", "healthy", "slow", "degraded", "down", "recovering"];
        for state in states.into_iter().chain(["given_up"]) {
            let is = value("homeostat_target_state", &[("target", id), ("state", state)]);
            assert_eq!(is, Some(f64::from(u8::from(state == wanted))), "{id} {state}");
        }
    }
    let restarts =
        |by: &str| value("homeostat_target_restarts_total", &[("target", "ollama"), ("by", by)]);
    assert_eq!(
        [restarts("homeostat"), restarts("person"), restarts("other")],
        [Some(2.0), Some(1.0), Some(0.0)]
    );
    let took = |id: &str| value("homeostat_probe_duration_seconds", &[("target", id)]);
    assert_eq!((took("ollama"), took("container:web")), (Some(0.245), None));
    let loaded = [("server", "ollama"), ("model", "llama3:8b")];
    assert_eq!(value("homeostat_model_memory_bytes", &loaded), Some(5e9));
    assert_eq!(value("homeostat_memory_bytes", &[("owner", "python")]), Some(7.0));
    assert_eq!(value("homeostat_host_memory_bytes", &[]), Some(128e9));
    assert_eq!(value("homeostat_incidents_open", &[]), Some(0.0));
    assert_eq!(value("homeostat_loop_late", &[]), Some(0.0));
}

#[tokio::test]
async fn a_thousand_targets_do_not_make_ten_thousand_series() {
    let world = World::new().await;
    let mut many = snapshot();
    let one = many.targets[1].clone();
    many.targets = (0..1000)
        .map(|at| engine::view::Target { id: format!("container:{at}"), ..one.clone() })
        .collect();
    world.snapshot.send_replace(Arc::new(many));
    let page = read(&world).await;
    assert_eq!(page.value("homeostat_targets", &[]), Some(1000.0));
    assert_eq!(page.0["homeostat_target_up"].1.len(), 500);
}
