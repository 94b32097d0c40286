//! The WasmEdge WASI-NN plugin over the engine
