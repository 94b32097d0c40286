//! Curves and filled bars out of letters.

const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The newest points of `curve`, one a column, in `rows` lines from top to bottom. The highest point that is shown
/// fills them.
pub fn curve(curve: &[f64], width: usize, rows: usize) -> Vec<String> {
    let shown = &curve[curve.len().saturating_sub(width)..];
    let highest = highest(shown);
    let eighths = |point: &f64| match highest > 0.0 {
        // What is not nothing shows.
        true if *point > 0.0 => ((point / highest * (rows * 8) as f64).round() as usize).max(1),
        _ => 0,
    };
    let heights: Vec<usize> = shown.iter().map(eighths).collect();
    let pad = width - shown.len();
    let row = |row: usize| {
        let below = (rows - 1 - row) * 8;
        let letter = |height: &usize| EIGHTHS[height.saturating_sub(below).min(8)];
        let bars: String = heights.iter().map(letter).collect();
        format!("{}{bars}", " ".repeat(pad))
    };
    (0..rows).map(row).collect()
}

/// The highest of the newest points.
pub fn peak(curve: &[f64], width: usize) -> f64 {
    highest(&curve[curve.len().saturating_sub(width)..])
}

fn highest(points: &[f64]) -> f64 {
    points.iter().copied().fold(0.0, f64::max)
}

/// A bar of `width` letters of which `share` is full.
pub fn filled(share: f64, width: usize) -> String {
    let full = (share.clamp(0.0, 1.0) * width as f64).round() as usize;
    format!("{}{}", "█".repeat(full), "░".repeat(width - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves() {
        let check = |points: &[f64], width, rows, expected: &[&str]| {
            assert_eq!(curve(points, width, rows), expected);
        };
        check(&[], 3, 1, &["   "]);
        check(&[0.0, 0.0], 2, 1, &["  "]);
        check(&[1.0, 4.0, 8.0], 3, 1, &["▁▄█"]);
        check(&[8.0], 3, 2, &["  █", "  █"]);
        check(&[4.0, 6.0, 8.0], 3, 2, &[" ▄█", "███"]);
        check(&[100.0, 1.0, 2.0], 2, 1, &["▄█"]);
        check(&[0.001, 1000.0], 2, 1, &["▁█"]);
    }

    #[test]
    fn filled_bars() {
        let check = |share, expected: &str| assert_eq!(filled(share, 4), expected);
        check(0.0, "░░░░");
        check(0.5, "██░░");
        check(1.0, "████");
        check(7.0, "████");
        check(-1.0, "░░░░");
    }

    #[test]
    fn the_peak_is_that_of_what_is_shown() {
        assert_eq!(peak(&[9.0, 1.0, 3.0], 2), 3.0);
        assert_eq!(peak(&[], 2), 0.0);
    }
}
