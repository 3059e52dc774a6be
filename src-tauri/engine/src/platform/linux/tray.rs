//! Whether the desktop shows tray icons (freedesktop.org `StatusNotifierItem`, `StatusNotifierWatcher`).

use std::time::Duration;

use futures_util::StreamExt;
use zbus::fdo::DBusProxy;
use zbus::{Connection, names::BusName};

const WATCHER: &str = "org.kde.StatusNotifierWatcher";

/// Waits at most so long for somebody who shows tray icons: at login a panel may start after us.
/// False too where there is no session bus.
pub async fn has_tray_host(within: Duration) -> bool {
    tokio::time::timeout(within, appears()).await.is_ok_and(|found| found.is_ok())
}

async fn appears() -> zbus::Result<()> {
    let bus = Connection::session().await?;
    let names = DBusProxy::new(&bus).await?;
    let watcher = BusName::try_from(WATCHER)?;
    // Subscribed before asking, so that it cannot appear unseen in between.
    let mut changes = names.receive_name_owner_changed_with_args(&[(0, WATCHER)]).await?;
    if names.name_has_owner(watcher).await? {
        return Ok(());
    }
    while let Some(change) = changes.next().await {
        if change.args()?.new_owner().is_some() {
            return Ok(());
        }
    }
    std::future::pending().await
}
