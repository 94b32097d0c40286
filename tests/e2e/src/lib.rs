//! Real processes on port 0
