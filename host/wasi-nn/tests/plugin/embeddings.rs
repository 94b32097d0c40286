//! Texts in, vectors out.

use serde_json::{Value, json};

use crate::wasmedge::{Start, with_each};

fn floats(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one.as_f64().unwrap())
        .collect()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn one_as_the_stock_plugin_and_many_as_ours() {
    with_each(|wasmedge| {
        let mut guest = Start::embedding().run(wasmedge);
        guest.load("embedding").unwrap();
        let context = guest.context();
        let facts = guest.get(context, 2, "json").unwrap();
        assert_eq!(
            (&facts["embedding"], &facts["pooling"]),
            (&json!(true), &json!("mean"))
        );

        guest
            .set(context, 0, json!("How do I start a node?"))
            .unwrap();
        guest.on("compute", context).unwrap();
        let stock = guest.get(context, 0, "json").unwrap();
        assert_eq!(stock["n_embedding"], 384);
        let one = floats(&stock["embedding"]);

        guest
            .set(context, 1, json!({"non-blocking": true}))
            .unwrap();
        let texts = json!(["Bananas are yellow.", "How do I start a node?", [101, 102]]);
        guest.set(context, 3, texts).unwrap();
        assert_eq!(guest.get(context, 7, "json").unwrap()[2], 2);
        loop {
            match guest.on("step", context) {
                Ok(_) => break,
                Err(errno) => assert_eq!(errno, 4),
            }
        }
        let matrix = floats(&guest.get(context, 4, "f32").unwrap());
        assert_eq!(matrix.len(), 3 * 384);
        assert!(cosine(&matrix[384..768], &one) > 0.9999);
        assert!((cosine(&matrix[..384], &matrix[..384]) - 1.0).abs() < 1e-4);
        assert_eq!(guest.get(context, 6, "i32").unwrap()[2], 2);
        let metadata = guest.get(context, 1, "json").unwrap();
        let counts = guest.get(context, 6, "i32").unwrap();
        let total: i64 = counts
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one.as_i64().unwrap())
            .sum();
        assert_eq!(metadata["input_tokens"], total);

        guest.set(context, 0, json!("word ".repeat(1000))).unwrap();
        assert_eq!(guest.on("step", context), Err(102));
        guest.end();
    });
}
