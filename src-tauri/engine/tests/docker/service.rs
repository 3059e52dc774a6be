//! A service that fails, and what its container tells: another address, or that it is at work.

use crate::fake::{DEADLINE, Fake, container, json};
use doctor::{Observation, Reply, ServiceSeen};
use engine::probe::service::{Inside, Service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[tokio::test]
async fn it_answers_at_another_published_port() {
    let (well, wrong) = (answering("200 OK").await, closed().await);
    let fake = docker(well, 0);
    let service = service(wrong, &fake);
    for _ in 0..2 {
        let seen = look(&service).await;
        assert_eq!(seen.answer.reply, Reply::Refused);
        let elsewhere = seen.elsewhere.unwrap();
        assert_eq!(elsewhere.url, format!("http://127.0.0.1:{well}/health"));
        assert_eq!(seen.cpu_percent, None);
    }
    assert_eq!(fake.calls("GET /containers/").len(), 1, "its ports are read once a minute");
}

#[tokio::test]
async fn what_is_not_expected_there_either_is_no_answer() {
    let (sick, wrong) = (answering("500 No").await, closed().await);
    let fake = docker(sick, 0);
    assert_eq!(look(&service(wrong, &fake)).await.elsewhere, None);
}

#[tokio::test]
async fn while_it_is_well_its_container_is_not_asked() {
    let well = answering("200 OK").await;
    let fake = docker(well, 0);
    let seen = look(&service(well, &fake)).await;
    assert_eq!((seen.elsewhere, seen.cpu_percent), (None, None));
    assert_eq!(fake.calls(""), [""; 0]);
}

#[tokio::test]
async fn a_service_that_hangs_is_asked_for_its_work() {
    // Nobody takes what the system has connected.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for (own, percent) in [(900, 90), (0, 0)] {
        let fake = docker(port, own);
        let service = service(port, &fake);
        for _ in 0..2 {
            let seen = look(&service).await;
            assert_eq!((seen.answer.reply, seen.cpu_percent), (Reply::Silent, Some(percent)));
        }
        assert_eq!(fake.calls("GET /containers/agent/stats").len(), 1);
    }
}

async fn look(service: &Service) -> ServiceSeen {
    let seen = tokio::time::timeout(DEADLINE, service.look(1)).await.unwrap();
    let Observation::Service(seen) = seen else { panic!("{seen:?}") };
    seen
}

fn service(port: u16, fake: &Fake) -> Service {
    Service {
        url: format!("http://127.0.0.1:{port}/health"),
        timeout: std::time::Duration::from_millis(300),
        expect: vec![200],
        container: Some(Inside::new(fake.docker(), "agent".into())),
    }
}

/// An engine whose container publishes this port, and has used so much of 1000 units of one core.
fn docker(port: u16, own: u64) -> Fake {
    Fake::start(move |call: String, _, stream| async move {
        let body = if call.contains("/stats?") {
            let sample = |own: u64, whole: u64| serde_json::json!({"cpu_usage": {"total_usage": own}, "system_cpu_usage": whole, "online_cpus": 1});
            serde_json::json!({"cpu_stats": sample(own, 1000), "precpu_stats": sample(0, 0)})
        } else {
            let mut agent = container("agent", "running", "2026-08-01T10:00:00Z");
            let binding = serde_json::json!([{"HostIp": "0.0.0.0", "HostPort": port.to_string()}]);
            agent["NetworkSettings"] = serde_json::json!({"Ports": {"8000/tcp": binding}});
            agent
        };
        json(stream, 200, &body.to_string()).await;
    })
}

async fn closed() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

async fn answering(status: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await;
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    port
}
