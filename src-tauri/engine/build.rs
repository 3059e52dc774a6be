//! Gathers the window's files, so that `GET /` can serve them from the binary.
//!
//! Only what a browser loads is taken: tools, tests and installed packages beside it stay out.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// What a page can load.
const KINDS: &[&str] = &["html", "js", "css", "svg", "png"];
/// Folders of the window that are taken whole.
const FOLDERS: &[&str] = &["src", "parts", "vendor"];

fn main() -> io::Result<()> {
    let missing = |name: &str| io::Error::other(format!("cargo sets {name}"));
    let crate_folder =
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| missing("it"))?);
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or_else(|| missing("OUT_DIR"))?);
    let ui = crate_folder.join("../../ui");

    let mut files = Vec::new();
    gather(&ui, false, &mut files)?;
    for folder in FOLDERS {
        gather(&ui.join(folder), true, &mut files)?;
    }
    files.sort();

    let mut table = String::from("&[\n");
    for (name, file) in named {
        let file = file.to_string_lossy();
        writeln!(table, "    ({name:?}, include_bytes!({file:?})),").map_err(io::Error::other)?;
    }
    table.push_str("]\n");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={}", ui.join("index.html").display());
    fs::write(out.join("page.rs"), table)
}

/// Adds what a page can load; a folder that is not there adds nothing.
fn gather(folder: &Path, deep: bool, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    if deep {
        println!("cargo:rerun-if-changed={}", folder.display());
    }
    for entry in entries {
        let path = entry?.path();
        let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
        if path.is_dir() && deep {
            gather(&path, deep, files)?;
        } else if path.is_file() && KINDS.contains(&kind) {
            files.push(path);
        }
    }
    Ok(())
}
