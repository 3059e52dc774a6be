//! Which lever starts a server: the one that its installation has (R29, R60).

use crate::observation::Installed;
use crate::patient::Patient;
use crate::remedy::Lever;
use crate::sentence::Sentence;
use crate::target::{Care, Launch};

/// The way to start this server; `None`: nothing is configured, it is only watched.
pub(crate) fn lever(patient: &Patient) -> Option<Result<Lever, Sentence>> {
    let launch = match &patient.spec.care {
        Care::Ollama { launch, .. } => launch,
        Care::Mlx { launch } => launch.as_ref()?,
        Care::Host | Care::Docker | Care::Container { .. } | Care::Service { .. } => return None,
    };
    let installed = patient.facts.surroundings.clone().unwrap_or_default().installed;
    Some(choose(launch, &installed))
}

fn choose(launch: &Launch, installed: &Installed) -> Result<Lever, Sentence> {
    let serve = || match &installed.binary {
        Some(binary) => Ok(Lever::Command(vec![binary.clone(), "serve".into()])),
        None => Err(Sentence::new("why.no_binary")),
    };
    match launch {
        Launch::Command(command) => match &installed.missing_program {
            Some(program) => {
                Err(Sentence::new("why.missing_program").with("program", program.as_str()))
            }
            None => Ok(Lever::Command(command.clone())),
        },
        Launch::Launchd(label) => Ok(Lever::Launchd(label.clone())),
        Launch::App => Ok(Lever::App(
            installed.app.clone().unwrap_or_else(|| "/Applications/Ollama.app".into()),
        )),
        Launch::Brew => Ok(Lever::Launchd("homebrew.mxcl.ollama".into())),
        Launch::Serve => serve(),
        Launch::Auto => {
            if let Some(app) = &installed.app {
                return Ok(Lever::App(app.clone()));
            }
            if installed.brew_service.is_some() {
                return Ok(Lever::Launchd("homebrew.mxcl.ollama".into()));
            }
            match &installed.systemd_unit {
                // Another user's service: two supervisors on one port would fight (R29).
                Some(unit) => Err(Sentence::new("why.systemd").with("unit", unit.as_str())),
                None => serve(),
            }
        }
    }
}
