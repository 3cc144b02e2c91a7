//! Quantities of the Kubernetes API (`500m`, `64Mi`, `1e3`) as whole numbers, rounded up.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// In thousandths; 0 for what is not a quantity (the API has none such).
pub fn milli(q: &Quantity) -> i64 {
    parse_milli(&q.0).unwrap_or(0)
}

/// In units, rounded up.
pub fn value(q: &Quantity) -> i64 {
    let m = milli(q);
    m.div_euclid(1000) + i64::from(m.rem_euclid(1000) > 0)
}

fn parse_milli(text: &str) -> Option<i64> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let scale: (i128, i128) = match suffix {
        "" => (1000, 1),
        "n" => (1, 1_000_000),
        "u" => (1, 1000),
        "m" => (1, 1),
        "k" => (1_000_000, 1),
        "M" => (1_000_000_000, 1),
        "G" => (1_000_000_000_000, 1),
        "T" => (1_000_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000_000, 1),
        "Ki" => (1000 << 10, 1),
        "Mi" => (1000 << 20, 1),
        "Gi" => (1000 << 30, 1),
        "Ti" => (1000 << 40, 1),
        "Pi" => (1000 << 50, 1),
        "Ei" => (1000 << 60, 1),
        exponent => {
            let power: u32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            (1000i128.checked_mul(10i128.checked_pow(power)?)?, 1)
        }
    };
    let (negative, digits) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = &fraction[..fraction.len().min(12)];
    let all: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let divisor = 10i128.pow(fraction.len() as u32) * scale.1;
    let product = all.checked_mul(scale.0)?;
    let rounded = product / divisor + i128::from(product % divisor > 0);
    let signed = if negative { -rounded } else { rounded };
    Some(signed.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        let cases = [
            ("500m", 500),
            ("1", 1000),
            ("0.1", 100),
            ("1.5", 1500),
            ("64Mi", 64 * 1024 * 1024 * 1000),
            ("1e3", 1_000_000),
            ("12E", i64::MAX),
            ("100n", 1),
            ("-1", -1000),
            ("1Ki", 1_024_000),
            ("2k", 2_000_000),
        ];
        for (text, expected) in cases {
            assert_eq!(milli(&Quantity(text.into())), expected, "{text}");
        }
        assert_eq!(value(&Quantity("1m".into())), 1);
    }
}
