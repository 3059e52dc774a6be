//! Services that wait for what is not there.

use crate::audit::finding::{Finding, Kind, Severity};
use crate::audit::fix::{Fix, quoted, replace};
use crate::audit::project::{Project, Service};
use crate::audit::yaml::{Node, Place, Value};

/// Compose refuses the whole project then, unless `required: false` says that it may be absent.
/// Source: compose-go `loader/validate.go`, `checkConsistency`.
pub(super) fn unknown(project: &Project) -> Vec<Finding> {
    // What could not be read may define it.
    let unread = |finding: &Finding| {
        matches!(finding.kind, Kind::Broken | Kind::NotFollowed)
            || finding.kind == Kind::FileMissing && finding.service.is_none()
    };
    if project.findings.iter().any(unread) {
        return Vec::new();
    }
    let mut findings: Vec<Finding> = Vec::new();
    for service in &project.services {
        for (name, _, at) in service.depends_on() {
            // What came with an extended service of another file names that file's services.
            let strange = service.node.get("extends").is_some() && !is_own(project, service, at);
            if strange || project.service(&name).is_some() || is_optional(service, &name) {
                continue;
            }
            let near = nearest(project, service, &name);
            let fix = near.as_deref().and_then(|near| renamed(project, service, &name, near));
            let finding = project.finding(Kind::DependsUnknown, Severity::Error, service, Some(at));
            findings.push(finding.with("other", name).fixed_by(fix));
        }
    }
    findings
}

fn is_own(project: &Project, service: &Service, at: Place) -> bool {
    let path = |at: Place| project.sources.get(at.source).map(|source| &source.path);
    path(at) == path(service.entry.at)
}

fn is_optional(service: &Service, name: &str) -> bool {
    let waits = service.node.get("depends_on").and_then(|node| node.get(name));
    let required = waits.and_then(|wait| wait.get("required"));
    required.and_then(|node| node.text()).is_some_and(|text| text.eq_ignore_ascii_case("false"))
}

/// The one service whose name differs only in how it is written: `_` for `-`, large letters, or one
/// letter. With two such nobody knows.
fn nearest(project: &Project, service: &Service, name: &str) -> Option<String> {
    let waits: Vec<String> = service.depends_on().into_iter().map(|(name, _, _)| name).collect();
    let mut near =
        project.services.iter().map(|other| &other.name).filter(|other| {
            **other != service.name && !waits.contains(other) && is_near(other, name)
        });
    let first = near.next()?;
    near.next().is_none().then(|| first.clone())
}

fn is_near(one: &str, other: &str) -> bool {
    let letters = |name: &str| -> Vec<char> {
        name.to_lowercase().chars().filter(|letter| letter.is_alphanumeric()).collect()
    };
    let (one, other) = (letters(one), letters(other));
    if one == other {
        return true;
    }
    // What is short differs in one letter by chance.
    if one.len().min(other.len()) < 4 || one.len().abs_diff(other.len()) > 1 {
        return false;
    }
    let same = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
    let (one, other) = (one.get(same..).unwrap_or_default(), other.get(same..).unwrap_or_default());
    let skipped = |rest: &[char]| rest.get(1..).unwrap_or_default().to_vec();
    skipped(one) == skipped(other) || skipped(one) == other || one == skipped(other)
}

fn renamed(project: &Project, service: &Service, name: &str, near: &str) -> Option<Fix> {
    let node = service.node.get("depends_on")?;
    match &node.value {
        Value::List(items) => {
            let named = |item: &&std::sync::Arc<Node>| item.text() == Some(name);
            replace(project, items.iter().find(named)?.at, quoted(near))
        }
        Value::Map(_) => replace(project, node.entry(name)?.at, quoted(near)),
        Value::Text { .. } => None,
    }
}
