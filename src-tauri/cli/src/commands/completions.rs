//! `completions`: a script that completes our commands in a shell.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::arguments::Arguments;
use crate::failure::{Exit, Failure};
use crate::output;

pub(crate) fn completions(shell: Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    generate(shell, &mut Arguments::command(), "homeostat", &mut script);
    let script = String::from_utf8(script).map_err(anyhow::Error::new)?;
    output::line(script.trim_end());
    Ok(Exit::Fine)
}
