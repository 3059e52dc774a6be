//! Where the programs under test are, and what may be known of a running process.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// The directory that Cargo builds into, told from the test that runs (`TARGET/debug/deps/test`).
pub fn build_directory() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let parent = own.parent().context("the test program lies in no directory")?;
    let inner = parent.file_name().is_some_and(|name| name == "deps" || name == "examples");
    let directory = if inner { parent.parent() } else { Some(parent) };
    Ok(directory.context("the build directory has no parent")?.to_path_buf())
}

/// What is installed once and kept between runs lies under Cargo's target directory.
pub fn target_directory() -> Result<PathBuf> {
    let build = build_directory()?;
    Ok(build.parent().context("the target directory has no parent")?.to_path_buf())
}

/// A program of this crate; Cargo builds it together with the integration tests.
pub fn own(name: &str) -> Result<PathBuf> {
    let program = build_directory()?.join(name);
    if !program.is_file() {
        bail!("{} is missing; build it with `cargo build --bin {name}`", program.display());
    }
    Ok(program)
}

/// The `homeostat` command, built now, so that no test runs an old one.
pub fn homeostat() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build_homeostat().map_err(|error| format!("{error:#}")));
    built.clone().map_err(anyhow::Error::msg)
}

fn build_homeostat() -> Result<PathBuf> {
    if let Ok(given) = std::env::var("HOMEOSTAT_PROGRAM") {
        return Ok(given.into());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
    // A benchmark is built for release, and so is what it measures.
    let release = build_directory()?.ends_with("release");
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--bin", "homeostat"])
        .args(release.then_some("--release"))
        .arg("--target-dir")
        .arg(target_directory()?)
        .current_dir(root)
        .output()
        .context("cargo could not be run to build homeostat")?;
    if !output.status.success() {
        bail!("homeostat does not build:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    own("homeostat")
}

/// Sends a signal; an error when there is no such process.
pub fn send(pid: u32, signal: Signal) -> Result<()> {
    let raw = i32::try_from(pid)?;
    let pid = Pid::from_raw(raw).context("0 is no process")?;
    Ok(kill_process(pid, signal)?)
}

/// Runs and is not a zombie.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    match stat.rsplit_once(") ") {
        Some((_, rest)) => !rest.starts_with('Z') && !rest.starts_with('X'),
        None => false,
    }
}

/// Proportional set size in bytes (`/proc/PID/smaps_rollup`).
pub fn memory(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Ends a process that carries `mark` in its environment; any other is left alone, since pids
/// come round again.
pub fn end_own(pid: u32, mark: &str) {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let mark = mark.as_bytes();
    if environment.windows(mark.len()).any(|part| part == mark) {
        // It may have gone by itself a moment ago.
        let _ = send(pid, Signal::KILL);
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Runs a command to its end; its output when it went well, else all of it in the error.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?} could not be started"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} ended with {}:\n{stdout}\n{stderr}", words(output.status));
    }
    Ok(stdout)
}

fn words(status: ExitStatus) -> String {
    status.code().map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"))
}
