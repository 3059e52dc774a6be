//! Whether Homeostat starts at login: an entry of the desktop (Linux) or a launch agent (macOS).

use std::path::{Path, PathBuf};

/// No entry is larger; what is larger is something else.
const LARGEST: u64 = 64 * 1024;

/// The entry that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Autostart {
    Starts {
        entry: PathBuf,
        program: String,
    },
    /// It names a program that is not there.
    Gone {
        entry: PathBuf,
        program: String,
    },
    Absent,
}

/// Looks where entries of this user lie.
pub fn autostart() -> Autostart {
    let home = std::env::home_dir().unwrap_or_default();
    let settings = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    look(&[
        settings.unwrap_or_else(|| home.join(".config")).join("autostart"),
        home.join(".config/systemd/user"),
        home.join("Library/LaunchAgents"),
    ])
}

fn look(folders: &[PathBuf]) -> Autostart {
    let entries = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
    for file in entries.flatten() {
        let entry = file.path();
        let Some(program) = program(&entry) else { continue };
        if !Path::new(&program).exists() {
            return Autostart::Gone { entry, program };
        }
        return Autostart::Starts { entry, program };
    }
    Autostart::Absent
}

/// The program of ours that an entry starts.
fn program(file: &Path) -> Option<String> {
    let kind = file.extension()?.to_str()?;
    if !matches!(kind, "desktop" | "service" | "plist")
        || !file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() <= LARGEST)
    {
        return None;
    }
    let text = std::fs::read_to_string(file).ok()?;
    let ours = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or_default().to_lowercase();
        path.starts_with('/') && name.starts_with("homeostat")
    };
    // `Exec=/path arguments` and `ExecStart=/path arguments`; `<string>/path</string>`.
    let lines = text.lines().filter_map(|line| {
        let line = line.trim();
        let command = line.strip_prefix("Exec=").or_else(|| line.strip_prefix("ExecStart="));
        let string = || line.strip_prefix("<string>")?.strip_suffix("</string>");
        command.map(first_word).or_else(|| string().map(str::to_owned))
    });
    lines.into_iter().find(|path| ours(path))
}

/// A path with spaces stands in quotes (Desktop Entry Specification, "The Exec key").
fn first_word(command: &str) -> String {
    match command.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().unwrap_or_default().into(),
        None => command.split(' ').next().unwrap_or_default().into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::*;

    #[test]
    fn an_entry_counts_when_its_program_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("homeostat app");
        let entry = folder.path().join("x.desktop");
        let folders = [folder.path().to_owned()];
        std::fs::write(&entry, "[Desktop Entry]\nExec=/usr/bin/other --homeostat\n").unwrap();
        assert_eq!(look(&folders), Autostart::Absent);
        std::fs::write(&entry, format!("Exec=\"{}\" --quiet\n", program.display())).unwrap();
        assert!(matches!(look(&folders), Autostart::Gone { .. }));
        std::fs::write(&program, "").unwrap();
        assert!(matches!(look(&folders), Autostart::Starts { .. }));
        std::fs::remove_file(&entry).unwrap();
        let agent = format!("<array>\n  <string>{}</string>\n</array>", program.display());
        std::fs::write(folder.path().join("x.plist"), agent).unwrap();
        assert!(matches!(look(&folders), Autostart::Starts { .. }));
    }
}
