//! The environment in which a server last ran, and who had started it, so that it comes back with the same settings: a person
//! who started `ollama serve` by hand with `OLLAMA_MODELS` set would else find other models after a
//! restart, and what a unit started would get a second copy beside it. Values may hold secrets: they are never logged, and the file is the owner's alone.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use doctor::{ProcessId, ProcessSeen, Supervisor, TargetId};
use serde::{Deserialize, Serialize};

use crate::platform;

/// Variables by name.
pub type Variables = BTreeMap<String, String>;

/// Beginnings of the names that a model server reads: Ollama's own settings, and which graphics
/// hardware it may use (Ollama `envconfig/config.go` `AsMap`); where MLX servers find their models
/// (`huggingface_hub/constants.py`) and their Python its packages.
const FAMILIES: [&str; 14] = [
    "OLLAMA_",
    "CUDA_",
    "HIP_",
    "ROCR_",
    "HSA_",
    "GGML_",
    "GPU_",
    "LLAMA_ARG_",
    "MLX_",
    "OMLX_",
    "HF_",
    "TRANSFORMERS_",
    "PYTHON",
    "VIRTUAL_ENV",
];
/// What every program reads. Behind a proxy a download fails without the last ones (Go
/// `net/http` `ProxyFromEnvironment`, Python `urllib.request.getproxies`).
const COMMON: [&str; 13] = [
    "HOME",
    "PATH",
    "LANG",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];

/// By target; in memory, and in a file that outlives us.
pub struct Environments {
    /// None: in memory only.
    file: Option<PathBuf>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    ran: BTreeMap<TargetId, Ran>,
    /// Read already: a process keeps the environment that it was started with.
    read: BTreeMap<TargetId, ProcessId>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Ran {
    port: u16,
    variables: Variables,
    supervisor: Option<Supervisor>,
}

/// Names only.
impl fmt::Debug for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ran")
            .field("port", &self.port)
            .field("variables", &self.variables.keys())
            .field("supervisor", &self.supervisor)
            .finish()
    }
}

impl Environments {
    /// What the file holds; a file that is missing or damaged is an empty one.
    pub fn load(file: &Path) -> Self {
        let ran = match read(file) {
            Ok(ran) => ran,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                tracing::warn!(%error, "the remembered environments could not be read");
                BTreeMap::new()
            }
        };
        let known = Mutex::new(Known { ran, read: BTreeMap::new() });
        Self { file: Some(file.to_owned()), known }
    }

    /// In memory only.
    pub fn fresh() -> Self {
        Self { file: None, known: Mutex::default() }
    }

    /// Remembers what this process of ours was started with. Another user's process is left alone,
    /// also where we could read it: its settings are not ours to run with. Blocks.
    pub fn remember(&self, target: &TargetId, port: u16, process: &ProcessSeen) {
        let mut known = self.lock();
        if process.uid != Some(platform::user_id()) || known.read.get(target) == Some(&process.id) {
            return;
        }
        let Some(all) = platform::environment(process.id.pid) else { return };
        // The pid may have been given to another process since.
        if !platform::is_same(&process.id) {
            return;
        }
        let variables: Variables = all.into_iter().filter(|(name, _)| is_kept(name)).collect();
        // One that has wiped its environment, or is being started just now, tells nothing.
        if variables.is_empty() {
            return;
        }
        known.read.insert(target.clone(), process.id.clone());
        let names = variables.keys().cloned().collect::<Vec<_>>().join(" ");
        tracing::info!(%target, pid = process.id.pid, names, "its environment is remembered");
        self.change(&mut known, target, port, |ran| ran.variables = variables);
    }

    /// Remembers who has started it. Blocks.
    pub fn remember_supervisor(&self, target: &TargetId, port: u16, supervisor: &Supervisor) {
        let supervisor = Some(supervisor.clone());
        self.change(&mut self.lock(), target, port, |ran| ran.supervisor = supervisor);
    }

    /// What the last process on this port was started with.
    pub fn of(&self, target: &TargetId, port: u16) -> Option<Variables> {
        let known = self.lock();
        let ran = known.ran.get(target).filter(|ran| ran.port == port)?;
        Some(ran.variables.clone()).filter(|variables| !variables.is_empty())
    }

    /// Who has started the last process on this port.
    pub fn supervisor(&self, target: &TargetId, port: u16) -> Option<Supervisor> {
        self.lock().ran.get(target).filter(|ran| ran.port == port)?.supervisor.clone()
    }

    /// At another port it is another server: nothing of the old one is kept.
    fn change(
        &self,
        known: &mut Known,
        target: &TargetId,
        port: u16,
        change: impl FnOnce(&mut Ran),
    ) {
        let before = known.ran.get(target);
        let same = before.filter(|ran| ran.port == port).cloned();
        let mut ran = same.unwrap_or(Ran { port, variables: Variables::new(), supervisor: None });
        change(&mut ran);
        if before == Some(&ran) {
            return;
        }
        known.ran.insert(target.clone(), ran);
        if let Some(file) = &self.file
            && let Err(error) = write(file, &known.ran)
        {
            tracing::warn!(%error, "what servers ran with could not be written down");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a variable is among those that are remembered.
pub fn is_kept(name: &str) -> bool {
    COMMON.contains(&name) || is_setting(name)
}

/// Whether a variable is a setting of the server: one that the last process did not have is not to
/// come from us either.
pub fn is_setting(name: &str) -> bool {
    FAMILIES.iter().any(|family| name.starts_with(family))
}

fn read(file: &Path) -> io::Result<BTreeMap<TargetId, Ran>> {
    Ok(serde_json::from_slice(&fs::read(file)?)?)
}

/// Written beside and moved into place, so that nobody ever reads half of it.
fn write(file: &Path, ran: &BTreeMap<TargetId, Ran>) -> io::Result<()> {
    let fresh = file.with_extension("new");
    // One that an interrupted write has left may have another mode.
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    open.write_all(&serde_json::to_vec(ran)?)?;
    open.sync_all()?;
    fs::rename(fresh, file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Child, Command};
    use std::time::{Duration, Instant};

    use super::*;

    fn sleeper(variables: &[(&str, &str)]) -> Child {
        let variables = variables.iter().copied();
        let child = Command::new("/bin/sleep").arg("60").env_clear().envs(variables).spawn();
        let child = child.unwrap();
        // The kernel shows the environment a moment after it has begun the program.
        let deadline = Instant::now() + Duration::from_secs(20);
        while platform::environment(child.id()).is_none_or(|all| all.is_empty()) {
            assert!(Instant::now() < deadline, "no environment");
            std::thread::yield_now();
        }
        child
    }

    fn seen(child: &Child) -> ProcessSeen {
        platform::process(child.id()).unwrap()
    }

    fn end(mut child: Child) {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn only_what_a_server_reads_is_kept_for_its_owner_alone_and_outlives_us() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("environment.json");
        let child = sleeper(&[
            ("OLLAMA_MODELS", "/volumes/models"),
            ("CUDA_VISIBLE_DEVICES", "1"),
            ("HOME", "/home/a"),
            ("https_proxy", "http://proxy:3128"),
            ("HF_HOME", "/volumes/hf"),
            ("AWS_SECRET_ACCESS_KEY", "s3cret"),
        ]);
        Environments::load(&file).remember(&TargetId::Ollama, 11434, &seen(&child));
        end(child);
        let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        assert!(!fs::read_to_string(&file).unwrap().contains("s3cret"));
        let after = Environments::load(&file);
        let expected = [
            ("CUDA_VISIBLE_DEVICES", "1"),
            ("HF_HOME", "/volumes/hf"),
            ("HOME", "/home/a"),
            ("OLLAMA_MODELS", "/volumes/models"),
            ("https_proxy", "http://proxy:3128"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(after.of(&TargetId::Ollama, 11434), Some(expected));
        assert_eq!(after.of(&TargetId::Ollama, 11500), None, "another port is another server");
        let unit = Supervisor::Unit { name: "ollama.service".into(), of_user: true };
        after.remember_supervisor(&TargetId::Ollama, 11434, &unit);
        let again = Environments::load(&file);
        assert_eq!(again.supervisor(&TargetId::Ollama, 11434), Some(unit.clone()));
        assert!(again.of(&TargetId::Ollama, 11434).is_some(), "both are kept");
        again.remember_supervisor(&TargetId::Ollama, 11500, &unit);
        assert_eq!(again.of(&TargetId::Ollama, 11500), None, "not the settings of another port");
        assert_eq!(after.of(&TargetId::Mlx, 11434), None);
    }

    #[test]
    fn another_users_process_and_one_that_has_gone_teach_nothing() {
        let environments = Environments::fresh();
        let child = sleeper(&[("OLLAMA_MODELS", "/theirs")]);
        let own = seen(&child);
        let theirs = ProcessSeen { uid: own.uid.map(|uid| uid + 1), ..own.clone() };
        environments.remember(&TargetId::Ollama, 1, &theirs);
        let unknown = ProcessSeen { uid: None, ..own.clone() };
        environments.remember(&TargetId::Ollama, 1, &unknown);
        let id = ProcessId { started: own.id.started + 1, ..own.id.clone() };
        environments.remember(&TargetId::Ollama, 1, &ProcessSeen { id, ..own.clone() });
        assert_eq!(environments.of(&TargetId::Ollama, 1), None);
        environments.remember(&TargetId::Ollama, 1, &own);
        assert!(environments.of(&TargetId::Ollama, 1).is_some());
        end(child);
    }

    #[test]
    fn a_damaged_file_is_an_empty_one_and_values_are_never_shown() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("environment.json");
        fs::write(&file, "{\"ollama\":").unwrap();
        assert_eq!(Environments::load(&file).of(&TargetId::Ollama, 1), None);
        let variables = [("OLLAMA_API_KEY".to_owned(), "s3cret".to_owned())].into();
        let shown = format!("{:?}", Ran { port: 1, variables, supervisor: None });
        assert!(shown.contains("OLLAMA_API_KEY") && !shown.contains("s3cret"), "{shown}");
    }
}
