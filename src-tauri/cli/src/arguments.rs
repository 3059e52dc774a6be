//! What can be asked on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Watches Ollama, MLX, Docker containers, HTTP services and memory; says what is wrong and why, heals it,
/// proves it.
///
/// Exit codes: 0 fine, 1 something is wrong, 2 wrong usage, 3 no engine is running.
#[derive(Debug, Parser)]
#[command(name = "homeostat", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    /// Configuration file [default: the platform's, or `HOMEOSTAT_CONFIG`]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Directory of journal, token and logs [default: the platform's, or `HOMEOSTAT_DATA`]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print JSON, for programs
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the engine here, without tray and window, until it is interrupted
    Run,
    /// Show how everything is, or one target with its cause and advice
    Status {
        /// host, docker, ollama, mlx, container:NAME or service:NAME
        target: Option<String>,
    },
    /// Check everything that self-recovery needs, one line each with what to do
    Verify(Verify),
    /// Remove what is broken of a model and bring it anew; interrupting breaks it off
    Repair {
        /// Which model [default: every one that is known to be broken]
        model: Option<String>,
        #[command(flatten)]
        wait: Wait,
    },
    /// Look at everything at once, or at one target, and heal what is sick; ends a hold
    Recover {
        target: Option<String>,
        #[command(flatten)]
        wait: Wait,
    },
    /// Restart a target
    Restart(Targeted),
    /// Start a target
    Start(Targeted),
    /// Stop a target and keep it stopped; with --for it is started again after that time
    Stop(Timed),
    /// Leave a target alone from now on
    Hold(Timed),
    /// End a hold
    Release(Targeted),
    /// Give a container more memory as it runs; lasts until it is made anew
    Raise {
        #[command(flatten)]
        of: Targeted,
        /// Its new memory limit, such as 768m or 2g [default: half as much again]
        #[arg(long, value_name = "SIZE", value_parser = size)]
        to: Option<u64>,
    },
    /// Take models out of memory
    Unload(Unload),
    /// See to it that models exist and work: download or create what is missing; interrupting
    /// breaks it off
    Ensure {
        /// Which model [default: every one under [[ollama.ensure]]]
        model: Option<String>,
        #[command(flatten)]
        wait: Wait,
    },
    /// Measure how fast models are; interrupting cancels the measurement
    Measure {
        /// Which models [default: all]
        models: Vec<String>,
        #[command(flatten)]
        wait: Wait,
    },
    /// Show how fast each model is, and time limits for agents
    Timings {
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// List what went wrong, newest first, or tell one incident's story
    Incidents {
        id: Option<String>,
        /// Show at most so many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=500))]
        limit: u16,
    },
    /// End the other programs that heal the same servers, and take their place
    Takeover {
        /// Put them back as they were
        #[arg(long)]
        undo: bool,
    },
    /// Find what will go wrong before it does: in compose files, or in all containers and their files
    Audit {
        /// Compose files of one project, later ones over earlier ones [default: what runs, and the
        /// project of this directory]
        #[arg(value_name = "COMPOSE.yml")]
        files: Vec<PathBuf>,
    },
    /// Check a configuration file, or print an example
    #[command(subcommand)]
    Config(Config),
    /// Open the window as a page in the browser
    Open,
    /// Print a completion script for a shell
    Completions { shell: Shell },
}

#[derive(Debug, Args)]
pub(crate) struct Targeted {
    /// host, docker, ollama, mlx, container:NAME or service:NAME
    pub(crate) target: String,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

#[derive(Debug, Args)]
pub(crate) struct Timed {
    #[command(flatten)]
    pub(crate) to: Targeted,
    /// End it after this time, such as 30m, 1h or 2d [default: when a person ends it]
    #[arg(long = "for", value_name = "TIME", value_parser = hold_time, allow_hyphen_values = true)]
    pub(crate) within: Option<String>,
}

/// As it was written: the engine reads it again.
fn hold_time(text: &str) -> Result<String, String> {
    engine::wish::hold_time(text).map(|_| text.to_owned())
}

fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("\"{text}\" is not a size; write it as 768m or 2g");
    engine::audit::bytes(text).filter(|bytes| *bytes > 0).ok_or_else(wrong)
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Wait {
    /// Return at once instead of waiting for the end
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Read this model whole instead, or every one, and compare it with its sums
    #[arg(long, value_name = "MODEL", num_args = 0..=1)]
    #[expect(clippy::option_option, reason = "not given, given alone, given with a name")]
    pub(crate) models: Option<Option<String>>,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

#[derive(Debug, Args)]
pub(crate) struct Unload {
    #[command(flatten)]
    pub(crate) which: Which,
    #[command(flatten)]
    pub(crate) wait: Wait,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// This model
    pub(crate) model: Option<String>,
    /// Every model that is not busy and not pinned
    #[arg(long)]
    pub(crate) idle: bool,
    /// Every model
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    #[default]
    Table,
    /// Markdown
    Md,
    Csv,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Say what is wrong in a configuration file, line by line
    Check {
        /// Which file [default: the one that the engine reads]
        file: Option<PathBuf>,
    },
    /// Print a commented file with every key
    Example,
}
