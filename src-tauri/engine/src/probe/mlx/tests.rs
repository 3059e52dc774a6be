use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use doctor::{Depth, Look, MlxSeen, MlxServer, Observation, Reply, TargetId};

use super::{Mlx, flag, settings};
use crate::platform;

const FASTAPI: &str = r#"{"detail":"Not Found"}"#;
const LIST: &str = r#"{"object":"list","data":[{"id":"qwen"}]}"#;
const OMNI: &str = r#"{"cache_size":1,"max_size":1,"ttl_seconds":300,
    "cached_keys":["WrapperCacheKey(model_id='qwen', adapter_path=None, draft_model_id=None)"],
    "lru_order":[],"ttl_info":[]}"#;
const LM_STUDIO: &str = r#"{"models":[
    {"key":"qwen","size_bytes":7,"loaded_instances":[{"id":"qwen:2","config":{}}]},
    {"key":"llama","size_bytes":9,"loaded_instances":[]}]}"#;

/// What a server answers to each path, and what it was asked.
struct Server {
    mlx: Mlx,
    answers: Arc<Mutex<Answers>>,
    asked: Arc<Mutex<Vec<String>>>,
}

/// Path to status and body, and what comes of all others (`PATH` in it is the path).
struct Answers {
    known: BTreeMap<&'static str, (u16, &'static str)>,
    others: (u16, &'static str),
}

impl Answers {
    fn of(known: &[(&'static str, &'static str)], others: (u16, &'static str)) -> Self {
        Self { known: known.iter().map(|(path, body)| (*path, (200, *body))).collect(), others }
    }

    fn omni() -> Self {
        Self::of(&[("/v1/models", LIST), ("/v1/cache", OMNI)], (404, FASTAPI))
    }

    fn lm_studio() -> Self {
        let unknown = r#"{"error":"Unexpected endpoint or method. (GET PATH)"}"#;
        Self::of(&[("/v1/models", LIST), ("/api/v1/models", LM_STUDIO)], (200, unknown))
    }
}

impl Server {
    fn that(answers: Answers) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        let (answers, asked) = (Arc::new(Mutex::new(answers)), Arc::default());
        let server =
            Self { mlx: Mlx::new(&url, Duration::from_secs(10), None, &[]), answers, asked };
        let (answers, asked) = (server.answers.clone(), server.asked.clone());
        thread::spawn(move || {
            for stream in socket.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let first = lines.next().unwrap().unwrap();
                for line in lines {
                    if line.unwrap().is_empty() {
                        break;
                    }
                }
                let path = first.split(' ').nth(1).unwrap().to_owned();
                let answers = answers.lock().unwrap();
                let (code, body) = answers.known.get(path.as_str()).unwrap_or(&answers.others);
                let body = body.replace("PATH", &path);
                asked.lock().unwrap().push(first.trim_end_matches(" HTTP/1.1").to_owned());
                let length = body.len();
                let head = format!("HTTP/1.1 {code} x\r\nContent-Length: {length}");
                write!(stream, "{head}\r\nConnection: close\r\n\r\n{body}").unwrap();
            }
        });
        server
    }

    fn becomes(&self, answers: Answers) {
        *self.answers.lock().unwrap() = answers;
    }

    /// What was seen, and what was asked for that.
    async fn look(&self, depth: Depth) -> (MlxSeen, Vec<String>) {
        self.asked.lock().unwrap().clear();
        let order = Look { id: 1, target: TargetId::Mlx, depth, stretch: 1, model: None };
        let Observation::Mlx(seen) = self.mlx.look(&order).await else { panic!("not asked") };
        (seen, self.asked.lock().unwrap().clone())
    }
}

fn loaded(seen: &MlxSeen) -> Option<Vec<&str>> {
    Some(seen.loaded.as_ref()?.iter().map(|one| one.name.as_str()).collect())
}

fn is_good(seen: &MlxSeen) -> bool {
    let good =
        |reply: &Reply| matches!(reply, Reply::Status { code: 200, body: doctor::Body::Expected });
    seen.asked.iter().any(|answer| good(&answer.reply))
}

#[tokio::test]
async fn kinds_with_a_path_of_their_own_are_recognised_and_then_asked_there_alone() {
    for (kind, answers, path) in [
        (MlxServer::Omni, Answers::omni(), "/v1/cache"),
        (MlxServer::LmStudio, Answers::lm_studio(), "/api/v1/models"),
    ] {
        let server = Server::that(answers);
        let (seen, asked) = server.look(Depth::Full).await;
        assert_eq!((seen.server, loaded(&seen)), (kind, Some(vec!["qwen"])), "{asked:?}");
        assert!(is_good(&seen), "{seen:?}");
        assert_eq!(seen.models, Some(vec!["qwen".to_owned()]));
        let (seen, asked) = server.look(Depth::Shallow).await;
        assert_eq!((seen.server, loaded(&seen)), (kind, Some(vec!["qwen"])));
        assert_eq!(asked, [format!("GET {path}")], "one request");
        // Never one that would load a model, move the end of one, or remove its files.
        let (seen, asked) = server.look(Depth::Deep).await;
        assert!(asked.iter().all(|one| one.starts_with("GET ")), "{asked:?}");
        assert_eq!((seen.server, seen.signs.deep), (kind, None));
    }
}

/// The same process, and another program's answers: what is remembered is not believed.
#[tokio::test]
async fn what_a_server_was_says_nothing_when_its_answers_are_others() {
    let server = Server::that(Answers::omni());
    assert_eq!(server.look(Depth::Shallow).await.0.server, MlxServer::Omni);
    let tags = r#"{"models":[{"name":"llama3:8b"}]}"#;
    let ollama = [("/v1/models", LIST), ("/api/tags", tags), ("/", "Ollama is running")];
    server.becomes(Answers::of(&ollama, (404, "404 page not found")));
    let (seen, _) = server.look(Depth::Shallow).await;
    assert_eq!((seen.server, seen.loaded), (MlxServer::Ollama, None));
    server.becomes(Answers::lm_studio());
    assert_eq!(server.look(Depth::Shallow).await.0.server, MlxServer::LmStudio);
}

#[tokio::test]
async fn programs_that_answer_anything_are_neither() {
    for (known, others) in [
        // A web server with one page for every path, and one with one JSON.
        (&[][..], (200, "<!doctype html><title>Grafana</title>")),
        (&[], (200, r#"{"models":[]}"#)),
        (&[], (200, r#"{"error":"Unexpected endpoint or method."}"#)),
        (&[], (200, OMNI)),
        // Another FastAPI program that speaks the OpenAI protocol.
        (&[("/v1/models", LIST)], (404, FASTAPI)),
        (&[("/v1/models", LIST), ("/v1/cache", r#"{"entries":3}"#)], (404, FASTAPI)),
        (&[("/v1/models", LIST), ("/v1/cache", "{}")], (404, FASTAPI)),
    ] {
        let server = Server::that(Answers::of(known, others));
        let (seen, asked) = server.look(Depth::Full).await;
        let about = format!("{known:?} {others:?} {asked:?}");
        assert_eq!((seen.server, seen.loaded), (MlxServer::Unrecognised, None), "{about}");
        // What it is not is not asked again at each look.
        let (_, shallow) = server.look(Depth::Shallow).await;
        assert!(!shallow.contains(&"GET /v1/cache".to_owned()), "{shallow:?}");
    }
}

/// Where a key is wanted it lives and says nothing; nothing is concluded from that.
#[tokio::test]
async fn omlx_tells_what_it_holds_in_full_looks_where_it_may() {
    let health = r#"{"status":"healthy","engine_pool":{"loaded_count":1}}"#;
    let status = r#"{"models":[{"id":"qwen","loaded":true,"pinned":false,"estimated_size":7}]}"#;
    let known = [("/health", health), ("/v1/models", LIST), ("/v1/models/status", status)];
    let server = Server::that(Answers::of(&known, (404, FASTAPI)));
    let (seen, _) = server.look(Depth::Full).await;
    assert_eq!((seen.server, loaded(&seen)), (MlxServer::Omlx, Some(vec!["qwen"])));
    let (seen, asked) = server.look(Depth::Shallow).await;
    assert_eq!((loaded(&seen), asked), (None, vec!["GET /health".to_owned()]));
    server.becomes(Answers::of(&known[..1], (401, r#"{"detail":"no key"}"#)));
    let (seen, _) = server.look(Depth::Full).await;
    assert_eq!((seen.server, loaded(&seen)), (MlxServer::Omlx, None));
    assert!(is_good(&seen), "{seen:?}");
}

#[test]
fn only_the_named_numbers_of_an_environment_are_read() {
    let variables = [
        ("MLX_MAX_CONCURRENT", "4"),
        ("UVICORN_WORKERS", "two"),
        ("MLX_MAX_CONCURRENT_SECRET", "9"),
        ("API_KEY", "123456"),
    ];
    let mut child =
        Command::new("/bin/sleep").arg("60").env_clear().envs(variables).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    // The kernel shows the environment a moment after it has begun the program.
    while platform::environment(child.id()).is_none_or(|all| all.is_empty()) {
        assert!(Instant::now() < deadline, "no environment");
        std::thread::yield_now();
    }
    let found = settings(MlxServer::ModelServer, child.id(), &[]).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let found: Vec<(&str, u32)> = found.iter().map(|one| (one.name.as_str(), one.value)).collect();
    assert_eq!(found, [("MLX_MAX_CONCURRENT", 4)]);
}

#[test]
fn flags_of_a_command_line() {
    let command = |text: &str| -> Vec<String> { text.split(' ').map(String::from).collect() };
    let decode = |text: &str| flag(&command(text), "--decode-concurrency");
    assert_eq!(decode("python -m mlx_lm.server --decode-concurrency 4"), Some(4));
    assert_eq!(decode("mlx_lm.server --decode-concurrency=16 --port 1"), Some(16));
    assert_eq!(decode("mlx_lm.server --decode-concurrency-limit 3"), None);
    assert_eq!(decode("mlx_lm.server --decode-concurrency"), None);
    assert_eq!(decode("mlx_lm.server --decode-concurrency many"), None);
}
