//! Keys as people and programs read them: everything but the key and its hash.

use gaia_ingress::keys::{Instant, NamedKey, Used};
use serde_json::{Value, json};

use crate::terminal::{Terminal, Tint};

/// One key, in lines.
pub fn whole(key: &NamedKey, used: Option<&Used>, now: Instant) -> String {
    let used = used.copied().unwrap_or_default();
    let today = used.today(now);
    [
        format!("name        {}", key.name),
        format!(
            "id          {} (the key begins with gaia_{}_)",
            key.id, key.id
        ),
        format!("opens       {}", scopes(key)),
        format!("rate        {}", rate(key)),
        format!("tokens      {}, {} today", tokens(key), today.tokens),
        format!("requests    {} today", today.requests),
        format!("last used   {}", last_used(used.last_used)),
        format!("made        {}", key.created),
        format!("ends        {}", end(key, now)),
    ]
    .join("\n")
}

/// One key in a list.
pub fn line(terminal: &Terminal, key: &NamedKey, used: Option<&Used>, now: Instant) -> String {
    let used = used.copied().unwrap_or_default();
    let today = used.today(now);
    let name = terminal.out(Tint::Bold, &key.name);
    format!(
        "{}  {name}  {}; {}; {}\n          today {}, {}; last used {}; ends {}",
        key.id,
        scopes(key),
        rate(key),
        tokens(key),
        counted(today.requests, "request"),
        counted(today.tokens, "token"),
        last_used(used.last_used),
        end(key, now),
    )
}

/// So many of what has a name, as people say it.
fn counted(count: u64, name: &str) -> String {
    match count {
        1 => format!("1 {name}"),
        _ => format!("{count} {name}s"),
    }
}

fn scopes(key: &NamedKey) -> String {
    let words: Vec<_> = key.scopes.iter().map(|scope| scope.as_str()).collect();
    words.join(", ")
}

fn rate(key: &NamedKey) -> String {
    let rate = key.rate_per_minute;
    rate.map_or_else(|| "any rate".to_owned(), |rate| format!("{rate}/min"))
}

fn tokens(key: &NamedKey) -> String {
    let tokens = key.tokens_per_day;
    tokens.map_or_else(
        || "any tokens".to_owned(),
        |tokens| format!("{tokens} tokens/day"),
    )
}

fn last_used(seconds: u64) -> String {
    match seconds {
        0 => "never".to_owned(),
        seconds => Instant::from_unix_seconds(seconds).to_string(),
    }
}

fn end(key: &NamedKey, now: Instant) -> String {
    match key.expires {
        None => "never".to_owned(),
        Some(end) if key.is_expired(now) => format!("{end} (over)"),
        Some(end) => end.to_string(),
    }
}

/// Without the hash: nobody needs it.
pub fn to_json(key: &NamedKey, used: Option<&Used>, now: Instant) -> Value {
    let used = used.copied().unwrap_or_default();
    let today = used.today(now);
    let last_used = (used.last_used > 0).then(|| last_used(used.last_used));
    json!({
        "id": key.id.as_str(),
        "name": key.name,
        "scopes": key.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>(),
        "rate_per_minute": key.rate_per_minute,
        "tokens_per_day": key.tokens_per_day,
        "created": key.created.to_string(),
        "expires": key.expires.map(|end| end.to_string()),
        "expired": key.is_expired(now),
        "requests_today": today.requests,
        "tokens_today": today.tokens,
        "last_used": last_used,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        let check = |count, expected: &str| assert_eq!(counted(count, "request"), expected);
        check(0, "0 requests");
        check(1, "1 request");
        check(2, "2 requests");
    }
}
