//! What may be reached: said by the node's owner, in files, and by nobody else.
//!
//! Invariant: an origin that is in neither list is never reached, and one that was not listed by
//! itself is reached only over TLS and only at public addresses.

use core::net::IpAddr;

use crate::address::AddressClass;
use crate::origin::{Host, Origin, Scheme};

/// Why nothing is asked of a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// Neither a tool's origin nor a listed one.
    #[error("{0} is no origin that this node may reach")]
    Origin(Origin),
    /// Plain HTTP, and not listed.
    #[error("{0} is plain HTTP, which is only for origins that are listed")]
    PlainHttp(Origin),
    /// DNS says nothing.
    #[error("{0} has no address")]
    NoAddress(Origin),
    /// One of its addresses is not for tools.
    #[error("{origin} is at {address}, which is {class}: only a listed origin may be there")]
    Address {
        /// The place.
        origin: Origin,
        /// The address that was found.
        address: IpAddr,
        /// Its kind.
        class: AddressClass,
    },
}

/// The origins that may be reached.
#[derive(Debug, Clone, Default)]
pub struct AllowList {
    tools: Vec<Origin>,
    listed: Vec<Origin>,
}

impl AllowList {
    /// `tools` may be reached over TLS at public addresses. `listed` are what the configuration file
    /// names one by one: they may be plain HTTP, and in private networks.
    pub fn new(tools: Vec<Origin>, listed: Vec<Origin>) -> Self {
        Self { tools, listed }
    }

    /// Whether `origin` may be asked for at all; to be asked before its name is resolved.
    pub fn check_origin(&self, origin: &Origin) -> Result<(), NotAllowed> {
        if self.listed.contains(origin) {
            return Ok(());
        }
        match (origin.scheme, self.tools.contains(origin)) {
            (Scheme::Https, true) => Ok(()),
            (Scheme::Http, true) => Err(NotAllowed::PlainHttp(origin.clone())),
            (_, false) => Err(NotAllowed::Origin(origin.clone())),
        }
    }

    /// Whether `origin` may be reached at `addresses`: all that its name has, since one that leads
    /// astray among good ones is no accident.
    pub fn check(&self, origin: &Origin, addresses: &[IpAddr]) -> Result<(), NotAllowed> {
        self.check_origin(origin)?;
        if addresses.is_empty() {
            return Err(NotAllowed::NoAddress(origin.clone()));
        }
        match addresses
            .iter()
            .find(|address| !self.may_be_at(origin, **address))
        {
            None => Ok(()),
            Some(address) => Err(NotAllowed::Address {
                origin: origin.clone(),
                address: *address,
                class: AddressClass::of(*address),
            }),
        }
    }

    /// A listed name may lead into the owner's network, but to link-local addresses, where
    /// credentials lie, only the address itself.
    fn may_be_at(&self, origin: &Origin, address: IpAddr) -> bool {
        let is_listed = self.listed.contains(origin);
        match AddressClass::of(address) {
            AddressClass::Public => true,
            AddressClass::Loopback | AddressClass::Private => is_listed,
            AddressClass::LinkLocal => is_listed && origin.host == Host::Address(address),
            AddressClass::Special => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Origin {
        text.parse().unwrap()
    }

    fn list() -> AllowList {
        let tools = vec![
            origin("https://api.example"),
            origin("http://plain.example"),
        ];
        let listed = [
            "http://127.0.0.1:8080",
            "https://intranet.example",
            "http://169.254.169.254",
            "http://224.0.0.1",
        ];
        AllowList::new(tools, listed.map(origin).to_vec())
    }

    fn check(url: &str, addresses: &[&str], expected: &str) {
        let addresses: Vec<_> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let said = match list().check(&origin(url), &addresses) {
            Ok(()) => "yes".to_owned(),
            Err(error) => error.to_string(),
        };
        assert!(said.contains(expected), "{url}: {said}");
    }

    #[test]
    fn tools_are_reached_at_public_addresses_only() {
        check("https://api.example", &["1.1.1.1", "2606:4700::1"], "yes");
        check(
            "https://api.example",
            &["1.1.1.1", "10.0.0.1"],
            "at 10.0.0.1, which is in a private",
        );
        check(
            "https://api.example",
            &["::ffff:127.0.0.1"],
            "this machine itself",
        );
        check("https://api.example", &[], "has no address");
        check(
            "https://api.example:8443",
            &["1.1.1.1"],
            "no origin that this node may reach",
        );
        check(
            "https://other.example",
            &["1.1.1.1"],
            "no origin that this node may reach",
        );
    }

    #[test]
    fn http_only_if_listed() {
        check("http://plain.example", &["1.1.1.1"], "plain HTTP");
        check("http://api.example", &["1.1.1.1"], "no origin");
        check("http://127.0.0.1:8080", &["127.0.0.1"], "yes");
        check("http://127.0.0.1:8081", &["127.0.0.1"], "no origin");
    }

    #[test]
    fn a_listed_name_leads_into_the_network_and_not_to_its_credentials() {
        check(
            "https://intranet.example",
            &["10.0.0.1", "127.0.0.1"],
            "yes",
        );
        check(
            "https://intranet.example",
            &["169.254.169.254"],
            "link-local",
        );
        check("http://169.254.169.254", &["169.254.169.254"], "yes");
        check("http://224.0.0.1", &["224.0.0.1"], "special use");
    }
}
