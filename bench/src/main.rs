//! Measurements against peers in one run

fn main() {}
