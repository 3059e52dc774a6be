//! The tray's item, its menu and its clicks, as a panel sees them (`StatusNotifierItem` and
//! com.canonical.dbusmenu), and a notification at dunst.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use engine::view::{Intent, State};
use tests::{Model, Ollama, eventually, wait_until};
use zbus::blocking::{Connection, Proxy};
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};

use crate::app::App;
use crate::desktop::Desktop;
use crate::{SOON, VERDICT};

/// An item of the menu.
#[derive(Clone, Debug)]
struct Item {
    id: i32,
    label: String,
    enabled: bool,
    /// None: it has no check mark.
    checked: Option<bool>,
    /// How deep it lies.
    level: usize,
}

/// Id, properties and children of an item.
type Layout = (i32, HashMap<String, OwnedValue>, Vec<OwnedValue>);

struct Menu {
    bus: Connection,
    owner: String,
    path: String,
}

impl Menu {
    /// Waits until the app's icon is in the tray.
    fn of_the_app(desktop: &Desktop) -> Result<Self> {
        let bus = desktop.bus()?;
        let item = eventually("an icon in the tray", SOON, || registered(&bus).ok().flatten());
        let (owner, path) = item.split_once('/').context("an item without a path")?;
        let item =
            Proxy::new(&bus, owner.to_owned(), format!("/{path}"), "org.kde.StatusNotifierItem")?;
        let menu: OwnedObjectPath = item.get_property("Menu")?;
        Ok(Self { bus: bus.clone(), owner: owner.to_owned(), path: menu.to_string() })
    }

    fn items(&self) -> Result<Vec<Item>> {
        let everything = (0, -1, Vec::<&str>::new());
        let answer = self.proxy()?.call_method("GetLayout", &everything)?;
        let (_, (_, _, children)): (u32, Layout) = answer.body().deserialize()?;
        let mut items = Vec::new();
        for child in &children {
            read(child, 0, &mut items)?;
        }
        Ok(items)
    }

    fn labels(&self) -> Vec<String> {
        let items = self.items().unwrap_or_default();
        items.into_iter().map(|item| item.label).collect()
    }

    /// The entry of that name; the first one that comes after `below` where that is given.
    fn find(&self, below: Option<&str>, label: &str) -> Result<Item> {
        let items = self.items()?;
        let start = match below {
            None => 0,
            Some(below) => items
                .iter()
                .position(|item| item.level == 0 && item.label.contains(below))
                .with_context(|| format!("no entry with {below:?}"))?,
        };
        let found = items[start..].iter().find(|item| item.label == label).cloned();
        found.with_context(|| format!("no entry {label:?} among {:?}", self.labels()))
    }

    #[track_caller]
    fn click(&self, below: Option<&str>, label: &str) {
        let what = format!("the entry {label:?} in the menu");
        let item = eventually(&what, SOON, || self.find(below, label).ok());
        assert!(item.enabled, "{label:?} can't be clicked");
        let event = (item.id, "clicked", Value::from(0), 0_u32);
        self.proxy().unwrap().call_method("Event", &event).unwrap();
    }

    fn proxy(&self) -> Result<Proxy<'_>> {
        let menu = "com.canonical.dbusmenu";
        Ok(Proxy::new(&self.bus, self.owner.as_str(), self.path.as_str(), menu)?)
    }
}

fn registered(bus: &Connection) -> Result<Option<String>> {
    let watcher = "org.kde.StatusNotifierWatcher";
    let watcher = Proxy::new(bus, watcher, "/StatusNotifierWatcher", watcher)?;
    let items: Vec<String> = watcher.get_property("RegisteredStatusNotifierItems")?;
    Ok(items.into_iter().next())
}

/// `(ia{sv}av)`, one level in the next.
fn read(value: &Value<'_>, level: usize, items: &mut Vec<Item>) -> Result<()> {
    if let Value::Value(inner) = value {
        return read(inner, level, items);
    }
    let Value::Structure(structure) = value else { bail!("no item: {value:?}") };
    let [id, properties, children] = structure.fields() else { bail!("{structure:?}") };
    let properties: HashMap<String, Value<'_>> = properties.try_clone()?.try_into()?;
    let text = |name: &str| match properties.get(name) {
        Some(Value::Str(text)) => text.to_string(),
        _ => String::new(),
    };
    items.push(Item {
        id: id.downcast_ref()?,
        // A single `_` would mark a key.
        label: text("label").replace("__", "_"),
        enabled: !matches!(properties.get("enabled"), Some(Value::Bool(false))),
        checked: (text("toggle-type") == "checkmark")
            .then(|| matches!(properties.get("toggle-state"), Some(Value::I32(1)))),
        level,
    });
    let Value::Array(children) = children else { bail!("no children: {children:?}") };
    for child in children.iter() {
        read(child, level + 1, items)?;
    }
    Ok(())
}

#[test]
fn the_menu_tells_acts_and_quits() {
    let desktop = Desktop::full().unwrap();
    let ollama = Ollama::start(&[Model::named("llama3.2:latest")]).unwrap();
    let mut app = App::start(&desktop, &ollama).unwrap();
    app.wait_for_ollama("healthy", SOON, |target| target.state == State::Healthy);
    let headline = app.status().unwrap().headline;
    let menu = Menu::of_the_app(&desktop).unwrap();
    wait_until("the headline and Ollama in the menu", SOON, || {
        let labels = menu.labels();
        labels.first() == Some(&headline) && labels.iter().any(|one| one.starts_with("✓ Ollama"))
    });
    assert!(!menu.items().unwrap()[0].enabled, "the headline can be clicked");
    for label in ["Recover everything", "Open Homeostat", "Quit Homeostat"] {
        assert_eq!(menu.find(None, label).unwrap().level, 0, "{label}");
    }
    desktop.picture("tray").unwrap();

    // What changes is seen in the menu, also where no entry comes or goes.
    let load = serde_json::json!({"model": "llama3.2:latest"});
    let client = tests::http::client(SOON);
    client.post(format!("{}/api/generate", ollama.url())).json(&load).send().unwrap();
    app.wait_for("the loaded model", SOON, |snapshot| snapshot.models.len() == 1);
    eventually("Ollama's new line in the menu", SOON, || {
        let status = app.status().ok()?;
        let line = &status.targets.iter().find(|target| target.id == "ollama")?.line;
        let told = format!("✓ Ollama: {line}");
        (line.contains("1 in memory") && menu.labels().contains(&told)).then_some(())
    });

    // A click is a person's wish: it goes, stays away, and comes back when it is wanted.
    menu.click(Some("Ollama"), "Stop");
    wait_until("Ollama's end", SOON, || ollama.running().is_empty());
    app.wait_for_ollama("held", SOON, |target| target.intent == Intent::Held);
    wait_until("the hold in the menu", SOON, || {
        menu.labels().iter().any(|label| label.starts_with("‖ Ollama"))
    });
    menu.click(Some("Ollama"), "Start");
    ollama.await_answer();
    app.wait_for_ollama("wanted", SOON, |target| target.intent == Intent::Wanted);

    // Starting at login: an entry that names this program, and a check mark.
    let entry = ollama.directory().join(".config/autostart/Homeostat.desktop");
    assert_eq!(menu.find(None, "Start at login").unwrap().checked, Some(false));
    menu.click(None, "Start at login");
    wait_until("the entry for the login", SOON, || entry.exists());
    let text = std::fs::read_to_string(&entry).unwrap();
    assert!(text.contains(&App::program().unwrap().display().to_string()), "{text}");
    wait_until("the check mark", SOON, || {
        menu.find(None, "Start at login").is_ok_and(|item| item.checked == Some(true))
    });
    menu.click(None, "Start at login");
    wait_until("the entry's end", SOON, || !entry.exists());

    menu.click(None, "Open Homeostat");
    eventually("the window", SOON, || desktop.windows("Homeostat").pop());

    menu.click(None, "Quit Homeostat");
    assert!(app.end().success());
    assert_eq!(ollama.running().len(), 1, "what was watched goes on");
    ollama.await_answer();
}

#[test]
fn what_needs_a_person_arrives_at_the_notification_daemon() {
    let desktop = Desktop::full().unwrap();
    let mut ollama = Ollama::start(&[]).unwrap();
    let mut app = App::start(&desktop, &ollama).unwrap();
    app.wait_for_ollama("healthy", SOON, |target| target.state == State::Healthy);
    let menu = Menu::of_the_app(&desktop).unwrap();

    // It dies and ends at every new start.
    let dies = tests::Control { exit: Some(1), ..tests::Control::default() };
    ollama.misbehave(&dies).unwrap();
    ollama.kill().unwrap();
    app.wait_for_ollama("its cause", VERDICT, |target| target.cause.is_some());
    let mut shown = Vec::new();
    wait_until("a notification about Ollama", VERDICT + Duration::from_mins(1), || {
        shown = desktop.notifications().unwrap_or_default();
        shown.iter().any(|title| title.starts_with("Ollama "))
    });
    wait_until("the fault in the menu", SOON, || {
        let labels = menu.labels();
        labels.iter().any(|one| one.starts_with("✗ Ollama") || one.starts_with("↻ Ollama"))
    });
    assert!(app.terminate().unwrap().success());
}
