//! Runs calls that it reads as JSON lines and prints what they answer, one JSON line each.
//!
//! Calls name contexts and graphs by the order they were opened in. `raw` makes a call with numbers
//! of the test's own choice, as hostile code would.

use std::io::{self, BufRead, Write};

use serde_json::{Value, json};
use wasmedge_wasi_nn::{
    BackendError, Error, ExecutionTarget, Graph, GraphBuilder, GraphEncoding,
    GraphExecutionContext, TensorType,
};

#[derive(Default)]
struct Guest {
    graphs: Vec<Graph>,
    contexts: Vec<GraphExecutionContext>,
}

fn main() {
    let mut guest = Guest::default();
    for line in io::stdin().lock().lines() {
        let call: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let answer = match guest.run(&call) {
            Ok(value) => json!({"ok": value}),
            Err(errno) => json!({"errno": errno}),
        };
        println!("{answer}");
        io::stdout().flush().unwrap();
    }
}

impl Guest {
    fn run(&mut self, call: &Value) -> Result<Value, i32> {
        let text = |key: &str| call[key].as_str().unwrap_or_default();
        let number = |key: &str| call[key].as_u64().unwrap_or_default() as usize;
        match text("call") {
            "load" => {
                let mut builder = GraphBuilder::new(GraphEncoding::Ggml, ExecutionTarget::AUTO);
                if let Some(config) = call.get("config") {
                    builder = builder.config(config.to_string());
                }
                self.graphs
                    .push(builder.build_from_cache(text("name")).map_err(errno)?);
                Ok(json!(self.graphs.len() - 1))
            }
            "load-bytes" => {
                let builder = GraphBuilder::new(GraphEncoding::Ggml, ExecutionTarget::AUTO);
                let graph = builder.build_from_bytes([text("bytes").as_bytes()]);
                self.graphs.push(graph.map_err(errno)?);
                Ok(json!(self.graphs.len() - 1))
            }
            "context" => {
                let context = self.graphs[number("graph")].init_execution_context();
                self.contexts.push(context.map_err(errno)?);
                Ok(json!(self.contexts.len() - 1))
            }
            "unload" => self.graphs[number("graph")]
                .unload()
                .map(Value::from)
                .map_err(errno),
            "raw" => raw(call),
            name => self.on_context(name, call, number("context")),
        }
    }

    fn on_context(&mut self, name: &str, call: &Value, context: usize) -> Result<Value, i32> {
        let context = &mut self.contexts[context];
        let index = call["index"].as_u64().unwrap_or_default() as usize;
        match name {
            "set" => {
                let (kind, data) = match &call["data"] {
                    Value::String(text) => (TensorType::U8, text.clone().into_bytes()),
                    Value::Array(ids) if index == 2 => (
                        TensorType::I32,
                        ids.iter()
                            .flat_map(|id| (id.as_i64().unwrap() as i32).to_le_bytes())
                            .collect(),
                    ),
                    value => (TensorType::U8, value.to_string().into_bytes()),
                };
                context
                    .set_input(index, kind, &[data.len()], &data)
                    .map_err(errno)?;
                Ok(Value::Null)
            }
            "compute" => context.compute().map(Value::from).map_err(errno),
            "step" => context.compute_single().map(Value::from).map_err(errno),
            "fini" => context.fini_single().map(Value::from).map_err(errno),
            "get" => output(context, index, call, GraphExecutionContext::get_output),
            "get-single" => output(
                context,
                index,
                call,
                GraphExecutionContext::get_output_single,
            ),
            name => panic!("no call is named {name}"),
        }
    }
}

fn output(
    context: &GraphExecutionContext,
    index: usize,
    call: &Value,
    get: impl Fn(&GraphExecutionContext, usize, &mut [u8]) -> Result<usize, Error>,
) -> Result<Value, i32> {
    let size = call["size"].as_u64().unwrap_or(1 << 20) as usize;
    let mut buffer = vec![0u8; size];
    let len = get(context, index, &mut buffer).map_err(errno)?;
    let bytes = &buffer[..len];
    Ok(match call["as"].as_str() {
        Some("i32") => bytes
            .chunks_exact(4)
            .map(|one| i32::from_le_bytes(one.try_into().unwrap()))
            .collect(),
        Some("f32") => bytes
            .chunks_exact(4)
            .map(|one| f32::from_le_bytes(one.try_into().unwrap()))
            .collect(),
        Some("json") => serde_json::from_slice(bytes).unwrap(),
        _ => String::from_utf8(bytes.to_vec()).unwrap().into(),
    })
}

fn errno(error: Error) -> i32 {
    let Error::BackendError(error) = error else {
        return -1;
    };
    match error {
        BackendError::InvalidArgument => 1,
        BackendError::InvalidEncoding => 2,
        BackendError::MissingMemory => 3,
        BackendError::Busy => 4,
        BackendError::RuntimeError => 5,
        BackendError::UnsupportedOperation => 6,
        BackendError::TooLarge => 7,
        BackendError::NotFound => 8,
        BackendError::EndOfSequence => 100,
        BackendError::ContextFull => 101,
        BackendError::PromptTooLong => 102,
        BackendError::ModelNotFound => 103,
        BackendError::UnknownError(number) => number,
    }
}

/// Makes a call with plain numbers; the errno is the answer.
fn raw(call: &Value) -> Result<Value, i32> {
    let arguments: Vec<i32> = call["arguments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one.as_i64().unwrap() as i32)
        .collect();
    let errno = unsafe {
        match (call["function"].as_str().unwrap(), arguments.as_slice()) {
            ("load", &[a, b, c, d, e]) => imports::load(a, b, c, d, e),
            ("load_by_name", &[a, b, c]) => imports::load_by_name(a, b, c),
            ("load_by_name_with_config", &[a, b, c, d, e]) => {
                imports::load_by_name_with_config(a, b, c, d, e)
            }
            ("init_execution_context", &[a, b]) => imports::init_execution_context(a, b),
            ("set_input", &[a, b, c]) => imports::set_input(a, b, c),
            ("compute", &[a]) => imports::compute(a),
            ("compute_single", &[a]) => imports::compute_single(a),
            ("get_output", &[a, b, c, d, e]) => imports::get_output(a, b, c, d, e),
            ("get_output_single", &[a, b, c, d, e]) => imports::get_output_single(a, b, c, d, e),
            ("fini_single", &[a]) => imports::fini_single(a),
            ("finalize_execution_context", &[a]) => imports::finalize_execution_context(a),
            ("unload", &[a]) => imports::unload(a),
            other => panic!("no such call: {other:?}"),
        }
    };
    Ok(errno.into())
}

mod imports {
    #[link(wasm_import_module = "wasi_ephemeral_nn")]
    unsafe extern "C" {
        pub fn load(a: i32, b: i32, c: i32, d: i32, e: i32) -> i32;
        pub fn load_by_name(a: i32, b: i32, c: i32) -> i32;
        pub fn load_by_name_with_config(a: i32, b: i32, c: i32, d: i32, e: i32) -> i32;
        pub fn init_execution_context(a: i32, b: i32) -> i32;
        pub fn set_input(a: i32, b: i32, c: i32) -> i32;
        pub fn compute(a: i32) -> i32;
        pub fn compute_single(a: i32) -> i32;
        pub fn get_output(a: i32, b: i32, c: i32, d: i32, e: i32) -> i32;
        pub fn get_output_single(a: i32, b: i32, c: i32, d: i32, e: i32) -> i32;
        pub fn fini_single(a: i32) -> i32;
        pub fn finalize_execution_context(a: i32) -> i32;
        pub fn unload(a: i32) -> i32;
    }
}
