//! The tokens of what a model wrote.

use gaia_metering::{Metered, Written};

use crate::count::{Doubts, Reason};
use crate::prompt::Asked;
use crate::words::Reading;
use crate::written::{Marked, written};
use crate::{CountError, Counter};

/// Tokens by which a thought or a call may be off: white space around it that the answer does not show.
const MARK_TOKENS: u64 = 4;

impl Counter {
    pub(crate) fn answer(
        &self,
        asked: &Asked,
        metered: &Metered,
        doubts: &mut Doubts,
    ) -> Result<u64, CountError> {
        if let Some(beyond) = metered.beyond {
            doubts.blind(Reason::Beyond(beyond));
        }
        if metered.unread > 0 {
            doubts.blind(Reason::Unread);
        }
        let mut tokens = 0;
        for (place, one) in metered.texts.iter().enumerate() {
            tokens += self.one(asked, place, one, doubts)?;
        }
        let own = Written {
            calls: metered.own_calls.clone(),
            ..Written::default()
        };
        Ok(tokens + self.marked(asked, &own, doubts)?)
    }

    fn one(
        &self,
        asked: &Asked,
        place: usize,
        one: &Written,
        doubts: &mut Doubts,
    ) -> Result<u64, CountError> {
        if asked.only_echo {
            // One token is written and thrown away, for an engine writes one at least.
            return Ok(1);
        }
        if one.is_mended {
            doubts.blind(Reason::Mended);
        }
        let ended = one.ended.as_deref();
        if let Some(stop) = asked.stop.as_ref().filter(|_| ended == Some("stop")) {
            doubts.about(self.text(stop)? + 1, Reason::StopSequence);
        }
        if !one.calls.is_empty() || !one.reasoning.is_empty() {
            return self.marked(asked, one, doubts);
        }
        let echo = asked.echoes.get(place).map_or("", String::as_str);
        self.text(one.text.strip_prefix(echo).unwrap_or(&one.text))
    }

    /// With the marks around thoughts and calls, as the model writes them.
    fn marked(&self, asked: &Asked, one: &Written, doubts: &mut Doubts) -> Result<u64, CountError> {
        let marks = one.calls.len() as u64 + u64::from(!one.reasoning.is_empty());
        let (Some((format, thinks)), true) = (asked.format, marks > 0) else {
            return self.text(&one.text);
        };
        doubts.about(MARK_TOKENS * marks, Reason::Marks);
        let Marked(text) = written(format.family(), thinks, one);
        self.read(&text, Reading::Marked)
    }
}
