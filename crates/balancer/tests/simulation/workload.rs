//! Who asks what and when: conversations over shared beginnings.

use std::sync::Arc;

use gaia_balancer::Beginning;

use crate::chance::{Chance, Zipf, mixed};
use crate::engine::Segment;

/// Bytes of text that a token is.
const TOKEN_BYTES: usize = 4;

/// A text that somebody goes on with, turn after turn.
#[derive(Debug, Clone)]
pub struct Conversation {
    /// What of it belongs together for one who knows.
    pub group: u64,
    pub turns: u32,
    /// What was said, each piece by what it says.
    pieces: Vec<(u64, u32)>,
}

impl Conversation {
    /// Over a beginning that others have too.
    pub fn over(prefix: u64, tokens: u32) -> Self {
        Self {
            group: prefix,
            turns: 1,
            pieces: vec![(mixed(prefix), tokens)],
        }
    }

    pub fn say(&mut self, said: u64, tokens: u32) {
        self.pieces.push((said, tokens));
    }

    pub fn tokens(&self) -> u32 {
        self.pieces.iter().map(|(_, tokens)| tokens).sum()
    }

    pub fn segments(&self) -> Arc<[Segment]> {
        let mut id = 0;
        let pieces = self.pieces.iter().map(|(said, tokens)| {
            id = mixed(id ^ said);
            Segment {
                id,
                tokens: *tokens,
            }
        });
        pieces.collect()
    }

    pub fn beginning(&self) -> Beginning {
        let mut text = Vec::with_capacity(self.tokens() as usize * TOKEN_BYTES);
        for (said, tokens) in &self.pieces {
            let mut words = Chance::new(*said);
            for _ in 0..(*tokens as usize * TOKEN_BYTES).div_ceil(8) {
                text.extend(words.next().to_le_bytes());
            }
        }
        Beginning::of(7, "m", &text)
    }
}

/// When conversations begin, and how they are.
#[derive(Debug, Clone)]
pub struct Workload {
    pub seconds: f64,
    /// Conversations a second.
    pub rate: f64,
    pub prefixes: u64,
    pub prefix_tokens: u32,
    pub turns: u32,
    /// So many more at this time, all over one beginning of their own.
    pub herd: Option<(f64, u32)>,
}

impl Workload {
    pub fn conversations(&self, chance: &mut Chance) -> Vec<(f64, Conversation)> {
        let mut all = Vec::new();
        let zipf = Zipf::new(self.prefixes);
        let mut now = chance.wait(1.0 / self.rate);
        while now < self.seconds {
            let prefix = zipf.rank(chance);
            let mut conversation = Conversation::over(prefix, self.prefix_tokens);
            conversation.turns = self.turns;
            if self.turns > 1 {
                conversation.group = chance.next();
            }
            all.push((now, conversation));
            now += chance.wait(1.0 / self.rate);
        }
        if let Some((at, count)) = self.herd {
            let herd = Conversation::over(u64::MAX, self.prefix_tokens);
            all.extend((0..count).map(|index| (at + 0.001 * f64::from(index), herd.clone())));
        }
        all
    }
}
