//! Numbers, as they are shown.

use hdrhistogram::Histogram;

/// Stands for a figure that there is not.
pub const NONE: &str = "-";

/// Which latencies are shown.
pub const QUANTILES: [(&str, f64); 4] =
    [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

pub fn quantile(latencies: &Histogram<u64>, quantile: f64) -> String {
    if latencies.is_empty() {
        return NONE.to_owned();
    }
    nanoseconds(latencies.value_at_quantile(quantile))
}

/// Three digits and a unit, from `87 ns` to `1.25 s`.
pub fn nanoseconds(nanos: u64) -> String {
    match nanos {
        0..1_000 => format!("{nanos} ns"),
        1_000..1_000_000 => three_digits(nanos as f64 / 1e3, " µs"),
        1_000_000..1_000_000_000 => three_digits(nanos as f64 / 1e6, " ms"),
        _ => three_digits(nanos as f64 / 1e9, " s"),
    }
}

/// Three digits, as `8.12 M`; nothing is `-`.
pub fn short(number: f64) -> String {
    match number {
        ..1.0 => NONE.to_owned(),
        1.0..1e3 => format!("{number:.0}"),
        1e3..1e6 => three_digits(number / 1e3, " k"),
        _ => three_digits(number / 1e6, " M"),
    }
}

fn three_digits(value: f64, unit: &str) -> String {
    let digits = if value < 10.0 {
        2
    } else if value < 100.0 {
        1
    } else {
        0
    };
    format!("{value:.digits$}{unit}")
}

pub fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| NONE.to_owned(), |ratio| three_digits(ratio, ""))
}

/// A share, as `12.3 %` or `0.0012 %`; nothing is `-`.
pub fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    match percent {
        ..=0.0 => NONE.to_owned(),
        ..0.01 => format!("{percent:.4} %"),
        ..1.0 => format!("{percent:.2} %"),
        _ => format!("{percent:.1} %"),
    }
}

/// A number with commas between thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A count and what is counted: `1 reader`, `2 readers`.
pub fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", grouped(number))
}
