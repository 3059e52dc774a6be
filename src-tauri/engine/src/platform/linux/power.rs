//! Sleep and wake from logind's `PrepareForSleep` (org.freedesktop.login1(5)).

use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc::Sender;
use zbus::message::Type;
use zbus::{Connection, MatchRule, MessageStream};

use super::super::Power;

/// How long to wait before the bus is tried again.
const PAUSE: Duration = Duration::from_secs(30);

/// How long the bus may take to answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// Tells of every sleep and wake until nobody listens any more. A machine without a system bus or
/// without logind is no error: a sleep is then seen by the two clocks alone (R41).
pub async fn watch_power(news: Sender<Power>) {
    while !news.is_closed() {
        if let Err(error) = follow(&news).await {
            tracing::debug!(%error, "no news of sleep from logind; the clocks tell it alone");
        }
        tokio::select! {
            () = news.closed() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Until the bus goes away or nobody listens.
async fn follow(news: &Sender<Power>) -> anyhow::Result<()> {
    let bus = tokio::time::timeout(DEADLINE, Connection::system()).await??;
    follow_on(&bus, news).await
}

async fn follow_on(bus: &Connection, news: &Sender<Power>) -> anyhow::Result<()> {
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender("org.freedesktop.login1")?
        .interface("org.freedesktop.login1.Manager")?
        .member("PrepareForSleep")?
        .build();
    let subscription = MessageStream::for_match_rule(rule, bus, None);
    let mut signals = tokio::time::timeout(DEADLINE, subscription).await??;
    loop {
        let signal = tokio::select! {
            () = news.closed() => return Ok(()),
            signal = signals.next() => signal,
        };
        let Some(signal) = signal else { return Ok(()) };
        // True before sleep, false after it.
        let starts: bool = signal?.body().deserialize()?;
        let power = if starts { Power::WillSleep } else { Power::Woke };
        if news.send(power).await.is_err() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::UnixStream;
    use tokio::sync::mpsc;
    use tokio::time::timeout;
    use zbus::{Connection, Guid, connection::Builder};

    use super::{Power, follow_on, watch_power};

    const LONG: Duration = Duration::from_secs(20);

    /// The two ends of one D-Bus connection without a bus between them.
    async fn ends() -> (Connection, Connection) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let guid = Guid::generate();
        let login = Builder::unix_stream(theirs).server(guid).unwrap().p2p().build();
        let watcher = Builder::unix_stream(ours).p2p().build();
        let (login, watcher) = tokio::join!(login, watcher);
        (login.unwrap(), watcher.unwrap())
    }

    #[tokio::test]
    async fn sleep_and_wake_are_told_in_turn() {
        let (login, watcher) = ends().await;
        let (send, mut news) = mpsc::channel(4);
        let following = tokio::spawn(async move { follow_on(&watcher, &send).await });
        let first = timeout(LONG, async {
            loop {
                // The watcher may not have subscribed yet: it is told until it has heard.
                emit(&login, true).await;
                if let Ok(heard) = timeout(Duration::from_millis(50), news.recv()).await {
                    return heard;
                }
            }
        });
        assert_eq!(first.await.unwrap(), Some(Power::WillSleep));
        emit(&login, false).await;
        let woke = timeout(LONG, async {
            while let Some(heard) = news.recv().await {
                if heard == Power::Woke {
                    return true;
                }
            }
            false
        });
        assert!(woke.await.unwrap());
        drop(login);
        // Whether a lost bus is an error or an end, it must not hang.
        let _ = timeout(LONG, following).await.expect("it ends with the bus").unwrap();
    }

    #[tokio::test]
    async fn it_ends_when_nobody_listens_bus_or_not() {
        let (send, news) = mpsc::channel(1);
        let watching = tokio::spawn(watch_power(send));
        drop(news);
        timeout(LONG, watching).await.expect("it ends").unwrap();
    }

    async fn emit(login: &Connection, start: bool) {
        let (path, interface) = ("/org/freedesktop/login1", "org.freedesktop.login1.Manager");
        login.emit_signal(None::<&str>, path, interface, "PrepareForSleep", &start).await.unwrap();
    }
}
