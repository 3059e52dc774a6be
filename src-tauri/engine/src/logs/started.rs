//! What Ollama says of itself at its start: `msg="server config" env="map[…]"` holds its whole
//! environment (ollama/ollama server/routes.go `Serve`, envconfig/config.go `Values`). Where it keeps its
//! models and where it listens are read of it, and nothing else: the other values may be secrets.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use doctor::ProcessSeen;
use jiff::Timestamp;

use crate::platform;

/// It is written at the start, and a log that is never rotated grows on behind it.
const LOOK_BACK: u64 = 1 << 20;
/// It is written as soon as the port is bound. Start times are told to the second.
const EARLIER_S: i64 = 2;
const LATER_S: i64 = 120;

/// Where this very process has said that it keeps its models; none: it has not, or nobody can tell.
/// Only who has bound the port writes that line, so its port and its time tell whose it is.
pub(crate) fn models_of(process: &ProcessSeen, port: u16) -> Option<PathBuf> {
    let since = process.since?;
    let mut places = platform::written_files(process.id.pid);
    places.extend(platform::ollama_logs());
    let at_start = |said: &Said| {
        let after = said.at.as_second() - since;
        (-EARLIER_S..=LATER_S).contains(&after) && said.port == port
    };
    places.iter().find_map(|place| last_in(place, at_start)).map(|said| said.models)
}

#[derive(Debug, PartialEq)]
struct Said {
    at: Timestamp,
    port: u16,
    models: PathBuf,
}

fn last_in(file: &Path, counts: impl Fn(&Said) -> bool) -> Option<Said> {
    let mut file = File::open(file).ok()?;
    let there = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    file.seek(SeekFrom::Start(there.len().saturating_sub(LOOK_BACK))).ok()?;
    let mut bytes = Vec::new();
    file.take(LOOK_BACK).read_to_end(&mut bytes).ok()?;
    String::from_utf8_lossy(&bytes).lines().rev().filter_map(said).find(counts)
}

fn said(line: &str) -> Option<Said> {
    let (time, rest) = line.strip_prefix("time=")?.split_once(' ')?;
    let (head, map) = rest.split_once(r#" msg="server config" env="map["#)?;
    // Nothing that people wrote stands before the message of this line.
    let is_head =
        head.split(' ').all(|word| word.starts_with("level=") || word.starts_with("source="));
    let models = value(map, "OLLAMA_MODELS").filter(|path| !path.contains('\\'))?;
    let port = value(map, "OLLAMA_HOST")?.rsplit_once(':')?.1.trim_end_matches('/').parse().ok()?;
    let models = at_home(models).filter(|path| path.is_absolute())?;
    is_head.then_some(Said { at: time.parse().ok()?, port, models })
}

/// Go prints a map's keys in their order, with nothing between a value and the next key but a space
/// (fmt): a path may hold spaces, and ends before the next variable of this family.
fn value<'a>(map: &'a str, key: &str) -> Option<&'a str> {
    let start = map.match_indices(key).map(|(at, _)| at).find(|at| {
        (*at == 0 || map[..*at].ends_with(' ')) && map[at + key.len()..].starts_with(':')
    })?;
    let rest = &map[start + key.len() + 1..];
    let end = rest.find(" OLLAMA_").or_else(|| rest.rfind(']'))?;
    Some(rest[..end].trim()).filter(|value| !value.is_empty())
}

/// Somebody who writes `~` means the home.
fn at_home(path: &str) -> Option<PathBuf> {
    match path.strip_prefix("~/") {
        Some(rest) => std::env::home_dir().map(|home| home.join(rest)),
        None => Some(PathBuf::from(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"time=2026-08-21T10:00:00.000+03:00 level=INFO source=routes.go:1951 msg="server config" env="map[HTTPS_PROXY:http://u:SECRET@proxy:1 OLLAMA_HOST:http://127.0.0.1:11434 OLLAMA_IGPU_ENABLE: OLLAMA_KEEP_ALIVE:5m0s OLLAMA_MODELS:/Volumes/My Disk/models OLLAMA_NOHISTORY:false OLLAMA_ORIGINS:[http://localhost https://localhost] http_proxy: no_proxy:]""#;

    #[test]
    fn two_values_are_read_and_no_other() {
        let said = said(LINE).unwrap();
        assert_eq!((said.port, said.models.to_str()), (11434, Some("/Volumes/My Disk/models")));
        assert_eq!(said.at, "2026-08-21T07:00:00Z".parse().unwrap());
        assert!(!format!("{said:?}").contains("SECRET"));
        let short = r#"time=2026-08-21T10:00:00Z level=INFO source=routes.go:1 msg="server config" env="map[OLLAMA_HOST:http://[::1]:8000 OLLAMA_MODELS:/a/b]""#;
        assert_eq!(
            super::said(short).map(|said| (said.port, said.models)),
            Some((8000, "/a/b".into()))
        );
    }

    #[test]
    fn what_looks_like_it_is_not_it() {
        for other in [
            LINE.replace("server config", "server configured"),
            LINE.replace(" OLLAMA_MODELS:", " MY_OLLAMA_MODELS:"),
            LINE.replace("/Volumes/My Disk", "Volumes"),
            LINE.replace("level=INFO", r#"level=INFO prompt="x"#),
            LINE.replace("OLLAMA_HOST:http://127.0.0.1:11434", "OLLAMA_HOST:"),
            LINE.replace("time=2026", "2026"),
            format!("say: {LINE}"),
            r#"time=2026-08-21T10:00:00Z level=INFO source=routes.go:1 msg="server config" env="map["#.into(),
        ] {
            assert_eq!(said(&other), None, "{other}");
        }
        let home = std::env::home_dir().unwrap().join("models");
        let tilde = said(&LINE.replace("/Volumes/My Disk/", "~/")).unwrap();
        assert_eq!(tilde.models, home);
    }

    #[test]
    fn the_newest_that_counts_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("server.log");
        let older = LINE.replace("T10:", "T09:").replace("My Disk", "Old");
        let other_port = LINE.replace("T10:", "T11:").replace("11434", "9000");
        let much = "[GIN] 2026/08/21 - 10:00:01 | 200 | 2ms | 127.0.0.1 | GET \"/api/tags\"\n";
        std::fs::write(&file, format!("{older}\n{LINE}\n{other_port}\n{}", much.repeat(100)))
            .unwrap();
        let of = |port| last_in(&file, |said| said.port == port).map(|said| said.models);
        assert_eq!(of(11434), Some("/Volumes/My Disk/models".into()));
        assert_eq!(of(9000), Some("/Volumes/My Disk/models".into()));
        assert_eq!(of(1), None);
        assert_eq!(last_in(&directory.path().join("none"), |_| true), None);
    }
}
