//! Reads a story: plain sentences about the world, each at its time.
//!
//! ```text
//! Ollama is killed; it is started again and proven.
//! covers: ollama.not_running R11 R46
//!
//! given ollama
//! 01:00  ollama dies
//! 05:00  the end
//! ```

use std::fmt::Write;
use std::time::Duration;

use doctor::LedgerFound;

use super::World;
use super::given::given;
use super::happen::happen;

/// A story, read.
pub struct Story {
    pub title: String,
    pub covers: Vec<String>,
    pub given: Vec<String>,
    /// Time in milliseconds, the time as written, and what happens.
    pub happens: Vec<(u64, String, String)>,
}

impl Story {
    /// Indented lines are the doctor's, and not read.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        let title = lines.next().unwrap_or_default().to_owned();
        let mut story = Self { title, covers: Vec::new(), given: Vec::new(), happens: Vec::new() };
        for line in lines {
            if line.is_empty() || line.starts_with(' ') {
                continue;
            }
            if let Some(covers) = line.strip_prefix("covers:") {
                story.covers = covers.split_whitespace().map(String::from).collect();
            } else if let Some(given) = line.strip_prefix("given ") {
                story.given.push(given.into());
            } else {
                let (time, what) = line
                    .split_once(' ')
                    .ok_or_else(|| format!("`{line}` is neither `given …` nor `mm:ss  …`"))?;
                story.happens.push((time_of(time)?, time.into(), what.trim().into()));
            }
        }
        Ok(story)
    }

    /// Plays it and writes it down again, with what the doctor did under what happened.
    pub fn play(&self, seed: u64) -> Result<String, String> {
        self.play_in(&mut World::new(seed))
    }

    /// The same, in a world of one's own that has not begun.
    pub fn play_in(&self, world: &mut World) -> Result<String, String> {
        let mut found = LedgerFound::None;
        for line in &self.given {
            if line == "a damaged ledger" {
                found = LedgerFound::Damaged;
            } else {
                given(world, line).map_err(|error| format!("given {line}: {error}"))?;
            }
        }
        world.begin(found);
        let mut told = String::new();
        let mut written = 0;
        for (at, time, what) in &self.happens {
            world.run_until(*at);
            write_lines(&mut told, world, &mut written);
            let _ = writeln!(told, "{time}  {what}");
            happen(world, what).map_err(|error| format!("{time}  {what}: {error}"))?;
            write_lines(&mut told, world, &mut written);
        }
        let covers = self.covers.join(" ");
        let mut written = format!("{}\ncovers: {covers}\n\n", self.title);
        for line in &self.given {
            let _ = writeln!(written, "given {line}");
        }
        Ok(written + "\n" + &told)
    }
}

fn write_lines(told: &mut String, world: &World, written: &mut usize) {
    for (at, line) in &world.tale.lines[*written..] {
        let _ = writeln!(told, "    {}  {line}", clock(*at));
    }
    *written = world.tale.lines.len();
}

fn clock(ms: u64) -> String {
    let (seconds, tenths) = (ms / 1000, ms % 1000 / 100);
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    if hours > 0 {
        format!("{hours}:{:02}:{:02}.{tenths}", minutes % 60, seconds % 60)
    } else {
        format!("{minutes:02}:{:02}.{tenths}", seconds % 60)
    }
}

fn time_of(text: &str) -> Result<u64, String> {
    let wrong = |_| format!("`{text}` is not a time");
    let (whole, tenths) = text.split_once('.').unwrap_or((text, "0"));
    let mut total: u64 = 0;
    for part in whole.split(':') {
        total = total * 60 + part.parse::<u64>().map_err(wrong)?;
    }
    Ok(total * 1000 + tenths.parse::<u64>().map_err(wrong)? * 100)
}

/// `20 s`, `8 h`, `3 min`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.trim().split_once(' ').ok_or(format!("`{text}` is no duration"))?;
    let number: u64 = number.parse().map_err(|_| format!("`{text}` is no duration"))?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "min" => Ok(Duration::from_secs(60 * number)),
        "h" => Ok(Duration::from_secs(3600 * number)),
        _ => Err(format!("`{unit}` is no unit of time")),
    }
}

pub fn ms(text: &str) -> Result<u64, String> {
    duration(text).map(doctor::millis)
}
