//! Sizes of the release binaries.

use anyhow::Result;
use tests::programs;

use crate::process::megabytes;

pub(crate) fn measure() -> Result<()> {
    let homeostat = programs::homeostat()?;
    println!("{:<16} {:>8} {:>8}", "binary", "MB", "budget");
    for (name, budget) in [("homeostat", 8), ("homeostat-app", 10)] {
        match homeostat.with_file_name(name).metadata() {
            Ok(file) => println!("{name:<16} {:>8} {budget:>8}", megabytes(file.len())),
            Err(_) => println!("{name:<16} {:>8} {budget:>8}", "not built"),
        }
    }
    Ok(())
}
