//! The command people type, and the supervisor

fn main() {}
