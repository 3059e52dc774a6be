//! The engine's notices as native notifications. Nothing here can hold up healing: what cannot be
//! shown is logged; the engine is told and brings its own again later, the app's are kept and tried
//! again with the next notice.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use doctor::{NoticeId, TargetId};
use engine::handle::Handle;
use engine::view::NoticeView;
use engine::wish::Request;
use tauri::AppHandle;
use tauri::async_runtime::{spawn, spawn_blocking};
use tokio::sync::{broadcast::error::RecvError, mpsc};

use crate::window;

/// How long a notification daemon may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// Older ones are dropped: by then they are no news.
const KEPT: usize = 20;
const WAITING: usize = 64;

/// Where the app itself puts something that a person should see.
#[derive(Clone)]
pub(crate) struct Notices(mpsc::Sender<Words>);

struct Words {
    title: String,
    body: String,
    /// The engine's name for it; none: the app's own.
    id: Option<NoticeId>,
    button: Option<Button>,
}

/// What a click asks for, drawn where the desktop's notifications can have buttons (R56).
#[derive(Clone)]
struct Button {
    label: String,
    press: Arc<dyn Fn() + Send + Sync>,
}

impl Notices {
    /// Never waits; a flood is not shown.
    pub(crate) fn show(&self, title: &str, body: &str) {
        let words =
            Words { title: title.to_owned(), body: body.to_owned(), id: None, button: None };
        if self.0.try_send(words).is_err() {
            tracing::warn!(title, body, "too many notices wait already");
        }
    }
}

/// Follows the engine's notices until the app ends.
pub(crate) fn begin(app: &AppHandle, handle: &Handle) -> Notices {
    system::prepare();
    let (own, mut asked) = mpsc::channel(WAITING);
    let mut notices = handle.notices();
    let (app, handle) = (app.clone(), handle.clone());
    spawn(async move {
        let mut pending = Pending::default();
        loop {
            let words = tokio::select! {
                Some(words) = asked.recv() => words,
                notice = notices.recv() => match notice {
                    Ok(notice) => Words {
                        button: Some(button(&app, &handle, &notice)),
                        title: notice.title,
                        body: notice.body,
                        id: Some(notice.id).filter(|id| *id > 0),
                    },
                    Err(RecvError::Lagged(missed)) => {
                        tracing::warn!(missed, "notices came faster than they could be shown");
                        continue;
                    }
                    Err(RecvError::Closed) => return,
                },
            };
            pending.add(words);
            pending.show().await;
            pending.give_back(|id| handle.notice_failed(id));
        }
    });
    Notices(own)
}

/// A person's wish, like the same click in the window; whatever is none opens the window.
fn button(app: &AppHandle, handle: &Handle, notice: &NoticeView) -> Button {
    let wish: Option<fn(TargetId) -> Request> = match notice.button.as_str() {
        "start" => Some(|target| Request::Start { target }),
        "restart" => Some(|target| Request::Restart { target }),
        "release" => Some(|target| Request::Release { target }),
        _ => None,
    };
    let request = wish.and_then(|wish| notice.target.parse().ok().map(wish));
    let (app, handle) = (app.clone(), handle.clone());
    let press = move || match request.clone() {
        Some(request) => {
            let handle = handle.clone();
            spawn(async move {
                let answer = engine::wish::ask(&handle, request).await;
                tracing::info!(?answer, "a notice's button was clicked");
            });
        }
        None => window::open(&app),
    };
    Button { label: notice.button_text.clone(), press: Arc::new(press) }
}

/// One notification when nothing else runs yet or any more.
pub(crate) async fn alone(title: &str, body: &str) {
    system::prepare();
    let mut pending = Pending::default();
    let (title, body) = (title.to_owned(), body.to_owned());
    pending.add(Words { title, body, id: None, button: None });
    pending.show().await;
}

#[derive(Default)]
struct Pending {
    words: VecDeque<Words>,
    /// A call that a daemon has not answered in time; no other is made beside it.
    stuck: Option<tauri::async_runtime::JoinHandle<()>>,
    failing: bool,
}

impl Pending {
    fn add(&mut self, words: Words) {
        while self.words.len() >= KEPT {
            self.words.pop_front();
        }
        self.words.push_back(words);
    }

    /// Shows what waits, oldest first, until one fails.
    async fn show(&mut self) {
        if self.stuck.as_ref().is_some_and(|call| !call.inner().is_finished()) {
            return;
        }
        self.stuck = None;
        while let Some(Words { title, body, button, .. }) = self.words.front() {
            let (title, body, button) = (title.clone(), body.clone(), button.clone());
            let (told, outcome) = tokio::sync::oneshot::channel();
            let call = spawn_blocking(move || {
                // Nobody waits any more after the deadline.
                let _ = told.send(system::show(&title, &body, button));
            });
            let failure = match tokio::time::timeout(DEADLINE, outcome).await {
                Ok(Ok(Ok(()))) => None,
                Ok(Ok(Err(reason))) => Some(reason),
                Ok(Err(_)) => Some("it ended badly".to_owned()),
                Err(_) => {
                    self.stuck = Some(call);
                    Some(format!("no answer within {} s", DEADLINE.as_secs()))
                }
            };
            if let Some(reason) = failure {
                self.failed(&reason);
                return;
            }
            self.failing = false;
            self.words.pop_front();
        }
    }

    /// What was not shown goes back to the engine, which knows whether it still holds later.
    fn give_back(&mut self, failed: impl Fn(NoticeId)) {
        self.words.retain(|words| {
            words.id.inspect(|id| failed(*id));
            words.id.is_none()
        });
    }

    /// Said once, not for every notice of a machine without a notification daemon.
    fn failed(&mut self, reason: &str) {
        if !self.failing {
            tracing::warn!(
                reason,
                "notifications cannot be shown; they are kept and tried again later"
            );
        }
        self.failing = true;
    }
}

#[cfg(not(target_os = "macos"))]
mod system {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use notify_rust::{Notification, NotificationHandle, get_capabilities};

    use super::Button;

    /// A desktop may never tell that a notification has gone; more than this are not waited for.
    const CLICKS: usize = 8;
    static WAITED_FOR: AtomicUsize = AtomicUsize::new(0);

    pub(super) fn prepare() {}

    pub(super) fn show(title: &str, body: &str, button: Option<Button>) -> Result<(), String> {
        let said = |error: notify_rust::error::Error| error.to_string();
        // Where a body is markup, names with `<` or `&` must not be taken for it (Desktop
        // Notifications Specification, "Markup").
        let can = get_capabilities().map_err(said)?;
        let markup = can.iter().any(|one| one == "body-markup");
        let body = if markup { escape(body) } else { body.to_owned() };
        let mut notification = Notification::new();
        notification.appname("Homeostat").summary(title).body(&body);
        let buttons = can.iter().any(|one| one == "actions");
        let button = button.filter(|_| buttons && WAITED_FOR.load(Ordering::Relaxed) < CLICKS);
        if let Some(button) = &button {
            notification.action(PRESSED, &button.label);
        }
        let shown = notification.show().map_err(said)?;
        if let Some(button) = button {
            wait_for_click(shown, button);
        }
        Ok(())
    }

    const PRESSED: &str = "pressed";

    /// On a thread of its own, since it may take as long as the notification is there.
    fn wait_for_click(shown: NotificationHandle, button: Button) {
        WAITED_FOR.fetch_add(1, Ordering::Relaxed);
        let waiting = std::thread::Builder::new().name("notice".to_owned()).spawn(move || {
            shown.wait_for_action(|action| {
                if action == PRESSED {
                    (button.press)();
                }
            });
            WAITED_FOR.fetch_sub(1, Ordering::Relaxed);
        });
        if let Err(error) = waiting {
            WAITED_FOR.fetch_sub(1, Ordering::Relaxed);
            tracing::warn!(%error, "nobody can wait for a click on a notice");
        }
    }

    fn escape(text: &str) -> String {
        text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
    }
}

#[cfg(target_os = "macos")]
mod system {
    use notify_rust::{Notification, set_application};

    use super::Button;

    /// Notifications carry the name and picture of an installed app; a bare binary borrows the
    /// terminal's.
    pub(super) fn prepare() {
        let name = if tauri::is_dev() { "com.apple.Terminal" } else { "dev.homeostat" };
        if let Err(error) = set_application(name) {
            tracing::debug!(%error, "notifications go out under another name");
        }
    }

    /// Without its button: the system's own answer to a click is to open the app.
    pub(super) fn show(title: &str, body: &str, _: Option<Button>) -> Result<(), String> {
        Notification::new().summary(title).body(body).show().map_err(|error| error.to_string())?;
        Ok(())
    }
}
