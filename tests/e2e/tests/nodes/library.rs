//! Files and vector stores: handed in, brought in, searched, also over a kill in the middle.

use std::fmt::Write as _;

use e2e::http;
use e2e::node::{Node, READY_LIMIT};
use e2e::process::{is_alive, signal, wait_for};
use serde_json::{Value, json};

const FACTS: &str = "# Brellin\n\nThe lighthouse of Brellin was built in 1874 by Ansa Torvik and is 31 metres high.\n\n\
    ## The bakery\n\nThe bakery of Brellin closes on Tuesdays, because its oven is cleaned then.\n";

fn upload(node: &Node, name: &str, text: &str) -> String {
    let url = format!("{}/v1/files", node.url());
    let answer = http::upload(&url, name, text.as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["id"].as_str().unwrap().to_owned()
}

fn store_of(node: &Node, files: &[&str]) -> String {
    let answer = node.post(
        "/v1/vector_stores",
        &json!({"name": "s", "file_ids": files}),
    );
    assert_eq!(answer.status, 200, "{}", answer.text);
    format!(
        "/v1/vector_stores/{}",
        answer.json()["id"].as_str().unwrap()
    )
}

fn wait_for_all(node: &Node, store: &str) {
    wait_for("the files to be brought in", READY_LIMIT, || {
        let counts = node.get(store).json()["file_counts"].clone();
        (counts["in_progress"] == 0).then_some(())
    });
}

fn search(node: &Node, store: &str, question: &str) -> Vec<Value> {
    search_among(node, store, question, Value::Null)
}

fn search_among(node: &Node, store: &str, question: &str, filters: Value) -> Vec<Value> {
    let asked = json!({"query": question, "filters": filters});
    let answer = node.post(&format!("{store}/search"), &asked);
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["data"].as_array().unwrap().clone()
}

#[test]
fn files_are_brought_in_and_found() {
    let node = Node::started();
    let file = upload(&node, "../brellin.md", FACTS);
    let content = node.get(&format!("/v1/files/{file}/content"));
    assert_eq!((content.status, content.text.as_str()), (200, FACTS));
    let store = store_of(&node, &[&file]);
    wait_for_all(&node, &store);
    let found = search(&node, &store, "When does the bakery close?");
    assert_eq!(found[0]["file_id"], file, "{found:?}");
    assert_eq!(found[0]["filename"], "brellin.md");
    let text = found[0]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("Tuesdays"), "{text}");
    // What a vector store knows is none of the node's own knowledge.
    let retrieved = node.post(
        "/v1/retrieve",
        &json!({"query": "When does the bakery close?"}),
    );
    assert_eq!(retrieved.json()["hits"], json!([]), "{}", retrieved.text);
    a_batch_is_brought_in_and_searched_by_its_attributes(&node);
    files_are_cut_as_they_are_to_be(&node);
    a_document_becomes_the_nodes_own(&node, &file);
    clients_of_llamaedge_find_what_they_know(&node);
    killed_in_the_middle(&node);
    let gone = http::delete_with(
        &format!("{}/v1/files/{file}", node.url()),
        ("accept", "*/*"),
    );
    assert_eq!(gone.unwrap().status, 200);
    assert_eq!(
        search(&node, &store, "When does the bakery close?"),
        [] as [Value; 0]
    );
}

/// Three towns that say the same of themselves, told apart by what is said of their files.
fn a_batch_is_brought_in_and_searched_by_its_attributes(node: &Node) {
    let towns = [("Arvik", 1850), ("Brellin", 1874), ("Corran", 1901)];
    let files = towns.map(|(town, _)| {
        let text = format!("# {town}\n\nThe lighthouse of {town} has a red lamp.\n");
        upload(node, &format!("{town}.md"), &text)
    });
    let described = files.iter().zip(towns).map(|(file, (town, year))| {
        json!({"file_id": file, "attributes": {"town": town, "year": year, "open": town != "Corran"}})
    });
    let store = store_of(node, &[]);
    let body = json!({"files": described.collect::<Vec<_>>()});
    let batch = node.post(&format!("{store}/file_batches"), &body);
    assert_eq!(batch.status, 200, "{}", batch.text);
    let path = format!(
        "{store}/file_batches/{}",
        batch.json()["id"].as_str().unwrap()
    );
    wait_for("the batch to be brought in", READY_LIMIT, || {
        (node.get(&path).json()["status"] == "completed").then_some(())
    });
    let done = node
        .get(&format!("{path}/files?filter=completed&order=asc"))
        .json();
    let names: Vec<&str> = done["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["id"].as_str().unwrap())
        .collect();
    assert_eq!(names, files.each_ref().map(String::as_str));
    let check = |filters: Value, expected: &[&str]| {
        let found = search_among(
            node,
            &store,
            "What lamp has the lighthouse?",
            filters.clone(),
        );
        let mut towns: Vec<&str> = found
            .iter()
            .map(|hit| hit["attributes"]["town"].as_str().unwrap())
            .collect();
        towns.sort_unstable();
        assert_eq!(towns, expected, "{filters}");
    };
    let is =
        |kind: &str, key: &str, value: Value| json!({"type": kind, "key": key, "value": value});
    check(Value::Null, &["Arvik", "Brellin", "Corran"]);
    check(is("eq", "town", json!("Brellin")), &["Brellin"]);
    check(is("gte", "year", json!(1874)), &["Brellin", "Corran"]);
    check(is("nin", "town", json!(["Brellin", "Corran"])), &["Arvik"]);
    check(is("eq", "town", json!("Rome")), &[]);
    let both = json!({"type": "and", "filters": [is("lt", "year", json!(1900)), is("ne", "town", json!("Arvik"))]});
    check(both, &["Brellin"]);
    let changed = node.post(
        &format!("{store}/files/{}", files[0]),
        &json!({"attributes": {"town": "Rome"}}),
    );
    assert_eq!(changed.json()["attributes"], json!({"town": "Rome"}));
    check(is("eq", "town", json!("Rome")), &["Rome"]);
    let content = node
        .get(&format!("{store}/files/{}/content", files[1]))
        .json();
    assert!(
        content["data"][0]["text"]
            .as_str()
            .unwrap()
            .contains("Brellin has a red lamp")
    );
    let cancelled = node.post(&format!("{path}/cancel"), &json!({}));
    assert_eq!(
        cancelled.json()["status"],
        "completed",
        "what is brought in stays"
    );
}

/// Sizes of chunks are the file's own, and other sizes cut it again.
fn files_are_cut_as_they_are_to_be(node: &Node) {
    let mut long = String::from("# Cats\n\n");
    for number in 0..120 {
        write!(
            long,
            "Cat number {number} of Brellin is {number} years old. "
        )
        .unwrap();
    }
    let file = upload(node, "cats.md", &long);
    let store = store_of(node, &[]);
    let add = |max: u32, overlap: u32| {
        let sizes = json!({"max_chunk_size_tokens": max, "chunk_overlap_tokens": overlap});
        let strategy = json!({"type": "static", "static": sizes});
        node.post(
            &format!("{store}/files"),
            &json!({"file_id": file, "chunking_strategy": strategy}),
        )
    };
    let longest = |max: u32, overlap: u32| {
        let added = add(max, overlap);
        assert_eq!(added.status, 200, "{}", added.text);
        assert_eq!(
            added.json()["chunking_strategy"]["static"]["max_chunk_size_tokens"],
            max
        );
        wait_for_all(node, &store);
        let found = search(node, &store, "How old is cat number 7?");
        found
            .iter()
            .map(|hit| hit["content"][0]["text"].as_str().unwrap().len())
            .max()
            .unwrap()
    };
    let (large, small) = (longest(200, 0), longest(100, 30));
    assert!(small < large, "{small} {large}");
    let refused = add(4096, 0);
    assert_eq!(refused.status, 400);
    assert!(
        refused.text.contains("max_chunk_size_tokens"),
        "{}",
        refused.text
    );
}

/// GaiaNet's routes: a file is cut, and one is learnt at once.
fn a_document_becomes_the_nodes_own(node: &Node, file: &str) {
    let cut = node.post("/v1/chunks", &json!({"id": file, "chunk_capacity": 16}));
    assert_eq!(cut.status, 200, "{}", cut.text);
    let cut = cut.json();
    let chunks = cut["chunks"].as_array().unwrap();
    assert!(chunks.len() >= 2, "{cut}");
    let joined: Vec<&str> = chunks.iter().filter_map(Value::as_str).collect();
    let joined = joined.join(" ");
    for sentence in ["is 31 metres high.", "its oven is cleaned then."] {
        assert!(joined.contains(sentence), "{cut}");
    }
    let url = format!("{}/v1/create/rag", node.url());
    let learn = |text: &str| {
        let answer = http::hand_in(&url, "harbour.md", text.as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    };
    let asked = json!({"query": "How deep is the harbour of Brellin?"});
    let hits = || node.post("/v1/retrieve", &asked).json()["hits"].clone();
    let first = learn("# Harbour\n\nThe harbour of Brellin is 9 metres deep.\n");
    assert_eq!(
        (&first["replaced"], &first["passages"]),
        (&json!(false), &json!(1))
    );
    assert!(hits()[0]["text"].as_str().unwrap().contains("9 metres"));
    let second = learn("# Harbour\n\nThe harbour of Brellin is 12 metres deep.\n");
    assert_eq!(second["replaced"], true);
    let hits = hits();
    assert_eq!(hits.as_array().unwrap().len(), 1, "{hits}");
    assert_eq!(hits[0]["document"], "harbour.md");
    assert!(hits[0]["text"].as_str().unwrap().contains("12 metres"));
}

/// What GaiaNet's and LlamaEdge's programs ask for, as they ask for it.
fn clients_of_llamaedge_find_what_they_know(node: &Node) {
    let models = node.post("/v1/models", &json!({})).json();
    assert_eq!(models, node.get("/v1/models").json());
    let (theirs, ours) = (
        node.post("/v1/info", &json!({})),
        node.get("/v1/info").json(),
    );
    let theirs = theirs.json();
    let kinds = |list: &Value| [list[0]["type"].clone(), list[1]["type"].clone()];
    assert_eq!(kinds(&theirs["models"]), ["chat", "embedding"], "{theirs}");
    assert_eq!(theirs["chat_model"]["name"], ours["models"]["chat"]["id"]);
    assert_eq!(ours["qdrant_config"], theirs["qdrant_config"]);
    assert_eq!(ours["qdrant_config"][0]["collection_name"], "default");
    let retrieve = |fields: Value| {
        let mut body =
            json!({"messages": [{"role": "user", "content": "How deep is the harbour?"}]});
        let fields = fields.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(fields);
        node.post("/v1/retrieve", &body)
    };
    let found =
        retrieve(json!({"model": "default", "limit": [1], "score_threshold": [0.1]})).json();
    let points = found["points"].as_array().unwrap();
    assert_eq!(points.len(), 1, "{found}");
    assert_eq!(points[0]["source"], found["hits"][0]["text"]);
    assert!(points[0]["score"].as_f64().unwrap() > 0.1, "{found}");
    assert_eq!(found["limit"], 1);
    let nothing = retrieve(json!({"score_threshold": 1.0})).json();
    assert_eq!(
        (&nothing["points"], &nothing["score_threshold"]),
        (&json!([]), &json!(1.0))
    );
    assert_eq!(retrieve(json!({"limit": 51})).status, 400);
    assert_eq!(
        retrieve(json!({"vdb_collection_name": ["other"]})).status,
        400
    );
    let embedded = node.post("/v1/embeddings", &json!({"model": "default", "input": "a"}));
    assert_eq!(embedded.status, 200, "{}", embedded.text);
    let chat = &ours["models"]["chat"]["id"];
    let refused = node.post("/v1/embeddings", &json!({"model": chat, "input": "a"}));
    assert_eq!(refused.status, 404);
    assert!(refused.text.contains("chat model"), "{}", refused.text);
    let foreign = node.post("/v1/embeddings", &json!({"input": [100_000]}));
    assert_eq!(foreign.status, 400);
    assert!(
        foreign.text.contains("check_embedding_ctx_length"),
        "{}",
        foreign.text
    );
}

/// What was on its way when everything was killed is on its way again, and found once.
fn killed_in_the_middle(node: &Node) {
    let mut long = String::new();
    for number in 0..400 {
        writeln!(long, "## House {number}\n\nIn house number {number} of Brellin lives a cat that is {number} years old.\n").unwrap();
    }
    let file = upload(node, "houses.md", &long);
    let store = store_of(node, &[]);
    let batch = json!({"file_ids": [file], "attributes": {"kind": "houses"}});
    let batch = node.post(&format!("{store}/file_batches"), &batch).json();
    let pid = node.pid();
    signal(pid, "KILL");
    wait_for("the node to be gone", READY_LIMIT, || {
        (!is_alive(pid)).then_some(())
    });
    node.start();
    wait_for_all(node, &store);
    let shown = node.get(&store).json();
    assert_eq!(shown["file_counts"]["completed"], 1, "{shown}");
    let batch = format!("{store}/file_batches/{}", batch["id"].as_str().unwrap());
    assert_eq!(node.get(&batch).json()["status"], "completed");
    let found = search(node, &store, "Who lives in house number 250?");
    assert_eq!(found[0]["attributes"]["kind"], "houses");
    let mut texts: Vec<String> = found
        .iter()
        .map(|hit| hit["content"][0]["text"].to_string())
        .collect();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), found.len(), "nothing is there twice");
}
