//! The tray's menu and icon as plain values; the shell only draws them.

use serde::{Deserialize, Serialize};

use crate::view::{Incident, Intent, Snapshot, State, Summary, Target};
use crate::wish::Request;
use crate::words::Words;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Menu {
    pub entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Can be read only.
    Text {
        text: String,
    },
    Click {
        text: String,
        action: Action,
    },
    Check {
        text: String,
        checked: bool,
        action: Action,
    },
    Group {
        text: String,
        entries: Vec<Self>,
    },
    /// A separator.
    Line,
}

/// What a click means. It travels as JSON in the item's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    Ask {
        wish: Request,
    },
    /// Open the window.
    Open,
    /// Turn starting at login on or off.
    AtLogin,
    Quit,
}

/// The four pictures that the tray knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icon {
    Well,
    Busy,
    Sick,
    Unknown,
}

/// What the menu shows beside the snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Beside {
    /// None: not known, or not possible here.
    pub at_login: Option<bool>,
    /// The newest incident, open or closed.
    pub last: Option<Incident>,
}

/// More targets than these do not fit on a screen; what is not well comes first then.
const TARGETS: usize = 30;
/// In characters; menus do not wrap.
const LONGEST: usize = 90;

pub fn menu(snapshot: &Snapshot, beside: &Beside, words: &Words) -> Menu {
    let click = |key: &str, action| Entry::Click { text: words.say(key), action };
    let ask = |key: &str, wish| click(key, Action::Ask { wish });
    let mut entries = vec![Entry::Text { text: short(&snapshot.headline) }];
    entries.extend(snapshot.messages.iter().map(|text| Entry::Text { text: short(text) }));
    entries.push(Entry::Line);
    entries.extend(targets(snapshot, words));
    entries.push(Entry::Line);
    if let Some(last) = &beside.last {
        entries.push(Entry::Click { text: told(last, words), action: Action::Open });
        entries.push(Entry::Line);
    }
    entries.push(ask("menu.recover", Request::Recover { target: None }));
    if snapshot.models.iter().any(|model| model.server == "ollama" && !model.pinned) {
        let idle = Request::Unload { model: None, idle: true, all: false };
        entries.push(ask("menu.unload_idle", idle));
    }
    entries.push(click("menu.open", Action::Open));
    entries.push(Entry::Line);
    if let Some(checked) = beside.at_login {
        let text = words.say("menu.at_login");
        entries.push(Entry::Check { text, checked, action: Action::AtLogin });
    }
    entries.push(click("menu.quit", Action::Quit));
    Menu { entries }
}

pub fn icon(snapshot: &Snapshot) -> Icon {
    match snapshot.summary {
        Summary::Well => Icon::Well,
        Summary::Healing => Icon::Busy,
        Summary::Attention => Icon::Sick,
        Summary::Unknown => Icon::Unknown,
    }
}

impl Menu {
    /// Whether only texts and check marks differ, so that what is drawn can be changed in place and
    /// a menu that is open stays open.
    pub fn has_shape_of(&self, other: &Self) -> bool {
        same_shape(&self.entries, &other.entries)
    }
}

impl Entry {
    /// The entry itself and then what is in it, in the order of the menu.
    pub fn flat(&self) -> Vec<&Self> {
        let mut all = Vec::new();
        flatten(std::slice::from_ref(self), &mut all);
        all
    }
}

impl Action {
    /// As the id of a menu item.
    pub fn id(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// None: the item belongs to no action.
    pub fn from_id(id: &str) -> Option<Self> {
        serde_json::from_str(id).ok()
    }
}

fn targets(snapshot: &Snapshot, words: &Words) -> Vec<Entry> {
    let mut targets: Vec<&Target> = snapshot.targets.iter().collect();
    let more = targets.len().saturating_sub(TARGETS);
    if more > 0 {
        targets.sort_by_key(|target| target.state == State::Healthy || !target.found);
        targets.truncate(TARGETS);
    }
    let mut entries: Vec<Entry> = targets.into_iter().map(|one| entry(one, words)).collect();
    if more > 0 {
        let says = doctor::Sentence::new("menu.more").with("count", more.to_string());
        entries.push(Entry::Click { text: words.sentence(&says), action: Action::Open });
    }
    entries
}

fn entry(target: &Target, words: &Words) -> Entry {
    // How long the last answer took changes at every look and would never let the menu rest.
    let restless = target.kind == "service" && target.state == State::Healthy;
    let line = if restless { "" } else { target.line.as_str() };
    let text = match line {
        "" => format!("{} {}", mark(target), target.name),
        line => format!("{} {}: {line}", mark(target), target.name),
    };
    let text = short(&text);
    let mut entries = Vec::new();
    if let Some(cause) = &target.cause {
        entries.extend([&cause.text, &cause.advice].into_iter().filter(|text| !text.is_empty()));
    }
    let mut entries: Vec<Entry> =
        entries.into_iter().map(|text| Entry::Text { text: short(text) }).collect();
    let actions: Vec<Entry> =
        target.actions.iter().filter_map(|verb| action(target, verb, words)).collect();
    if !target.found || (actions.is_empty() && entries.is_empty()) {
        return Entry::Text { text };
    }
    if !entries.is_empty() && !actions.is_empty() {
        entries.push(Entry::Line);
    }
    entries.extend(actions);
    Entry::Group { text, entries }
}

fn action(target: &Target, verb: &str, words: &Words) -> Option<Entry> {
    let id = target.id.parse().ok()?;
    let wish = match verb {
        "restart" => Request::Restart { target: id },
        "start" => Request::Start { target: id },
        "stop" => Request::Stop { target: id, within: None },
        "pause" => Request::Stop { target: id, within: Some("1h".into()) },
        "hold" => Request::Hold { target: id, within: None },
        "release" => Request::Release { target: id },
        "ensure" => Request::Ensure { model: None },
        "raise" => Request::Raise { target: id, to: Some(raise_to(target)?) },
        // Removing files wants the window, where it asks twice.
        // A newer engine may know verbs that this menu has no words for.
        _ => return None,
    };
    if let ("raise", Some(to)) = (verb, raise_to(target)) {
        let says = doctor::Sentence::new("menu.raise").with("to", doctor::Value::Bytes(to));
        return Some(Entry::Click { text: words.sentence(&says), action: Action::Ask { wish } });
    }
    // What it ends is said before it is clicked.
    let ends_all = target.kind == "docker" && verb == "restart";
    let key = if ends_all { "menu.restart_docker".into() } else { format!("menu.{verb}") };
    let text = words.say(&key);
    Some(Entry::Click { text, action: Action::Ask { wish } })
}

/// What is said to be raised to is what is asked for, though the proposal changes meanwhile.
fn raise_to(target: &Target) -> Option<u64> {
    target.detail.get("raise_to_bytes")?.as_u64()
}

fn mark(target: &Target) -> &'static str {
    match (target.intent, target.state) {
        (Intent::Held, _) => "‖",
        (Intent::Completed, State::Unknown) => "–",
        (Intent::Wanted | Intent::Completed, state) => match state {
            State::Unknown if target.found => "?",
            State::Unknown => "–",
            State::Healthy => "✓",
            State::Slow => "≈",
            State::Starting | State::Recovering => "↻",
            State::Degraded => "!",
            State::Down | State::GivenUp => "✗",
        },
    }
}

fn told(incident: &Incident, words: &Words) -> String {
    let says = |key: &str| doctor::Sentence::new(key).with("cause", incident.cause.text.as_str());
    let says = match (incident.recovered_after_ms, &incident.closed) {
        (Some(after), _) => says("menu.last_recovered").with("after", words.duration(after)),
        (None, Some(_)) => says("menu.last_closed"),
        (None, None) => says("menu.last_open"),
    };
    short(&words.sentence(&says))
}

/// One line, as long as a menu bears.
fn short(text: &str) -> String {
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.retain(|character| !character.is_control());
    if let Some((end, _)) = line.char_indices().nth(LONGEST) {
        line.truncate(end);
        line.push('…');
    }
    line
}

fn same_shape(one: &[Entry], other: &[Entry]) -> bool {
    let same = |(one, other): (&Entry, &Entry)| match (one, other) {
        (Entry::Text { .. }, Entry::Text { .. }) | (Entry::Line, Entry::Line) => true,
        (Entry::Click { action: one, .. }, Entry::Click { action: other, .. })
        | (Entry::Check { action: one, .. }, Entry::Check { action: other, .. }) => one == other,
        (Entry::Group { entries: one, .. }, Entry::Group { entries: other, .. }) => {
            same_shape(one, other)
        }
        (
            Entry::Text { .. }
            | Entry::Click { .. }
            | Entry::Check { .. }
            | Entry::Group { .. }
            | Entry::Line,
            _,
        ) => false,
    };
    one.len() == other.len() && one.iter().zip(other).all(same)
}

fn flatten<'a>(entries: &'a [Entry], all: &mut Vec<&'a Entry>) {
    for entry in entries {
        all.push(entry);
        match entry {
            Entry::Group { entries, .. } => flatten(entries, all),
            Entry::Text { .. } | Entry::Click { .. } | Entry::Check { .. } | Entry::Line => {}
        }
    }
}

#[cfg(test)]
mod tests;
