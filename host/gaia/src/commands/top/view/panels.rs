//! The panels of the screen: a title and lines each.

use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};

use super::numbers::{NONE, count, count_or_none, percent, speed, time};
use super::{Theme, bars};
use crate::commands::top::facts::{Facts, Latency, Speed};
use crate::commands::top::sighting::{Model, Running};
use crate::terminal::{bytes, span};

/// How wide the names of values are.
const LABEL: usize = 14;
/// The most of a tool's or key's name that is shown.
const NAME: usize = 24;
/// The most tools and keys that are listed; more are counted.
const LISTED_MAX: usize = 4;
/// Rows of a curve.
const CURVE_ROWS: usize = 2;
/// Fewer points are no curve.
const CURVE_POINTS_MIN: usize = 3;

/// A part of the screen.
#[derive(Debug, Clone)]
pub struct Panel {
    /// What it is about.
    pub title: String,
    /// What it says.
    pub lines: Vec<Line<'static>>,
}

/// What stands on top: who the node is, and how it is.
pub fn head(facts: &Facts, theme: Theme) -> Vec<Line<'static>> {
    match &facts.node {
        Some(node) => {
            let mut lines = vec![title(node, facts, theme), models(node, theme)];
            lines.push(knowledge(node, theme));
            lines
        }
        None if facts.is_beginning => {
            vec![Line::from("gaia  the node is about to start, waiting …")]
        }
        None => vec![Line::from(
            "gaia  not running, waiting …   (`gaia start` starts it)",
        )],
    }
}

fn title(node: &Running, facts: &Facts, theme: Theme) -> Line<'static> {
    let phase = match node.phase {
        "ready" => theme.colour(Color::Green),
        "crash loop" => theme.colour(Color::Red),
        _ => theme.colour(Color::Yellow),
    };
    let name = node.name.clone().unwrap_or_else(|| "gaia".to_owned());
    let mut spans = vec![
        Span::styled(harmless(&name), theme.strong()),
        Span::raw("  "),
        Span::styled(
            if node.phase == "starting" {
                "loading"
            } else {
                node.phase
            },
            phase,
        ),
        Span::raw(format!("  up {}", span(node.up_seconds))),
        Span::styled(format!("  {}  {}", node.url, node.version), theme.dim()),
    ];
    if let Some(url) = &node.worker_url {
        let text = format!("  worker of others at {}", harmless(url));
        spans.push(Span::styled(text, theme.dim()));
    }
    if node.restarts > 0 {
        let what = match node.worker_url {
            Some(_) => "went away",
            None => "worker restarted",
        };
        let text = format!("  {what} {} times", node.restarts);
        spans.push(Span::styled(text, theme.colour(Color::Yellow)));
    }
    if !facts.is_counted {
        let text = "  no numbers: its admin port does not answer";
        spans.push(Span::styled(text, theme.colour(Color::Yellow)));
    }
    Line::from(spans)
}

fn models(node: &Running, theme: Theme) -> Line<'static> {
    let of = |model: &Model| {
        let mut text = format!(" {}", harmless(&model.id));
        if let Some(parameters) = model.parameters {
            text.push_str(&format!(", {} parameters", count(parameters)));
        }
        if let Some(context) = model.context {
            text.push_str(&format!(", {} tokens", count(context)));
        }
        text
    };
    Line::from(vec![
        Span::styled("chat", theme.dim()),
        Span::raw(of(&node.chat)),
    ])
}

fn knowledge(node: &Running, theme: Theme) -> Line<'static> {
    let Some(embedding) = &node.embedding else {
        return Line::from(Span::styled(
            "no embedding model, so no knowledge",
            theme.dim(),
        ));
    };
    let mut spans = Vec::new();
    if let Some(knowledge) = &node.knowledge {
        let passages = count_or_none(knowledge.passages);
        spans.push(Span::styled("knows ", theme.dim()));
        let name = harmless(&knowledge.collection);
        spans.push(Span::raw(format!("{name}, {passages} passages  ")));
    }
    spans.push(Span::styled("by ", theme.dim()));
    spans.push(Span::raw(harmless(&embedding.id)));
    Line::from(spans)
}

/// What an owner named, without letters that would steer the terminal.
fn harmless(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).collect()
}

/// All panels that have something to say, the most important first; in pairs where there is room for two.
pub fn all(facts: &Facts, theme: Theme, width: u16) -> Vec<Panel> {
    let width = usize::from(width);
    let mut panels = vec![
        requests(facts, theme),
        speeds(facts, theme, width),
        latency(facts, theme, width),
        memory(facts, theme, width),
    ];
    panels.extend(tools(facts, theme, width));
    panels.extend(keys(facts, theme, width));
    panels
}

fn row(label: &str, value: String, style: Style) -> Line<'static> {
    Line::from(vec![
        Span::raw(format!("{label:<LABEL$}")),
        Span::styled(value, style),
    ])
}

fn requests(facts: &Facts, theme: Theme) -> Panel {
    let requests = &facts.requests;
    let is_some = |value: Option<u64>, colour| match value {
        Some(1..) => theme.colour(colour),
        _ => Style::new(),
    };
    let mut lines = vec![
        row("running", count_or_none(requests.running), theme.strong()),
        row(
            "waiting",
            count_or_none(requests.waiting),
            is_some(requests.waiting, Color::Yellow),
        ),
        row("answered", count_or_none(requests.answered), Style::new()),
        row("aborted", count_or_none(requests.aborted), Style::new()),
        row(
            "refused",
            count_or_none(requests.refused),
            is_some(requests.refused, Color::Red),
        ),
    ];
    if let (Some(reason), Some(refused)) = (requests.refused_for.first(), lines.last_mut()) {
        let text = format!(
            "  {} {}",
            count(reason.count),
            reason.name.replace('_', " ")
        );
        refused.push_span(Span::styled(text, theme.dim()));
    }
    Panel {
        title: "Requests".to_owned(),
        lines,
    }
}

fn speeds(facts: &Facts, theme: Theme, width: usize) -> Panel {
    let room = width.saturating_sub(LABEL);
    let mut lines = of_speed(
        "writing",
        &facts.speed.writing,
        theme.colour(Color::Cyan),
        room,
    );
    lines.extend(of_speed(
        "reading",
        &facts.speed.reading,
        theme.colour(Color::Magenta),
        room,
    ));
    Panel {
        title: "Tokens a second".to_owned(),
        lines,
    }
}

/// The name over the speed, and the curve beside both.
fn of_speed(name: &str, speed_of: &Speed, style: Style, room: usize) -> Vec<Line<'static>> {
    let curve = match speed_of.curve.len() {
        0..CURVE_POINTS_MIN => &[],
        _ => speed_of.curve.as_slice(),
    };
    let peak = bars::peak(curve, room);
    let value = match peak > 0.0 {
        true => format!("{} max {}", speed(speed_of.now), speed(Some(peak))),
        false => speed(speed_of.now),
    };
    let labels = [name.to_owned(), value];
    bars::curve(curve, room, CURVE_ROWS)
        .into_iter()
        .zip(labels)
        .map(|(bars, label)| {
            Line::from(vec![
                Span::raw(format!("{label:<LABEL$}")),
                Span::styled(bars, style),
            ])
        })
        .collect()
}

fn latency(facts: &Facts, theme: Theme, width: usize) -> Panel {
    let latency = &facts.latency;
    let has_room = width >= LABEL + 4 * 8;
    let of = |name: &str, latency: &Latency| {
        let minute = format!(
            "{:>8}{:>8}",
            time(latency.minute.p50),
            time(latency.minute.p95)
        );
        let mut line = row(name, minute, Style::new());
        if has_room {
            let all = format!("{:>8}{:>8}", time(latency.all.p50), time(latency.all.p95));
            line.push_span(Span::styled(all, theme.dim()));
        }
        line
    };
    let mut heading = format!("{:<LABEL$}{:>8}{:>8}", "", "p50", "p95");
    if has_room {
        heading.push_str(&format!("{:>8}{:>8}", "all p50", "all p95"));
    }
    Panel {
        title: "Time, last minute".to_owned(),
        lines: vec![
            Line::from(Span::styled(heading, theme.dim())),
            of("first token", &latency.first_token),
            of("gap", &latency.gap),
            of("waiting", &latency.queue),
            of("whole answer", &latency.whole),
        ],
    }
}

fn memory(facts: &Facts, theme: Theme, width: usize) -> Panel {
    let cache = &facts.cache;
    let cells = match (cache.kv_cells_used, cache.kv_cells) {
        (Some(used), Some(cells)) if cells > 0 => {
            let text = format!(" {} of {}", count(used), count(cells));
            let room = width.saturating_sub(LABEL + text.chars().count()).min(20);
            format!("{}{text}", bars::filled(used as f64 / cells as f64, room))
        }
        _ => NONE.to_owned(),
    };
    let minute = percent(cache.hit_share_minute);
    let all = format!("   all {}", percent(cache.hit_share));
    let mut hits = row("from cache", minute, Style::new());
    hits.push_span(Span::styled(all, theme.dim()));
    let mut lines = vec![row("KV cells", cells, theme.colour(Color::Blue)), hits];
    match facts.memory.is_empty() {
        true => lines.push(row("processes", NONE.to_owned(), Style::new())),
        false => lines.extend(
            facts
                .memory
                .iter()
                .map(|process| row(&harmless(&process.name), bytes(process.count), Style::new())),
        ),
    }
    Panel {
        title: "Memory".to_owned(),
        lines,
    }
}

fn tools(facts: &Facts, theme: Theme, width: usize) -> Option<Panel> {
    let name = width.saturating_sub(6 + 7 + 9).min(NAME);
    let lines = facts.tools.iter().map(|tool| {
        let bad = match tool.failures {
            0 => Style::new(),
            _ => theme.colour(Color::Red),
        };
        Line::from(vec![
            Span::raw(format!("{:<name$.name$}", harmless(&tool.name))),
            Span::raw(format!("{:>6}", count(tool.calls))),
            Span::styled(format!("{:>7}", count(tool.failures)), bad),
            Span::raw(format!("{:>9}", time(Some(tool.seconds_each)))),
        ])
    });
    listed("Tools: calls, failed, time each", lines.collect())
}

fn keys(facts: &Facts, theme: Theme, width: usize) -> Option<Panel> {
    let name = width.saturating_sub(6 + 18).min(NAME);
    let lines = facts.keys.iter().map(|key| {
        let of = key.tokens_max.map(|most| format!(" of {}", count(most)));
        let tokens = format!("{}{}", count(key.tokens), of.unwrap_or_default());
        let style = match key.tokens_max {
            Some(most) if key.tokens >= most => theme.colour(Color::Red),
            _ => Style::new(),
        };
        Line::from(vec![
            Span::raw(format!("{:<name$.name$}", harmless(&key.name))),
            Span::raw(format!("{:>6}", count(key.requests))),
            Span::styled(format!("{tokens:>18}"), style),
        ])
    });
    listed("Keys today: requests, tokens", lines.collect())
}

/// A list with an end; none where there is nothing to list.
fn listed(title: &str, mut lines: Vec<Line<'static>>) -> Option<Panel> {
    let all = lines.len();
    lines.truncate(LISTED_MAX);
    let more = match all - lines.len() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    (all > 0).then(|| Panel {
        title: format!("{title}{more}"),
        lines,
    })
}
