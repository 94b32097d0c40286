//! Fetches, checks and converts model files
