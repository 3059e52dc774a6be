//! Memory limits, each and together.

use super::role::{is_long_running, is_victoria};
use crate::audit::Host;
use crate::audit::finding::{Finding, Kind, Severity};
use crate::audit::fix::{Written, add_key, set_value};
use crate::audit::project::{Project, Service};
use crate::audit::units::{bytes, written_bytes};
use crate::audit::yaml::Entry;

const GIGABYTE: u64 = 1 << 30;
/// Where to begin: the first users gave their orchestrator this, and Victoria twice as much.
const BEGIN: u64 = 2 * GIGABYTE;
/// Nobody is given less when limits are made to fit.
const LEAST: u64 = GIGABYTE / 2;

pub(super) fn limit(project: &Project, service: &Service, host: &Host) -> Option<Finding> {
    let Some(entry) = service.memory_limit() else {
        if !is_long_running(project, service) {
            return None;
        }
        let begin = if is_victoria(service) { 2 * BEGIN } else { BEGIN };
        let fix = add_key(project, service, "mem_limit", &Written::text(written_bytes(begin)));
        return Some(
            project
                .finding(Kind::MemoryLimitMissing, Severity::Warning, service, None)
                .fixed_by(fix),
        );
    };
    let (size, total) = (size(entry)?, total(host)?);
    (size > total).then(|| {
        let fix = set_value(project, entry, &written_bytes(whole_gigabytes(total / 2)));
        project
            .finding(Kind::MemoryLimitTooLarge, Severity::Error, service, Some(entry.at))
            .with("limit", doctor::Value::Bytes(size))
            .with("total", doctor::Value::Bytes(total))
            .fixed_by(fix)
    })
}

/// All limits against what there is; a limit that is too large alone is told alone.
pub(super) fn sum(project: &Project, host: &Host) -> Option<Finding> {
    let total = total(host)?;
    let runs = |service: &&Service| service.profiles().is_empty();
    let limits: Vec<(&Service, &Entry, u64)> = project
        .services
        .iter()
        .filter(runs)
        .filter_map(|service| {
            let entry = service.memory_limit()?;
            Some((service, entry, size(entry)?))
        })
        .filter(|(_, _, size)| *size <= total)
        .collect();
    let sum = limits.iter().fold(0u64, |sum, (_, _, size)| sum.saturating_add(*size));
    let (service, entry, largest) = limits.iter().max_by_key(|(_, _, size)| *size)?;
    if sum <= total {
        return None;
    }
    // Taking it from the largest alone must leave it something to live on.
    let left = largest.checked_sub(sum - total).filter(|left| *left >= LEAST);
    let fix = left.and_then(|left| {
        // Whole megabytes, rounded down so that the sum fits.
        set_value(project, entry, &written_bytes(left >> 20 << 20))
    });
    Some(
        project
            .finding(Kind::MemoryLimitsExceedHost, Severity::Warning, service, Some(entry.at))
            .with("sum", doctor::Value::Bytes(sum))
            .with("total", doctor::Value::Bytes(total))
            .fixed_by(fix),
    )
}

/// Docker's own memory where it is known, else the machine's.
fn total(host: &Host) -> Option<u64> {
    host.docker_memory_bytes.or(host.memory_bytes).filter(|total| *total > 0)
}

/// None for no limit and for what only a variable tells.
fn size(entry: &Entry) -> Option<u64> {
    bytes(entry.value.text()?).filter(|size| *size > 0)
}

fn whole_gigabytes(size: u64) -> u64 {
    if size < GIGABYTE { size } else { size / GIGABYTE * GIGABYTE }
}
