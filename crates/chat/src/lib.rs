//! One turn of conversation as a state machine
