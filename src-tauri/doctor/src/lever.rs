//! Which lever starts a server: the one that its installation has (R29, R60).

use crate::observation::{Installed, Supervisor, Surroundings};
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
    let around = patient.facts.surroundings.clone().unwrap_or_default();
    Some(choose(launch, &around))
}

/// Who keeps the server running, and is to be told to stop it; `None`: nobody, it is told itself.
/// Of one that is not known yet it is whoever would start it: the engine looks whether it does keep
/// the process.
pub(crate) fn keeper(patient: &Patient) -> Option<Result<Lever, Sentence>> {
    let around = patient.facts.surroundings.as_ref();
    match around.and_then(|one| one.supervisor.as_ref()) {
        Some(Supervisor::Unit { name, of_user: false }) if around.is_some_and(|one| one.root) => {
            Some(Ok(Lever::SystemUnit(name.clone())))
        }
        Some(Supervisor::Unit { name, of_user: false }) => {
            Some(Err(Sentence::new("why.systemd_stop").with("unit", name.as_str())))
        }
        Some(Supervisor::OtherUser(user)) => {
            Some(Err(Sentence::new("why.other_user").with("user", user.as_str())))
        }
        Some(
            supervisor @ (Supervisor::App(_)
            | Supervisor::Launchd(_)
            | Supervisor::Unit { of_user: true, .. }),
        ) => owner(supervisor),
        Some(
            Supervisor::Homeostat
            | Supervisor::Shell(_)
            | Supervisor::Program(_)
            | Supervisor::Nobody
            | Supervisor::NotVisible,
        ) => None,
        None => lever(patient)?.ok().filter(Lever::has_owner).map(Ok),
    }
}

fn choose(launch: &Launch, around: &Surroundings) -> Result<Lever, Sentence> {
    let installed = &around.installed;
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
        Launch::Auto => match around.supervisor.as_ref().and_then(owner) {
            Some(owner) => owner,
            None => among(installed).unwrap_or_else(serve),
        },
    }
}

/// The one that ran it last goes before all that could.
fn owner(supervisor: &Supervisor) -> Option<Result<Lever, Sentence>> {
    match supervisor {
        Supervisor::App(app) => Some(Ok(Lever::App(app.clone()))),
        Supervisor::Launchd(label) => Some(Ok(Lever::Launchd(label.clone()))),
        Supervisor::Unit { name, of_user: true } => Some(Ok(Lever::Unit(name.clone()))),
        Supervisor::Unit { name, of_user: false } => Some(Err(of_system(name))),
        Supervisor::Homeostat
        | Supervisor::Shell(_)
        | Supervisor::Program(_)
        | Supervisor::OtherUser(_)
        | Supervisor::Nobody
        | Supervisor::NotVisible => None,
    }
}

fn among(installed: &Installed) -> Option<Result<Lever, Sentence>> {
    if let Some(app) = &installed.app {
        return Some(Ok(Lever::App(app.clone())));
    }
    if installed.brew_service.is_some() {
        return Some(Ok(Lever::Launchd("homebrew.mxcl.ollama".into())));
    }
    let file = installed.systemd_unit.as_ref()?;
    let name = file.rsplit('/').next().unwrap_or(file);
    // The search path of a user's own systemd (systemd.unit(5)).
    let of_user = file.contains("/systemd/user/");
    Some(if of_user { Ok(Lever::Unit(name.into())) } else { Err(of_system(name)) })
}

/// Not ours to start: two supervisors on one port would fight (R29).
fn of_system(unit: &str) -> Sentence {
    Sentence::new("why.systemd").with("unit", unit)
}
