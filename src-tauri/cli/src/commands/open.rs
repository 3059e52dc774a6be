//! `open`: the window as a page in the browser, with the token.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;
use doctor::Sentence;
use engine::api::Token;
use engine::paths::Paths;
use serde_json::{Value, json};

use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::place::words;

/// What opens a file in the browser: freedesktop.org's, and that of macOS.
const OPENERS: [&str; 2] = ["xdg-open", "open"];

pub(crate) async fn open(
    connection: &Connection,
    paths: &Paths,
    json: bool,
) -> Result<Exit, Failure> {
    // Whether the engine answers is known before a browser shows an error.
    connection.get::<Value>("/health").await?;
    let token = Token::load(&paths.data.join("token")).map_err(anyhow::Error::new)?;
    let address = format!("http://{}/", connection.address);
    // Arguments of a program can be read by every user of the machine, so the token goes through
    // a private file that sends the browser on.
    let file = paths.data.join("open.html");
    let page = format!(
        "<!doctype html><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"0; url={address}#token={}\">\n",
        token.expose()
    );
    write(&file, &page).with_context(|| format!("{} cannot be written", file.display()))?;
    if OPENERS.iter().any(|opener| opens(opener, &file)) {
        if json {
            output::json(&json!({ "opened": address }));
        } else {
            let says = Sentence::new("cli.page_opened").with("address", address);
            output::line(words(paths).sentence(&says));
        }
        return Ok(Exit::Fine);
    }
    let says = Sentence::new("cli.no_browser").with("file", file.display().to_string());
    Err(Failure::Refused(words(paths).sentence(&says)))
}

fn write(file: &Path, page: &str) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    open.write_all(page.as_bytes())
}

/// Both return at once: they hand the file on.
fn opens(opener: &str, file: &Path) -> bool {
    Command::new(opener)
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
