//! Gathers the window's files, so that `GET /` can serve them from the binary, and the description
//! of the API.
//!
//! Only what a browser loads is taken.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// What a page can load.
const KINDS: &[&str] = &["html", "js", "css", "svg", "png"];

fn main() -> io::Result<()> {
    let folder = |name: &str| {
        let unset = || io::Error::other(format!("{name} is not set; cargo sets it"));
        env::var_os(name).map(PathBuf::from).ok_or_else(unset)
    };
    let (crate_folder, out) = (folder("CARGO_MANIFEST_DIR")?, folder("OUT_DIR")?);
    let ui = crate_folder.join("../../ui/src");

    let mut files = Vec::new();
    gather(&ui, &mut files)?;
    let mut named = Vec::new();
    for file in &files {
        let name = file.strip_prefix(&ui).map_err(io::Error::other)?;
        named.push((name.to_string_lossy().into_owned(), file));
    }
    named.sort();

    let mut table = String::from("&[\n");
    for (name, file) in named {
        let file = file.to_string_lossy();
        writeln!(table, "    ({name:?}, include_bytes!({file:?})),").map_err(io::Error::other)?;
    }
    table.push_str("]\n");
    let description = crate_folder.join("openapi.json");
    // A string of JSON has no line breaks in it.
    let packed: String = fs::read_to_string(&description)?.lines().map(str::trim_start).collect();
    fs::write(out.join("openapi.json"), packed)?;
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={}", description.display());
    println!("cargo:rerun-if-changed={}", ui.display());
    fs::write(out.join("page.rs"), table)
}

/// Adds what a page can load; a folder that is not there adds nothing.
fn gather(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
        if path.is_dir() {
            gather(&path, files)?;
        } else if KINDS.contains(&kind) {
            files.push(path);
        }
    }
    Ok(())
}
