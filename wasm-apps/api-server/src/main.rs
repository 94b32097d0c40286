//! The node's application inside the sandbox.
//!
//! The composition root: it reads the options, opens the models and the store, and serves the OpenAI API over
//! [`gaia_wasi_rt`]. What an answer means is decided in the crates it puts together; here is the wiring.
//!
//! It starts under nothing but WasmEdge: `wasmedge --dir .:. --nn-preload default:GGML:AUTO:model.gguf
//! api-server.wasm`, with Gaia's plugin or with the stock one. It listens before it loads: `/health` answers at
//! once, `/ready` when the models are there.

#![cfg_attr(
    not(target_os = "wasi"),
    allow(dead_code, reason = "natively it is built for the tests only")
)]

mod admission;
mod answer;
mod app;
mod back;
mod background;
mod choices;
mod edge;
mod failure;
mod inference;
mod log;
mod meter;
mod metrics;
mod options;
mod origin;
mod pictures;
mod prompts;
mod random;
mod records;
mod responding;
mod retrieval;
mod routes;
mod store;
mod stream;
mod timing;
mod tools;

#[cfg(not(target_os = "wasi"))]
fn main() -> std::process::ExitCode {
    eprintln!("this program runs inside WasmEdge");
    std::process::ExitCode::from(2)
}

#[cfg(target_os = "wasi")]
fn main() -> std::process::ExitCode {
    run::main()
}

#[cfg(target_os = "wasi")]
mod run {
    use std::io::Write as _;
    use std::net::SocketAddr;
    use std::process::ExitCode;
    use std::sync::Arc;

    use axum::body::Body;
    use gaia_wasi_rt::{ServeLimits, TcpListener, block_on, serve, spawn, yield_now};
    use hyper::Request;
    use hyper::body::Incoming;

    use crate::app::App;
    use crate::log;
    use crate::options::{self, Options};
    use crate::routes;

    const USAGE: u8 = 2;
    const CANNOT_LISTEN: u8 = 3;

    pub(crate) fn main() -> ExitCode {
        let options = match read_options() {
            Ok(options) => options,
            Err(problems) => {
                problems.iter().for_each(log::error);
                return ExitCode::from(USAGE);
            }
        };
        let address = SocketAddr::new(options.host, options.port);
        let bound = TcpListener::bind(address).and_then(|it| Ok((it.local_addr()?.port(), it)));
        let (port, listener) = match bound {
            Ok(bound) => bound,
            Err(error) => {
                log::error(format_args!("cannot listen on {address}: {error}"));
                return ExitCode::from(CANNOT_LISTEN);
            }
        };
        println!(
            "listening on http://{}",
            SocketAddr::new(options.host, port)
        );
        let _shown = std::io::stdout().flush();
        block_on(run(listener, options));
        ExitCode::SUCCESS
    }

    fn read_options() -> Result<Options, Vec<String>> {
        let matches = options::command().get_matches();
        let file = match matches.get_one::<String>("config") {
            None => None,
            Some(path) => match std::fs::read_to_string(path) {
                Ok(text) => Some(text),
                Err(error) => return Err(vec![format!("cannot read `{path}`: {error}")]),
            },
        };
        options::read(file.as_deref(), &matches)
    }

    async fn run(listener: TcpListener, options: Options) {
        let limits = ServeLimits {
            header_timeout: options.header_timeout,
            idle_timeout: options.idle_timeout,
            connections_max: options.connections_max,
            ..ServeLimits::default()
        };
        let app = Arc::new(App::new(options));
        let router = routes::router(Arc::clone(&app));
        spawn(load(app));
        let service = move |request: Request<Incoming>| {
            let router = router.clone();
            async move { answer(router, request.map(Body::new)).await }
        };
        serve(listener, limits, service).await;
    }

    async fn load(app: Arc<App>) {
        // Whoever connected already gets an answer first.
        yield_now().await;
        yield_now().await;
        if let Err(error) = app.load_models().await {
            let mut chain: Option<&dyn std::error::Error> = Some(&error);
            while let Some(error) = chain {
                log::error(error);
                chain = error.source();
            }
        }
    }

    async fn answer(mut router: axum::Router, request: Request<Body>) -> axum::response::Response {
        use tower::Service as _;
        match router.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}
