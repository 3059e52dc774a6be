//! Single values: durations, addresses, names, paths. Each fault says what is allowed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;

use super::DockerHost;

const UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// A whole number with one of the units ms, s, m, h, d.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err("is not a duration; write \"10s\", \"5m\" or \"1h\"".into());
    }
    if unit.is_empty() {
        return Err(no_unit(&format!("\"{number}\"")));
    }
    let Some(&(_, millis)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("\"{unit}\" is not a unit; the units are ms, s, m, h and d"));
    };
    // What does not fit is out of any range.
    let number: u64 = number.parse().unwrap_or(u64::MAX);
    Ok(Duration::from_millis(number.saturating_mul(millis)))
}

pub(super) fn no_unit(number: &str) -> String {
    format!("{number} has no unit; write \"10s\", \"5m\" or \"1h\"")
}

/// In the largest unit that gives a whole number; up to two minutes in seconds, as people say it.
pub(super) fn plain(duration: Duration) -> String {
    let all = doctor::millis(duration);
    if duration <= Duration::from_mins(2) && all.is_multiple_of(1000) {
        return format!("{}s", all / 1000);
    }
    let (unit, millis) =
        UNITS.iter().rev().find(|(_, millis)| all.is_multiple_of(*millis)).unwrap_or(&UNITS[0]);
    format!("{}{unit}", all / millis)
}

pub(super) fn name(text: &str) -> Result<&str, String> {
    if text.trim().is_empty() {
        return Err("must not be empty".into());
    }
    if text.chars().any(char::is_control) {
        return Err("must not contain control characters".into());
    }
    if text.chars().count() > 200 {
        return Err("is longer than 200 letters".into());
    }
    Ok(text)
}

/// As Docker allows them (moby daemon/names/names.go, `RestrictedNameChars`).
pub(super) fn container(text: &str) -> Result<&str, String> {
    let mut letters = text.chars();
    let good = letters.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && letters.all(|letter| letter.is_ascii_alphanumeric() || "_.-".contains(letter));
    if good && text.len() <= 255 {
        Ok(text)
    } else {
        Err("is not a container name; letters, digits, _ . and - are allowed".into())
    }
}

/// Any http or https address without name and password.
pub(super) fn url(text: &str) -> Result<Url, String> {
    let expected = "write it as \"http://127.0.0.1:8010/health\"";
    let lower = text.to_ascii_lowercase();
    if !lower.starts_with("http://") && !lower.starts_with("https://") {
        return Err(format!("is not an http or https address; {expected}"));
    }
    let url =
        Url::parse(text).map_err(|error| format!("is not an address: {error}; {expected}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("must not contain a name or password; {expected}"));
    }
    if url.fragment().is_some() {
        return Err(format!("must not contain a # part; {expected}"));
    }
    if url.port() == Some(0) {
        return Err(format!("port 0 is not a port; {expected}"));
    }
    Ok(url)
}

/// Where a server's questions begin; the path ends with `/`.
pub(super) fn base_url(text: &str) -> Result<Url, String> {
    let mut url = url(text)?;
    if url.query().is_some() {
        return Err("must not contain a ? part; write it as \"http://127.0.0.1:11434\"".into());
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

pub(super) fn docker_host(text: &str) -> Result<DockerHost, String> {
    let expected = "must be \"auto\", \"unix:///path/to/docker.sock\" or \"tcp://host:port\"";
    let good = match text.split_once("://") {
        Some(("unix", path)) => path.starts_with('/'),
        Some(("tcp", address)) => address.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
        }),
        _ => text == "auto",
    };
    if !good {
        return Err(expected.into());
    }
    Ok(if text == "auto" { DockerHost::Auto } else { DockerHost::Address(text.into()) })
}

/// Port 0 lets the system choose one.
pub(super) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    numeric.parse().map_err(|_| {
        "is not an address with a port; write \"127.0.0.1:9099\", \"[::1]:9099\" or \"auto\"".into()
    })
}

pub(super) fn host_name(text: &str) -> Result<String, String> {
    let good = !text.is_empty()
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || ".-_".contains(letter));
    if good {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("is not a host name; write it without http:// and port, as \"mac-studio.local\"".into())
    }
}

/// `~` is the home directory; a relative path is relative to the configuration's directory.
pub(super) fn path(text: &str, home: Option<&str>, file: &Path) -> Result<PathBuf, String> {
    name(text)?;
    let expanded = match (text.strip_prefix('~'), home) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
            PathBuf::from(format!("{home}{rest}"))
        }
        (Some(rest), None) if rest.is_empty() || rest.starts_with('/') => {
            return Err("HOME is not set, so ~ is unknown; write the whole path".into());
        }
        (Some(_), _) => return Err("only ~/ is known; write the whole path".into()),
        (None, _) => PathBuf::from(text),
    };
    let directory = file.parent().unwrap_or(Path::new(""));
    std::path::absolute(directory.join(expanded)).map_err(|error| error.to_string())
}
