//! Whose process it is: by what it answered, who started it and what it is called with; never by
//! its name alone where a stranger could bear it.

use crate::observation::ProcessSeen;
use crate::patient::Patient;
use crate::target::{Care, Launch};

/// Whether this process is the server that we watch, and not one that merely sits on its port:
/// it answered as the server does, we started it, it is the configured command, or it is the
/// product's own program.
pub(crate) fn is_own_server(patient: &Patient, process: &ProcessSeen) -> bool {
    if patient.facts.trusted.contains(&process.id) {
        return true;
    }
    let launch = match &patient.spec.care {
        Care::Ollama { launch, .. } => {
            if process.id.program() == "ollama" {
                return true;
            }
            Some(launch)
        }
        Care::Mlx { launch } => {
            // `python -m mlx_lm server`, `mlx_lm.server`, `mlx-openai-server`, `mlx_api_server.py`
            // (FACTS B.1 to B.3).
            let first = process.command.iter().take(3);
            if first
                .map(|word| word.rsplit('/').next().unwrap_or(word))
                .any(|word| word.starts_with("mlx_") || word.starts_with("mlx-") || word == "omlx")
            {
                return true;
            }
            launch.as_ref()
        }
        Care::Host | Care::Docker | Care::Container { .. } | Care::Service { .. } => None,
    };
    match launch {
        Some(Launch::Command(command)) => same_command(command, &process.command),
        Some(Launch::Auto | Launch::App | Launch::Brew | Launch::Serve | Launch::Launchd(_))
        | None => false,
    }
}

/// Whether it is this server, or would become it: not one that was told to listen elsewhere.
pub(crate) fn is_copy(patient: &Patient, process: &ProcessSeen) -> bool {
    let asked = patient.facts.mlx.as_ref().and_then(|seen| seen.asked.first());
    let ours = asked.and_then(|answer| port_in(&answer.url));
    let theirs = port_argument(&process.command);
    is_own_server(patient, process) && (ours.is_none() || theirs.is_none() || ours == theirs)
}

fn port_in(url: &str) -> Option<u16> {
    let address = url.split_once("://")?.1.split('/').next()?;
    address.rsplit_once(':')?.1.parse().ok()
}

/// `--port N`, which all kinds of MLX server know (FACTS B.1 to B.3).
fn port_argument(command: &[String]) -> Option<u16> {
    let mut words = command.iter();
    while let Some(word) = words.next() {
        if word == "--port" {
            return words.next()?.parse().ok();
        }
        if let Some(port) = word.strip_prefix("--port=") {
            return port.parse().ok();
        }
    }
    None
}

/// The same arguments, and a program of the same file name; an interpreter may stand in front.
fn same_command(configured: &[String], running: &[String]) -> bool {
    let name = |word: &String| word.rsplit('/').next().unwrap_or(word).to_owned();
    let Some((program, arguments)) = configured.split_first() else { return false };
    (0..running.len().min(2)).any(|at| {
        running.get(at).is_some_and(|word| name(word) == name(program))
            && running.get(at + 1..).is_some_and(|rest| rest == arguments)
    })
}

/// Whether it is this program, or a script of this name in an interpreter.
pub(super) fn is_named(process: &ProcessSeen, name: &str) -> bool {
    process.id.program() == name
        || process.command.iter().take(2).any(|word| {
            word.rsplit('/').next().is_some_and(|file| {
                file == name || file.strip_suffix(".js").or(file.strip_suffix(".py")) == Some(name)
            })
        })
}
