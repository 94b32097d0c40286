//! The only listener on the outside
