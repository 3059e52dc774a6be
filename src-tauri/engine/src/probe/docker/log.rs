//! The log of a container: its last lines at its death, and whether it still says anything.
//!
//! Asked for when one dies badly, and while one is unwell; never of those that are well.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bollard::container::LogOutput;
use bollard::query_parameters::{LogsOptions, LogsOptionsBuilder};
use doctor::{ContainerHealth, ContainerLog, ContainerSeen, ContainerStatus};
use futures_util::TryStreamExt;

use super::{Docker, Limits};
use crate::logs;

/// Lines that are shown, and lines that are asked for: what another incarnation wrote since is
/// among the newest.
const SHOWN: usize = 50;
const ASKED: &str = "200";
/// Bytes of them, as the engine sends them. A line may be as long as its writer likes.
const ANSWER: u64 = 4 << 20;
/// Bytes of those that are shown.
const KEPT: usize = 8 << 10;
/// Deaths that are remembered, of the newest.
const DEATHS: usize = 128;
/// A container that runs again shows what ended it before for so long.
const SHOWN_FOR_MS: i64 = 10 * 60_000;
/// The engine writes an end down, and tells of it, within this time.
const SAME_END_MS: i64 = 5_000;
/// The log of one that is unwell is not read again sooner.
const AGAIN: Duration = Duration::from_secs(10);
const FORGOTTEN: Duration = Duration::from_mins(10);
/// A program may write before the engine has noted its start. What it wrote last is all there when
/// its end is told (moby `daemon/monitor.go` waits for its streams), and Docker's policy waits 100 ms
/// before it starts the next.
const SOONER_MS: i64 = 500;
const LATER_MS: i64 = 50;

/// Bytes of a log that are searched at once.
const SEARCHED: u64 = 16 << 20;

/// What a search in a log has found; times in milliseconds since 1970 on the engine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    pub(crate) newest_ms: Option<i64>,
    pub(crate) matched_ms: Option<i64>,
    /// It was read to its end.
    pub(crate) whole: bool,
}

/// What is known of the logs, by container.
#[derive(Default)]
pub(super) struct Words {
    deaths: HashMap<String, Death>,
    living: HashMap<String, Living>,
}

/// Its last words, with the engine's time of its end.
struct Death {
    at_ms: i64,
    lines: Vec<String>,
}

/// One that runs and is unwell.
struct Living {
    started_ms: Option<i64>,
    read: Instant,
    /// The engine's time of the newest line, and when that was first seen to be the newest: on our
    /// clock, which stands still while the machine sleeps, as the container does.
    newest_ms: Option<i64>,
    since: Instant,
    lines: Vec<String>,
}

/// A line and when it was written, milliseconds since 1970 on the engine's clock.
struct Line {
    at_ms: Option<i64>,
    text: String,
}

impl Docker {
    /// It has just ended, after a life of so long: what it wrote last is kept.
    pub(super) async fn hear_last_words(&self, id: String, at_ms: i64, lived_ms: Option<i64>) {
        let since_ms = lived_ms.map(|lived| at_ms - lived);
        if let Some(lines) = self.last_lines(&id, since_ms, Some(at_ms)).await {
            self.keep_last_words(id, at_ms, lines);
        }
    }

    /// The log of this container, as far as it matters now: of one that has ended badly or is
    /// unwell. `asked`: it was asked for by name, so its log may be read even if nobody heard it
    /// die.
    pub(super) async fn log_of(&self, seen: &ContainerSeen, asked: bool) -> ContainerLog {
        match seen.status {
            ContainerStatus::Running => {
                let unwell = matches!(
                    seen.health,
                    Some(ContainerHealth::Starting | ContainerHealth::Unhealthy)
                );
                if unwell {
                    return self.log_of_living(seen).await;
                }
                self.words(|words| words.living.remove(&seen.id));
                self.log_of_before(seen)
            }
            ContainerStatus::Restarting | ContainerStatus::Exited | ContainerStatus::Dead => {
                self.log_of_dead(seen, asked).await
            }
            ContainerStatus::Created | ContainerStatus::Paused | ContainerStatus::Removing => {
                ContainerLog::default()
            }
        }
    }

    /// Of one that runs, and has ended lately.
    fn log_of_before(&self, seen: &ContainerSeen) -> ContainerLog {
        let lines = self.words(|words| {
            let death = words.deaths.get(&seen.id)?;
            let lately = seen.started_ms.is_some_and(|at| at - death.at_ms < SHOWN_FOR_MS);
            lately.then(|| death.lines.clone())
        });
        lines.map_or_else(ContainerLog::default, log)
    }

    async fn log_of_dead(&self, seen: &ContainerSeen, asked: bool) -> ContainerLog {
        let Some(ended_ms) = seen.finished_ms else { return ContainerLog::default() };
        let known = self.words(|words| {
            words.living.remove(&seen.id);
            let death = words.deaths.get(&seen.id)?;
            let same = (death.at_ms - ended_ms).abs() <= SAME_END_MS;
            same.then(|| death.lines.clone())
        });
        if let Some(lines) = known {
            return log(lines);
        }
        if !asked {
            return ContainerLog::default();
        }
        // It has not run since, so all that comes after its end is of it as well.
        let Some(lines) = self.last_lines(&seen.id, seen.started_ms, None).await else {
            return ContainerLog::default();
        };
        self.keep_last_words(seen.id.clone(), ended_ms, lines.clone());
        log(lines)
    }

    async fn log_of_living(&self, seen: &ContainerSeen) -> ContainerLog {
        let known = self.words(|words| {
            let living = words.living.get(&seen.id)?;
            let fresh = living.started_ms == seen.started_ms && living.read.elapsed() < AGAIN;
            fresh.then(|| living.log())
        });
        if let Some(log) = known {
            return log;
        }
        let since = seen.started_ms;
        let Some(lines) = self.lines(&seen.id, since, None).await else {
            return ContainerLog::default();
        };
        let newest_ms = lines.iter().filter_map(|line| line.at_ms).max();
        let lines = shown(lines);
        let now = Instant::now();
        self.words(|words| {
            let before = words.living.get(&seen.id);
            let still = before
                .filter(|one| one.started_ms == seen.started_ms && one.newest_ms == newest_ms);
            let since = still.map_or(now, |one| one.since);
            let living = Living { started_ms: seen.started_ms, read: now, newest_ms, since, lines };
            let log = living.log();
            if words.living.len() >= DEATHS {
                words.living.retain(|_, one| one.read.elapsed() < FORGOTTEN);
            }
            words.living.insert(seen.id.clone(), living);
            log
        })
    }

    /// Whether this text has come since then, read line by line: nothing of it is kept.
    pub(crate) async fn find_in_log(&self, id: &str, since_ms: i64, text: &str) -> Found {
        let limits = Limits { within: self.pace().answer, cap: SEARCHED };
        let options = LogsOptions { tail: "all".into(), ..question(Some(since_ms), None) };
        let found = Mutex::new(Found::default());
        let read = |part: LogOutput| {
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            for line in split(std::slice::from_ref(&part)) {
                // What was read before comes again: the engine counts in whole seconds.
                let at = line.at_ms.filter(|at| *at > since_ms);
                found.newest_ms = found.newest_ms.max(at);
                if line.text.contains(text) {
                    found.matched_ms = found.matched_ms.max(at);
                }
            }
        };
        let asked = self.ask(limits, async |docker| {
            let mut parts = std::pin::pin!(docker.logs(id, Some(options)));
            while let Some(part) = parts.try_next().await? {
                read(part);
            }
            Ok(())
        });
        let whole = asked.await.is_ok();
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        Found { whole, ..found }
    }

    async fn last_lines(
        &self,
        id: &str,
        since_ms: Option<i64>,
        until_ms: Option<i64>,
    ) -> Option<Vec<String>> {
        self.lines(id, since_ms, until_ms).await.map(shown)
    }

    /// What it wrote in that time, the newest last; none: it cannot be read, as with some of the
    /// engine's drivers for logs.
    async fn lines(
        &self,
        id: &str,
        since_ms: Option<i64>,
        until_ms: Option<i64>,
    ) -> Option<Vec<Line>> {
        let limits = Limits { within: self.pace().answer, cap: ANSWER };
        let options = question(since_ms, until_ms);
        let asked = self.ask(limits, async move |docker| {
            docker.logs(id, Some(options)).try_collect::<Vec<LogOutput>>().await
        });
        let parts = match asked.await {
            Ok(parts) => parts,
            Err(trouble) => {
                tracing::debug!(id, message = trouble.message, "a log could not be read");
                return None;
            }
        };
        let mut lines = split(&parts);
        lines.retain(|line| {
            let later = line.at_ms.zip(until_ms).is_some_and(|(at, until)| at > until + LATER_MS);
            let sooner = line.at_ms.zip(since_ms).is_some_and(|(at, since)| at < since - SOONER_MS);
            !later && !sooner
        });
        Some(lines)
    }

    fn keep_last_words(&self, id: String, at_ms: i64, lines: Vec<String>) {
        self.words(|words| {
            if words.deaths.len() >= DEATHS && !words.deaths.contains_key(&id) {
                let oldest = words.deaths.iter().min_by_key(|(_, death)| death.at_ms);
                if let Some(oldest) = oldest.map(|(id, _)| id.clone()) {
                    words.deaths.remove(&oldest);
                }
            }
            words.deaths.insert(id, Death { at_ms, lines });
        });
    }

    fn words<T>(&self, of: impl FnOnce(&mut Words) -> T) -> T {
        of(&mut self.shared.words.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Living {
    fn log(&self) -> ContainerLog {
        // One that writes nothing at all says nothing by its silence.
        let silent = self.newest_ms.map(|_| self.since.elapsed().as_secs());
        ContainerLog { silent_for_s: silent, ..log(self.lines.clone()) }
    }
}

/// Nobody has matched the lines with signatures yet.
fn log(lines: Vec<String>) -> ContainerLog {
    ContainerLog {
        silent_for_s: None,
        last_line: lines.last().cloned(),
        signs: Vec::new(),
        tail: lines,
    }
}

fn question(since_ms: Option<i64>, until_ms: Option<i64>) -> LogsOptions {
    let seconds = |ms: i64| i32::try_from(ms.div_euclid(1000)).unwrap_or_default();
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).timestamps(true);
    let options = match since_ms {
        Some(since) => options.since(seconds(since)),
        None => options,
    };
    match until_ms {
        // A whole second more: parts of one are not taken here.
        Some(until) => options.until(seconds(until) + 1),
        None => options,
    }
    .tail(ASKED)
    .build()
}

/// Whole lines with their times: each begins with one, a terminal's too (moby
/// `api/server/httputils/write_log_stream.go`).
fn split(parts: &[LogOutput]) -> Vec<Line> {
    let text = parts.iter().map(|part| String::from_utf8_lossy(part.as_ref()).into_owned());
    text.flat_map(|text| text.lines().map(line).collect::<Vec<_>>()).collect()
}

fn line(text: &str) -> Line {
    let (stamp, rest) = text.split_once(' ').unwrap_or((text, ""));
    match stamp.parse::<jiff::Timestamp>() {
        Ok(at) => Line { at_ms: Some(at.as_millisecond()), text: plain(rest) },
        Err(_) => Line { at_ms: None, text: plain(text) },
    }
}

/// Without the sequences that colour a terminal's text (ECMA-48, CSI).
fn plain(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut pieces = text.split("\u{1b}[");
    kept.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let end = piece.find(|one: char| ('\u{40}'..='\u{7e}').contains(&one));
        kept.push_str(end.and_then(|end| piece.get(end + 1..)).unwrap_or_default());
    }
    kept
}

/// The newest, without private parts and secrets.
fn shown(lines: Vec<Line>) -> Vec<String> {
    let lines: Vec<String> = lines.into_iter().map(|line| line.text).collect();
    let told = logs::told(&lines).into_iter().filter(|line| !line.is_empty());
    let mut room = KEPT;
    let mut newest: Vec<String> = told
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .take(SHOWN)
        .take_while(|line| {
            let fits = line.len() <= room;
            room = room.saturating_sub(line.len());
            fits
        })
        .collect();
    newest.reverse();
    newest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_from_its_time() {
        let out = |text: &str| LogOutput::StdOut { message: text.to_owned().into() };
        let parts = [
            out("2026-08-01T10:00:00.123456789Z first\n"),
            LogOutput::Console {
                message: "2026-08-01T10:00:01Z \u{1b}[31mred\u{1b}[0m\r\n".into(),
            },
            out("2026-08-01T10:00:02Z \n"),
            out("not a time\n"),
        ];
        let lines = split(&parts);
        let told: Vec<_> = lines.iter().map(|line| (line.at_ms, line.text.as_str())).collect();
        assert_eq!(
            told,
            [
                (Some(1_785_578_400_123), "first"),
                (Some(1_785_578_401_000), "red"),
                (Some(1_785_578_402_000), ""),
                (None, "not a time"),
            ]
        );
    }

    #[test]
    fn the_newest_are_kept_within_a_bound() {
        let lines = |count: usize, length: usize| {
            (0..count)
                .map(|number| Line {
                    at_ms: None,
                    text: format!("{number} {}", "x ".repeat(length)),
                })
                .collect::<Vec<_>>()
        };
        let short = shown(lines(90, 1));
        assert_eq!(short.len(), SHOWN);
        assert!(short[0].starts_with("40 ") && short[SHOWN - 1].starts_with("89 "));
        let long = shown(lines(90, 500));
        assert!(long.len() < SHOWN && long.iter().map(String::len).sum::<usize>() <= KEPT);
        assert!(long.last().is_some_and(|line| line.starts_with("89 ")));
    }
}
