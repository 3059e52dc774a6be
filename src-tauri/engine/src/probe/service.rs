//! Any HTTP service: its address, and whether it answers as expected.

use std::time::Duration;

use doctor::{Body, Observation};

use super::http::{self, SHALLOW_CAP};

pub struct Service {
    pub url: String,
    pub timeout: Duration,
}

impl Service {
    /// With `stretch` times the usual patience (R9).
    pub async fn look(&self, stretch: u32) -> Observation {
        let got = http::get(&self.url, self.timeout * stretch, SHALLOW_CAP).await;
        match got.answer(|_| Body::Expected) {
            Ok(answer) => Observation::Service(answer.into()),
            Err(reason) => Observation::Unasked { reason },
        }
    }
}
