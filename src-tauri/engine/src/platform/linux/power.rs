//! Sleep and wake from logind's `PrepareForSleep` (org.freedesktop.login1(5)).

use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc::Sender;
use zbus::{Connection, proxy};

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

#[proxy(
    interface = "org.freedesktop.login1.Manager",
    default_service = "org.freedesktop.login1",
    default_path = "/org/freedesktop/login1"
)]
trait Login {
    /// True before sleep, false after it.
    #[zbus(signal)]
    fn prepare_for_sleep(&self, start: bool) -> zbus::Result<()>;
}

/// Until the bus goes away or nobody listens.
async fn follow(news: &Sender<Power>) -> anyhow::Result<()> {
    let mut signals = tokio::time::timeout(DEADLINE, async {
        let bus = Connection::system().await?;
        LoginProxy::new(&bus).await?.receive_prepare_for_sleep().await
    })
    .await??;
    loop {
        let signal = tokio::select! {
            () = news.closed() => return Ok(()),
            signal = signals.next() => signal,
        };
        let Some(signal) = signal else { return Ok(()) };
        let power = if *signal.args()?.start() { Power::WillSleep } else { Power::Woke };
        if news.send(power).await.is_err() {
            return Ok(());
        }
    }
}
