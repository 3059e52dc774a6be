//! The event stream: every kind of news, once, and what ends it.

use std::time::Duration;

use doctor::{ContainerEvent, ContainerNews, Event};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::fake::{DEADLINE, Fake, begin, chunk, event, for_ever, id, json};
use crate::{EPOCH, SECOND};

#[tokio::test]
async fn a_stream_that_ends_is_told_and_opened_again_without_repeating_itself() {
    let fake = Fake::start(async |call: String, before, mut stream| {
        assert!(call.starts_with("GET /events?"), "{call}");
        begin(&mut stream).await;
        chunk(&mut stream, &event("oom", "db", EPOCH)).await;
        chunk(&mut stream, &event("die", "db", EPOCH + 1)).await;
        if before > 0 {
            // The same container dies the same death at another time: that is news.
            chunk(&mut stream, &event("die", "db", EPOCH + 9 * SECOND)).await;
            for_ever(stream).await;
        }
    });
    let (sender, mut inbox) = mpsc::channel(64);
    let watching = tokio::spawn(fake.docker().watch(sender, None));
    assert_eq!(next(&mut inbox).await, Event::DockerStream { connected: true });
    assert_eq!(next(&mut inbox).await, news(ContainerEvent::Oom, "db", EPOCH));
    let die = ContainerEvent::Die { exit_code: 137 };
    assert_eq!(next(&mut inbox).await, news(die.clone(), "db", EPOCH + 1));
    assert_eq!(next(&mut inbox).await, Event::DockerStream { connected: false });
    assert_eq!(next(&mut inbox).await, Event::DockerStream { connected: true });
    assert_eq!(next(&mut inbox).await, news(die, "db", EPOCH + 9 * SECOND));

    let calls = fake.calls("GET /events");
    assert!(!calls[0].contains("since"), "{calls:?}");
    assert!(calls[1].contains("since=1699999995.000000001"), "{calls:?}");
    assert!(calls.iter().all(|call| call.contains("container")), "{calls:?}");
    watching.abort();
}

#[tokio::test]
async fn every_kind_of_news_and_nothing_else() {
    const ACTIONS: [&str; 17] = [
        "create",
        "start",
        "exec_create: sh",
        "exec_start: sh",
        "oom",
        "kill",
        "die",
        "stop",
        "restart",
        "pause",
        "unpause",
        "rename",
        "update",
        "attach",
        "health_status: unhealthy",
        "health_status: healthy",
        "destroy",
    ];
    let fake = Fake::start(async |_, _, mut stream| {
        begin(&mut stream).await;
        for (number, action) in (0..).zip(ACTIONS) {
            chunk(&mut stream, &event(action, "db", EPOCH + number)).await;
        }
        for_ever(stream).await;
    });
    let (sender, mut inbox) = mpsc::channel(64);
    let watching = tokio::spawn(fake.docker().watch(sender, None));
    next(&mut inbox).await;
    let mut heard = Vec::new();
    while heard.last() != Some(&ContainerEvent::Destroy) {
        let event = next(&mut inbox).await;
        let Event::ContainerNews(news) = event else { panic!("{event:?}") };
        heard.push(news.what);
    }
    assert_eq!(
        heard,
        [
            ContainerEvent::Create,
            ContainerEvent::Start,
            ContainerEvent::Oom,
            ContainerEvent::Kill { signal: "15".into() },
            ContainerEvent::Die { exit_code: 137 },
            ContainerEvent::Stop,
            ContainerEvent::Restart,
            ContainerEvent::Pause,
            ContainerEvent::Unpause,
            ContainerEvent::Rename { old: "before".into() },
            ContainerEvent::Health(doctor::ContainerHealth::Unhealthy),
            ContainerEvent::Health(doctor::ContainerHealth::Healthy),
            ContainerEvent::Destroy,
        ]
    );
    watching.abort();
}

#[tokio::test]
async fn a_silent_stream_lives_as_long_as_the_ping() {
    let fake = Fake::start(async |call: String, before, mut stream| {
        if call.starts_with("GET /events") {
            begin(&mut stream).await;
            for_ever(stream).await;
        } else if before < 3 {
            json(stream, 200, "OK").await;
        } else {
            for_ever(stream).await;
        }
    });
    let (sender, mut inbox) = mpsc::channel(64);
    let watching = tokio::spawn(fake.docker().watch(sender, None));
    assert_eq!(next(&mut inbox).await, Event::DockerStream { connected: true });
    assert_eq!(next(&mut inbox).await, Event::DockerStream { connected: false });
    // Three pings held it, the fourth did not.
    assert_eq!(fake.calls("GET /_ping").len(), 4);
    assert_eq!(next(&mut inbox).await, Event::DockerStream { connected: true });
    watching.abort();
}

#[tokio::test]
async fn an_engine_that_takes_the_question_and_never_answers_is_told_once() {
    let fake = Fake::start(async |_, before, mut stream| {
        if before < 3 {
            for_ever(stream).await;
        } else {
            begin(&mut stream).await;
            for_ever(stream).await;
        }
    });
    let (sender, mut inbox) = mpsc::channel(64);
    let watching = tokio::spawn(fake.docker().watch(sender, None));
    assert_eq!(next(&mut inbox).await, Event::DockerStream { connected: false });
    assert_eq!(next(&mut inbox).await, Event::DockerStream { connected: true });
    assert_eq!(fake.calls("GET /events").len(), 4);
    watching.abort();
}

#[tokio::test]
async fn garbage_and_an_endless_event_end_the_stream() {
    let fake = Fake::start(async |_, before, mut stream| {
        begin(&mut stream).await;
        match before {
            0 => {
                chunk(&mut stream, "{\"Type\": ]]] garbage\n").await;
                for_ever(stream).await;
            }
            1 => {
                chunk(&mut stream, "{\"Type\":\"container\",\"Action\":\"").await;
                while chunk(&mut stream, &"x".repeat(10_000)).await {}
            }
            _ => {
                chunk(&mut stream, &event("oom", "db", EPOCH)).await;
                for_ever(stream).await;
            }
        }
    });
    let (sender, mut inbox) = mpsc::channel(64);
    let watching = tokio::spawn(fake.docker().watch(sender, None));
    for connected in [true, false, true, false, true] {
        assert_eq!(next(&mut inbox).await, Event::DockerStream { connected });
    }
    assert_eq!(next(&mut inbox).await, news(ContainerEvent::Oom, "db", EPOCH));
    watching.abort();
}

#[tokio::test]
async fn a_kick_opens_the_stream_anew() {
    let fake = Fake::start(async |_, before, mut stream| {
        begin(&mut stream).await;
        chunk(&mut stream, &event("start", "db", EPOCH + i64::try_from(before).unwrap())).await;
        for_ever(stream).await;
    });
    let docker = fake.docker();
    let (sender, mut inbox) = mpsc::channel(64);
    let watching = tokio::spawn(docker.clone().watch(sender, None));
    for round in 0..3 {
        assert_eq!(next(&mut inbox).await, Event::DockerStream { connected: true });
        assert_eq!(next(&mut inbox).await, news(ContainerEvent::Start, "db", EPOCH + round));
        docker.kick();
    }
    watching.abort();
}

#[tokio::test]
async fn a_burst_that_nobody_takes_costs_no_memory_and_ends_in_a_snapshot() {
    const BURST: i64 = 10_000;
    let fake = Fake::start(async |call: String, _, mut stream| {
        if !call.starts_with("GET /events") {
            return json(stream, 200, "OK").await;
        }
        begin(&mut stream).await;
        for number in 0..BURST {
            chunk(&mut stream, &event("start", "db", EPOCH + number)).await;
            if number == BURST / 2 {
                chunk(&mut stream, &event("oom", "db", EPOCH + number)).await;
            }
        }
        // It is read to its end although nobody takes anything from the inbox.
        chunk(&mut stream, &event("exec_die", "last", EPOCH + BURST)).await;
        for_ever(stream).await;
    });
    let (sender, mut inbox) = mpsc::channel(8);
    let watching = tokio::spawn(fake.docker().watch(sender, None));
    // A quiet stream is pinged: so the burst was read whole.
    until(|| !fake.calls("GET /_ping").is_empty()).await;

    assert_eq!(next(&mut inbox).await, Event::DockerStream { connected: true });
    let mut told = Vec::new();
    let after = loop {
        let event = next(&mut inbox).await;
        let Event::ContainerNews(news) = event else { break event };
        told.push(news.what);
    };
    assert_eq!(after, Event::DockerStream { connected: true });
    assert!(told.len() < 1100, "{} were kept", told.len());
    assert!(told.contains(&ContainerEvent::Oom), "what only the stream tells was dropped");
    watching.abort();
}

#[tokio::test]
async fn the_watch_ends_with_its_inbox() {
    let fake = Fake::start(async |_, _, mut stream| {
        begin(&mut stream).await;
        for_ever(stream).await;
    });
    let (sender, inbox) = mpsc::channel(8);
    let watching = tokio::spawn(fake.docker().watch(sender, None));
    drop(inbox);
    timeout(DEADLINE, watching).await.unwrap().unwrap();
}

fn news(what: ContainerEvent, name: &str, nanoseconds: i64) -> Event {
    let at_ms = nanoseconds / 1_000_000;
    Event::ContainerNews(ContainerNews { id: id(name), name: name.into(), at_ms, what })
}

async fn next(inbox: &mut mpsc::Receiver<Event>) -> Event {
    timeout(DEADLINE, inbox.recv()).await.expect("an event within the deadline").unwrap()
}

async fn until(condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, met).await.expect("the condition within the deadline");
}
