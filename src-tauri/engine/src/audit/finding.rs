//! What an audit finds.

use std::path::PathBuf;

use doctor::Sentence;
use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use super::fix::Fix;
use crate::words::Words;

/// One thing that will go wrong, before it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub kind: Kind,
    pub severity: Severity,
    /// None: it is about the host, or about a container without a compose file.
    pub file: Option<PathBuf>,
    /// From 1.
    pub line: Option<usize>,
    /// From 1.
    pub column: Option<usize>,
    pub service: Option<String>,
    pub says: Sentence,
    pub fix: Option<Fix>,
}

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, TS, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Note,
    Warning,
    Error,
}

/// Its name is the stable id of a finding.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, TS, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Broken,
    NotFollowed,
    FileMissing,
    RestartMissing,
    RestartNo,
    MemoryLimitMissing,
    MemoryLimitTooLarge,
    MemoryLimitsExceedHost,
    MemoryLimitBelowPeak,
    DockerMemorySmall,
    HostGatewayMissing,
    ModelUrlMissing,
    ModelUrlLocalhost,
    WebhookMissing,
    WebhookWrong,
    HealthMissing,
    HealthWrongPort,
    HealthStartShort,
    HealthNoCurl,
    ElkOn,
    LightStartMissing,
    StartupLimitsMissing,
    StartupLimitShort,
    MonitorDelay,
    ClientLimitShort,
    DependsWithoutCondition,
    DependsUnknown,
    PortClash,
    PortTwice,
    RivalPort,
    RivalSupervisors,
    AutostartMissing,
    EngineAbsent,
    ContainerDiffers,
    StartsHeavy,
}

impl Kind {
    /// Every kind, for tests that want one case of each.
    pub const ALL: [Self; 35] = [
        Self::Broken,
        Self::NotFollowed,
        Self::FileMissing,
        Self::RestartMissing,
        Self::RestartNo,
        Self::MemoryLimitMissing,
        Self::MemoryLimitTooLarge,
        Self::MemoryLimitsExceedHost,
        Self::MemoryLimitBelowPeak,
        Self::DockerMemorySmall,
        Self::HostGatewayMissing,
        Self::ModelUrlMissing,
        Self::ModelUrlLocalhost,
        Self::WebhookMissing,
        Self::WebhookWrong,
        Self::HealthMissing,
        Self::HealthWrongPort,
        Self::HealthStartShort,
        Self::HealthNoCurl,
        Self::ElkOn,
        Self::LightStartMissing,
        Self::StartupLimitsMissing,
        Self::StartupLimitShort,
        Self::MonitorDelay,
        Self::ClientLimitShort,
        Self::DependsWithoutCondition,
        Self::DependsUnknown,
        Self::PortClash,
        Self::PortTwice,
        Self::RivalPort,
        Self::RivalSupervisors,
        Self::AutostartMissing,
        Self::EngineAbsent,
        Self::ContainerDiffers,
        Self::StartsHeavy,
    ];

    pub fn id(self) -> String {
        crate::view::word(&self)
    }

    /// What is so, and why it matters.
    pub(super) fn keys(self) -> (&'static str, &'static str) {
        match self {
            Self::Broken => ("audit.broken", "audit.broken_why"),
            Self::NotFollowed => ("audit.not_followed", "audit.not_followed_why"),
            Self::FileMissing => ("audit.file_missing", "audit.file_missing_why"),
            Self::RestartMissing => ("audit.restart_missing", "audit.restart_missing_why"),
            Self::RestartNo => ("audit.restart_no", "audit.restart_no_why"),
            Self::MemoryLimitMissing => {
                ("audit.memory_limit_missing", "audit.memory_limit_missing_why")
            }
            Self::MemoryLimitTooLarge => {
                ("audit.memory_limit_too_large", "audit.memory_limit_too_large_why")
            }
            Self::MemoryLimitsExceedHost => {
                ("audit.memory_limits_exceed_host", "audit.memory_limits_exceed_host_why")
            }
            Self::MemoryLimitBelowPeak => {
                ("audit.memory_limit_below_peak", "audit.memory_limit_below_peak_why")
            }
            Self::DockerMemorySmall => {
                ("audit.docker_memory_small", "audit.docker_memory_small_why")
            }
            Self::HostGatewayMissing => {
                ("audit.host_gateway_missing", "audit.host_gateway_missing_why")
            }
            Self::ModelUrlMissing => ("audit.model_url_missing", "audit.model_url_missing_why"),
            Self::ModelUrlLocalhost => {
                ("audit.model_url_localhost", "audit.model_url_localhost_why")
            }
            Self::WebhookMissing => ("audit.webhook_missing", "audit.webhook_missing_why"),
            Self::WebhookWrong => ("audit.webhook_wrong", "audit.webhook_wrong_why"),
            Self::HealthMissing => ("audit.health_missing", "audit.health_missing_why"),
            Self::HealthWrongPort => ("audit.health_wrong_port", "audit.health_wrong_port_why"),
            Self::HealthStartShort => ("audit.health_start_short", "audit.health_start_short_why"),
            Self::HealthNoCurl => ("audit.health_no_curl", "audit.health_no_curl_why"),
            Self::ElkOn => ("audit.elk_on", "audit.elk_on_why"),
            Self::LightStartMissing => {
                ("audit.light_start_missing", "audit.light_start_missing_why")
            }
            Self::StartupLimitsMissing => {
                ("audit.startup_limits_missing", "audit.startup_limits_missing_why")
            }
            Self::StartupLimitShort => {
                ("audit.startup_limit_short", "audit.startup_limit_short_why")
            }
            Self::MonitorDelay => ("audit.monitor_delay", "audit.monitor_delay_why"),
            Self::ClientLimitShort => ("audit.client_limit_short", "audit.client_limit_short_why"),
            Self::DependsWithoutCondition => {
                ("audit.depends_without_condition", "audit.depends_without_condition_why")
            }
            Self::DependsUnknown => ("audit.depends_unknown", "audit.depends_unknown_why"),
            Self::PortClash => ("audit.port_clash", "audit.port_clash_why"),
            Self::PortTwice => ("audit.port_twice", "audit.port_twice_why"),
            Self::RivalPort => ("audit.rival_port", "audit.rival_port_why"),
            Self::RivalSupervisors => ("audit.rival_supervisors", "audit.rival_supervisors_why"),
            Self::AutostartMissing => ("audit.autostart_missing", "audit.autostart_missing_why"),
            Self::EngineAbsent => ("audit.engine_absent", "audit.engine_absent_why"),
            Self::ContainerDiffers => ("audit.container_differs", "audit.container_differs_why"),
            Self::StartsHeavy => ("audit.starts_heavy", "audit.starts_heavy_why"),
        }
    }
}

/// A finding in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct FindingView {
    pub id: Kind,
    pub severity: Severity,
    pub file: Option<String>,
    pub line: Option<usize>,
    pub column: Option<usize>,
    pub service: Option<String>,
    pub text: String,
    pub why: String,
    pub fix: Option<FixView>,
}

/// What to write: the lines stand before the line `line` where nothing is replaced, else in the place
/// of what stands between the two marks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct FixView {
    pub file: String,
    /// From 1.
    pub line: usize,
    /// Characters before it in its line.
    pub column: usize,
    pub end_line: usize,
    pub end_column: usize,
    /// The place in words: before which line, behind what, or in place of what.
    pub place: String,
    pub lines: Vec<String>,
}

impl Finding {
    pub fn view(&self, words: &Words) -> FindingView {
        let why = Sentence { key: self.kind.keys().1.into(), values: self.says.values.clone() };
        FindingView {
            id: self.kind,
            severity: self.severity,
            file: self.file.as_ref().map(|file| file.display().to_string()),
            line: self.line,
            column: self.column,
            service: self.service.clone(),
            text: words.sentence(&self.says),
            why: words.sentence(&why),
            fix: self.fix.as_ref().map(|fix| FixView {
                file: fix.file.display().to_string(),
                line: fix.start.line,
                column: fix.start.column,
                end_line: fix.end.line,
                end_column: fix.end.column,
                place: words.sentence(&fix.place()),
                lines: fix.text.lines().map(str::to_owned).collect(),
            }),
        }
    }
}
