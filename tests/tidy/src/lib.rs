//! House rules as tests
