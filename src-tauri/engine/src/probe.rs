//! Senses: each probe asks once, within a deadline, and returns what it saw.

pub mod docker;
pub mod host;
pub(crate) mod http;
pub mod mlx;
pub mod ollama;
pub mod service;

use std::path::Path;

/// The port of a URL, with the default of its scheme.
pub(crate) fn port_of(url: &str) -> u16 {
    let default = if url.starts_with("https:") { 443 } else { 80 };
    let parsed = reqwest::Url::parse(url).ok();
    parsed.and_then(|url| url.port_or_known_default()).unwrap_or(default)
}

/// Whether a command's program can be found.
pub(crate) fn is_program(program: &str) -> bool {
    if program.contains('/') {
        return Path::new(program).is_file();
    }
    crate::platform::Places::here().program(program).is_some()
}
