//! Lines as Ollama writes them: Go's slog text on stderr, gin's access lines on stdout.

use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Zoned;

/// `time=… level=INFO source=routes.go:1995 msg="…"` (logutil/logutil.go).
pub(crate) fn info(source: &str, message: &str, attributes: &[(&str, &str)]) {
    let attributes: Vec<String> =
        attributes.iter().map(|(name, value)| format!(" {name}={value:?}")).collect();
    let attributes = attributes.concat();
    let time = Zoned::now().strftime("%Y-%m-%dT%H:%M:%S.%3f%:z");
    // A closed log must not stop the server.
    let _ = writeln!(
        std::io::stderr(),
        "time={time} level=INFO source={source} msg={message:?}{attributes}"
    );
}

/// `[GIN] 2026/04/14 - 14:42:25 | 200 |  2.12s | 127.0.0.1 | GET      "/api/tags"`.
pub(crate) fn access(status: u16, took: Duration, client: IpAddr, method: &str, path: &str) {
    let time = Zoned::now().strftime("%Y/%m/%d - %H:%M:%S");
    let took = format!("{took:?}");
    let client = client.to_string();
    let _ = writeln!(
        std::io::stdout(),
        "[GIN] {time} | {status} | {took:>12} | {client:>15} | {method:<7}  {path:?}"
    );
}

/// A line on stderr as it is, such as the last words of a command.
pub(crate) fn plain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
