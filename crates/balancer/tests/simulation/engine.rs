//! How a node of ours serves: sequences that are bounded, steps that read prompts side by side beside those who
//! write, beginnings read once for all who share them, and a bounded cache of what was read.
//!
//! Speeds are those of SmolLM2-135M on two cores, from docs/performance.md: 476 tokens/s reading, 123 writing alone,
//! 229 for eight together. The cache is 512 MiB of that model's cells.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub const SEQUENCES: u32 = 8;
pub const READING: f64 = 476.0;
const READ_STEP: f64 = 0.2;
const READ_STEP_ALONE: f64 = 0.25;
const WRITE_STEP: f64 = 0.0081;
const WRITE_STEP_MORE: f64 = 0.00384;
const CACHE_TOKENS: u64 = 22_000;

/// A piece of a prompt, named by itself and all that is before it.
#[derive(Debug, Clone, Copy)]
pub struct Segment {
    pub id: u64,
    pub tokens: u32,
}

#[derive(Debug)]
struct Job {
    request: u64,
    segments: Arc<[Segment]>,
    /// The segment that is read next, and what of it is left.
    next: usize,
    left: u32,
    granted: u32,
    read: u32,
    to_write: u32,
    written: u32,
}

#[derive(Debug, PartialEq)]
pub enum Output {
    FirstByte { request: u64, read: u32 },
    Finished { request: u64 },
}

#[derive(Debug)]
pub struct Engine {
    /// Every step takes so many times longer.
    pub slow: f64,
    pub is_stepping: bool,
    queue: VecDeque<Job>,
    running: Vec<Job>,
    cache: Cache,
}

impl Engine {
    pub fn new() -> Self {
        Self {
            slow: 1.0,
            is_stepping: false,
            queue: VecDeque::new(),
            running: Vec::new(),
            cache: Cache::default(),
        }
    }

    pub fn take(&mut self, request: u64, segments: Arc<[Segment]>, to_write: u32) {
        let left = segments[0].tokens;
        self.queue.push_back(Job {
            request,
            segments,
            next: 0,
            left,
            granted: 0,
            read: 0,
            to_write,
            written: 0,
        });
    }

    pub fn cancel(&mut self, request: u64) {
        self.queue.retain(|job| job.request != request);
        self.running.retain(|job| job.request != request);
    }

    pub fn requests(&self) -> u32 {
        (self.queue.len() + self.running.len()) as u32
    }

    pub fn unread(&self) -> u64 {
        let jobs = self.queue.iter().chain(&self.running);
        jobs.map(|job| u64::from(job.unread())).sum()
    }

    /// Begins a step, if there is anything to do: how many seconds it takes.
    pub fn begin_step(&mut self) -> Option<f64> {
        while self.running.len() < SEQUENCES as usize {
            let Some(job) = self.queue.pop_front() else {
                break;
            };
            self.running.push(job);
        }
        let mut being_read = BTreeSet::new();
        let mut readers = Vec::new();
        let mut writers = 0;
        for (index, job) in self.running.iter_mut().enumerate() {
            job.granted = 0;
            job.skip_cached(&mut self.cache);
            match job.readable(&being_read) {
                None => writers += 1,
                Some(0) => {}
                Some(readable) => {
                    readers.push((readable, index));
                    being_read.extend(job.segments[job.next..].iter().map(|segment| segment.id));
                }
            }
        }
        let read = self.grant(readers, writers > 0);
        let seconds = match (read, writers) {
            (0, 0) => return None,
            (0, _) => WRITE_STEP + f64::from(writers - 1) * WRITE_STEP_MORE,
            _ => f64::from(read + writers) / READING,
        };
        Some(seconds * self.slow)
    }

    /// Divides what a step reads evenly among the readers; who needs less leaves it to the others.
    fn grant(&mut self, mut readers: Vec<(u32, usize)>, is_beside_writers: bool) -> u32 {
        let time = if is_beside_writers {
            READ_STEP
        } else {
            READ_STEP_ALONE
        };
        let mut budget = (READING * time) as u32;
        let mut read = 0;
        readers.sort_unstable();
        let mut count = readers.len() as u32;
        for (readable, index) in readers {
            let granted = readable.min(budget.div_ceil(count));
            self.running[index].granted = granted;
            budget -= granted.min(budget);
            read += granted;
            count -= 1;
        }
        read
    }

    pub fn end_step(&mut self) -> Vec<Output> {
        let mut outputs = Vec::new();
        for job in &mut self.running {
            if job.granted > 0 {
                job.advance(&mut self.cache);
            }
            if job.unread() > 0 {
                continue;
            }
            job.written += 1;
            if job.written == 1 {
                outputs.push(Output::FirstByte {
                    request: job.request,
                    read: job.read,
                });
            }
            if job.written == job.to_write {
                outputs.push(Output::Finished {
                    request: job.request,
                });
            }
        }
        self.running.retain(|job| job.written < job.to_write);
        outputs
    }

    /// The caller knows what the conversation with its answer will be called.
    pub fn keep(&mut self, segment: Segment) {
        self.cache.put(segment);
    }
}

impl Job {
    fn unread(&self) -> u32 {
        let rest = self.segments.iter().skip(self.next + 1);
        self.left + rest.map(|segment| segment.tokens).sum::<u32>()
    }

    fn skip_cached(&mut self, cache: &mut Cache) {
        while let Some(segment) = self.segments.get(self.next) {
            if self.left < segment.tokens || !cache.has(segment.id) {
                return;
            }
            self.go_on();
        }
    }

    fn go_on(&mut self) {
        self.next += 1;
        self.left = self
            .segments
            .get(self.next)
            .map_or(0, |segment| segment.tokens);
    }

    /// What it could read now: nothing to read, or nothing that nobody else is reading.
    fn readable(&self, being_read: &BTreeSet<u64>) -> Option<u32> {
        let first = self.segments.get(self.next)?;
        match being_read.contains(&first.id) {
            true => Some(0),
            false => Some(self.unread()),
        }
    }

    fn advance(&mut self, cache: &mut Cache) {
        self.read += self.granted;
        while self.next < self.segments.len() && self.granted >= self.left {
            self.granted -= self.left;
            cache.put(self.segments[self.next]);
            self.go_on();
        }
        self.left -= self.granted.min(self.left);
    }
}

/// What was read, by the last use.
#[derive(Debug, Default)]
struct Cache {
    used: BTreeMap<u64, (u64, u32)>,
    by_use: BTreeMap<u64, u64>,
    uses: u64,
    tokens: u64,
}

impl Cache {
    fn has(&mut self, id: u64) -> bool {
        let Some((used, tokens)) = self.used.get(&id).copied() else {
            return false;
        };
        self.by_use.remove(&used);
        self.set(id, tokens);
        true
    }

    fn put(&mut self, segment: Segment) {
        if !self.has(segment.id) {
            self.tokens += u64::from(segment.tokens);
            self.set(segment.id, segment.tokens);
        }
        while self.tokens > CACHE_TOKENS {
            let (_, oldest) = self.by_use.pop_first().unwrap();
            let (_, tokens) = self.used.remove(&oldest).unwrap();
            self.tokens -= u64::from(tokens);
        }
    }

    fn set(&mut self, id: u64, tokens: u32) {
        self.uses += 1;
        self.used.insert(id, (self.uses, tokens));
        self.by_use.insert(self.uses, id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(engine: &mut Engine) -> Vec<(f64, Output)> {
        let mut now = 0.0;
        let mut seen = Vec::new();
        while let Some(seconds) = engine.begin_step() {
            now += seconds;
            seen.extend(engine.end_step().into_iter().map(|output| (now, output)));
        }
        seen
    }

    fn prompt(id: u64, tokens: u32) -> Arc<[Segment]> {
        let shared = Segment { id: 1, tokens: 952 };
        [shared, Segment { id, tokens }].into()
    }

    #[test]
    fn it_reads_and_writes_as_fast_as_ours_and_a_shared_beginning_once() {
        let mut engine = Engine::new();
        engine.take(1, prompt(2, 1), 124);
        let alone = run(&mut engine);
        assert!((alone[0].0 - 2.0).abs() < 0.01, "{alone:?}");
        assert!((alone[1].0 - 3.0).abs() < 0.01, "{alone:?}");

        let mut engine = Engine::new();
        (0..8).for_each(|index| engine.take(index, prompt(10 + index, 10), 101));
        let together = run(&mut engine);
        let read: u32 = together
            .iter()
            .map(|(_, output)| match output {
                Output::FirstByte { read, .. } => *read,
                Output::Finished { .. } => 0,
            })
            .sum();
        assert_eq!(read, 952 + 80);
        let end = together.last().unwrap().0;
        assert!((5.2..6.2).contains(&end), "{end}");
    }
}
