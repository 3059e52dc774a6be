//! Creating a model from its Modelfile, with Ollama's own program: the file is read by the client
//! and not by the server (cmd/cmd.go `CreateHandler`, parser/parser.go `CreateRequest`), and may name
//! files of weights that have to be hashed and sent.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use doctor::{Listener, Outcome};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::failed;
use crate::platform;
use crate::probe::ollama::Ollama;
use crate::probe::port_of;

/// Bytes of what it prints that are kept, from the end.
const OUTPUT: usize = 16 << 10;

/// `ollama create -f FILE -- MODEL`, so that no name is taken for an option; dropping this ends it.
pub async fn create(ollama: &Ollama, model: &str, modelfile: &str, within: Duration) -> Outcome {
    if !Path::new(modelfile).is_file() {
        let reason = format!("{modelfile} is not there; it says what {model} is made of");
        return Outcome::Failed { reason, permanent: true };
    }
    let Some(program) = program(ollama).await else {
        let reason = "the `ollama` command was not found; it reads the Modelfile".to_owned();
        return Outcome::Failed { reason, permanent: true };
    };
    let mut command = Command::new(&program);
    command
        .args(["create", "-f", modelfile, "--", model])
        .env("OLLAMA_HOST", &ollama.url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return failed(&format!("{program} cannot be started: {error}")),
    };
    let says = child.stderr.take();
    let run = async {
        let said = match says {
            Some(pipe) => tail(pipe).await,
            None => String::new(),
        };
        (child.wait().await, said)
    };
    match tokio::time::timeout(within, run).await {
        Ok((Ok(status), _)) if status.success() => Outcome::Done,
        Ok((Ok(status), said)) => {
            failed(&format!("`ollama create` ended with {status}: {}", reason(&said)))
        }
        Ok((Err(error), _)) => failed(&error.to_string()),
        Err(_) => failed("`ollama create` took longer than its time limit"),
    }
}

/// The server's own executable, which is the command of its own version, else the installed one.
async fn program(ollama: &Ollama) -> Option<String> {
    let port = port_of(&ollama.url);
    let found = tokio::task::spawn_blocking(move || {
        let serving = match platform::listener(port) {
            Listener::Process(process) if process.id.program() == "ollama" => {
                Some(process.id.executable).filter(|file| Path::new(file).is_file())
            }
            Listener::Process(_) | Listener::Nobody | Listener::Hidden | Listener::NotAsked => None,
        };
        serving.or_else(|| platform::installed_ollama(&platform::Places::here()).binary)
    });
    found.await.ok().flatten()
}

/// The end of it, read to its end so that the program never waits for us.
async fn tail(mut pipe: impl AsyncRead + Unpin) -> String {
    let mut kept = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(count) = pipe.read(&mut chunk).await {
        if count == 0 {
            break;
        }
        kept.extend_from_slice(&chunk[..count]);
        let over = kept.len().saturating_sub(OUTPUT);
        kept.drain(..over);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// Its last line, which is the error; before it stand spinners, drawn with escape sequences even
/// where nobody sees them (progress/progress.go).
fn reason(said: &str) -> String {
    let plain = strip(said);
    let mut lines = plain.lines().map(str::trim).filter(|line| !line.is_empty());
    let last = lines.next_back().unwrap_or("it said nothing");
    last.strip_prefix("Error: ").unwrap_or(last).to_owned()
}

fn strip(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(sign) = rest.next() {
        match sign {
            '\u{1b}' => {
                // `ESC [ … letter`.
                if rest.next() == Some('[') {
                    rest.by_ref().find(char::is_ascii_alphabetic);
                }
                plain.push('\n');
            }
            '\n' | '\r' => plain.push('\n'),
            sign if sign.is_control() => {}
            sign => plain.push(sign),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_found_behind_spinners() {
        let said = "\u{1b}[?2026h\u{1b}[?25l\u{1b}[1Ggathering model components ⠋ \u{1b}[K\u{1b}[?25h\u{1b}[?2026l\nError: no Modelfile or safetensors files found\n";
        assert_eq!(reason(said), "no Modelfile or safetensors files found");
        assert_eq!(reason(""), "it said nothing");
    }
}
