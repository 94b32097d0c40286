//! The node's application inside the sandbox

fn main() {}
