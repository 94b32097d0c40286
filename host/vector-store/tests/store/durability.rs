//! What was acknowledged survives kill -9; one process has a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::support::{Client, Process, vector};
use serde_json::{Value, json};

const SEED_DEFAULT: u64 = 20_261_121;
const ROUNDS: u64 = 5;
const WRITERS: u64 = 3;

/// Splitmix64: a seed in, the same numbers out.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// What clients were told: `Some(revision)` was written, `None` was deleted. A request without an
/// answer may have happened or not; its points are in `open`.
#[derive(Default)]
struct Told {
    points: BTreeMap<u64, Option<u64>>,
    open: BTreeSet<u64>,
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let seed = std::env::var("GAIA_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(SEED_DEFAULT);
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random(seed);
    let told = Mutex::new(Told::default());
    let revision = AtomicU64::new(0);
    for round in 0..ROUNDS {
        let server = Process::start(dir.path());
        let mut client = server.client();
        if round == 0 {
            // A low threshold keeps the optimiser busy, so that kills hit it at work.
            client.ok(
                "PUT",
                "/collections/a",
                json!({
                    "vectors": {"size": 4, "distance": "Cosine"},
                    "optimizers_config": {"indexing_threshold": 1, "vacuum_min_vector_number": 100},
                }),
            );
        }
        check(&told.lock().unwrap(), &server, seed, round);
        let life = Duration::from_millis(50 + random.below(1_500));
        let seeds: Vec<u64> = (0..WRITERS).map(|_| random.below(u64::MAX)).collect();
        std::thread::scope(|scope| {
            for (writer, seed) in seeds.into_iter().enumerate() {
                let (told, revision, client) = (&told, &revision, server.client());
                scope.spawn(move || write(writer as u64, Random(seed), client, told, revision));
            }
            std::thread::sleep(life);
            server.kill();
        });
    }
    let server = Process::start(dir.path());
    check(&told.lock().unwrap(), &server, seed, ROUNDS);
    let told = told.into_inner().unwrap();
    assert!(
        told.points.len() > 50,
        "only {} points were acknowledged: this shows nothing",
        told.points.len()
    );
}

/// Writes and deletes in its own range of ids until the server is gone.
fn write(
    writer: u64,
    mut random: Random,
    mut client: Client,
    told: &Mutex<Told>,
    revision: &AtomicU64,
) {
    loop {
        let first = writer * 10_000 + random.below(2_000);
        let ids: Vec<u64> = (first..first + 1 + random.below(20)).collect();
        let delete = random.below(5) == 0;
        let number = revision.fetch_add(1, Ordering::Relaxed);
        told.lock().unwrap().open.extend(&ids);
        let answer = if delete {
            client.call(
                "POST",
                "/collections/a/points/delete?wait=true",
                &json!({ "points": ids }),
            )
        } else {
            let points: Vec<Value> = ids
                .iter()
                .map(|id| json!({"id": id, "vector": vector(*id), "payload": {"revision": number}}))
                .collect();
            client.call(
                "PUT",
                "/collections/a/points?wait=true",
                &json!({ "points": points }),
            )
        };
        let Some((status, reply)) = answer else {
            return;
        };
        assert_eq!(
            (status, &reply["result"]["status"]),
            (200, &json!("completed")),
            "{reply}"
        );
        let mut told = told.lock().unwrap();
        for id in ids {
            told.open.remove(&id);
            told.points.insert(id, (!delete).then_some(number));
        }
    }
}

fn check(told: &Told, server: &Process, seed: u64, round: u64) {
    let mut client = server.client();
    let expected: BTreeMap<u64, Option<u64>> = told
        .points
        .iter()
        .filter(|(id, _)| !told.open.contains(id))
        .map(|(id, revision)| (*id, *revision))
        .collect();
    let ids: Vec<u64> = expected.keys().copied().collect();
    let mut found = BTreeMap::new();
    for ids in ids.chunks(1_000) {
        let points = client.ok("POST", "/collections/a/points", json!({ "ids": ids }));
        for point in points.as_array().unwrap() {
            found.insert(
                point["id"].as_u64().unwrap(),
                point["payload"]["revision"].as_u64(),
            );
        }
    }
    for (id, revision) in &expected {
        let actual = found.get(id).copied().flatten();
        assert_eq!(
            actual, *revision,
            "point {id} after kill {round}, seed {seed}"
        );
    }
}

#[test]
fn collections_are_whole_or_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random(SEED_DEFAULT);
    let mut created: BTreeSet<String> = BTreeSet::new();
    for round in 0..4 {
        let server = Process::start(dir.path());
        let mut client = server.client();
        let listed = client.ok("GET", "/collections", Value::Null);
        let listed: BTreeSet<String> = listed["collections"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["name"].as_str().unwrap().to_owned())
            .collect();
        assert!(
            created.is_subset(&listed),
            "round {round}: {created:?} in {listed:?}"
        );
        for name in &listed {
            client.ok(
                "POST",
                &format!("/collections/{name}/points/count"),
                Value::Null,
            );
        }
        let life = Duration::from_millis(20 + random.below(300));
        std::thread::scope(|scope| {
            let created = &mut created;
            scope.spawn(move || {
                for number in 0.. {
                    let name = format!("c-{round}-{number}");
                    let body = json!({"vectors": {"size": 4, "distance": "Dot"}, "wal_config": {"wal_capacity_mb": 1}});
                    match client.call("PUT", &format!("/collections/{name}"), &body) {
                        Some((200, _)) => drop(created.insert(name.clone())),
                        _ => return,
                    }
                    if number % 2 == 1 {
                        created.remove(&name);
                        match client.call("DELETE", &format!("/collections/{name}"), &Value::Null) {
                            Some((200, _)) => {}
                            _ => return,
                        }
                    }
                }
            });
            std::thread::sleep(life);
            server.kill();
        });
    }
}

#[test]
fn a_drop_under_a_running_optimisation_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Process::start(dir.path());
    for round in 0..3 {
        let mut client = server.client();
        client.ok("PUT", "/collections/a", json!({
            "vectors": {"size": 4, "distance": "Cosine"},
            "optimizers_config": {"indexing_threshold": 1}, "hnsw_config": {"full_scan_threshold": 1},
        }));
        let points: Vec<Value> = (1..=3_000)
            .map(|id| json!({"id": id, "vector": vector(id)}))
            .collect();
        client.ok(
            "PUT",
            "/collections/a/points?wait=true",
            json!({ "points": points }),
        );
        let mut other = server.client();
        std::thread::scope(|scope| {
            scope.spawn(move || other.call("POST", "/collections/a/optimize", &Value::Null));
            std::thread::sleep(Duration::from_millis(20 * round));
            assert_eq!(
                client.ok("DELETE", "/collections/a", Value::Null),
                json!(true)
            );
        });
    }
    let mut client = server.client();
    client.ok(
        "PUT",
        "/collections/a",
        json!({"vectors": {"size": 4, "distance": "Dot"}}),
    );
    assert_eq!(
        client.ok("POST", "/collections/a/points/count", Value::Null)["count"],
        0
    );
    let folders = || {
        std::fs::read_dir(dir.path().join("collections"))
            .unwrap()
            .count()
    };
    for _ in 0..200 {
        if folders() == 1 {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{} folders are left", folders());
}

#[test]
fn one_process_has_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let server = Process::start(dir.path());
    let second = Command::new(env!("CARGO_BIN_EXE_gaia-vector-store"))
        .arg(dir.path())
        .arg("127.0.0.1:0")
        .output()
        .unwrap();
    assert!(!second.status.success());
    let message = String::from_utf8(second.stderr).unwrap();
    assert!(message.contains("in use by another process"), "{message}");
    server.kill();
    Process::start(dir.path()).kill();
}

#[test]
fn sigterm_ends_it_with_everything_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let server = Process::start(dir.path());
    let mut client = server.client();
    client.ok(
        "PUT",
        "/collections/a",
        json!({"vectors": {"size": 4, "distance": "Dot"}}),
    );
    client.ok(
        "PUT",
        "/collections/a/points",
        json!({"points": [{"id": 1, "vector": vector(1)}]}),
    );
    drop(client);
    assert!(
        Command::new("kill")
            .arg(server.pid().to_string())
            .status()
            .unwrap()
            .success()
    );
    assert!(server.wait());
    let server = Process::start(dir.path());
    assert_eq!(
        server
            .client()
            .ok("POST", "/collections/a/points/count", Value::Null)["count"],
        1
    );
}
