//! The screen of `gaia top`, drawn from facts.
//!
//! Pure. What matters most stands on top, so that a small terminal loses what matters least. Without colours nothing
//! is lost: they only repeat what the words say.

mod bars;
mod log;
mod numbers;
mod panels;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Padding, Paragraph};

use super::facts::Facts;
use panels::Panel;

/// Narrower than this, panels stand below each other.
const TWO_COLUMNS_MIN: u16 = 72;
/// The room between two columns.
const GUTTER: u16 = 2;
/// A log of fewer rows, its title included, is left out.
const LOG_ROWS_MIN: u16 = 2;

/// What the reader of the screen chose.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wishes {
    /// No colours.
    pub plain: bool,
    /// The picture stands still.
    pub is_paused: bool,
    /// The help is shown.
    pub helps: bool,
    /// There are no keys to press: the picture is printed.
    pub is_printed: bool,
}

impl Wishes {
    /// For a picture on paper.
    pub const PRINTED: Self = Self {
        plain: true,
        is_paused: false,
        helps: false,
        is_printed: true,
    };

    /// For somebody at a terminal, who may want no colours.
    pub fn on_a_screen(plain: bool) -> Self {
        Self {
            plain,
            ..Self::default()
        }
    }
}

/// How things are set apart.
#[derive(Debug, Clone, Copy)]
struct Theme {
    plain: bool,
}

impl Theme {
    fn colour(self, colour: Color) -> Style {
        match self.plain {
            true => Style::new().add_modifier(Modifier::BOLD),
            false => Style::new().fg(colour),
        }
    }

    fn dim(self) -> Style {
        match self.plain {
            true => Style::new(),
            false => Style::new().add_modifier(Modifier::DIM),
        }
    }

    fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }
}

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, facts: &Facts, wishes: Wishes) {
    let theme = Theme {
        plain: wishes.plain,
    };
    let footer_rows = u16::from(!wishes.is_printed);
    let [body, footer] = Layout::vertical([Constraint::Fill(1), Constraint::Length(footer_rows)])
        .areas(frame.area());
    draw_body(frame, body, facts, theme);
    frame.render_widget(Paragraph::new(keys(wishes, theme)), footer);
    if wishes.helps {
        draw_help(frame, theme);
    }
}

fn draw_body(frame: &mut Frame<'_>, area: Rect, facts: &Facts, theme: Theme) {
    let head = panels::head(facts, theme);
    let mut rest = area;
    place(frame, &mut rest, head.len(), |frame, row| {
        frame.render_widget(Paragraph::new(head), row);
    });
    if facts.node.is_some() {
        draw_panels(frame, &mut rest, facts, theme);
    }
    if rest.height >= LOG_ROWS_MIN {
        let log = log::panel(facts, theme, rest.height - 1);
        draw_panel(frame, rest, log, theme);
    }
}

fn draw_panels(frame: &mut Frame<'_>, rest: &mut Rect, facts: &Facts, theme: Theme) {
    let is_wide = rest.width >= TWO_COLUMNS_MIN;
    let columns = match is_wide {
        true => Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).spacing(GUTTER),
        false => Layout::horizontal([Constraint::Fill(1)]),
    };
    let width = columns.split(*rest)[0].width;
    let panels = panels::all(facts, theme, width);
    for band in panels.chunks(if is_wide { 2 } else { 1 }) {
        let rows = band.iter().map(|panel| panel.lines.len() + 1).max();
        place(frame, rest, rows.unwrap_or_default(), |frame, row| {
            for (panel, cell) in band.iter().zip(columns.split(row).iter()) {
                draw_panel(frame, *cell, panel.clone(), theme);
            }
        });
    }
}

/// Takes `rows` from the top of `rest`, or as many as there are.
fn place(
    frame: &mut Frame<'_>,
    rest: &mut Rect,
    rows: usize,
    draw: impl FnOnce(&mut Frame<'_>, Rect),
) {
    let rows = u16::try_from(rows).unwrap_or(u16::MAX).min(rest.height);
    let row = Rect {
        height: rows,
        ..*rest
    };
    rest.y += rows;
    rest.height -= rows;
    if rows > 0 {
        draw(frame, row);
    }
}

fn draw_panel(frame: &mut Frame<'_>, area: Rect, panel: Panel, theme: Theme) {
    let title = Line::from(vec![
        Span::styled("── ", theme.dim()),
        Span::styled(panel.title, theme.strong()),
        Span::styled(
            format!(" {}", "─".repeat(usize::from(area.width))),
            theme.dim(),
        ),
    ]);
    let mut lines = vec![title];
    lines.extend(panel.lines);
    frame.render_widget(Paragraph::new(lines), area);
}

fn keys(wishes: Wishes, theme: Theme) -> Line<'static> {
    let pause = match wishes.is_paused {
        true => "p goes on",
        false => "p pauses",
    };
    let mut spans = vec![Span::styled(
        format!("q quits   {pause}   ? explains"),
        theme.dim(),
    )];
    if wishes.is_paused {
        spans.push(Span::raw("   "));
        spans.push(Span::styled("PAUSED", theme.colour(Color::Yellow)));
    }
    Line::from(spans)
}

const HELP: &str = "\
Requests       since the worker's start; running and
               waiting are those of this moment.
Tokens/s       writing: pieces of answers as they come.
               reading: prompts without what the cache
               held, counted when an answer ends.
First token    from the request to its first token.
Gap            between two pieces of one answer.
Waiting        in the queue, before a place was free.
p50, p95       half, and 19 of 20, were at most this.
KV cells       the models' memory of what they read.
From cache     share of prompts not read again.

q, Esc, Ctrl-C quit    p pause    ? close this";

fn draw_help(frame: &mut Frame<'_>, theme: Theme) {
    let rows = HELP.lines().count() as u16 + 2;
    let area = frame
        .area()
        .centered(Constraint::Max(58), Constraint::Max(rows));
    let block = Block::bordered()
        .title(Span::styled(" What is what ", theme.strong()))
        .padding(Padding::horizontal(1));
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(HELP).block(block), area);
}

#[cfg(test)]
mod tests;
