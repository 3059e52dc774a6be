//! A menu value as items of the system, changed in place where only texts differ.

use engine::menu::{Entry, Icon, Menu};
use tauri::image::Image;
use tauri::include_image;
use tauri::menu::{CheckMenuItem, IsMenuItem, MenuItem, PredefinedMenuItem, Submenu};
use tauri::tray::{TrayIcon, TrayIconBuilder};
use tauri::{AppHandle, Wry};

const ID: &str = "homeostat";

/// Template images take the menu bar's colour; other panels show the coloured ones.
const TEMPLATES: [Image<'_>; 4] = [
    include_image!("../icons/tray/well@2x.png"),
    include_image!("../icons/tray/busy@2x.png"),
    include_image!("../icons/tray/sick@2x.png"),
    include_image!("../icons/tray/unknown@2x.png"),
];
const COLOURED: [Image<'_>; 4] = [
    include_image!("../icons/tray/linux/well@2x.png"),
    include_image!("../icons/tray/linux/busy@2x.png"),
    include_image!("../icons/tray/linux/sick@2x.png"),
    include_image!("../icons/tray/linux/unknown@2x.png"),
];
const TEMPLATE: bool = cfg!(target_os = "macos");
/// On GTK the title of a submenu lies in a box, where `set_text` does not find it (muda 0.20
/// `platform_impl/gtk`, `create_gtk_submenu`): there a group with another title is put in anew.
const GROUPS_CHANGE: bool = cfg!(target_os = "macos");

pub(super) struct Tray {
    app: AppHandle,
    icon: TrayIcon,
    drawn: tauri::menu::Menu<Wry>,
    items: Vec<Item>,
    menu: Menu,
    shown: Icon,
    headline: String,
    /// Somebody else may have changed what is drawn.
    forgotten: bool,
}

/// The drawn items in the order of [`Menu::flat`].
enum Item {
    Plain(MenuItem<Wry>),
    Check(CheckMenuItem<Wry>),
    Group(Submenu<Wry>),
    Line,
}

impl Tray {
    pub(super) fn new(app: &AppHandle, menu: Menu) -> tauri::Result<Self> {
        let (drawn, items) = build(app, &menu)?;
        let icon = TrayIconBuilder::with_id(ID)
            .icon(picture(Icon::Unknown))
            .icon_as_template(TEMPLATE)
            .menu(&drawn)
            .on_menu_event(|app, event| super::clicked(app, event.id().as_ref()))
            .on_tray_icon_event(|tray, event| {
                tauri_plugin_positioner::on_tray_event(tray.app_handle(), &event);
            })
            .build(app)?;
        let (app, shown) = (app.clone(), Icon::Unknown);
        let headline = String::new();
        Ok(Self { app, icon, drawn, items, menu, shown, headline, forgotten: false })
    }

    pub(super) fn draw(&mut self, menu: Menu, icon: Icon, headline: &str) -> tauri::Result<()> {
        if icon != self.shown {
            self.icon.set_icon_with_as_template(Some(picture(icon)), TEMPLATE)?;
            self.shown = icon;
        }
        if headline != self.headline {
            self.icon.set_tooltip(Some(headline))?;
            headline.clone_into(&mut self.headline);
        }
        if menu == self.menu && !self.forgotten {
            return Ok(());
        }
        // A change that stopped half-way leaves a menu that only another one puts right.
        let changed = menu.has_shape_of(&self.menu) && self.change(&menu).is_ok();
        if !changed {
            let (drawn, items) = build(&self.app, &menu)?;
            self.icon.set_menu(Some(drawn.clone()))?;
            self.drawn = drawn;
            self.items = items;
        }
        self.menu = menu;
        self.forgotten = false;
        Ok(())
    }

    /// Everything is written anew next time.
    pub(super) fn forget(&mut self) {
        self.forgotten = true;
    }

    fn change(&mut self, menu: &Menu) -> tauri::Result<()> {
        let mut place = 0;
        let pairs = menu.entries.iter().zip(&self.menu.entries).enumerate();
        for (position, (entry, before)) in pairs {
            let length = entry.flat().len();
            let range = place..place + length;
            place += length;
            if entry == before && !self.forgotten {
                continue;
            }
            if !GROUPS_CHANGE && is_retitled(entry, before) {
                self.drawn.remove_at(position)?;
                let mut items = Vec::with_capacity(length);
                let insert = |item: &dyn IsMenuItem<Wry>| self.drawn.insert(item, position);
                fill(&self.app, std::slice::from_ref(entry), &mut items, &insert)?;
                self.items.splice(range, items);
                continue;
            }
            for (entry, item) in entry.flat().into_iter().zip(&self.items[range]) {
                write(entry, item)?;
            }
        }
        Ok(())
    }
}

fn is_retitled(entry: &Entry, before: &Entry) -> bool {
    match (entry, before) {
        (Entry::Group { text, .. }, Entry::Group { text: before, .. }) => text != before,
        (
            Entry::Text { .. }
            | Entry::Click { .. }
            | Entry::Check { .. }
            | Entry::Group { .. }
            | Entry::Line,
            _,
        ) => false,
    }
}

fn write(entry: &Entry, item: &Item) -> tauri::Result<()> {
    match (entry, item) {
        (Entry::Text { text } | Entry::Click { text, .. }, Item::Plain(item)) => {
            item.set_text(label(text))
        }
        (Entry::Check { text, checked, .. }, Item::Check(item)) => {
            item.set_text(label(text))?;
            item.set_checked(*checked)
        }
        (Entry::Group { text, .. }, Item::Group(item)) => item.set_text(label(text)),
        // Of equal shape, so nothing else meets.
        (
            Entry::Text { .. }
            | Entry::Click { .. }
            | Entry::Check { .. }
            | Entry::Group { .. }
            | Entry::Line,
            _,
        ) => Ok(()),
    }
}

fn build(app: &AppHandle, menu: &Menu) -> tauri::Result<(tauri::menu::Menu<Wry>, Vec<Item>)> {
    let drawn = tauri::menu::Menu::new(app)?;
    let mut items = Vec::new();
    fill(app, &menu.entries, &mut items, &|item| drawn.append(item))?;
    Ok((drawn, items))
}

fn fill(
    app: &AppHandle,
    entries: &[Entry],
    items: &mut Vec<Item>,
    append: &dyn Fn(&dyn IsMenuItem<Wry>) -> tauri::Result<()>,
) -> tauri::Result<()> {
    let unkeyed = None::<&str>;
    for entry in entries {
        match entry {
            Entry::Text { text } => {
                let item = MenuItem::new(app, label(text), false, unkeyed)?;
                append(&item)?;
                items.push(Item::Plain(item));
            }
            Entry::Click { text, action } => {
                let item = MenuItem::with_id(app, action.id(), label(text), true, unkeyed)?;
                append(&item)?;
                items.push(Item::Plain(item));
            }
            Entry::Check { text, checked, action } => {
                let id = action.id();
                let item = CheckMenuItem::with_id(app, id, label(text), true, *checked, unkeyed)?;
                append(&item)?;
                items.push(Item::Check(item));
            }
            Entry::Group { text, entries } => {
                let group = Submenu::new(app, label(text), true)?;
                items.push(Item::Group(group.clone()));
                fill(app, entries, items, &|item| group.append(item))?;
                append(&group)?;
            }
            Entry::Line => {
                let item = PredefinedMenuItem::separator(app)?;
                append(&item)?;
                items.push(Item::Line);
            }
        }
    }
    Ok(())
}

/// `&` marks the key of an item (muda, "mnemonic"); ours have none.
fn label(text: &str) -> String {
    text.replace('&', "&&")
}

fn picture(icon: Icon) -> Image<'static> {
    let place = match icon {
        Icon::Well => 0,
        Icon::Busy => 1,
        Icon::Sick => 2,
        Icon::Unknown => 3,
    };
    let set = if TEMPLATE { &TEMPLATES } else { &COLOURED };
    set[place].clone()
}
