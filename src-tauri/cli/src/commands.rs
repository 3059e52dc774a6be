//! One file for each command.

mod act;
mod audit;
mod completions;
mod config;
mod ensure;
mod incidents;
mod measure;
mod open;
mod recover;
mod run;
mod status;
mod takeover;
mod timings;
mod unload;
mod verify;

use crate::arguments::{Arguments, Command, Verify};
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::follow::Manner;
use crate::place::paths;

pub(crate) async fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let json = arguments.json;
    let manner = |wait: &crate::arguments::Wait| Manner { json, no_wait: wait.no_wait };
    let connect = || Connection::find(&paths(arguments)?);
    match &arguments.command {
        Command::Run => run::run(arguments).await,
        Command::Status { target: None } => status::status(&connect()?, json).await,
        Command::Status { target: Some(target) } => status::target(&connect()?, target, json).await,
        Command::Verify(Verify { models: None, .. }) => {
            verify::verify(&paths(arguments)?, json).await
        }
        Command::Verify(Verify { models: Some(model), wait }) => {
            ensure::verify(&connect()?, model.as_deref(), manner(wait)).await
        }
        Command::Repair { model, wait } => {
            ensure::repair(&connect()?, model.as_deref(), manner(wait)).await
        }
        Command::Takeover { undo } => takeover::takeover(&paths(arguments)?, *undo, json).await,
        Command::Recover { target, wait } => {
            recover::recover(&connect()?, target.as_deref(), manner(wait)).await
        }
        Command::Restart(to) => act::act(&connect()?, "restart", to, manner(&to.wait)).await,
        Command::Start(to) => act::act(&connect()?, "start", to, manner(&to.wait)).await,
        Command::Stop(to) => act::timed(&connect()?, "stop", to, manner(&to.to.wait)).await,
        Command::Hold(to) => act::timed(&connect()?, "hold", to, manner(&to.to.wait)).await,
        Command::Release(to) => act::act(&connect()?, "release", to, manner(&to.wait)).await,
        Command::Raise { of, to } => act::raise(&connect()?, of, *to, manner(&of.wait)).await,
        Command::Unload(unload) => {
            unload::unload(&connect()?, &unload.which, manner(&unload.wait)).await
        }
        Command::Ensure { model, wait } => {
            ensure::ensure(&connect()?, model.as_deref(), manner(wait)).await
        }
        Command::Measure { models, wait } => {
            measure::measure(&connect()?, models, manner(wait)).await
        }
        Command::Timings { format } => timings::timings(&connect()?, *format, json).await,
        Command::Incidents { id: None, limit } => incidents::list(&connect()?, *limit, json).await,
        Command::Incidents { id: Some(id), .. } => incidents::one(&connect()?, id, json).await,
        Command::Audit { files } => audit::audit(&paths(arguments)?, files, json).await,
        Command::Config(what) => config::config(arguments, what),
        Command::Open => open::open(&connect()?, &paths(arguments)?, json).await,
        Command::Completions { shell } => completions::completions(*shell),
    }
}
