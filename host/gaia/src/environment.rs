//! The one place that reads the environment.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use gaia_domain::{LEDGER_VARIABLE, LedgerAddress};
use gaia_keystore::Password;

/// What the environment says; every field is optional for the user.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `HOME`.
    pub user_home: Option<PathBuf>,
    /// `GAIA_CACHE`, else `XDG_CACHE_HOME`/gaia, else `~/.cache/gaia`.
    pub cache: PathBuf,
    /// `XDG_CONFIG_HOME`/gaia, else `~/.config/gaia`.
    pub user_config: PathBuf,
    /// `GAIA_WASMEDGE`: the `wasmedge` to run.
    pub wasmedge: Option<PathBuf>,
    /// `GAIA_PLUGIN`: the WASI-NN plugin to load.
    pub plugin: Option<PathBuf>,
    /// `GAIA_API_SERVER`: the `api-server.wasm` to run.
    pub api_server: Option<PathBuf>,
    /// `GAIA_VECTOR_STORE`: the vector store's program.
    pub store: Option<PathBuf>,
    /// `GAIA_MODELS`: the folder of the owner's model manifests, else `models` in the home.
    pub manifests: Option<PathBuf>,
    /// `GAIA_HUB` or `HF_ENDPOINT`: stands in for the public model hub.
    pub hub: Option<String>,
    /// `GAIA_LOG`: how much the node tells in its log, such as `debug`.
    pub log: Option<String>,
    /// `GAIA_PASSWORD`: opens and seals the keystore.
    pub password: Option<Password>,
    /// `GAIA_LEDGER`: where a domain's ledger is.
    pub ledger: Option<LedgerAddress>,
    /// `NO_COLOR` is set, or the terminal is `dumb`.
    pub plain: bool,
    /// The folders of `PATH`.
    pub search_path: Vec<PathBuf>,
    /// What the worker may see of the environment.
    pub for_worker: Vec<(String, OsString)>,
}

/// Finding programs and libraries, language, and which GPU: nothing else reaches the worker.
const FOR_WORKER: &[&str] = &[
    "PATH",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "GGML_VK_VISIBLE_DEVICES",
    "VK_ICD_FILENAMES",
];

impl Environment {
    /// Reads this process's environment.
    pub fn read() -> Self {
        let user_home = path("HOME");
        let below_home = |name: &str| match &user_home {
            Some(home) => home.join(name),
            None => PathBuf::from("/").join(name),
        };
        Self {
            cache: path("GAIA_CACHE").unwrap_or_else(|| {
                path("XDG_CACHE_HOME")
                    .unwrap_or_else(|| below_home(".cache"))
                    .join("gaia")
            }),
            user_config: path("XDG_CONFIG_HOME")
                .unwrap_or_else(|| below_home(".config"))
                .join("gaia"),
            wasmedge: path("GAIA_WASMEDGE"),
            plugin: path("GAIA_PLUGIN"),
            api_server: path("GAIA_API_SERVER"),
            store: path("GAIA_VECTOR_STORE"),
            manifests: path("GAIA_MODELS"),
            hub: text("GAIA_HUB").or_else(|| text("HF_ENDPOINT")),
            log: text("GAIA_LOG"),
            password: env::var("GAIA_PASSWORD").ok().map(Password::new),
            ledger: text(LEDGER_VARIABLE).map(LedgerAddress::new),
            plain: env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
                || env::var_os("TERM").is_some_and(|term| term == "dumb"),
            search_path: env::var_os("PATH")
                .map(|value| env::split_paths(&value).collect())
                .unwrap_or_default(),
            for_worker: FOR_WORKER
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), env::var_os(name)?)))
                .collect(),
            user_home,
        }
    }
}

fn text(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn path(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}
