//! Plain text for people: cleaned, aligned, with sizes and times that can be read.

use std::fmt::Write;

/// Text of others without what a terminal would obey: control characters and marks that turn
/// the direction of writing. Line ends become spaces.
pub(crate) fn clean(text: &str) -> String {
    let harmless = |letter: char| match letter {
        '\n' | '\r' | '\t' => Some(' '),
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => None,
        control if control.is_control() => None,
        other => Some(other),
    };
    text.chars().filter_map(harmless).collect()
}

/// Columns under each other, two spaces between them, nothing after the last.
pub(crate) fn columns(rows: &[Vec<String>]) -> Vec<String> {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            let width = cell.chars().count();
            match widths.get_mut(column) {
                Some(widest) => *widest = width.max(*widest),
                None => widths.push(width),
            }
        }
    }
    let line = |row: &Vec<String>| {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing into a text cannot fail.
            let _ = write!(line, "{cell:<width$}  ");
        }
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// `4.7 GB`: powers of 1024, as the engine's own sentences have them.
#[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
pub(crate) fn bytes(bytes: u64) -> String {
    const MEGABYTE: u64 = 1024 * 1024;
    const GIGABYTE: u64 = 1024 * MEGABYTE;
    match bytes {
        0..MEGABYTE => format!("{} KB", bytes / 1024),
        MEGABYTE..GIGABYTE => format!("{} MB", bytes / MEGABYTE),
        _ => format!("{:.1} GB", bytes as f64 / GIGABYTE as f64),
    }
}

/// `850 ms`, `12.4 s`, `3m 20s`, `2h 5m`, `4d 3h`.
#[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
pub(crate) fn millis(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0 => format!("{millis} ms"),
        1..60 => format!("{:.1} s", millis as f64 / 1000.0),
        _ => self::seconds(seconds),
    }
}

pub(crate) fn seconds(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m {}s", seconds % 60),
        3600..86_400 => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

/// How long ago an RFC 3339 time was; empty when it is none.
pub(crate) fn ago(time: &str) -> String {
    let Ok(then) = time.parse::<jiff::Timestamp>() else { return String::new() };
    let passed = jiff::Timestamp::now().as_second().saturating_sub(then.as_second());
    seconds(u64::try_from(passed).unwrap_or(0))
}

/// An RFC 3339 time as the clock on this machine's wall shows it.
pub(crate) fn local(time: &str, format: &str) -> String {
    match time.parse::<jiff::Timestamp>() {
        Ok(then) => then.to_zoned(jiff::tz::TimeZone::system()).strftime(format).to_string(),
        Err(_) => clean(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_taken_out() {
        assert_eq!(clean("a\u{1b}[2Jb\u{7}\nc\u{202e}d\u{9b}e"), "a[2Jb cde");
        assert_eq!(clean("Виктория ✓"), "Виктория ✓");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        assert_eq!(columns(&[row(["a", "b"]), row(["имя", ""])]), ["a    b", "имя"]);
    }

    #[test]
    fn times_and_sizes_can_be_read() {
        assert_eq!(millis(850), "850 ms");
        assert_eq!(millis(12_400), "12.4 s");
        assert_eq!(millis(200_000), "3m 20s");
        assert_eq!(seconds(7_500), "2h 5m");
        assert_eq!(bytes(5_046_586_573), "4.7 GB");
        assert_eq!(bytes(24 << 20), "24 MB");
    }
}
