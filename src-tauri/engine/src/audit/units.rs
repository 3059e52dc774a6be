//! Sizes, times and ports as compose files write them.

/// Bytes: `512m`, `2g`, `2gb`, `2GiB`, `1073741824`, `1.5g`. Source: docker/go-units `size.go`
/// (`RAMInBytes`: powers of 1024, with or without `i` and `b`).
pub fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let split = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
    let (number, unit) = text.split_at(split.unwrap_or(text.len()));
    let scale: u64 = match unit.trim() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => return None,
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(scale);
    }
    let (whole, part) = number.split_once('.')?;
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let part = part.get(..part.len().min(6))?;
    let digits = u32::try_from(part.len()).ok()?;
    let part: u64 = if part.is_empty() { 0 } else { part.parse().ok()? };
    whole.checked_mul(scale)?.checked_add(part.checked_mul(scale)? / 10u64.pow(digits))
}

/// As a compose file would say it: whole gigabytes, else megabytes.
pub(super) fn written_bytes(bytes: u64) -> String {
    const MEGABYTE: u64 = 1 << 20;
    const GIGABYTE: u64 = 1 << 30;
    if bytes >= GIGABYTE && bytes.is_multiple_of(GIGABYTE) {
        format!("{}g", bytes / GIGABYTE)
    } else {
        format!("{}m", bytes.div_ceil(MEGABYTE))
    }
}

/// Milliseconds: `30s`, `1m30s`, `1.5h`, `500ms`. Source: Go `time.ParseDuration`; without a unit it
/// is no duration.
pub(super) fn duration_ms(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(0);
    }
    let mut sum = 0.0f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let number = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (value, behind) = rest.split_at(number);
        let length = behind.find(|letter: char| letter.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(length);
        let scale = match unit {
            "ns" => 0.000_001,
            "us" | "µs" => 0.001,
            "ms" => 1.0,
            "s" => 1_000.0,
            "m" => 60_000.0,
            "h" => 3_600_000.0,
            _ => return None,
        };
        sum += value.parse::<f64>().ok()? * scale;
        rest = behind;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "digits only, so not negative, and a float cast saturates"
    )]
    Some(sum as u64)
}

/// One entry of `ports`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// On the host; none: the engine chooses.
    pub published: Option<(u16, u16)>,
    /// In the container.
    pub target: (u16, u16),
    /// Empty: all addresses.
    pub address: String,
    pub udp: bool,
}

impl Port {
    /// `8000`, `8010:8000`, `127.0.0.1:8010:8000/tcp`, `[::1]:80:80`, `3000-3005:3000-3005`.
    pub fn short(text: &str) -> Option<Self> {
        let (text, protocol) = text.trim().split_once('/').unwrap_or((text.trim(), "tcp"));
        let (rest, target) = match text.rsplit_once(':') {
            Some((rest, target)) => (Some(rest), target),
            None => (None, text),
        };
        let (address, published) = match rest {
            None => ("", None),
            Some(rest) => match rest.rsplit_once(':') {
                Some((address, "")) => (address, None),
                Some((address, published)) => (address, Some(published)),
                None => ("", Some(rest)),
            },
        };
        Some(Self {
            published: match published {
                Some(published) => Some(range(published)?),
                None => None,
            },
            target: range(target)?,
            address: address.trim_matches(['[', ']']).to_owned(),
            udp: protocol == "udp",
        })
    }

    /// Whether both cannot be published on one host: none where one leaves the choice to the engine.
    pub fn clashes(&self, other: &Self) -> Option<u16> {
        let (one, two) = self.published.zip(other.published)?;
        let everywhere = |address: &str| matches!(address, "" | "0.0.0.0" | "::");
        let met = self.address == other.address
            || everywhere(&self.address)
            || everywhere(&other.address);
        let first = one.0.max(two.0);
        (met && self.udp == other.udp && first <= one.1.min(two.1)).then_some(first)
    }

    /// Whether both lead this port to the same one inside, from the same address. A range that leads to
    /// one port leaves the choice to the engine.
    pub fn is_same_at(&self, other: &Self, published: u16) -> bool {
        let address = |port: &Self| match port.address.as_str() {
            "" => "0.0.0.0".to_owned(),
            address => address.to_owned(),
        };
        let inside = |port: &Self| {
            let (first, last) = port.published?;
            let (inner, inner_last) = port.target;
            let as_long = last - first == inner_last - inner;
            as_long.then(|| inner + (published - first))
        };
        let (one, two) = (inside(self), inside(other));
        one.is_none() || two.is_none() || (address(self) == address(other) && one == two)
    }
}

pub(super) fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first > 0 && first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024_however_they_are_written() {
        for (text, wanted) in [
            ("512m", Some(512 << 20)),
            ("2g", Some(2 << 30)),
            ("2GB", Some(2 << 30)),
            ("2GiB", Some(2 << 30)),
            ("2 G", Some(2 << 30)),
            ("1073741824", Some(1 << 30)),
            ("1.5g", Some(3 << 29)),
            ("64k", Some(64 << 10)),
            ("", None),
            ("-1", None),
            ("much", None),
            ("2x", None),
            ("99999999999999999999g", None),
            ("1.2.3g", None),
        ] {
            assert_eq!(bytes(text), wanted, "{text}");
        }
        for size in [512 << 20, 2 << 30, 3 << 29, 14 << 30] {
            assert_eq!(bytes(&written_bytes(size)), Some(size));
        }
    }

    #[test]
    fn durations_are_those_of_go() {
        for (text, wanted) in [
            ("30s", Some(30_000)),
            ("1m30s", Some(90_000)),
            ("1.5h", Some(5_400_000)),
            ("500ms", Some(500)),
            ("0", Some(0)),
            ("30", None),
            ("", None),
            ("soon", None),
            ("5 s", None),
        ] {
            assert_eq!(duration_ms(text), wanted, "{text}");
        }
    }

    #[test]
    fn ports_in_every_short_form() {
        let port = |text: &str| Port::short(text).unwrap();
        assert_eq!(port("8010:8000").published, Some((8010, 8010)));
        assert_eq!(port("8000").published, None);
        assert_eq!(port("127.0.0.1:8010:8000/udp").address, "127.0.0.1");
        assert_eq!(port("127.0.0.1::8000").published, None);
        assert_eq!(port("[::1]:80:81").address, "::1");
        assert_eq!(port("3000-3005:3100-3105").target, (3100, 3105));
        for text in ["", "x", "0:80", "70000:80", "9-3:80", "a:b:c"] {
            assert_eq!(Port::short(text), None, "{text}");
        }
        assert_eq!(port("8010:80").clashes(&port("8000-8020:9000-9020")), Some(8010));
        assert_eq!(port("8010:80").clashes(&port("8010:80/udp")), None);
        assert_eq!(port("127.0.0.1:80:80").clashes(&port("127.0.0.2:80:80")), None);
        assert_eq!(port("127.0.0.1:80:80").clashes(&port("80:80")), Some(80));
        assert_eq!(port("80").clashes(&port("80")), None);
    }
}
