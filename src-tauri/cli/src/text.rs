//! Plain text for people: cleaned, aligned, with sizes and times that can be read.

use std::fmt::Write;

use engine::words::Words;

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

/// `850 ms`, `12.4 s`, `3m 20s`, `2h 5m`, `4d 3h`; in Russian `12,4 с`, `3 мин 20 с`.
#[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
pub(crate) fn millis(millis: u64, words: &Words) -> String {
    let seconds = millis / 1000;
    match (seconds, words.language()) {
        (0, "ru") => format!("{millis} мс"),
        (0, _) => format!("{millis} ms"),
        (1..60, "ru") => format!("{:.1} с", millis as f64 / 1000.0).replace('.', ","),
        (1..60, _) => format!("{:.1} s", millis as f64 / 1000.0),
        _ => self::seconds(seconds, words),
    }
}

pub(crate) fn seconds(seconds: u64, words: &Words) -> String {
    let [day, hour, minute, second] = match words.language() {
        "ru" => [" д", " ч", " мин", " с"],
        _ => ["d", "h", "m", "s"],
    };
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}{second}"),
        60..3600 => format!("{minutes}{minute} {}{second}", seconds % 60),
        3600..86_400 => format!("{hours}{hour} {}{minute}", minutes % 60),
        _ => format!("{days}{day} {}{hour}", hours % 24),
    }
}

/// How long ago an RFC 3339 time was; empty when it is none.
pub(crate) fn ago(time: &str, words: &Words) -> String {
    let Ok(then) = time.parse::<jiff::Timestamp>() else { return String::new() };
    let passed = jiff::Timestamp::now().as_second().saturating_sub(then.as_second());
    seconds(u64::try_from(passed).unwrap_or(0), words)
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
    fn times_can_be_read_in_both_languages() {
        let (english, russian) = (Words::new("en"), Words::new("ru"));
        for (time, en, ru) in [
            (850, "850 ms", "850 мс"),
            (12_400, "12.4 s", "12,4 с"),
            (574_000, "9m 34s", "9 мин 34 с"),
            (7_500_000, "2h 5m", "2 ч 5 мин"),
            (270_000_000, "3d 3h", "3 д 3 ч"),
        ] {
            assert_eq!((millis(time, &english), millis(time, &russian)), (en.into(), ru.into()));
        }
        assert_eq!((seconds(12, &english), seconds(12, &russian)), ("12s".into(), "12 с".into()));
    }
}
