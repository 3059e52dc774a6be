//! Whole-process benchmarks: `cargo bench -p tests --features bench --bench whole -- [NAME…]` prints one table each.
//!
//! | name | what |
//! |---|---|
//! | `sizes` | release binaries |
//! | `idle` | engine with 12 HTTP targets every 5 s beside monit with the same checks |
//! | `detection` | from the fault to the verdict, at default settings |
//! | `docker` | 1,000 containers and 10,000 events of a Docker engine that runs nothing |
//! | `llm` | `GET /llm`, 16 clients that keep their connections |
//!
//! `BENCH_SECONDS` shortens or lengthens `idle` (120) and `llm` (10).

#![allow(clippy::print_stdout, reason = "the tables are what this program is for")]

mod detection;
mod docker;
mod idle;
mod llm;
mod process;
mod sizes;

use anyhow::Result;

fn main() -> Result<()> {
    let asked: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let wanted = |name: &str| asked.is_empty() || asked.iter().any(|word| word == name);
    let all: [(&str, Measure); 5] = [
        ("sizes", sizes::measure),
        ("llm", llm::measure),
        ("detection", detection::measure),
        ("docker", docker::measure),
        ("idle", idle::measure),
    ];
    for (name, measure) in all {
        if wanted(name) {
            println!("\n== {name}");
            measure()?;
        }
    }
    Ok(())
}

type Measure = fn() -> Result<()>;

/// Seconds that a measurement runs.
fn seconds(standard: u64) -> u64 {
    let given = std::env::var("BENCH_SECONDS").ok().and_then(|text| text.parse().ok());
    given.unwrap_or(standard)
}
