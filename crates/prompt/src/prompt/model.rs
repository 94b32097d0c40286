//! Which models a prompt is made for: names with `*` and `?`, and bounds on the number of weights.
//!
//! One of the names has to fit, and all of the bounds. The variant that says more about a model wins
//! over one that says less.

use super::{CONDITIONS_MAX, Problem};

/// What is known of the model that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelFacts<'a> {
    /// Its name in the API.
    pub name: &'a str,
    /// Its weights, where that is known.
    pub parameters: Option<u64>,
}

/// The conditions of one prompt; none: any model.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct ModelRule {
    names: Vec<String>,
    bounds: Vec<Bound>,
}

/// How much a rule says about a model: whether it bounds its size, and how many letters of its name
/// it spells out.
pub(super) type Rank = (usize, usize);

#[derive(Debug, Clone, PartialEq)]
struct Bound {
    written: String,
    comparison: Comparison,
    parameters: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    More,
    AtLeast,
}

impl ModelRule {
    /// Reads conditions such as `qwen*` and `params<3b`.
    pub(super) fn parse(conditions: &[&str]) -> Result<Self, (usize, Problem)> {
        let mut rule = Self::default();
        for (index, condition) in conditions.iter().enumerate() {
            let text = condition.trim();
            let problem = || Problem::Condition(text.to_owned());
            if index == CONDITIONS_MAX {
                return Err((
                    index,
                    Problem::TooMany("conditions in `for`", CONDITIONS_MAX),
                ));
            }
            match text.strip_prefix("params") {
                Some(rest) => rule
                    .bounds
                    .push(Bound::parse(text, rest).ok_or_else(|| (index, problem()))?),
                None if is_name(text) => rule.names.push(text.to_lowercase()),
                None => return Err((index, problem())),
            }
        }
        Ok(rule)
    }

    /// `None` where the model is another.
    pub(super) fn rank(&self, model: &ModelFacts<'_>) -> Option<Rank> {
        let parameters = model.parameters.map(|count| count as f64);
        let bounded = |bound: &Bound| parameters.is_some_and(|count| bound.holds(count));
        if !self.bounds.iter().all(bounded) {
            return None;
        }
        let name = model.name.to_lowercase();
        let fitting = self.names.iter().filter(|pattern| matches(pattern, &name));
        let letters = fitting.map(|pattern| pattern.chars().filter(|c| !"*?".contains(*c)).count());
        match letters.max() {
            Some(letters) => Some((self.bounds.len(), letters + 1)),
            None if self.names.is_empty() => Some((self.bounds.len(), 0)),
            None => None,
        }
    }

    pub(super) fn written(&self) -> Vec<String> {
        let bounds = self.bounds.iter().map(|bound| bound.written.clone());
        self.names.iter().cloned().chain(bounds).collect()
    }
}

impl Bound {
    /// What follows `params`.
    fn parse(written: &str, rest: &str) -> Option<Self> {
        let rest = rest.trim_start();
        let signs = [
            ("<=", Comparison::AtMost),
            (">=", Comparison::AtLeast),
            ("<", Comparison::Less),
            (">", Comparison::More),
        ];
        let (rest, comparison) = signs
            .iter()
            .find_map(|(sign, comparison)| Some((rest.strip_prefix(sign)?, *comparison)))?;
        let rest = rest.trim().to_lowercase();
        let (number, unit) = match rest.char_indices().next_back()? {
            (at, 'k') => (&rest[..at], 1e3),
            (at, 'm') => (&rest[..at], 1e6),
            (at, 'b') => (&rest[..at], 1e9),
            _ => (rest.as_str(), 1.0),
        };
        let number: f64 = number.trim_end().parse().ok()?;
        let plain = number.is_finite() && number >= 0.0;
        plain.then(|| Self {
            written: written.to_owned(),
            comparison,
            parameters: number * unit,
        })
    }

    fn holds(&self, parameters: f64) -> bool {
        match self.comparison {
            Comparison::Less => parameters < self.parameters,
            Comparison::AtMost => parameters <= self.parameters,
            Comparison::More => parameters > self.parameters,
            Comparison::AtLeast => parameters >= self.parameters,
        }
    }
}

/// Whether this can be a model's name with wildcards, and is no bound that was mistyped.
fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || "<>=".contains(c))
}

/// Whether `pattern` stands for the whole of `text`: `*` for anything, `?` for one character. Takes
/// time in the product of their lengths, whatever they hold.
fn matches(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    // Which beginnings of the text the pattern so far stands for.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for sign in pattern.chars() {
        if sign == '*' {
            let first = reached.iter().position(|reached| *reached);
            let first = first.unwrap_or(reached.len());
            reached[first..].fill(true);
            continue;
        }
        for at in (0..text.len()).rev() {
            reached[at + 1] = reached[at] && (sign == '?' || sign == text[at]);
        }
        reached[0] = false;
    }
    reached[text.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(conditions: &[&str], name: &str, parameters: Option<u64>, expected: Option<Rank>) {
        let rule = ModelRule::parse(conditions).unwrap();
        assert_eq!(rule.rank(&ModelFacts { name, parameters }), expected);
    }

    #[test]
    fn one_name_and_all_bounds() {
        check(&[], "any", None, Some((0, 0)));
        check(&["qwen*", "Llama-?b"], "qwen3-1.7b", None, Some((0, 5)));
        check(&["qwen*", "Llama-?b"], "LLAMA-8B", None, Some((0, 8)));
        check(&["qwen*"], "llama", None, None);
        check(&["params<3b"], "m", Some(2_999_999_999), Some((1, 0)));
        check(&["params<3b"], "m", Some(3_000_000_000), None);
        check(&["params<3b"], "m", None, None);
        let between = ["m*", "params >= 1.5B", "params<=8b"];
        check(&between, "m", Some(1_500_000_000), Some((2, 2)));
        check(&between, "m", Some(8_000_000_001), None);
        check(&["params>100m"], "m", Some(100_000_001), Some((1, 0)));
    }

    #[test]
    fn wildcards() {
        let yes = |pattern, text| assert!(matches(pattern, text), "{pattern} {text}");
        let no = |pattern, text| assert!(!matches(pattern, text), "{pattern} {text}");
        yes("*", "");
        yes("a*c*", "abcd");
        yes("*-instruct", "smollm2-135m-instruct");
        yes("??", "ä1");
        no("a", "");
        no("a*b", "abc");
        no("", "a");
        no("?", "");
        let stars = "*a".repeat(200);
        no(&stars, &"a".repeat(199));
        yes(&stars, &"a".repeat(200));
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for text in [
            "",
            "params",
            "params=3b",
            "params<",
            "params<-1b",
            "params<many",
            "a b",
            "size<3",
        ] {
            let (index, problem) = ModelRule::parse(&["ok", text]).unwrap_err();
            assert_eq!((index, problem), (1, Problem::Condition(text.to_owned())));
        }
        let most = ["a"; CONDITIONS_MAX];
        assert!(ModelRule::parse(&most).is_ok());
        let more = ["a"; CONDITIONS_MAX + 1];
        assert!(matches!(
            ModelRule::parse(&more),
            Err((CONDITIONS_MAX, Problem::TooMany(_, CONDITIONS_MAX)))
        ));
    }
}
