//! Unloading from MLX servers: each kind in its own way, where there is one (FACTS B.2).

use std::time::{Duration, Instant};

use doctor::{Holder, Listener, MlxServer, Outcome, Unloaded};
use serde_json::{Value, json};

use super::lines::post;
use super::{ASK, failed};
use crate::platform;
use crate::probe::http::{self, LIST_CAP, builder};
use crate::probe::mlx::Mlx;
use crate::probe::port_of;

const POLL: Duration = Duration::from_millis(500);
/// Freed memory shows within so long, or it was not freed.
const SHOWS_WITHIN: Duration = Duration::from_secs(20);
/// Smaller than any model; other work of the server may move so much.
const LITTLE: u64 = 100 << 20;

/// Lets go of one model, or of all (none), and waits until the process holds less.
///
/// Never `DELETE /v1/models/NAME`: mlx-omni-server deletes the files then.
pub async fn unload_mlx(
    mlx: &Mlx,
    server: MlxServer,
    model: Option<&str>,
    within: Duration,
) -> Outcome {
    let deadline = Instant::now() + within.saturating_sub(Duration::from_secs(2));
    let before = held(mlx).await;
    let asked = match (server, model) {
        (MlxServer::Omni, _) => send(mlx, "/v1/cache/clear", json!({}), deadline).await,
        (MlxServer::Omlx, Some(model)) => {
            let path = format!("/v1/models/{}/unload", encoded(model));
            send(mlx, &path, json!({}), deadline).await
        }
        (MlxServer::LmStudio, Some(model)) => lm_studio(mlx, model, deadline).await,
        (
            MlxServer::MlxLm
            | MlxServer::OpenAi
            | MlxServer::Omlx
            | MlxServer::LmStudio
            | MlxServer::ModelServer
            | MlxServer::Ollama
            | MlxServer::Unrecognised,
            _,
        ) => Err("this server cannot unload a model; restart it to free its memory".into()),
    };
    if let Err(reason) = asked {
        return failed(&reason);
    }
    let names = vec![model.map_or_else(|| "MLX".to_owned(), |model| format!("mlx:{model}"))];
    let unloaded = |freed_bytes, holders| {
        Outcome::Unloaded(Unloaded {
            models: names.clone(),
            left: Vec::new(),
            holders,
            freed_bytes,
            expected_bytes: 0,
        })
    };
    let Some((pid, before)) = before else { return unloaded(None, Vec::new()) };
    let until = deadline.min(Instant::now() + SHOWS_WITHIN);
    let mut freed = 0;
    while Instant::now() < until && freed < LITTLE {
        tokio::time::sleep(POLL).await;
        let Some((still, now)) = held(mlx).await else { break };
        if still != pid {
            return failed("another process has taken its place meanwhile");
        }
        freed = before.saturating_sub(now);
    }
    // What has not come free is still held, whatever the answer was.
    let holders = if freed < LITTLE {
        vec![Holder { pid, bytes: before.saturating_sub(freed) }]
    } else {
        Vec::new()
    };
    unloaded(Some(freed), holders)
}

/// `GET /api/v1/models` names the instances of what is loaded.
async fn lm_studio(mlx: &Mlx, model: &str, deadline: Instant) -> Result<(), String> {
    let url = format!("{}/api/v1/models", mlx.url);
    let list: Value = http::get(&url, ASK, LIST_CAP)
        .await
        .json()
        .ok_or("LM Studio does not say which models are loaded")?;
    let models = list["models"].as_array().into_iter().flatten();
    let named = models.filter(|one| one["key"] == model);
    let instances = named.flat_map(|one| one["loaded_instances"].as_array().into_iter().flatten());
    let ids: Vec<&str> = instances.filter_map(|instance| instance["id"].as_str()).collect();
    if ids.is_empty() {
        return Err(format!("{model} is not in memory"));
    }
    for id in ids {
        send(mlx, "/api/v1/models/unload", json!({ "instance_id": id }), deadline).await?;
    }
    Ok(())
}

async fn send(mlx: &Mlx, path: &str, body: Value, deadline: Instant) -> Result<(), String> {
    let client = builder().build().map_err(|error| error.to_string())?;
    let deadline = deadline.min(Instant::now() + ASK);
    let mut lines = post(&client, &format!("{}{path}", mlx.url), &body, deadline).await?;
    while lines.next(deadline).await?.is_some() {}
    Ok(())
}

/// The process and what it and its children hold.
async fn held(mlx: &Mlx) -> Option<(u32, u64)> {
    let port = port_of(&mlx.url);
    let held = tokio::task::spawn_blocking(move || match platform::listener(port) {
        Listener::Process(process) => {
            let children = platform::descendants(process.id.pid);
            let pids = children.iter().map(|id| id.pid).chain([process.id.pid]);
            Some((process.id.pid, pids.filter_map(platform::footprint).sum()))
        }
        Listener::Nobody | Listener::Hidden | Listener::NotAsked => None,
    });
    held.await.ok().flatten()
}

/// A name such as `mlx-community/Qwen3-8B-4bit` as one part of a path.
fn encoded(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::{Arc, Mutex};
    use std::thread;
    use std::time::Duration;

    use doctor::{MlxServer, Outcome, Unloaded};

    use super::{LITTLE, Mlx, encoded, unload_mlx};

    /// The memory of the whole process is measured: one at a time.
    static MEASURING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

    /// Holds 300 MB until it is asked what lets go of them, and answers as LM Studio does where it is
    /// asked for its list.
    struct Server {
        mlx: Mlx,
        asked: Arc<Mutex<Vec<String>>>,
    }

    impl Server {
        fn that_lets_go_at(request: &'static str) -> Self {
            let socket = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}", socket.local_addr().unwrap());
            let asked: Arc<Mutex<Vec<String>>> = Arc::default();
            let told = asked.clone();
            // Touched before anything is asked.
            let mut model = vec![1_u8; 300 << 20];
            thread::spawn(move || {
                for stream in socket.incoming() {
                    let mut stream = stream.unwrap();
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    let (mut first, mut length) = (String::new(), 0);
                    reader.read_line(&mut first).unwrap();
                    loop {
                        let mut line = String::new();
                        reader.read_line(&mut line).unwrap();
                        let line = line.trim().to_ascii_lowercase();
                        if let Some(value) = line.strip_prefix("content-length:") {
                            length = value.trim().parse().unwrap();
                        }
                        if line.is_empty() {
                            break;
                        }
                    }
                    let mut body = vec![0; length];
                    reader.read_exact(&mut body).unwrap();
                    let first = first.trim_end().trim_end_matches(" HTTP/1.1");
                    let request_seen = format!("{first} {}", String::from_utf8_lossy(&body));
                    if request_seen.trim_end() == request {
                        model = Vec::new();
                    }
                    told.lock().unwrap().push(request_seen.trim_end().to_owned());
                    let answer =
                        r#"{"models":[{"key":"qwen","loaded_instances":[{"id":"qwen:2"}]}]}"#;
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}", answer.len());
                    write!(stream, "{head}\r\nConnection: close\r\n\r\n{answer}").unwrap();
                }
                drop(model);
            });
            Self { mlx: Mlx::new(&url, Duration::from_secs(5), None, &[]), asked }
        }

        fn asked(&self) -> Vec<String> {
            self.asked.lock().unwrap().clone()
        }

        async fn unload(&self, server: MlxServer, model: Option<&str>) -> Outcome {
            unload_mlx(&self.mlx, server, model, Duration::from_secs(30)).await
        }
    }

    fn came_free(outcome: Outcome) -> Unloaded {
        let Outcome::Unloaded(unloaded) = outcome else { panic!("{outcome:?}") };
        assert!(unloaded.freed_bytes.unwrap() >= LITTLE, "{unloaded:?}");
        assert!(unloaded.holders.is_empty(), "{unloaded:?}");
        unloaded
    }

    /// FACTS B.2: each kind in its own way, proven by the memory that comes free.
    #[tokio::test]
    async fn each_kind_of_server_is_asked_in_its_own_way() {
        let _alone = MEASURING.lock().await;
        let cases = [
            (MlxServer::Omni, None, "POST /v1/cache/clear {}"),
            (MlxServer::Omlx, Some("a/b"), "POST /v1/models/a%2Fb/unload {}"),
            (
                MlxServer::LmStudio,
                Some("qwen"),
                r#"POST /api/v1/models/unload {"instance_id":"qwen:2"}"#,
            ),
        ];
        for (kind, model, request) in cases {
            let server = Server::that_lets_go_at(request);
            came_free(server.unload(kind, model).await);
            assert_eq!(server.asked().last().map(String::as_str), Some(request), "{kind:?}");
            assert!(server.asked().iter().all(|one| !one.starts_with("DELETE")), "{kind:?}");
        }
    }

    /// An answer is no proof: what the process still holds is told with its pid.
    #[tokio::test]
    async fn a_server_that_says_yes_and_keeps_its_memory_is_found_out() {
        let _alone = MEASURING.lock().await;
        let server = Server::that_lets_go_at("nothing");
        let Outcome::Unloaded(unloaded) = server.unload(MlxServer::Omni, None).await else {
            panic!("the request was taken")
        };
        let [holder] = &unloaded.holders[..] else { panic!("{unloaded:?}") };
        assert_eq!(holder.pid, std::process::id());
    }

    #[tokio::test]
    async fn what_cannot_unload_is_not_asked() {
        let _alone = MEASURING.lock().await;
        let server = Server::that_lets_go_at("nothing");
        for kind in [MlxServer::MlxLm, MlxServer::OpenAi, MlxServer::ModelServer] {
            let outcome = server.unload(kind, Some("qwen")).await;
            let Outcome::Failed { reason, .. } = outcome else { panic!("{outcome:?}") };
            assert!(reason.contains("restart it"), "{reason}");
        }
        let absent = server.unload(MlxServer::LmStudio, Some("llama")).await;
        assert!(
            matches!(&absent, Outcome::Failed { reason, .. } if reason.contains("not in memory"))
        );
        assert!(server.asked().iter().all(|one| one.starts_with("GET ")), "{:?}", server.asked());
    }

    #[test]
    fn a_name_stays_one_part_of_the_path() {
        assert_eq!(encoded("mlx-community/Qwen3"), "mlx-community%2FQwen3");
    }
}
