//! Levers that belong to another program: launchd and application bundles on macOS, the user's
//! systemd on Linux.

use std::path::{Path, PathBuf};
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
    #[error("{label} was not loaded from a property list, so it could not be started again")]
    NoFile { label: String },
    #[error("{app} does not let itself be asked to quit")]
    NotAsked { app: String },
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

/// `systemctl --user start UNIT`, or `--system`: starts a unit of the user's own systemd, or of the
/// system's, unless it runs.
pub async fn start_unit(unit: &str, of_user: bool) -> Result<(), LeverError> {
    run(&["systemctl", scope(of_user), "start", unit], DEADLINE).await.map(drop)
}

/// `systemctl --user stop UNIT`, or `--system`: it does not start it again until somebody asks for it. It passes the
/// wish on and does not wait (systemctl(1), `--no-block`).
pub async fn stop_unit(unit: &str, of_user: bool) -> Result<(), LeverError> {
    run(&["systemctl", scope(of_user), "stop", "--no-block", unit], DEADLINE).await.map(drop)
}

/// Asks an application to quit, as its own menu does, where it runs.
pub async fn quit_app(app: &str) -> Result<(), LeverError> {
    only_macos("quitting an application")?;
    let not_asked = || LeverError::NotAsked { app: app.to_owned() };
    let bundle = app.to_owned();
    let asking = tokio::task::spawn_blocking(move || {
        let name = Path::new(&bundle).file_stem()?.to_string_lossy().into_owned();
        let inside = format!("{bundle}/Contents/MacOS/");
        let mut running = super::processes_named(&[&name]).into_iter();
        let of_it = |one: &doctor::ProcessSeen| one.id.executable.starts_with(&inside);
        running.find(of_it).is_none_or(|one| system::ask_to_quit(one.id.pid)).then_some(())
    });
    asking.await.ok().flatten().ok_or_else(not_asked)
}

/// The property list that a job of the logged-in user was loaded from: the `path` of `launchctl
/// print`, whose form may change (FACTS D.4).
pub async fn job_file(label: &str) -> Result<PathBuf, LeverError> {
    only_macos("launchctl print")?;
    let job = format!("gui/{}/{label}", user_id());
    let printed = run(&["/bin/launchctl", "print", &job], DEADLINE).await?;
    let file = path_in(&printed).filter(|file| file.is_file());
    file.ok_or_else(|| LeverError::NoFile { label: label.to_owned() })
}

/// `launchctl bootout gui/UID/LABEL`: it ends, and `KeepAlive` does not start it again. It is still
/// ending where that takes long (`EINPROGRESS`).
pub async fn end_job(label: &str) -> Result<(), LeverError> {
    const IN_PROGRESS: i32 = 36;
    only_macos("launchctl bootout")?;
    let job = format!("gui/{}/{label}", user_id());
    match run(&["/bin/launchctl", "bootout", &job], DEADLINE).await {
        Ok(_) | Err(LeverError::Failed { code: Some(IN_PROGRESS), .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The way back: `launchctl bootstrap gui/UID FILE`.
pub async fn begin_job(file: &Path) -> Result<(), LeverError> {
    only_macos("launchctl bootstrap")?;
    let (domain, file) = (format!("gui/{}", user_id()), file.to_string_lossy());
    run(&["/bin/launchctl", "bootstrap", &domain, &file], DEADLINE).await.map(drop)
}

/// `launchctl disable` and `bootout` of a job of the logged-in user: it ends now and stays away after
/// the next login (launchctl(1)).
pub async fn unload_job(label: &str) -> Result<(), LeverError> {
    only_macos("launchctl disable")?;
    let job = format!("gui/{}/{label}", user_id());
    run(&["/bin/launchctl", "disable", &job], DEADLINE).await?;
    end_job(label).await
}

/// The way back: `launchctl enable`, and `bootstrap` with its property list.
pub async fn load_job(label: &str, file: &Path) -> Result<(), LeverError> {
    only_macos("launchctl enable")?;
    let job = format!("gui/{}/{label}", user_id());
    run(&["/bin/launchctl", "enable", &job], DEADLINE).await?;
    begin_job(file).await
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
    let command =
        ["systemctl", scope(unit.of_user), "show", "--property=MainPID", "--value", &unit.name];
    run(&command, DEADLINE).await.ok()?.trim().parse().ok().filter(|pid| *pid > 0)
}

/// The label of the launchd job of the user whose process this is. `launchctl list` has three
/// columns: pid or `-`, last exit status, label (launchctl(1)).
pub(super) async fn label(pid: u32) -> Option<String> {
    only_macos("launchctl list").ok()?;
    labelled(&output(&["/bin/launchctl", "list"], DEADLINE, LIST_CAP).await.ok()?, pid)
}

fn scope(of_user: bool) -> &'static str {
    if of_user { "--user" } else { "--system" }
}

fn path_in(printed: &str) -> Option<PathBuf> {
    let path = printed.lines().find_map(|line| line.trim().strip_prefix("path = "))?;
    Some(PathBuf::from(path.trim())).filter(|path| path.is_absolute())
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

/// The same, for more than some words; what is beyond `cap` bytes is left out.
pub async fn run_whole(command: &[&str], within: Duration, cap: u64) -> Result<String, LeverError> {
    output(command, within, cap).await
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

    use super::{LeverError, labelled, path_in, run};

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

    #[test]
    fn the_property_list_of_a_job_is_found_in_what_is_printed_of_it() {
        let file = "/Users/a b/Library/LaunchAgents/com.me.ai.plist";
        let printed = format!(
            "gui/501/com.me.ai = {{\n\tactive count = 1\n\tpath = {file}\n\ttype = LaunchAgent\n\t\
             state = running\n\n\tprogram = /opt/ai\n\tstdout path = /tmp/ai.log\n}}\n"
        );
        assert_eq!(path_in(&printed).as_deref(), Some(std::path::Path::new(file)));
        // One that a program has handed in has none; what is printed may be something else altogether.
        assert_eq!(path_in("x = {\n\tpath = (submitted by Ollama.42)\n}\n"), None);
        assert_eq!(path_in("\tstdout path = /tmp/ai.log\n"), None);
        assert_eq!(path_in("Could not find service\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn elsewhere_than_on_macos_the_levers_say_so() {
        let text = super::kickstart("homebrew.mxcl.ollama").await.unwrap_err().to_string();
        assert!(text.contains("only on macOS"), "{text}");
        assert!(super::open_app("Ollama").await.is_err());
    }
}
