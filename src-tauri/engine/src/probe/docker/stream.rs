//! The engine's events, watched without end.
//!
//! The stream serves speed only: the engine drops what is not taken within 100 ms and keeps 256
//! events (moby `daemon/events`), so each beginning makes the doctor order a snapshot.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bollard::models::EventMessage;
use bollard::query_parameters::{EventsOptions, EventsOptionsBuilder};
use doctor::{Body, ContainerEvent, DockerSeen, Event, Reply, Wall};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Permit};
use tokio::time::{Instant, sleep_until};

use super::line::words;
use super::news::{Heard, death, news};
use super::{Docker, Limits};

/// Bytes of one event, labels included, before the stream is not believed any more.
const EVENT: u64 = 1 << 20;

/// Events kept while the inbox is full: of those that a snapshot tells as well, and of those that
/// only the stream tells.
const KEPT: usize = 1024;
const KEPT_DEAR: usize = 4096;

/// Why one stream ended, or the pause after it.
enum End {
    /// The engine is gone, or does not answer.
    Lost(String),
    /// The pause is over.
    Rested,
    /// Someone asked for a new stream.
    Kicked,
    /// Nobody listens any more.
    Unheard,
}

/// Where the last stream came from, and what was told of it.
#[derive(Default)]
struct Course {
    heard: Heard,
    place: Option<String>,
    connected: Option<bool>,
}

impl Course {
    fn begin(&mut self, place: String, post: &mut Post) {
        self.place = Some(place);
        self.connected = Some(true);
        self.heard.begin();
        post.put(Event::DockerStream { connected: true });
    }
}

impl Docker {
    /// Tells the inbox of every event, for ever; ends when the inbox is closed.
    ///
    /// `DockerStream { connected: true }` comes at each beginning, and again when events had to be
    /// dropped because the inbox was full: it means "take a snapshot, then listen on".
    ///
    /// What the engine still remembers of the time after `since` is told first: what happened while
    /// nobody listened.
    pub async fn watch(self, inbox: mpsc::Sender<Event>, since: Option<Wall>) {
        let pace = self.pace();
        let mut post = Post { inbox, waiting: VecDeque::new(), dropped: false };
        let mut course = Course { heard: Heard::after(since), ..Course::default() };
        let mut pause = pace.reconnect;
        loop {
            let began = Instant::now();
            match self.listen(&mut post, &mut course).await {
                End::Unheard => return,
                End::Kicked | End::Rested => continue,
                End::Lost(reason) => tracing::info!(reason, "no Docker event stream"),
            }
            if course.connected != Some(false) {
                course.connected = Some(false);
                post.put(Event::DockerStream { connected: false });
            }
            if began.elapsed() > pace.reconnect_at_most {
                pause = pace.reconnect;
            }
            match self.rest(&mut post, pause).await {
                End::Unheard => return,
                End::Kicked => pause = pace.reconnect,
                End::Rested | End::Lost(_) => pause = (pause * 2).min(pace.reconnect_at_most),
            }
        }
    }

    /// One stream from its beginning to its end.
    async fn listen(&self, post: &mut Post, course: &mut Course) -> End {
        let pace = self.pace();
        let line = match self.line(Limits { within: pace.answer, cap: EVENT }) {
            Ok(line) => line,
            Err(error) => return End::Lost(words(&error)),
        };
        // Another engine has other events and perhaps another time.
        if course.place.as_ref().is_some_and(|place| *place != self.address()) {
            course.heard = Heard::default();
        }
        let inbox = post.inbox.clone();
        let mut events = pin!(line.client.events(Some(question(course.heard.since()))));
        let mut answered = pin!(line.answered());
        let mut begun = false;
        let mut checkup: Option<BoxFuture<'_, DockerSeen>> = None;
        let mut alarm = Instant::now() + pace.answer;
        loop {
            tokio::select! {
                biased;
                () = self.shared.kick.notified() => return End::Kicked,
                permit = inbox.reserve(), if post.is_waiting() => match permit {
                    Ok(permit) => post.deliver(permit),
                    Err(_) => return End::Unheard,
                },
                () = inbox.closed() => return End::Unheard,
                () = &mut answered, if !begun => {
                    begun = true;
                    course.begin(line.place(self), post);
                    alarm = Instant::now() + pace.idle;
                }
                event = events.next() => {
                    // The head may come in one piece with the first event, or with the end.
                    if !begun && line.is_answered() {
                        begun = true;
                        course.begin(line.place(self), post);
                    }
                    let event = match event {
                        Some(Ok(event)) => event,
                        Some(Err(error)) => return End::Lost(format!("{:?}", line.reply(&error))),
                        None => return End::Lost("the engine ended it".into()),
                    };
                    line.forgive();
                    checkup = None;
                    alarm = Instant::now() + pace.idle;
                    self.tell(&event, post, &mut course.heard);
                }
                pinged = finished(&mut checkup) => {
                    if pinged.ping.reply != (Reply::Status { code: 200, body: Body::Expected }) {
                        return End::Lost(format!("silent, and the ping: {:?}", pinged.ping.reply));
                    }
                    checkup = None;
                    alarm = Instant::now() + pace.idle;
                }
                () = sleep_until(alarm), if checkup.is_none() => {
                    if !begun {
                        return End::Lost("no answer to the question for events".into());
                    }
                    checkup = Some(Box::pin(self.ping()));
                }
            }
        }
    }

    fn tell(&self, event: &EventMessage, post: &mut Post, heard: &mut Heard) {
        if !heard.is_new(event) {
            return;
        }
        if let Some(id) = event.actor.as_ref().and_then(|actor| actor.id.as_deref()) {
            self.forget(id);
        }
        if let Some(death) = death(event)
            && let Ok(permit) = Arc::clone(&self.shared.hearing).try_acquire_owned()
        {
            // Now, before a restart writes over it or `--rm` takes it away. Whom nobody has time for
            // is asked when it is looked at.
            let docker = self.clone();
            tokio::spawn(async move {
                docker.hear_last_words(death.id, death.at_ms, death.lived_ms).await;
                drop(permit);
            });
        }
        if let Some(news) = news(event) {
            post.put(Event::ContainerNews(news));
        }
    }

    /// The pause before the next stream, in which the inbox still gets what waits for it.
    async fn rest(&self, post: &mut Post, pause: Duration) -> End {
        let inbox = post.inbox.clone();
        let over = Instant::now() + pause;
        loop {
            tokio::select! {
                biased;
                () = self.shared.kick.notified() => return End::Kicked,
                permit = inbox.reserve(), if post.is_waiting() => match permit {
                    Ok(permit) => post.deliver(permit),
                    Err(_) => return End::Unheard,
                },
                () = inbox.closed() => return End::Unheard,
                () = sleep_until(over) => return End::Rested,
            }
        }
    }
}

fn question(since: Option<String>) -> EventsOptions {
    let containers = HashMap::from([("type", vec!["container"])]);
    let options = EventsOptionsBuilder::default().filters(&containers);
    match since {
        Some(since) => options.since(&since).build(),
        None => options.build(),
    }
}

async fn finished(checkup: &mut Option<BoxFuture<'_, DockerSeen>>) -> DockerSeen {
    match checkup {
        Some(checkup) => checkup.await,
        None => std::future::pending().await,
    }
}

/// What goes to the inbox, in order, without ever waiting for it: reading must go on, or the
/// engine drops events that nobody hears of.
struct Post {
    inbox: mpsc::Sender<Event>,
    waiting: VecDeque<Event>,
    /// Something was left out: the doctor must look for itself.
    dropped: bool,
}

impl Post {
    fn put(&mut self, event: Event) {
        let event = if self.waiting.is_empty() {
            match self.inbox.try_send(event) {
                Ok(()) => return,
                Err(TrySendError::Full(event) | TrySendError::Closed(event)) => event,
            }
        } else {
            event
        };
        if let Event::DockerStream { .. } = event {
            // Only the last one counts, and after it comes a snapshot in any case.
            self.waiting.retain(|waiting| !matches!(waiting, Event::DockerStream { .. }));
            self.dropped = false;
            self.waiting.push_back(event);
            return;
        }
        let kept = if is_dear(&event) { KEPT_DEAR } else { KEPT };
        if self.waiting.len() < kept {
            self.waiting.push_back(event);
        } else {
            self.dropped = true;
        }
    }

    fn is_waiting(&self) -> bool {
        self.dropped || !self.waiting.is_empty()
    }

    fn deliver(&mut self, permit: Permit<'_, Event>) {
        if let Some(event) = self.waiting.pop_front() {
            permit.send(event);
        } else if std::mem::take(&mut self.dropped) {
            permit.send(Event::DockerStream { connected: true });
        }
    }
}

/// Whether no snapshot can tell this later: who stopped a container, and that a child process of
/// it was killed.
fn is_dear(event: &Event) -> bool {
    let Event::ContainerNews(news) = event else { return false };
    match news.what {
        ContainerEvent::Oom
        | ContainerEvent::Die { .. }
        | ContainerEvent::Kill { .. }
        | ContainerEvent::Stop => true,
        ContainerEvent::Create
        | ContainerEvent::Start
        | ContainerEvent::Restart
        | ContainerEvent::Pause
        | ContainerEvent::Unpause
        | ContainerEvent::Destroy
        | ContainerEvent::Rename { .. }
        | ContainerEvent::Health(_) => false,
    }
}
