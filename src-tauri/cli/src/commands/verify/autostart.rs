//! Whether Homeostat starts at login.

use std::path::Path;

use doctor::Sentence;
use engine::audit::{Autostart, autostart as look};
use engine::words::Words;

use super::Check;

pub(crate) fn autostart(words: &Words) -> Check {
    let what = "autostart";
    let about = |key: &str, entry: &Path, program: &str| {
        let says = Sentence::new(key).with("entry", entry.display().to_string());
        words.sentence(&says.with("program", program))
    };
    match look() {
        Autostart::Starts { entry, program } => {
            Check::good(what, about("cli.check_autostart", &entry, &program))
        }
        Autostart::Gone { entry, program } => Check::failed(
            what,
            about("cli.check_autostart_gone", &entry, &program),
            words.say("cli.check_autostart_again"),
        ),
        Autostart::Absent => Check::failed(
            what,
            words.say("cli.check_autostart_absent"),
            words.say("cli.check_autostart_on"),
        ),
    }
}
