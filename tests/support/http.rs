//! HTTP clients for tests.

use std::sync::Once;
use std::time::Duration;

use reqwest::blocking::Client;

/// Gives up after that time; asks no proxy.
///
/// The engine builds its HTTP library without a provider of cryptography and sets one at its start;
/// whoever shares that build must do the same before the first client is made.
pub fn client(deadline: Duration) -> Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Another part of the test program may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    let built = Client::builder().timeout(deadline).no_proxy().build();
    built.unwrap_or_else(|error| panic!("no HTTP client: {error}"))
}
