//! Any HTTP service: its address, and whether it answers as expected.

use std::time::Duration;

use doctor::{Body, Observation};

use super::http::{self, SHALLOW_CAP};

pub struct Service {
    pub url: String,
    pub timeout: Duration,
}

impl Service {
    pub async fn look(&self) -> Observation {
        let got = http::get(&self.url, self.timeout, SHALLOW_CAP).await;
        match got.answer(|_| Body::Expected) {
            Ok(answer) => Observation::Service(answer),
            Err(reason) => Observation::Unasked { reason },
        }
    }
}
