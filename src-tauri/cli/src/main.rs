//! The `homeostat` command: speaks to a running engine; `run` is the engine alone.

mod arguments;
mod commands;
mod connection;
mod docker;
mod failure;
mod follow;
mod output;
mod place;
mod text;

use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;
use failure::Exit;

fn main() -> ExitCode {
    // Wrong usage ends here with code 2, `--help` and `--version` with 0.
    let arguments = Arguments::parse();
    // Only the first to install one does; nobody did before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(commands::run(&arguments)),
        Err(error) => Err(failure::Failure::Other(anyhow::anyhow!(
            "the system gave no threads to run on: {error}"
        ))),
    };
    let exit = ended.unwrap_or_else(|failure| {
        output::complain(&failure, arguments.json);
        failure.exit()
    });
    ExitCode::from(match exit {
        Exit::Fine => 0,
        Exit::Wrong => 1,
        Exit::Usage => 2,
        Exit::NoEngine => 3,
    })
}
