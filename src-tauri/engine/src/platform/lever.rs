//! Levers that belong to another program: launchd and application bundles, on macOS only.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::{system, user_id};

/// How long launchd or Launch Services may take to answer; both only pass the wish on.
const DEADLINE: Duration = Duration::from_secs(10);

/// How much of what a lever says is read.
const WORDS_CAP: u64 = 4096;

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

/// Runs an argument list to its end, at most `within`, and gives the first 4 KiB of its standard
/// output. It is killed when the time is up.
pub async fn run(command: &[&str], within: Duration) -> Result<String, LeverError> {
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
    let whole = async { tokio::join!(read(out), read(err), child.wait()) };
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
async fn read(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let mut start = Vec::new();
    // A broken pipe only ends the text early.
    let _ = (&mut stream).take(WORDS_CAP).read_to_end(&mut start).await;
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&start).into_owned()
}

fn not_run(program: &str, source: std::io::Error) -> LeverError {
    LeverError::NotRun { program: program.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{LeverError, run};

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

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn elsewhere_than_on_macos_the_levers_say_so() {
        let text = super::kickstart("homebrew.mxcl.ollama").await.unwrap_err().to_string();
        assert!(text.contains("only on macOS"), "{text}");
        assert!(super::open_app("Ollama").await.is_err());
    }
}
