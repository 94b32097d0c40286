//! A sample plugin: converts lengths, weights and temperatures.

use std::process::ExitCode;

use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Call {
    value: f64,
    from: String,
    to: String,
}

#[derive(Debug, Serialize)]
struct Answer {
    value: f64,
    unit: String,
}

/// What a unit measures, and its value in the first unit of its kind: `base = value * factor + offset`.
struct Unit {
    name: &'static str,
    kind: &'static str,
    factor: f64,
    offset: f64,
}

const fn unit(name: &'static str, kind: &'static str, factor: f64) -> Unit {
    Unit {
        name,
        kind,
        factor,
        offset: 0.0,
    }
}

const UNITS: [Unit; 15] = [
    unit("m", "length", 1.0),
    unit("mm", "length", 0.001),
    unit("cm", "length", 0.01),
    unit("km", "length", 1000.0),
    unit("in", "length", 0.0254),
    unit("ft", "length", 0.3048),
    unit("yd", "length", 0.9144),
    unit("mi", "length", 1609.344),
    unit("kg", "weight", 1.0),
    unit("g", "weight", 0.001),
    unit("oz", "weight", 0.028_349_523_125),
    unit("lb", "weight", 0.453_592_37),
    unit("K", "temperature", 1.0),
    Unit {
        name: "C",
        kind: "temperature",
        factor: 1.0,
        offset: 273.15,
    },
    Unit {
        name: "F",
        kind: "temperature",
        factor: 5.0 / 9.0,
        offset: 459.67 * 5.0 / 9.0,
    },
];

fn main() -> ExitCode {
    gaia_plugin::run(convert)
}

fn convert(call: Call) -> Result<Answer, String> {
    let (from, to) = (find(&call.from)?, find(&call.to)?);
    if from.kind != to.kind {
        return Err(format!(
            "{} is a {}, {} is a {}",
            from.name, from.kind, to.name, to.kind
        ));
    }
    let value = (call.value * from.factor + from.offset - to.offset) / to.factor;
    Ok(Answer {
        value: rounded(value),
        unit: call.to,
    })
}

fn find(name: &str) -> Result<&'static Unit, String> {
    let found = UNITS.iter().find(|unit| unit.name == name);
    found.ok_or_else(|| format!("there is no unit `{name}`"))
}

/// Without the noise behind the ninth digit.
fn rounded(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(value: f64, from: &str, to: &str) -> Result<f64, String> {
        let (from, to) = (from.to_owned(), to.to_owned());
        convert(Call { value, from, to }).map(|answer| answer.value)
    }

    #[test]
    fn values_are_converted() {
        assert_eq!(converted(1.0, "mi", "km"), Ok(1.609_344));
        assert_eq!(converted(2.0, "lb", "g"), Ok(907.184_74));
        assert_eq!(converted(212.0, "F", "C"), Ok(100.0));
        assert_eq!(converted(-40.0, "C", "F"), Ok(-40.0));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert_eq!(
            converted(1.0, "km", "kg").unwrap_err(),
            "km is a length, kg is a weight"
        );
        assert_eq!(
            converted(1.0, "parsec", "m").unwrap_err(),
            "there is no unit `parsec`"
        );
    }
}
