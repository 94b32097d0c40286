//! Plots as small SVG files that read well on a light and on a dark page.

use std::fmt::Write as _;

use super::Plot;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 52.0;
const TICKS: usize = 5;
/// Told apart by people who see red and green alike.
const COLOURS: [&str; 7] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8c6d1f", "#56b4e9", "#333333",
];

/// The plot as a file.
pub fn svg(plot: &Plot) -> String {
    let scale = Scale::of(plot);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"15\" font-weight=\"bold\">{}</text>\n",
        escaped(&plot.title)
    );
    axes(&mut out, plot, &scale);
    for (number, line) in plot.lines.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let mut path = String::new();
        // Where there was nothing to measure there is no point.
        let points = line
            .points
            .iter()
            .filter(|(_, found)| found.median.is_finite());
        for (x, found) in points {
            let (x, y) = (scale.x(*x), scale.y(found.median));
            let _ = write!(path, "{x:.1},{y:.1} ");
            let (low, high) = (scale.y(found.low), scale.y(found.high));
            let _ = writeln!(
                out,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{low:.1}\" y2=\"{high:.1}\" stroke=\"{colour}\" stroke-opacity=\"0.5\" stroke-width=\"5\"/>"
            );
            let _ = writeln!(
                out,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>"
            );
        }
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.trim()
        );
        let y = TOP + 14.0 + 18.0 * number as f64;
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{y}\" fill=\"{colour}\" font-weight=\"bold\">{}</text>",
            LEFT + 12.0,
            escaped(&line.who)
        );
    }
    out + "</svg>\n"
}

fn axes(out: &mut String, plot: &Plot, scale: &Scale) {
    for tick in 0..=TICKS {
        let value = scale.y_max * tick as f64 / TICKS as f64;
        let y = scale.y(value);
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>",
            WIDTH - RIGHT
        );
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            y + 4.0,
            short(value)
        );
    }
    for value in &scale.xs {
        let x = scale.x(*value);
        let _ = writeln!(
            out,
            "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            HEIGHT - BOTTOM + 18.0,
            short(*value)
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
        WIDTH / 2.0,
        HEIGHT - 12.0,
        escaped(&plot.x)
    );
    let _ = writeln!(
        out,
        "<text x=\"14\" y=\"{0}\" text-anchor=\"middle\" transform=\"rotate(-90 14 {0})\">{1}</text>",
        HEIGHT / 2.0,
        escaped(&plot.y)
    );
}

/// Where values lie. The x values stand at equal distances, as they are steps of something that doubles.
struct Scale {
    xs: Vec<f64>,
    y_max: f64,
}

impl Scale {
    fn of(plot: &Plot) -> Self {
        let points = || plot.lines.iter().flat_map(|line| &line.points);
        let mut xs: Vec<f64> = points().map(|(x, _)| *x).collect();
        xs.sort_by(f64::total_cmp);
        xs.dedup();
        let highest = points()
            .map(|(_, found)| found.high.max(found.median))
            .fold(0.0, f64::max);
        Self {
            xs,
            y_max: round_up(highest),
        }
    }

    fn x(&self, value: f64) -> f64 {
        let at = self.xs.iter().position(|x| *x == value).unwrap_or(0);
        let steps = self.xs.len().saturating_sub(1).max(1);
        LEFT + 30.0 + (WIDTH - LEFT - RIGHT - 60.0) * at as f64 / steps as f64
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value.max(0.0) / self.y_max
    }
}

/// The next of 1, 2, 2.5, 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5, 10.0];
    steps
        .into_iter()
        .map(|step| step * power)
        .find(|step| *step >= value)
        .unwrap_or(10.0 * power)
}

fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Line;
    use crate::statistics::summary;

    #[test]
    fn ticks_are_round() {
        assert_eq!(round_up(262.0), 300.0);
        assert_eq!(round_up(0.7), 0.75);
        assert_eq!(round_up(0.0), 1.0);
    }

    #[test]
    fn draws_every_line_and_escapes() {
        let line = |who: &str| Line {
            who: who.to_owned(),
            points: vec![(1.0, summary(&[1.0])), (2.0, summary(&[3.0]))],
        };
        let drawn = svg(&Plot {
            file: "a".to_owned(),
            title: "a < b".to_owned(),
            x: String::new(),
            y: String::new(),
            lines: vec![line("one"), line("other")],
        });
        assert_eq!(drawn.matches("<polyline").count(), 2);
        assert!(drawn.contains("a &lt; b"));
        assert!(!drawn.contains("NaN"));
    }
}
