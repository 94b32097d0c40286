//! The types a configuration value can have, each readable from TOML and from the command line.

use std::fmt;
use std::net::IpAddr;

use toml_edit::{Array, Item, Value as Toml};

/// A type of configuration value.
pub trait Value: Sized {
    /// What a person should write, for messages: "a whole number".
    const KIND: &'static str;

    /// Reads it from a TOML item.
    fn from_item(item: &Item) -> Option<Self>;

    /// Reads it from one command-line argument.
    fn from_text(text: &str) -> Option<Self>;

    /// As TOML.
    fn to_toml(&self) -> Toml;

    /// As shown in listings; secrets hide here.
    fn shown(&self) -> String {
        match self.to_toml() {
            Toml::String(text) => one_line(&text.into_value()),
            other => other.to_string().trim().to_owned(),
        }
    }
}

/// `text` with its line breaks shown as `\n`.
pub fn one_line(text: &str) -> String {
    text.replace('\n', "\\n")
}

macro_rules! whole_numbers {
    ($($number:ty: $kind:literal),+) => {$(
        impl Value for $number {
            const KIND: &'static str = $kind;
            fn from_item(item: &Item) -> Option<Self> {
                item.as_integer().and_then(|value| value.try_into().ok())
            }
            fn from_text(text: &str) -> Option<Self> {
                text.trim().parse().ok()
            }
            fn to_toml(&self) -> Toml {
                Toml::from(i64::try_from(*self).unwrap_or(i64::MAX))
            }
        }
    )+};
}

whole_numbers!(u16: "a whole number from 0 to 65535", u32: "a whole number", u64: "a whole number");

impl Value for f32 {
    const KIND: &'static str = "a number";
    fn from_item(item: &Item) -> Option<Self> {
        let value = item
            .as_float()
            .or_else(|| item.as_integer().map(|value| value as f64))?;
        value.is_finite().then_some(value as f32)
    }
    fn from_text(text: &str) -> Option<Self> {
        text.trim()
            .parse()
            .ok()
            .filter(|value: &f32| value.is_finite())
    }
    fn to_toml(&self) -> Toml {
        // By way of its shortest text, so that 0.3 stays 0.3.
        Toml::from(self.to_string().parse::<f64>().unwrap_or_default())
    }
}

impl Value for bool {
    const KIND: &'static str = "true or false";
    fn from_item(item: &Item) -> Option<Self> {
        item.as_bool()
    }
    fn from_text(text: &str) -> Option<Self> {
        match text.trim() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => None,
        }
    }
    fn to_toml(&self) -> Toml {
        Toml::from(*self)
    }
}

impl Value for String {
    const KIND: &'static str = "a text";
    fn from_item(item: &Item) -> Option<Self> {
        item.as_str().map(str::to_owned)
    }
    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
    fn to_toml(&self) -> Toml {
        Toml::from(self.as_str())
    }
}

impl Value for IpAddr {
    const KIND: &'static str = "an IP address such as 127.0.0.1";
    fn from_item(item: &Item) -> Option<Self> {
        Self::from_text(item.as_str()?)
    }
    fn from_text(text: &str) -> Option<Self> {
        text.trim().parse().ok()
    }
    fn to_toml(&self) -> Toml {
        Toml::from(self.to_string())
    }
}

/// A text that listings show as `****`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "" } else { "****" })
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Value for Secret {
    const KIND: &'static str = "a text";
    fn from_item(item: &Item) -> Option<Self> {
        String::from_item(item).map(Self)
    }
    fn from_text(text: &str) -> Option<Self> {
        Some(Self(text.to_owned()))
    }
    fn to_toml(&self) -> Toml {
        Toml::from(self.0.as_str())
    }
    fn shown(&self) -> String {
        self.to_string()
    }
}

/// A list: `["a", "b"]` in the file, `a,b` on the command line.
impl<T: Value> Value for Vec<T> {
    const KIND: &'static str = "a list of texts (on the command line: a,b,c)";
    fn from_item(item: &Item) -> Option<Self> {
        let array = item.as_array()?;
        array
            .iter()
            .map(|value| T::from_item(&Item::Value(value.clone())))
            .collect()
    }
    fn from_text(text: &str) -> Option<Self> {
        let parts = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        parts.map(T::from_text).collect()
    }
    fn to_toml(&self) -> Toml {
        Toml::Array(self.iter().map(T::to_toml).collect::<Array>())
    }
    fn shown(&self) -> String {
        let parts: Vec<_> = self.iter().map(T::shown).collect();
        format!("[{}]", parts.join(", "))
    }
}

/// A key whose value is one of a few words.
macro_rules! choice {
    ($(#[$meta:meta])* $name:ident, $kind:literal { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// As written in files.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl Value for $name {
            const KIND: &'static str = $kind;
            fn from_item(item: &Item) -> Option<Self> {
                Self::from_text(item.as_str()?)
            }
            fn from_text(text: &str) -> Option<Self> {
                match text.trim() {
                    $($text => Some(Self::$variant),)+
                    _ => None,
                }
            }
            fn to_toml(&self) -> Toml {
                Toml::from(self.as_str())
            }
        }
    };
}

choice! {
    /// Where retrieved passages go.
    RagPolicy, "system-message or last-user-message" {
        /// Into the system message.
        SystemMessage = "system-message",
        /// Into the last message of the user.
        LastUserMessage = "last-user-message",
    }
}

choice! {
    /// When tokens are guessed and checked together.
    Speculation, "off, auto or always" {
        /// Never.
        Off = "off",
        /// Where it pays on this machine.
        Auto = "auto",
        /// Whenever there is something to guess from.
        Always = "always",
    }
}

choice! {
    /// Whether a model thinks before it answers.
    Thinking, "auto, on or off" {
        /// As its template has it.
        Auto = "auto",
        /// Where its template can be told so.
        On = "on",
        /// Not, where its template can be told so.
        Off = "off",
    }
}

choice! {
    /// Whether the worker gives up what it does not need.
    Confine, "auto or off" {
        /// As far as the system grants it.
        Auto = "auto",
        /// It keeps everything.
        Off = "off",
    }
}

choice! {
    /// What the lines of the log look like.
    LogFormat, "text or json" {
        /// For people.
        Text = "text",
        /// For programs: an object a line.
        Json = "json",
    }
}

choice! {
    /// How the KV cache is kept.
    KvType, "f16 or q8_0" {
        /// 16 bits a number.
        F16 = "f16",
        /// 8.5 bits a number.
        Q8_0 = "q8_0",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Value>(text: &str, toml: Option<&str>) {
        let value = T::from_text(text);
        let written = value.as_ref().map(|value| value.to_toml().to_string());
        assert_eq!(written.as_deref(), toml, "{text}");
        if let Some(value) = value {
            let again =
                T::from_item(&Item::Value(value.to_toml())).map(|v| v.to_toml().to_string());
            assert_eq!(again, written, "{text} does not come back");
        }
    }

    #[test]
    fn command_line_to_toml_and_back() {
        check::<u16>("8080", Some("8080"));
        check::<u16>("65536", None);
        check::<u32>("-1", None);
        check::<u64>(" 7 ", Some("7"));
        check::<f32>("0.3", Some("0.3"));
        check::<f32>("nan", None);
        check::<bool>("yes", Some("true"));
        check::<bool>("1", None);
        check::<String>("a \"b\"", Some("'a \"b\"'"));
        check::<IpAddr>("::1", Some("\"::1\""));
        check::<IpAddr>("localhost", None);
        check::<Vec<String>>("a, b,,", Some("[\"a\", \"b\"]"));
        check::<Vec<String>>("", Some("[]"));
        check::<RagPolicy>("last-user-message", Some("\"last-user-message\""));
        check::<RagPolicy>("LastUserMessage", None);
        check::<Speculation>("auto", Some("\"auto\""));
        check::<Thinking>("off", Some("\"off\""));
        check::<KvType>("q8_0", Some("\"q8_0\""));
        check::<KvType>("q4_0", None);
        check::<Confine>("off", Some("\"off\""));
    }

    #[test]
    fn secrets_are_not_shown() {
        let secrets = vec![Secret("k-123".into()), Secret::default()];
        assert_eq!(secrets.shown(), "[****, ]");
        assert_eq!(format!("{secrets:?}"), "[****, ]");
        assert_eq!(secrets[0].reveal(), "k-123");
    }
}
