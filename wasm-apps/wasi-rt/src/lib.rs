//! Sockets and an async runtime for hyper inside WasmEdge
