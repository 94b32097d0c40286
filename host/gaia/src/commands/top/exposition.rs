//! Prometheus' text format, as far as a node writes it.
//!
//! Pure, and forgiving: a line that is not understood is left out, because a display must survive the next version
//! of the node it looks at.

use std::collections::BTreeMap;

/// One value with its labels.
#[derive(Debug, Clone, PartialEq)]
struct Sample {
    labels: BTreeMap<String, String>,
    value: f64,
}

/// All samples of one reading, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exposition(BTreeMap<String, Vec<Sample>>);

impl Exposition {
    /// Reads what `/metrics` answered.
    pub fn parse(text: &str) -> Self {
        let mut samples: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
        for (name, sample) in text.lines().filter_map(sample) {
            samples.entry(name.to_owned()).or_default().push(sample);
        }
        Self(samples)
    }

    /// The sum of all values under `name`; none where there is no such name.
    pub fn sum(&self, name: &str) -> Option<f64> {
        let samples = self.0.get(name)?;
        Some(samples.iter().map(|sample| sample.value).sum())
    }

    /// The values under `name` by their `label`, in the order of the label's values.
    pub fn by(&self, name: &str, label: &str) -> BTreeMap<&str, f64> {
        let mut values = BTreeMap::new();
        for sample in self.0.get(name).into_iter().flatten() {
            if let Some(key) = sample.labels.get(label) {
                *values.entry(key.as_str()).or_default() += sample.value;
            }
        }
        values
    }

    /// The upper ends of the buckets of the histogram `name`, rising, with how many are at or below each.
    pub fn buckets(&self, name: &str) -> Vec<(f64, f64)> {
        let counts = self.by(&format!("{name}_bucket"), "le");
        let mut buckets: Vec<(f64, f64)> = counts
            .into_iter()
            .filter_map(|(end, count)| Some((number(end)?, count)))
            .collect();
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        buckets
    }
}

/// `name{label="value",…} 1.5`, also with a time behind it.
fn sample(line: &str) -> Option<(&str, Sample)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let name_end = line.find(['{', ' ', '\t'])?;
    let (name, rest) = line.split_at(name_end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    let value = number(rest.split_whitespace().next()?)?;
    Some((name, Sample { labels, value }))
}

/// The labels up to the closing brace, and what comes after it.
fn labels(mut rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let (value, after) = unquoted(quoted)?;
        labels.insert(name.trim().to_owned(), value);
        rest = after;
    }
}

/// The text up to the closing quote, without its escapes, and what comes after it.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match letters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

fn number(text: &str) -> Option<f64> {
    // `+Inf` and `NaN` are numbers to Rust, too.
    text.parse().ok().filter(|value: &f64| !value.is_nan())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# HELP gaia_requests_running Requests the models work on.
# TYPE gaia_requests_running gauge
gaia_requests_running 3
gaia_tool_calls_total{tool=\"a\"} 2
gaia_tool_calls_total{tool=\"b \\\"c\\\" }\"} 5 1700000000
gaia_wait_bucket{le=\"0.5\"} 4
gaia_wait_bucket{le=\"+Inf\"} 9
gaia_wait_bucket{le=\"0.25\"} 1
";

    #[test]
    fn values_by_name_and_label() {
        let read = Exposition::parse(TEXT);
        assert_eq!(read.sum("gaia_requests_running"), Some(3.0));
        assert_eq!(read.sum("gaia_tool_calls_total"), Some(7.0));
        assert_eq!(read.sum("gaia_unheard_of"), None);
        let tools: Vec<_> = read
            .by("gaia_tool_calls_total", "tool")
            .into_iter()
            .collect();
        assert_eq!(tools, [("a", 2.0), ("b \"c\" }", 5.0)]);
    }

    #[test]
    fn buckets_rise_whatever_their_order() {
        let buckets = Exposition::parse(TEXT).buckets("gaia_wait");
        assert_eq!(buckets, [(0.25, 1.0), (0.5, 4.0), (f64::INFINITY, 9.0)]);
    }

    #[test]
    fn what_is_not_understood_is_left_out() {
        let check = |line: &str| assert_eq!(Exposition::parse(line), Exposition::default());
        check("");
        check("# a remark 5");
        check("name");
        check("name word");
        check("name NaN");
        check("name{a=\"b} 5");
        check("name{a} 5");
        check("name{a=\"b\\");
        check("name{");
        check("<html>no metrics</html>");
    }
}
