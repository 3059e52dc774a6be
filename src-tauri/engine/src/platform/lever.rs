//! Levers that belong to another program: launchd and application bundles on macOS, the user's
//! systemd on Linux.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::{Unit, system, user_id};

/// How long launchd or Launch Services may take to answer; both only pass the wish on.
const DEADLINE: Duration = Duration::from_secs(10);

/// How much of what a lever says is read.
const WORDS_CAP: u64 = 4096;
/// A Mac has some five hundred jobs.
const LIST_CAP: u64 = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum LeverError {
    #[error("{lever} exists only on macOS; configure a launch command instead")]
    OnlyMacOs { lever: &'static str },
    #[error("{program} could not be run: {source}")]
    NotRun { program: String, source: std::io::Error },
    #[error("{program} did not end within {} s and was stopped", within.as_secs())]
    TooSlow { program: String, within: Duration },
    /// `code` is none when a signal ended it.
    #[error("{program} ended with {}: {words}", code.map_or("a signal".to_owned(), |code| format!("code {code}")))]
    Failed { program: String, code: Option<i32>, words: String },
}

/// `launchctl kickstart gui/UID/LABEL`: starts a job of the logged-in user unless it runs
/// (FACTS D.4).
pub async fn kickstart(label: &str) -> Result<(), LeverError> {
    only_macos("launchctl kickstart")?;
    let job = format!("gui/{}/{label}", user_id());
    run(&["/bin/launchctl", "kickstart", &job], DEADLINE).await.map(drop)
}

/// `open -j -a APP`: opens an application bundle, hidden.
pub async fn open_app(app: &str) -> Result<(), LeverError> {
    only_macos("open -a")?;
    run(&["/usr/bin/open", "-j", "-a", app], DEADLINE).await.map(drop)
}

/// `systemctl --user start UNIT`: starts a unit of the user's own systemd unless it runs.
pub async fn start_unit(unit: &str) -> Result<(), LeverError> {
    run(&["systemctl", "--user", "start", unit], DEADLINE).await.map(drop)
}

/// `launchctl disable` and `bootout` of a job of the logged-in user: it ends now and stays away after
/// the next login (launchctl(1)).
pub async fn unload_job(label: &str) -> Result<(), LeverError> {
    only_macos("launchctl bootout")?;
    let job = format!("gui/{}/{label}", user_id());
    run(&["/bin/launchctl", "disable", &job], DEADLINE).await?;
    run(&["/bin/launchctl", "bootout", &job], DEADLINE).await.map(drop)
}

/// The way back: `launchctl enable`, and `bootstrap` with its property list.
pub async fn load_job(label: &str, file: &Path) -> Result<(), LeverError> {
    only_macos("launchctl bootstrap")?;
    let domain = format!("gui/{}", user_id());
    let file = file.to_string_lossy();
    run(&["/bin/launchctl", "enable", &format!("{domain}/{label}")], DEADLINE).await?;
    run(&["/bin/launchctl", "bootstrap", &domain, &file], DEADLINE).await.map(drop)
}

/// Labels of the jobs of the logged-in user that are loaded; none: nobody tells.
pub async fn loaded_jobs() -> Option<Vec<String>> {
    only_macos("launchctl list").ok()?;
    let list = output(&["/bin/launchctl", "list"], DEADLINE, LIST_CAP).await.ok()?;
    Some(list.lines().filter_map(|line| line.split('\t').nth(2)).map(str::to_owned).collect())
}

/// The process that systemd holds for the main one of a unit; none: it does not say, or there is no
/// systemd (systemctl(1), `show`; systemd.exec `MainPID` of the D-Bus interface).
pub(super) async fn main_process(unit: &Unit) -> Option<u32> {
    let scope = if unit.of_user { "--user" } else { "--system" };
    let command = ["systemctl", scope, "show", "--property=MainPID", "--value", &unit.name];
    run(&command, DEADLINE).await.ok()?.trim().parse().ok().filter(|pid| *pid > 0)
}

/// The label of the launchd job of the user whose process this is. `launchctl list` has three
/// columns: pid or `-`, last exit status, label (launchctl(1)).
pub(super) async fn label(pid: u32) -> Option<String> {
    only_macos("launchctl list").ok()?;
    labelled(&output(&["/bin/launchctl", "list"], DEADLINE, LIST_CAP).await.ok()?, pid)
}

fn labelled(list: &str, pid: u32) -> Option<String> {
    list.lines().find_map(|line| {
        let mut columns = line.split('\t');
        let is_its = columns.next()?.parse() == Ok(pid);
        columns.nth(1).filter(|label| is_its && !label.is_empty()).map(str::to_owned)
    })
}

/// Runs an argument list to its end, at most `within`, and gives the first 4 KiB of its standard
/// output. It is killed when the time is up.
pub async fn run(command: &[&str], within: Duration) -> Result<String, LeverError> {
    output(command, within, WORDS_CAP).await
}

async fn output(command: &[&str], within: Duration, cap: u64) -> Result<String, LeverError> {
    let (program, arguments) = match command {
        [program, arguments @ ..] => ((*program).to_owned(), arguments),
        [] => return Err(not_run("", std::io::ErrorKind::InvalidInput.into())),
    };
    let mut child = Command::new(&program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| not_run(&program, source))?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let whole = async { tokio::join!(read(out, cap), read(err, cap), child.wait()) };
    let (out, err, ended) = tokio::time::timeout(within, whole)
        .await
        .map_err(|_| LeverError::TooSlow { program: program.clone(), within })?;
    let status = ended.map_err(|source| not_run(&program, source))?;
    if status.success() {
        return Ok(out);
    }
    let words = if err.trim().is_empty() { out } else { err };
    Err(LeverError::Failed { program, code: status.code(), words: words.trim().to_owned() })
}

fn only_macos(lever: &'static str) -> Result<(), LeverError> {
    if system::HAS_LAUNCHD { Ok(()) } else { Err(LeverError::OnlyMacOs { lever }) }
}

/// The beginning of a stream. The rest is read and thrown away, so that the writer never blocks.
async fn read(stream: Option<impl AsyncRead + Unpin>, cap: u64) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let mut start = Vec::new();
    // A broken pipe only ends the text early.
    let _ = (&mut stream).take(cap).read_to_end(&mut start).await;
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&start).into_owned()
}

fn not_run(program: &str, source: std::io::Error) -> LeverError {
    LeverError::NotRun { program: program.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{LeverError, labelled, run};

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn what_it_says_comes_back() {
        assert_eq!(run(&["/bin/echo", "a b"], LONG).await.unwrap(), "a b\n");
    }

    #[tokio::test]
    async fn a_failure_carries_code_and_words() {
        let failed = run(&["/bin/sh", "-c", "echo no such job >&2; exit 3"], LONG).await;
        let text = failed.unwrap_err().to_string();
        assert_eq!(text, "/bin/sh ended with code 3: no such job");
    }

    #[tokio::test]
    async fn an_endless_writer_is_capped_and_stopped() {
        let begun = Instant::now();
        let slow = run(&["/usr/bin/yes"], Duration::from_millis(300)).await;
        assert!(matches!(slow, Err(LeverError::TooSlow { .. })), "{slow:?}");
        assert!(begun.elapsed() < LONG);
    }

    #[tokio::test]
    async fn what_is_not_there_is_said() {
        let missing = run(&["/nowhere/launchctl"], LONG).await;
        assert!(matches!(missing, Err(LeverError::NotRun { .. })), "{missing:?}");
        assert!(matches!(run(&[], LONG).await, Err(LeverError::NotRun { .. })));
    }

    #[test]
    fn a_job_is_found_by_its_process() {
        let list = "PID\tStatus\tLabel\n-\t0\tcom.apple.a\n812\t0\thomebrew.mxcl.ollama\n\
                    81\t-9\tcom.example.b\n";
        assert_eq!(labelled(list, 812).as_deref(), Some("homebrew.mxcl.ollama"));
        assert_eq!(labelled(list, 81).as_deref(), Some("com.example.b"));
        assert_eq!(labelled(list, 8), None);
        assert_eq!(labelled("garbage\n812\n", 812), None);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn elsewhere_than_on_macos_the_levers_say_so() {
        let text = super::kickstart("homebrew.mxcl.ollama").await.unwrap_err().to_string();
        assert!(text.contains("only on macOS"), "{text}");
        assert!(super::open_app("Ollama").await.is_err());
    }
}
