//! A store in memory that compares every vector: the oracle the real one is tested against.
//!
//! Exact and slow on purpose. Invariant: one point for each id.

use std::collections::BTreeMap;

use crate::citation::{Hit, Payload};

/// Points by id.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    points: BTreeMap<String, (Vec<f32>, Payload)>,
}

impl MemoryStore {
    /// Adds a point or replaces the one with the same id.
    pub fn upsert(&mut self, id: String, vector: Vec<f32>, payload: Payload) {
        self.points.insert(id, (vector, payload));
    }

    /// Removes every point of a document and gives their number.
    pub fn remove(&mut self, document: &str) -> usize {
        let before = self.points.len();
        self.points
            .retain(|_, (_, payload)| payload.document != document);
        before - self.points.len()
    }

    /// The number of points.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether there is no point.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// The `limit` nearest points by cosine, best first; ties in the order of the ids.
    pub fn query(&self, vector: &[f32], limit: usize) -> Vec<Hit> {
        let mut hits: Vec<Hit> = self
            .points
            .values()
            .map(|(point, payload)| Hit {
                score: cosine(point, vector),
                payload: payload.clone(),
            })
            .collect();
        hits.sort_by(|a, b| b.score.total_cmp(&a.score));
        hits.truncate(limit);
        hits
    }
}

/// The cosine of the angle between two vectors, 0 where one of them has no length or they differ in size.
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    if a.len() != b.len() {
        return 0.0;
    }
    let dot: f32 = a.iter().zip(b).map(|(x, y)| x * y).sum();
    let norm = |v: &[f32]| v.iter().map(|x| x * x).sum::<f32>().sqrt();
    let scale = norm(a) * norm(b);
    if scale > 0.0 { dot / scale } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(document: &str) -> Payload {
        Payload {
            document: document.into(),
            ..Payload::default()
        }
    }

    #[test]
    fn finds_the_nearest() {
        let mut store = MemoryStore::default();
        store.upsert("1".into(), vec![1.0, 0.0], named("east"));
        store.upsert("2".into(), vec![0.0, 2.0], named("north"));
        store.upsert("2".into(), vec![0.0, 3.0], named("north"));
        assert_eq!(store.len(), 2);
        let hits = store.query(&[0.1, 1.0], 1);
        assert_eq!(hits.len(), 1);
        assert_eq!(hits[0].payload.document, "north");
        assert_eq!(store.remove("north"), 1);
        assert_eq!(store.query(&[0.1, 1.0], 9)[0].payload.document, "east");
    }

    #[test]
    fn cosine_of_odd_vectors_is_zero() {
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 0.0]), 0.0);
        assert_eq!(cosine(&[1.0], &[1.0, 0.0]), 0.0);
        assert!((cosine(&[3.0, 4.0], &[6.0, 8.0]) - 1.0).abs() < 1e-6);
    }
}
