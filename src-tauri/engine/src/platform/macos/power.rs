//! Sleep and wake from `NSWorkspace` (FACTS D.2).

use tokio::sync::mpsc::Sender;

use super::super::Power;
use super::observe_power;

/// Tells of every sleep and wake until nobody listens any more. News come only while the main
/// thread runs its run loop, as the shell's does; without it a sleep is seen by the two clocks
/// alone (R41).
pub async fn watch_power(news: Sender<Power>) {
    observe_power(&news);
    news.closed().await;
}
