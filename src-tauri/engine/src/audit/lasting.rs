//! Where a container's memory limit is written, so that a change of it outlives the container.

use std::path::PathBuf;

use doctor::{Compose, LimitPlace};

use super::fix::{Written, add_key, set_value};
use super::read::read;
use super::units::written_bytes;

/// The place in its compose files, and what to write there: the line that counts, which may stand in an
/// override or in the service that it extends. None: the files are not here, or do not have it.
pub fn limit_place(compose: &Compose, to: u64) -> Option<LimitPlace> {
    let paths = |texts: &mut dyn Iterator<Item = &str>| texts.map(PathBuf::from).collect();
    let files: Vec<PathBuf> = paths(&mut compose.files.iter().map(String::as_str));
    let variables: Vec<PathBuf> =
        paths(&mut compose.env_file.iter().flat_map(|files| files.split(',')));
    let project = read(&files, &variables, &|name| std::env::var(name).ok());
    let service = project.service(&compose.service)?;
    let wanted = written_bytes(to);
    let fix = match service.memory_limit() {
        Some(entry) => set_value(&project, entry, &wanted)?,
        None => add_key(&project, service, "mem_limit", &Written::text(wanted))?,
    };
    Some(LimitPlace {
        file: fix.file.display().to_string(),
        line: u32::try_from(fix.start.line).ok()?,
        text: fix.text.trim().trim_end_matches(',').to_owned(),
        instead: fix.start != fix.end,
    })
}
