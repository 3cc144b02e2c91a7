//! String formats that custom resources may ask for.

use std::sync::LazyLock;

use regex::Regex;

/// A format that is checked. Kubernetes ignores the ones it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Byte,
    Cidr,
    Date,
    DateTime,
    Duration,
    Email,
    HexColor,
    Hostname,
    Ipv4,
    Ipv6,
    LongName,
    Mac,
    ShortName,
    Uri,
    Uuid,
}

impl Format {
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "byte" => Self::Byte,
            "cidr" => Self::Cidr,
            "date" => Self::Date,
            "date-time" | "datetime" => Self::DateTime,
            "duration" => Self::Duration,
            "email" => Self::Email,
            "hexcolor" => Self::HexColor,
            "hostname" => Self::Hostname,
            "ipv4" => Self::Ipv4,
            "ipv6" => Self::Ipv6,
            "k8s-long-name" => Self::LongName,
            "mac" => Self::Mac,
            "k8s-short-name" => Self::ShortName,
            "uri" => Self::Uri,
            "uuid" | "uuid3" | "uuid4" | "uuid5" => Self::Uuid,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Byte => "byte",
            Self::Cidr => "cidr",
            Self::Date => "date",
            Self::DateTime => "date-time",
            Self::Duration => "duration",
            Self::Email => "email",
            Self::HexColor => "hexcolor",
            Self::Hostname => "hostname",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::LongName => "k8s-long-name",
            Self::Mac => "mac",
            Self::ShortName => "k8s-short-name",
            Self::Uri => "uri",
            Self::Uuid => "uuid",
        }
    }

    pub fn accepts(self, text: &str) -> bool {
        match self {
            Self::Byte => is_base64(text),
            Self::Cidr => text.parse::<ipnet::IpNet>().is_ok(),
            Self::Date => text.parse::<jiff::civil::Date>().is_ok(),
            Self::DateTime => text.parse::<jiff::Timestamp>().is_ok(),
            Self::Duration => duration(text).is_some(),
            Self::Email => EMAIL.is_match(text),
            Self::HexColor => HEX_COLOR.is_match(text),
            Self::Hostname => text.len() <= 255 && HOSTNAME.is_match(text),
            Self::Ipv4 => text.parse::<std::net::Ipv4Addr>().is_ok(),
            Self::Ipv6 => text.parse::<std::net::Ipv6Addr>().is_ok(),
            Self::LongName => text.len() <= 253 && LONG_NAME.is_match(text),
            Self::Mac => MAC.is_match(text),
            Self::ShortName => text.len() <= 63 && SHORT_NAME.is_match(text),
            Self::Uri => URI.is_match(text),
            Self::Uuid => UUID.is_match(text),
        }
    }
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the formats' patterns are well-formed")
}

static EMAIL: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[^@\s<>]+@[^@\s<>]+$"));
static HEX_COLOR: LazyLock<Regex> = LazyLock::new(|| pattern("^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"));
static HOSTNAME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*\.?$",
    )
});
static LONG_NAME: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"));
static MAC: LazyLock<Regex> =
    LazyLock::new(|| pattern("^[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}([:-][0-9a-fA-F]{2}){0,2}$"));
static SHORT_NAME: LazyLock<Regex> = LazyLock::new(|| pattern("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"));
static URI: LazyLock<Regex> = LazyLock::new(|| pattern(r"^([a-zA-Z][a-zA-Z0-9+.-]*:|/)[^\s]*$"));
static UUID: LazyLock<Regex> =
    LazyLock::new(|| pattern("(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$"));

fn is_base64(text: &str) -> bool {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).is_ok()
}

/// Nanoseconds of `1h30m`, `250ms`, `2 days`: Go's units, and days and weeks.
pub fn duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0.0;
    let mut any = false;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = rest[end..].trim_start();
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.' || c == ' ').unwrap_or(rest.len());
        total += number * unit(&rest[..end])?;
        rest = rest[end..].trim_start();
        any = true;
    }
    any.then_some((sign * total) as i64)
}

fn unit(name: &str) -> Option<f64> {
    Some(match name {
        "ns" | "nano" => 1.0,
        "us" | "µs" | "μs" | "micro" => 1e3,
        "ms" | "milli" => 1e6,
        "s" | "sec" | "second" | "seconds" => 1e9,
        "m" | "min" | "minute" | "minutes" => 60e9,
        "h" | "hr" | "hour" | "hours" => 3600e9,
        "d" | "day" | "days" => 86_400e9,
        "w" | "wk" | "week" | "weeks" => 604_800e9,
        _ => return None,
    })
}
