//! Who serves the domain, asked over real HTTP: joins, tunnels, canaries, evidence.

mod joins;
mod nodes;
mod scene;
mod tunnels;
