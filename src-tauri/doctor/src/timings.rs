//! How fast each model is: what a measurement gives, and the time it may take.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Wall;
use crate::target::TargetId;

/// Which models to measure; none named: all of them, embedding-only ones left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeasurePlan {
    pub models: Vec<String>,
}

/// One measurement of one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    pub server: TargetId,
    pub model: String,
    pub at: Wall,
    pub load_ms: Option<u64>,
    pub first_token_ms: Option<u64>,
    pub prompt_tokens_per_s: Option<f64>,
    pub tokens_per_s: Option<f64>,
    /// Bytes in memory while loaded.
    pub memory_bytes: Option<u64>,
    /// Why it could not be measured.
    pub error: Option<String>,
}

/// How long one measurement may take, by the size on disk (FEATURES E1, E3): up to 4B 180 s, 14B
/// 300, 34B 600, larger 1200, plus a start-up reserve of 60. A 4-bit model has about 0.6 bytes per
/// parameter; unknown sizes get the longest.
pub fn time_limit(size_bytes: Option<u64>) -> Duration {
    const GB: u64 = 1_000_000_000;
    let work = match size_bytes {
        Some(bytes) if bytes <= 4 * GB => 180,
        Some(bytes) if bytes <= 10 * GB => 300,
        Some(bytes) if bytes <= 24 * GB => 600,
        Some(_) | None => 1200,
    };
    Duration::from_secs(work + 60)
}
