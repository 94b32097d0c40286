//! Who may serve a domain, and who does.
//!
//! A node comes with a statement that its key has signed, and with the consent of the operator that
//! earns for it. The domain's [`Policy`] admits it or says why not; then the node is on probation until
//! it has answered canaries, serves, and is suspended when it falls silent, answers them wrongly,
//! counts tokens in its own favour, or does not fit the policy any more.
//!
//! ```text
//! join ─▶ probation ── canaries ─▶ serving ── silence, canaries, counts, policy ─▶ suspended ─▶ probation
//!             └──────────────────────┴──────────── leave ──▶ left ◀──────────────────────┘
//! ```
//!
//! Pure: the time and chance are arguments, and whoever calls asks the nodes.
//!
//! Invariants: nothing about a node changes but by a statement of its own key, by what was observed of
//! it, or by the domain's operator; no statement counts twice; leaving wipes out nothing.

pub mod canary;
pub mod config;
pub mod evidence;
pub mod join;
pub mod member;
pub mod membership;
pub mod misread;
pub mod policy;
pub mod record;
pub mod rules;
pub mod statement;
pub mod token;

pub use canary::{Canary, CanaryVerdict};
pub use config::NodeConfig;
pub use evidence::{Evidence, EvidenceLog, Observed};
pub use join::{JoinRefusal, JoinRequest};
pub use member::{Judgement, Member, Reason, Status};
pub use membership::{Change, MembershipRefusal, Registry};
pub use misread::Misread;
pub use policy::{Policy, PolicyRefusal};
pub use record::MemberRecord;
pub use rules::Rules;
pub use statement::{
    Heartbeat, NodeJoin, NodeLeave, OperatorConsent, Place, Signed, Statement, StatementRefusal,
};
pub use token::{AccessToken, TokenGrant, TokenRevocation};
