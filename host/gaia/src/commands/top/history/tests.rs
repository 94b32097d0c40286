//! Rates and quantiles of readings made by hand.

use super::super::sighting::Running;
use super::*;

/// A sighting at `second` of a node that counted `lines`.
fn seen(second: u64, lines: &str) -> Sighting {
    Sighting {
        at: Duration::from_secs(second),
        node: Node::Running(Box::default()),
        counts: Some(Exposition::parse(lines)),
        ..Sighting::default()
    }
}

fn history(sightings: &[(u64, &str)]) -> History {
    let mut history = History::default();
    for (second, lines) in sightings {
        history.push(seen(*second, lines));
    }
    history
}

const PIECES: &str = "gaia_inter_token_latency_seconds_count";

#[test]
fn speeds_are_what_was_counted_in_between() {
    let lines = |pieces| format!("{PIECES} {pieces}");
    let history = history(&[(0, &lines(100)), (1, &lines(150)), (2, &lines(170))]);
    let writing = history.facts().speed.writing;
    assert_eq!(writing.curve, [0.0, 50.0, 20.0]);
    assert_eq!(writing.now, Some(35.0), "over all that is recent");
}

#[test]
fn what_the_cache_held_was_not_read() {
    let lines = |prompt, cached| format!("{PROMPT_TOKENS} {prompt}\n{CACHED_TOKENS} {cached}");
    let facts = history(&[(0, &lines(100, 80)), (1, &lines(300, 130))]).facts();
    assert_eq!(facts.speed.reading.now, Some(150.0));
    assert_eq!(facts.cache.hit_share_minute, Some(0.25));
    assert_eq!(facts.cache.hit_share, Some(130.0 / 300.0));
}

#[test]
fn a_node_that_was_started_again_counts_from_nothing() {
    let mut history = history(&[
        (0, "gaia_uptime_seconds 900\ngaia_prompt_tokens_total 5000"),
        (1, "gaia_uptime_seconds 0\ngaia_prompt_tokens_total 0"),
    ]);
    assert_eq!(history.counted.len(), 1);
    assert_eq!(history.facts().speed.reading.now, None);
    history.push(seen(
        2,
        "gaia_uptime_seconds 1\ngaia_prompt_tokens_total 30",
    ));
    let reading = history.facts().speed.reading;
    assert_eq!(reading.now, Some(30.0));
    assert_eq!(reading.curve, [0.0, 0.0, 30.0], "the curve stays");
}

#[test]
fn a_node_that_is_gone_leaves_no_numbers() {
    let mut history = history(&[(0, "gaia_requests_running 2")]);
    assert_eq!(history.facts().requests.running, Some(2));
    history.push(Sighting {
        at: Duration::from_secs(1),
        ..Sighting::default()
    });
    let facts = history.facts();
    assert_eq!((facts.node, facts.is_counted), (None, false));
    assert_eq!(facts.requests, Requests::default());
}

#[test]
fn times_are_of_the_last_minute_and_of_all() {
    let lines = |fast, slow| {
        format!(
            "{GAP}_bucket{{le=\"0.01\"}} {fast}\n{GAP}_bucket{{le=\"0.02\"}} {slow}\n{GAP}_bucket{{le=\"+Inf\"}} {slow}"
        )
    };
    let gap = history(&[(0, &lines(100, 100)), (1, &lines(100, 110))])
        .facts()
        .latency
        .gap;
    assert_eq!((gap.minute.count, gap.all.count), (10, 110));
    assert!(gap.minute.p50 > Some(0.0149) && gap.all.p50 < Some(0.01));
}

#[test]
fn the_past_has_an_end() {
    let mut history = History::default();
    for second in 0..1_000 {
        history.push(seen(second, "gaia_uptime_seconds 1"));
    }
    assert_eq!(history.counted.len(), 61);
    assert_eq!(history.writing.len(), POINTS_MAX);
    for _ in 0..SIGHTINGS_MAX * 2 {
        history.push(seen(1_000, "gaia_uptime_seconds 1"));
    }
    assert_eq!(history.counted.len(), SIGHTINGS_MAX);
}

#[test]
fn who_was_sent_away_is_counted_wherever_it_was() {
    let facts = history(&[(
        0,
        "gaia_refused_total 3\n\
         gaia_ingress_refused_total{reason=\"invalid_api_key\"} 5\n\
         gaia_ingress_refused_total{reason=\"other\"} 0",
    )])
    .facts();
    assert_eq!(facts.requests.refused, Some(8));
    let named: Vec<_> = facts
        .requests
        .refused_for
        .iter()
        .map(|r| &*r.name)
        .collect();
    assert_eq!(named, ["invalid_api_key", "queue_full"]);
}

#[test]
fn tools_are_listed_by_use() {
    let facts = history(&[(
        0,
        "gaia_tool_calls_total{tool=\"a\"} 1\ngaia_tool_calls_total{tool=\"b\"} 4\n\
         gaia_tool_seconds_total{tool=\"b\"} 2\ngaia_tool_failures_total{tool=\"b\"} 1",
    )])
    .facts();
    let expected = Tool {
        name: "b".to_owned(),
        calls: 4,
        failures: 1,
        seconds_each: 0.5,
    };
    assert_eq!(facts.tools[0], expected);
    assert_eq!(facts.tools[1].name, "a");
}

#[test]
fn an_older_node_that_counts_less_is_shown_with_gaps() {
    let facts = history(&[(0, "gaia_requests_running 1")]).facts();
    assert_eq!(facts.node, Some(Running::default()));
    assert_eq!(facts.cache, Cache::default());
    assert_eq!(facts.requests.refused, None);
    assert!(facts.memory.is_empty() && facts.tools.is_empty());
}
