//! `audit`: what will go wrong before it does, with the lines to write. Works without an engine.

use std::path::{Path, PathBuf};

use doctor::Sentence;
use engine::audit::{Facts, FindingView, FixView, Host, Report, Severity, look};
use engine::config::{Config, DockerHost};
use engine::docker_host::Surroundings;
use engine::paths::Paths;
use engine::probe::docker::Docker;
use engine::words::Words;
use serde::Deserialize;
use serde_json::json;

use super::verify::configuration;
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::{self, Colour, paint};
use crate::text::clean;

pub(crate) async fn audit(paths: &Paths, files: &[PathBuf], json: bool) -> Result<Exit, Failure> {
    let (config, _) = configuration(paths, &crate::place::words(paths))?;
    let (words, slowest) = asked(Connection::find(paths).ok()).await;
    let engine = words.is_some();
    let words = words.unwrap_or_default();
    let facts = Facts::here(engine);
    let host = Host {
        memory_bytes: engine::platform::memory().ok().map(|host| host.memory_bytes),
        webhook_port: config.api.listen.port(),
        slowest_call_s: slowest,
        ..Host::default()
    };
    let docker = Docker::new(address(&config), Surroundings::of_this_process());
    let mut report = look(&docker, files, &facts, host.clone()).await;
    if files.is_empty()
        && let Some(here) = std::env::current_dir().ok().map(|here| beside(&here))
        && here.first().is_some_and(|file| !report.files.contains(file))
    {
        // The machine was told of already.
        let told = Facts { engine: true, autostart: true, supervisors: Vec::new() };
        let more = look(&docker, &here, &told, host).await;
        report.findings.extend(more.findings);
        report.files.extend(more.files);
    }
    let views: Vec<FindingView> =
        report.findings.iter().map(|finding| finding.view(&words)).collect();
    let count = |wanted: Severity| {
        report.findings.iter().filter(|finding| finding.severity == wanted).count()
    };
    let counts = [Severity::Error, Severity::Warning, Severity::Note].map(count);
    if json {
        print_json(&report, &views, counts);
    } else {
        print(&report, &views, counts, &words);
    }
    Ok(if counts[0] == 0 { Exit::Fine } else { Exit::Wrong })
}

/// The words of the running engine, and what its slowest measured model needs for one call.
async fn asked(connection: Option<Connection>) -> (Option<Words>, Option<u64>) {
    #[derive(Deserialize)]
    struct Timings {
        models: Vec<Model>,
    }
    #[derive(Deserialize)]
    struct Model {
        last: Option<serde_json::Value>,
        suggested_timeout_s: u64,
    }
    let Some(connection) = connection else { return (None, None) };
    if connection.get::<serde_json::Value>("/health").await.is_err() {
        return (None, None);
    }
    let timings: Option<Timings> = connection.get("/timings").await.ok();
    let models = timings.into_iter().flat_map(|timings| timings.models);
    let slowest =
        models.filter(|model| model.last.is_some()).map(|model| model.suggested_timeout_s).max();
    (Some(connection.words().await), slowest)
}

fn address(config: &Config) -> String {
    match &config.docker.host {
        DockerHost::Auto => "auto".into(),
        DockerHost::Address(address) => address.clone(),
    }
}

/// The files that Compose takes by itself in a directory, the override behind its base.
/// Source: compose-go `cli/options.go`, `DefaultFileNames` and `DefaultOverrideFileNames`.
fn beside(folder: &Path) -> Vec<PathBuf> {
    for name in ["compose", "docker-compose"] {
        let find = |middle: &str| {
            let of_kind = |kind| folder.join(format!("{name}{middle}.{kind}"));
            ["yaml", "yml"].map(of_kind).into_iter().find(|file| file.is_file())
        };
        if let Some(base) = find("") {
            return [Some(base), find(".override")].into_iter().flatten().collect();
        }
    }
    Vec::new()
}

fn print(report: &Report, views: &[FindingView], counts: [usize; 3], words: &Words) {
    for view in views {
        let (colour, severity) = match view.severity {
            Severity::Error => (Colour::Bad, "error"),
            Severity::Warning => (Colour::Busy, "warning"),
            Severity::Note => (Colour::Dim, "note"),
        };
        let place = match (&view.file, view.line) {
            (Some(file), Some(line)) => format!("{}:{line}: ", clean(file)),
            (Some(file), None) => format!("{}: ", clean(file)),
            (None, _) => String::new(),
        };
        output::line(format!("{place}{} {}", paint(colour, severity), view.id.id()));
        output::line(format!("    {}", clean(&view.text)));
        output::line(format!("    {}", clean(&view.why)));
        for line in view.fix.iter().flat_map(|fix| remedy(fix, view)) {
            output::line(line);
        }
    }
    if let Err(why) = &report.containers {
        let says = Sentence::new("cli.audit_without_docker").with("reason", clean(why));
        output::line(words.sentence(&says));
    }
    let [errors, warnings, notes] = counts.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
    let (colour, says) = match counts {
        [0, 0, 0] => (Colour::Good, Sentence::new("cli.audit_clean")),
        [0, _, _] => (Colour::Busy, Sentence::new("cli.audit_found")),
        _ => (Colour::Bad, Sentence::new("cli.audit_found")),
    };
    let says = says.with("errors", errors).with("warnings", warnings).with("notes", notes);
    output::line(paint(colour, &words.sentence(&says)));
}

/// What to write, and where.
fn remedy(fix: &FixView, view: &FindingView) -> Vec<String> {
    let mut says = clean(&fix.place);
    // A variable may stand in a file of its own.
    if view.file.as_deref() != Some(fix.file.as_str()) {
        says = format!("{}: {says}", clean(&fix.file));
    }
    let lines = fix.lines.iter().map(|line| format!("      {}", clean(line)));
    std::iter::once(format!("    {says}")).chain(lines).collect()
}

fn print_json(report: &Report, views: &[FindingView], counts: [usize; 3]) {
    let [errors, warnings, notes] = counts;
    output::json(&json!({
        "ok": errors == 0,
        "errors": errors,
        "warnings": warnings,
        "notes": notes,
        "files": report.files,
        "findings": views,
    }));
}
