//! Incidents of the past, page by page, with their words.

use doctor::Wall;
use serde::Serialize;

use crate::handle::Handle;
use crate::view::Incident;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Page {
    /// Newest first; without their stories.
    pub incidents: Vec<Incident>,
    /// Asks for the page after this one; none: this is the last.
    pub next: Option<String>,
}

/// At most `limit` incidents, beginning after `next` of the page before. An error is a sentence.
pub async fn page(handle: &Handle, next: Option<&str>, limit: usize) -> Result<Page, String> {
    let before = next.map(cursor).transpose()?;
    let journal = handle.journal.clone();
    // One more than asked for tells whether there is a page after this one.
    let mut found = read(move || journal.incidents(None, before, limit.saturating_add(1))).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| format!("{}.{}", last.opened.0, last.id));
    let incidents = found
        .iter()
        .map(|incident| {
            let mut incident = handle.words.incident(incident);
            incident.story.clear();
            incident.log.clear();
            incident
        })
        .collect();
    Ok(Page { incidents, next })
}

/// One incident with its story; none: there is no such incident.
pub async fn incident(handle: &Handle, id: String) -> Result<Option<Incident>, String> {
    // The open ones are newer in the snapshot than on disk.
    if let Some(open) = handle.snapshot().incidents.iter().find(|incident| incident.id == id) {
        return Ok(Some(open.clone()));
    }
    let journal = handle.journal.clone();
    let found = read(move || journal.incident(&id)).await?;
    Ok(found.map(|incident| handle.words.incident(&incident)))
}

/// Reads on a thread that may wait for the disk.
async fn read<T: Send + 'static, E: std::fmt::Display + Send + 'static>(
    read: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(format!("the journal could not be read: {error}")),
        Err(ended) => Err(format!("reading the journal ended badly: {ended}")),
    }
}

fn cursor(text: &str) -> Result<(Wall, String), String> {
    text.split_once('.')
        .and_then(|(at, id)| Some((Wall(at.parse().ok()?), id.to_owned())))
        .ok_or_else(|| format!("next is {text:?}; expected `next` of the page before"))
}
