//! Where programs and services are installed. A program started at login or from the Finder has a
//! minimal PATH (FACTS D.4), so the usual places are looked at besides.

use std::env;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use doctor::Installed;

/// Where to look. `root` is `/` save in tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// As in the environment variable PATH.
    pub path: OsString,
    pub home: PathBuf,
    pub root: PathBuf,
}

impl Places {
    /// Those of this process.
    pub fn here() -> Self {
        Self {
            path: env::var_os("PATH").unwrap_or_default(),
            home: home(),
            root: PathBuf::from("/"),
        }
    }

    /// The absolute path of an executable file: `name` itself when it holds a `/` (`~/` is the
    /// home directory), else the first on PATH, else the first in the usual places.
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        if let Some(rest) = name.strip_prefix("~/") {
            return Some(self.home.join(rest)).filter(|file| is_executable(file));
        }
        if name.contains('/') {
            return std::path::absolute(name).ok().filter(|file| is_executable(file));
        }
        if name.is_empty() {
            return None;
        }
        self.directories()
            .into_iter()
            .map(|place| place.join(name))
            .find(|file| is_executable(file))
    }

    /// PATH with the usual places after it, for programs that we start: a script that begins with
    /// `#!/usr/bin/env node` finds its interpreter although we were started with a minimal PATH.
    pub fn search_path(&self) -> OsString {
        env::join_paths(self.directories()).unwrap_or_else(|_| self.path.clone())
    }

    fn directories(&self) -> Vec<PathBuf> {
        let mut places: Vec<PathBuf> =
            env::split_paths(&self.path).filter(|place| place.is_absolute()).collect();
        let usual = ["opt/homebrew/bin", "usr/local/bin", "usr/bin", "bin", "usr/sbin", "sbin"]
            .into_iter()
            .chain(["opt/local/bin", "home/linuxbrew/.linuxbrew/bin", "snap/bin"])
            .map(|place| self.root.join(place))
            .chain([self.home.join(".local/bin"), self.home.join("bin")]);
        for place in usual {
            if !places.contains(&place) {
                places.push(place);
            }
        }
        places
    }
}

/// Every way to start Ollama that exists on this machine (FACTS A.8).
pub fn installed_ollama(places: &Places) -> Installed {
    let Places { home, root, .. } = places;
    let app = [root.join("Applications/Ollama.app"), home.join("Applications/Ollama.app")]
        .into_iter()
        .find(|app| is_executable(&app.join("Contents/MacOS/Ollama")));
    let bundled = app.iter().map(|app| app.join("Contents/Resources/ollama"));
    let kept = ["opt/homebrew/opt/ollama/bin/ollama", "usr/local/opt/ollama/bin/ollama"];
    let binary = places.program("ollama").or_else(|| {
        bundled.chain(kept.map(|file| root.join(file))).find(|file| is_executable(file))
    });
    // A property list under /Library/LaunchDaemons runs as root: not ours to start.
    let brew_service = [home.join("Library/LaunchAgents/homebrew.mxcl.ollama.plist")];
    let systemd_unit = ["etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"]
        .map(|place| root.join(place).join("ollama.service"))
        .into_iter()
        .chain(
            ["ollama.service", "homebrew.ollama.service"]
                .map(|unit| home.join(".config/systemd/user").join(unit)),
        );
    Installed {
        binary: binary.map(text),
        app: app.map(text),
        brew_service: brew_service.into_iter().find(|file| file.is_file()).map(text),
        systemd_unit: systemd_unit.into_iter().find(|file| file.is_file()).map(text),
        missing_program: None,
    }
}

/// The home directory: HOME, else what the user database says, else the root directory.
pub fn home() -> PathBuf {
    env::home_dir().filter(|home| home.is_absolute()).unwrap_or_else(|| PathBuf::from("/"))
}

/// A file that somebody may execute.
fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn text(path: impl AsRef<Path>) -> String {
    path.as_ref().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use doctor::Installed;

    use super::{Places, installed_ollama};

    fn put(file: &Path, mode: u32) -> String {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "").unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
        file.to_string_lossy().into_owned()
    }

    fn places(root: &Path) -> Places {
        Places { path: "/usr/bin-none".into(), home: root.join("home/a"), root: root.to_owned() }
    }

    #[test]
    fn nothing_is_installed_in_an_empty_place() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(installed_ollama(&places(root.path())), Installed::default());
    }

    #[test]
    fn a_minimal_path_still_finds_it() {
        for known in ["opt/homebrew/bin", "usr/local/bin", "usr/bin", "home/a/.local/bin"] {
            let root = tempfile::tempdir().unwrap();
            let binary = put(&root.path().join(known).join("ollama"), 0o755);
            assert_eq!(installed_ollama(&places(root.path())).binary, Some(binary));
        }
    }

    #[test]
    fn path_comes_before_the_usual_places() {
        let root = tempfile::tempdir().unwrap();
        put(&root.path().join("usr/local/bin/ollama"), 0o755);
        let wanted = put(&root.path().join("mine/ollama"), 0o755);
        let mut places = places(root.path());
        places.path = root.path().join("mine").into();
        assert_eq!(installed_ollama(&places).binary, Some(wanted));
    }

    #[test]
    fn a_file_that_cannot_be_executed_or_a_directory_is_no_program() {
        let root = tempfile::tempdir().unwrap();
        put(&root.path().join("usr/local/bin/ollama"), 0o644);
        fs::create_dir_all(root.path().join("usr/bin/ollama")).unwrap();
        assert_eq!(installed_ollama(&places(root.path())).binary, None);
    }

    #[test]
    fn app_brew_service_and_unit_are_found() {
        let root = tempfile::tempdir().unwrap();
        let app = root.path().join("Applications/Ollama.app");
        put(&app.join("Contents/MacOS/Ollama"), 0o755);
        let inner = put(&app.join("Contents/Resources/ollama"), 0o755);
        let home = root.path().join("home/a");
        let plist = put(&home.join("Library/LaunchAgents/homebrew.mxcl.ollama.plist"), 0o644);
        let unit = put(&root.path().join("etc/systemd/system/ollama.service"), 0o644);
        assert_eq!(
            installed_ollama(&places(root.path())),
            Installed {
                binary: Some(inner),
                app: Some(app.to_string_lossy().into_owned()),
                brew_service: Some(plist),
                systemd_unit: Some(unit),
                missing_program: None,
            }
        );
    }

    #[test]
    fn programs_by_name_by_path_and_under_home() {
        let root = tempfile::tempdir().unwrap();
        let file = put(&root.path().join("home/a/run-mlx"), 0o755);
        let places = places(root.path());
        assert_eq!(places.program("~/run-mlx"), Some(file.clone().into()));
        assert_eq!(places.program(&file), Some(file.into()));
        assert_eq!(places.program("run-mlx"), None);
        assert_eq!(places.program(""), None);
        let path = places.search_path().into_string().unwrap();
        assert!(path.starts_with("/usr/bin-none:"), "{path}");
        assert!(path.contains("/opt/homebrew/bin:"), "{path}");
    }
}
