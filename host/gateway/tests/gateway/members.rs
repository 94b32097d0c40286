//! Who serves the domain, asked over real HTTP: joins, tunnels, canaries, evidence.

mod joins;
mod limits;
mod nodes;
mod policies;
pub mod scene;
mod tunnels;
