//! `resource.Quantity`: exact decimal amounts with SI and binary suffixes.

use std::cmp::Ordering;
use std::fmt;

/// What a quantity that does not parse is told, as in Kubernetes.
pub const BAD_QUANTITY: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/// How a quantity is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `Ki`, `Mi`, ...
    Binary,
    /// `m`, `k`, `M`, ...
    Decimal,
    /// `1e3`
    Exponent,
}

/// An exact amount, counted in nano units (what Kubernetes rounds up to).
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

/// Not a quantity.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{BAD_QUANTITY}")]
pub struct BadQuantity;

const NANO: i128 = 1_000_000_000;
/// Kubernetes caps a value at 2^63-1 units.
const MOST: i128 = i64::MAX as i128 * NANO;
const BINARY: [(&str, u32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

impl Quantity {
    /// Parses the string form.
    pub fn parse(text: &str) -> Result<Quantity, BadQuantity> {
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(BadQuantity);
        }
        let (multiplier, divisor, format) = scale(suffix)?;
        let digits = format!("{whole}{fraction}");
        let digits: i128 = match digits.trim_start_matches('0') {
            "" => 0,
            digits => digits.parse().map_err(|_| BadQuantity)?,
        };
        let below = 10i128.checked_pow(u32::try_from(fraction.len()).map_err(|_| BadQuantity)?);
        let below = below.and_then(|b| b.checked_mul(divisor)).ok_or(BadQuantity)?;
        let up = |n: i128, unit: i128| n / unit + i128::from(n % unit != 0);
        let nanos = match digits.checked_mul(multiplier) {
            None => MOST,
            // What is below a nano is rounded up.
            Some(above) => match above.checked_mul(NANO) {
                Some(nanos) => up(nanos, below),
                None if below < NANO => MOST,
                None => (above / below).saturating_mul(NANO).saturating_add(up(above % below, below / NANO)),
            },
        };
        let nanos = nanos.min(MOST);
        let nanos = if negative { -nanos } else { nanos };
        Ok(Quantity { nanos, format })
    }

    /// A whole number of units.
    pub fn from_units(units: i64, format: Format) -> Quantity {
        let nanos = i128::from(units) * NANO;
        Quantity { nanos, format }
    }

    /// A number of thousandths.
    pub fn from_milli(milli: i64) -> Quantity {
        let nanos = i128::from(milli) * (NANO / 1000);
        Quantity { nanos, format: Format::Decimal }
    }

    /// Units, rounded up.
    pub fn value(&self) -> i64 {
        round_up(self.nanos, NANO)
    }

    /// Thousandths, rounded up.
    pub fn milli_value(&self) -> i64 {
        round_up(self.nanos, NANO / 1000)
    }

    /// True when it is a whole number of units.
    pub fn is_whole(&self) -> bool {
        self.nanos % NANO == 0
    }

    /// True when it is a whole number of thousandths.
    pub fn is_whole_milli(&self) -> bool {
        self.nanos % (NANO / 1000) == 0
    }

    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    pub fn is_negative(&self) -> bool {
        self.nanos < 0
    }

    /// The sum, in the format of `self` (of `other` when `self` is zero).
    pub fn plus(&self, other: &Quantity) -> Quantity {
        let format = if self.is_zero() { other.format } else { self.format };
        Quantity { nanos: self.nanos.saturating_add(other.nanos), format }
    }

    /// The difference, in the format of `self`.
    pub fn minus(&self, other: &Quantity) -> Quantity {
        Quantity { nanos: self.nanos.saturating_sub(other.nanos), format: self.format }
    }
}

fn round_up(nanos: i128, unit: i128) -> i64 {
    let value = nanos.div_euclid(unit) + i128::from(nanos.rem_euclid(unit) != 0);
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

/// Multiplier, divisor and format of a suffix.
fn scale(suffix: &str) -> Result<(i128, i128, Format), BadQuantity> {
    if let Some((_, bits)) = BINARY.iter().find(|(s, _)| *s == suffix) {
        return Ok((1 << bits, 1, Format::Binary));
    }
    let power = DECIMAL.iter().find(|(s, _)| *s == suffix).map(|(_, p)| *p);
    let (power, format) = match power {
        Some(power) => (power, Format::Decimal),
        None => {
            let digits = suffix.strip_prefix(['e', 'E']).ok_or(BadQuantity)?;
            (digits.parse().map_err(|_| BadQuantity)?, Format::Exponent)
        }
    };
    let size = 10i128.checked_pow(power.unsigned_abs()).ok_or(BadQuantity)?;
    Ok(if power < 0 { (1, size, format) } else { (size, 1, format) })
}

/// Canonical form: the largest suffix that leaves a whole number.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        // A binary quantity below 1024 (or with a fraction) is written decimally.
        if self.format == Format::Binary && self.is_whole() && self.nanos.abs() >= 1024 * NANO {
            let units = self.nanos / NANO;
            let fitting = BINARY.iter().rev().find(|(_, bits)| units % (1i128 << bits) == 0);
            return match fitting {
                Some((suffix, bits)) => write!(f, "{}{suffix}", units >> bits),
                None => write!(f, "{units}"),
            };
        }
        for (suffix, power) in DECIMAL.iter().rev() {
            let size = 10i128.pow((power + 9).unsigned_abs());
            if self.nanos % size == 0 {
                let number = self.nanos / size;
                return match (self.format, power) {
                    (Format::Exponent, 0) => write!(f, "{number}"),
                    (Format::Exponent, power) => write!(f, "{number}e{power}"),
                    _ => write!(f, "{number}{suffix}"),
                };
            }
        }
        write!(f, "{}n", self.nanos)
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_writes_canonically() {
        let cases = [
            ("0", "0"),
            ("100m", "100m"),
            ("1000m", "1"),
            ("0.5", "500m"),
            ("1.5Gi", "1536Mi"),
            ("1024Ki", "1Mi"),
            ("1000k", "1M"),
            ("1e3", "1e3"),
            ("12e6", "12e6"),
            ("500Ki", "500Ki"),
            ("1Ei", "1Ei"),
            ("-1", "-1"),
            ("+1", "1"),
            (".5", "500m"),
            ("5.", "5"),
            ("1n", "1n"),
            ("0.5Ki", "512"),
            ("128974848", "128974848"),
            ("123Mi", "123Mi"),
            ("1500", "1500"),
            ("-92233720368547758092337203685e-7", "-9223372036854775807"),
            ("99999999999999999999Ei", "9223372036854775807"),
            ("12345678901234567890123456789012.5e-20", "123456789012345678902e-9"),
        ];
        for (text, canonical) in cases {
            assert_eq!(Quantity::parse(text).unwrap().to_string(), canonical, "{text}");
        }
        for text in ["", "a", "1x", "1.2.3", "--1", "1 Gi", "Ki", "1e", "."] {
            assert_eq!(Quantity::parse(text), Err(BadQuantity), "{text}");
        }
    }

    #[test]
    fn counts() {
        let q = |text| Quantity::parse(text).unwrap();
        assert_eq!(q("1500m").value(), 2);
        assert_eq!(q("1500m").milli_value(), 1500);
        assert_eq!(q("1Gi").value(), 1 << 30);
        assert!(q("1Gi") > q("1G"));
        assert_eq!(q("1Gi").plus(&q("1Gi")).to_string(), "2Gi");
        assert_eq!(q("1").minus(&q("250m")).to_string(), "750m");
    }
}
