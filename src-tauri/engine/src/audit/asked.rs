//! An audit of this machine at somebody's wish, in words.

use std::sync::atomic::{AtomicU16, Ordering};

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use ts_rs::TS;
use utoipa::ToSchema;

use super::Host;
use super::finding::{FindingView, Severity};
use super::host::Facts;
use super::look::look;
use crate::handle::Handle;

/// All that was found, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct Audit {
    /// Nothing of it is an error.
    pub ok: bool,
    /// RFC 3339, UTC: when it was looked.
    pub at: String,
    pub findings: Vec<FindingView>,
    /// Compose files that were read.
    pub files: Vec<String>,
    /// How many were looked at; null: Docker did not answer.
    pub containers: Option<usize>,
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAudit {
    #[error("an audit is under way already")]
    UnderWay,
    #[error("the journal could not be read: {0}")]
    Journal(String),
}

/// What audits need beside the machine itself.
#[derive(Debug)]
pub(crate) struct Audits {
    /// One at a time: it reads files and asks Docker about every container.
    one: Semaphore,
    /// Where agents reach us.
    port: AtomicU16,
}

impl Default for Audits {
    fn default() -> Self {
        Self { one: Semaphore::new(1), port: AtomicU16::new(crate::api::PORT) }
    }
}

impl Audits {
    pub(crate) fn set_port(&self, port: u16) {
        self.port.store(port, Ordering::Relaxed);
    }
}

/// Looks at all containers, the compose files that they come from, and the machine.
///
/// # Errors
/// One is under way already, or the journal cannot be read.
pub async fn ask(handle: &Handle) -> Result<Audit, NoAudit> {
    let Ok(_permit) = handle.audits.one.try_acquire() else { return Err(NoAudit::UnderWay) };
    let facts = tokio::task::spawn_blocking(|| Facts::here(true)).await.unwrap_or_default();
    let journal = handle.journal.clone();
    let slowest = tokio::task::spawn_blocking(move || crate::api::slowest_call_s(&journal)).await;
    let slowest_call_s = match slowest {
        Ok(Ok(slowest)) => slowest,
        Ok(Err(error)) => return Err(NoAudit::Journal(error)),
        Err(ended) => return Err(NoAudit::Journal(ended.to_string())),
    };
    let host = Host {
        memory_bytes: crate::platform::memory().ok().map(|host| host.memory_bytes),
        webhook_port: handle.audits.port.load(Ordering::Relaxed),
        slowest_call_s,
        ..Host::default()
    };
    let report = look(&handle.docker(), &[], &facts, host).await;
    let worst = report.findings.iter().map(|finding| finding.severity).max();
    Ok(Audit {
        ok: worst != Some(Severity::Error),
        at: crate::words::rfc3339(crate::clock::now().wall),
        findings: report.findings.iter().map(|finding| finding.view(&handle.words)).collect(),
        files: report.files.iter().map(|file| file.display().to_string()).collect(),
        containers: report.containers.ok(),
    })
}
