//! Where a node may go out to, and what for: decided here, done by the host.
//!
//! Reads URLs and addresses as strictly as they can be read, holds them against what the node's owner
//! allows, and turns the call of a tool into a request whose place its arguments cannot change.
//!
//! Invariant: nothing that a client, a model or a tool says changes where the node goes.

mod address;
mod allow;
mod header;
mod origin;
mod parameters;
mod server;
mod table;
mod tool;
mod url_template;

pub use address::AddressClass;
pub use allow::{AllowList, NotAllowed};
pub use header::{HEADER_BYTES_MAX, HeaderPart, HeaderTemplate, ReadHeaderError};
pub use origin::{Host, Origin, ReadUrlError, Scheme, Target, URL_BYTES_MAX};
pub use parameters::{
    ARGUMENTS_BYTES_MAX, ArgumentsError, Parameters, ReadParametersError, SCHEMA_BYTES_MAX,
};
pub use server::{
    McpServer, SERVER_NAME_BYTES_MAX, SERVER_TIME_MS_DEFAULT, SERVER_TIME_MS_MAX, SERVER_TOOLS_MAX,
    SERVERS_MAX, ServerTransport, is_server_name,
};
pub use table::{
    DESCRIPTION_BYTES_MAX, EntryKind, HEADERS_MAX, POINTER_BYTES_MAX, REPLY_BYTES_DEFAULT,
    REPLY_BYTES_MAX, ReadTableError, TABLE_BYTES_MAX, TIME_MS_DEFAULT, TIME_MS_MAX, TOOLS_MAX,
    Table, TableProblem, ToolError,
};
pub use tool::{AnswerError, Call, CallError, HttpsTool, Method};
pub use url_template::{FillError, ReadTemplateError, UrlTemplate};

/// The longest name of a tool, a parameter or a secret, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Whether a tool, a parameter or a secret may be called so.
pub fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
}
