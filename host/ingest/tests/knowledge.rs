//! Adding, changing, removing, interrupting: against the real vector store.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

#[path = "knowledge/real_store.rs"]
mod real_store;
#[path = "knowledge/stand_in.rs"]
mod stand_in;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gaia_ingest::{
    Endpoint, Holding, IngestError, Options, Report, Store, Worker, WorkerError, find, ingest,
    search, search_among,
};
use gaia_rag::evaluation::Question;
use real_store::RealStore;
use stand_in::{Behaviour, StandIn};

/// A node's two services and a folder of documents.
struct Setting {
    worker: StandIn,
    store: RealStore,
    folder: tempfile::TempDir,
}

impl Setting {
    fn new(behaviour: Behaviour) -> Self {
        Self {
            worker: StandIn::start(behaviour),
            store: RealStore::start(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn add(&self, name: Option<&str>) -> Result<Report, IngestError> {
        add(
            &self.worker.endpoint,
            &self.store.endpoint,
            self.folder.path(),
            name,
        )
    }

    fn check_add(&self, expected: &str) {
        let report = self.add(Some("k")).unwrap();
        let counts = [
            ("added", report.added),
            ("replaced", report.replaced),
            ("unchanged", report.unchanged),
            ("empty", report.empty),
            ("dropped", report.dropped),
            ("skipped", report.skipped.len()),
        ];
        let text: Vec<String> = counts
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(word, count)| format!("{count} {word}"))
            .collect();
        assert_eq!(text.join(", "), expected);
        self.check_whole();
    }

    /// What is in the store is what a first run over the same folder would have written.
    fn check_whole(&self) {
        let fresh = RealStore::start();
        add(
            &self.worker.endpoint,
            &fresh.endpoint,
            self.folder.path(),
            Some("k"),
        )
        .unwrap();
        assert_eq!(self.store.points(), fresh.points());
        assert!(
            self.store
                .collection()
                .documents()
                .unwrap()
                .values()
                .all(gaia_ingest::Held::is_complete)
        );
    }
}

fn add(
    worker: &Endpoint,
    store: &Endpoint,
    folder: &Path,
    name: Option<&str>,
) -> Result<Report, IngestError> {
    let worker = Worker::new(worker.clone());
    let store = Store::new(store.clone(), "default");
    let sources = find(folder, name).unwrap();
    ingest(
        &worker,
        &store,
        sources,
        Options::default(),
        &mut std::io::empty(),
        &mut |_| {},
    )
}

fn document(topic: &str, sections: usize) -> String {
    let section = |n: usize| {
        format!(
            "## {topic} part {n}\n\nThe {topic} number {n} is here. It has a fact about {n}.\n\n"
        )
    };
    format!(
        "# {topic}\n\n{}",
        (0..sections).map(section).collect::<String>()
    )
}

#[test]
fn a_folder_is_followed_through_its_changes() {
    let setting = Setting::new(Behaviour::default());
    setting.write("a.md", document("apples", 5));
    setting.write(
        "b/c.txt",
        "Plain words about pears.\n\nAnd a second paragraph.",
    );
    setting.write("d.html", "<h1>Dates</h1><p>They grow on palms.");
    setting.write("picture.png", [0x89, 0, 1]);
    setting.write("binary.txt", [0, 1, 2]);
    setting.write("empty.md", " \n");
    setting.check_add("3 added, 1 empty, 2 skipped");

    let embedded = setting.worker.embedded();
    let before = setting.store.points();
    let report = setting.add(Some("k")).unwrap();
    assert_eq!((report.unchanged, report.passages), (3, 0));
    assert_eq!(
        setting.worker.embedded(),
        embedded,
        "nothing is embedded again"
    );
    assert_eq!(setting.store.points(), before);

    setting.write("a.md", document("apples", 2));
    setting.write("e.md", document("elderberries", 1));
    fs::remove_file(setting.folder.path().join("d.html")).unwrap();
    setting.check_add("1 added, 1 replaced, 1 unchanged, 1 empty, 1 dropped, 2 skipped");

    setting.write("a.md", "");
    setting.check_add("2 unchanged, 2 empty, 2 skipped");
}

#[test]
fn passages_are_exactly_where_they_say() {
    let setting = Setting::new(Behaviour::default());
    let text = format!("Vörwort — 序。\n\n{}", document("grün", 30));
    setting.write("a.md", &text);
    setting.add(None).unwrap();
    let points = setting.store.points();
    assert!(points.len() >= 30, "{}", points.len());
    for payload in points.values() {
        let at = |key: &str| usize::try_from(payload[key].as_u64().unwrap()).unwrap();
        let there: String = text
            .chars()
            .skip(at("start"))
            .take(at("end") - at("start"))
            .collect();
        assert_eq!(payload["source"], there);
        assert_eq!(at("chunks"), points.len());
    }
}

#[test]
fn search_finds_the_passage() {
    let setting = Setting::new(Behaviour {
        dimensions: 512,
        ..Behaviour::default()
    });
    setting.write("a.md", document("apples", 3));
    setting.write("b.md", document("bananas", 3));
    setting.add(Some("k")).unwrap();
    let worker = Worker::new(setting.worker.endpoint.clone());
    let hits = search(&worker, &setting.store.collection(), "bananas number 2", 3).unwrap();
    let right = |heading: &str| Question {
        question: String::new(),
        document: "b.md".into(),
        heading: heading.into(),
    };
    assert_eq!(right("bananas part 2").rank(&hits), Some(1), "{hits:?}");
    assert_eq!(right("bananas part 7").rank(&hits), None);
    let store = setting.store.collection();
    let among =
        |origins: &[&str]| search_among(&worker, &store, "bananas number 2", 3, origins).unwrap();
    let held = store.documents().unwrap();
    let (_, here) = held.iter().next().unwrap();
    assert_eq!(among(&["elsewhere", &here.origin]), hits);
    assert_eq!(among(&["elsewhere"]), []);
}

#[test]
fn removing_leaves_the_others() {
    let setting = Setting::new(Behaviour::default());
    setting.write("a.md", document("apples", 3));
    setting.write("b.md", document("bananas", 3));
    setting.add(Some("k")).unwrap();
    setting.store.collection().remove("k/a.md", None).unwrap();
    let documents = setting.store.collection().documents().unwrap();
    assert_eq!(documents.keys().collect::<Vec<_>>(), ["k/b.md"]);
}

#[test]
fn a_collection_has_the_digest_of_what_is_in_it() {
    let setting = Setting::new(Behaviour::default());
    let holding = |setting: &Setting| setting.store.collection().holding().unwrap();
    assert_eq!(holding(&setting), Holding::Nothing);
    setting.write("a.md", document("a", 3));
    setting.write("b.md", document("b", 2));
    setting.check_add("2 added");
    let Holding::Digest(both) = holding(&setting) else {
        panic!("{:?}", holding(&setting));
    };
    // Elsewhere, added in another order, it is the same.
    let other = Setting::new(Behaviour::default());
    other.write("b.md", document("b", 2));
    other.check_add("1 added");
    assert_ne!(holding(&other), Holding::Digest(both));
    other.write("a.md", document("a", 3));
    other.check_add("1 added, 1 unchanged");
    assert_eq!(holding(&other), Holding::Digest(both));
    other.write("a.md", document("c", 3));
    other.check_add("1 replaced, 1 unchanged");
    assert_ne!(holding(&other), Holding::Digest(both));
    // A passage that belongs to no document counts.
    let nameless = serde_json::json!({"points": [{
        "id": 7, "vector": vec![0.5; other.store.collection().dimensions().unwrap().unwrap()],
        "payload": {"source": "from a snapshot"},
    }]});
    let url = format!(
        "{}/collections/default/points?wait=true",
        setting.store.endpoint.url
    );
    let put = ureq::put(url).header("api-key", real_store::KEY);
    put.header("content-type", "application/json")
        .send(nameless.to_string())
        .unwrap();
    assert!(matches!(holding(&setting), Holding::Digest(digest) if digest != both));
}

#[test]
fn the_same_name_from_another_place_is_refused() {
    let setting = Setting::new(Behaviour::default());
    setting.write("one/docs/a.md", document("apples", 1));
    setting.write("two/docs/a.md", document("bananas", 1));
    let add = |place: &str, name| {
        let folder = setting.folder.path().join(place);
        add(
            &setting.worker.endpoint,
            &setting.store.endpoint,
            &folder,
            name,
        )
    };
    add("one/docs", None).unwrap();
    let before = setting.store.points();
    assert!(
        matches!(add("two/docs", None), Err(IngestError::OtherOrigin { name }) if name == "docs/a.md")
    );
    assert_eq!(setting.store.points(), before);
    assert_eq!(add("two/docs", Some("other")).unwrap().added, 1);
    assert_eq!(add("two/docs", Some("docs")).unwrap().replaced, 1);
}

#[test]
fn another_embedding_model_is_noticed() {
    let setting = Setting::new(Behaviour::default());
    setting.write("a.md", document("apples", 1));
    setting.add(None).unwrap();
    let before = setting.store.points();
    let other = StandIn::start(Behaviour {
        dimensions: 32,
        ..Behaviour::default()
    });
    setting.write("b.md", document("bananas", 1));
    let error = add(
        &other.endpoint,
        &setting.store.endpoint,
        setting.folder.path(),
        None,
    )
    .unwrap_err();
    assert!(
        matches!(
            error,
            IngestError::Dimensions {
                held: 64,
                made: 32,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(setting.store.points(), before);
}

#[test]
fn what_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.md"), "text").unwrap();
    let nowhere = Endpoint {
        name: "store",
        url: "http://127.0.0.1:1".into(),
        key: None,
    };
    let without = StandIn::start(Behaviour {
        has_model: false,
        ..Behaviour::default()
    });
    let error = add(&without.endpoint, &nowhere, folder.path(), None).unwrap_err();
    assert!(
        matches!(error, IngestError::Worker(WorkerError::NoEmbeddingModel)),
        "{error}"
    );

    let worker = StandIn::start(Behaviour::default());
    let error = add(&worker.endpoint, &nowhere, folder.path(), None)
        .unwrap_err()
        .to_string();
    assert_eq!(error, "the store at http://127.0.0.1:1 does not answer");

    let wrong = Endpoint {
        key: Some("wrong".into()),
        ..worker.endpoint.clone()
    };
    let error = add(&wrong, &nowhere, folder.path(), None)
        .unwrap_err()
        .to_string();
    assert_eq!(error, "the worker answered 401 to /v1/info: wrong key");
}

/// The process that is killed: this test program, told by its environment what to add.
#[test]
fn child_that_adds() {
    let Ok(task) = std::env::var("GAIA_INGEST_CHILD") else {
        return;
    };
    let [worker, store, folder] = task.split('|').collect::<Vec<_>>().try_into().unwrap();
    let endpoint = |name, url: &str, key: &str| Endpoint {
        name,
        url: url.to_owned(),
        key: Some(key.to_owned()),
    };
    let worker = endpoint("worker", worker, stand_in::KEY);
    let store = endpoint("store", store, real_store::KEY);
    add(&worker, &store, Path::new(folder), Some("k")).unwrap();
}

#[test]
fn killed_at_random_points_nothing_is_lost_or_doubled() {
    let seed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_nanos() as u64;
    println!("seed {seed}");
    let mut random = seed | 1;
    let setting = Setting::new(Behaviour {
        embedding_millis: 15,
        ..Behaviour::default()
    });
    setting.write("large.md", document("mountain", 150));
    for n in 0..8 {
        setting.write(&format!("{n}.md"), document(&format!("hill {n}"), 4));
    }
    let mut interrupted = 0;
    for round in 0..6 {
        // Every other round there is an older version to replace and a document to drop.
        setting.write(
            "3.md",
            document(&format!("hill changed {}", round / 2), 2 + round),
        );
        setting.write(
            "large.md",
            document(&format!("mountain {}", round / 2), 150 - 20 * round),
        );
        let _ = fs::remove_file(setting.folder.path().join(format!("{round}.md")));
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        interrupted += usize::from(kill_while_adding(&setting, random as usize));
    }
    assert!(
        interrupted >= 3,
        "only {interrupted} of 6 rounds were interrupted"
    );
    setting.add(Some("k")).unwrap();
    setting.check_whole();
}

/// Kills the process after some embeddings and some milliseconds. Gives whether it was still at work.
fn kill_while_adding(setting: &Setting, random: usize) -> bool {
    let folder = setting.folder.path().display();
    let task = format!(
        "{}|{}|{folder}",
        setting.worker.endpoint.url, setting.store.endpoint.url
    );
    let texts = setting.worker.embedded() + random % 90;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child_that_adds", "--exact"])
        .env("GAIA_INGEST_CHILD", task)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while setting.worker.embedded() < texts && child.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(Duration::from_millis((random / 90 % 30) as u64));
    child.kill().unwrap();
    !child.wait().unwrap().success()
}
