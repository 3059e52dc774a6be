//! Whether Homeostat starts at login.

use engine::audit::{Autostart, autostart as look};

use super::Check;

pub(crate) fn autostart() -> Check {
    let what = "autostart";
    match look() {
        Autostart::Starts { entry, program } => {
            Check::good(what, format!("{} starts {program}", entry.display()))
        }
        Autostart::Gone { entry, program } => Check::failed(
            what,
            format!("{} starts {program}, which is not there", entry.display()),
            "switch \"Start at login\" off and on again",
        ),
        Autostart::Absent => Check::failed(
            what,
            "Homeostat does not start at login",
            "switch on \"Start at login\" in its menu",
        ),
    }
}
