//! What kind of address an answer of DNS is.
//!
//! An address is public only if nothing says otherwise: what is unknown counts as special. An IPv4
//! address inside an IPv6 one counts as what it is.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fmt;

/// Kinds of addresses, by who can be behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressClass {
    /// Anybody on the internet.
    Public,
    /// This machine.
    Loopback,
    /// This network: private ranges, those shared behind a provider, unique local ones.
    Private,
    /// This wire; and where clouds keep their machines' credentials.
    LinkLocal,
    /// Nobody who answers: multicast, broadcast, unspecified, reserved, documentation, tunnels.
    Special,
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Loopback => "this machine itself",
            Self::Private => "in a private network",
            Self::LinkLocal => "link-local or a cloud's metadata service",
            Self::Special => "reserved for special use",
        })
    }
}

impl AddressClass {
    /// The class of `address`.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }
}

/// Services with credentials in them that clouds put at addresses which look public.
const METADATA: &[Ipv4Addr] = &[Ipv4Addr::new(168, 63, 129, 16)];

fn of_v4(address: Ipv4Addr) -> AddressClass {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        _ if METADATA.contains(&address) => AddressClass::LinkLocal,
        (127, ..) => AddressClass::Loopback,
        (10, ..) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) => AddressClass::Private,
        (169, 254, _) => AddressClass::LinkLocal,
        // This network, IETF's own, documentation, 6to4's relay, benchmarks, multicast, reserved.
        (0, ..)
        | (192, 0, 0 | 2)
        | (192, 88, 99)
        | (198, 51, 100)
        | (203, 0, 113)
        | (198, 18..=19, _)
        | (224.., ..) => AddressClass::Special,
        _ => AddressClass::Public,
    }
}

fn of_v6(address: Ipv6Addr) -> AddressClass {
    let segments = address.segments();
    if let Some(inside) = address.to_ipv4_mapped() {
        return of_v4(inside);
    }
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 1] => AddressClass::Loopback,
        // NAT64: a network without IPv4 reaches public IPv4 addresses so.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => of_v4(joined(high, low)),
        // 6to4: deprecated, and a way to say any IPv4 address.
        [0x2002, high, low, ..] => tunnelled(of_v4(joined(high, low))),
        // IETF's own, Teredo and ORCHID among them; documentation.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => AddressClass::Special,
        [0x2000..=0x3fff, ..] => AddressClass::Public,
        // Unique local addresses, and site-local ones, which are out of use.
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => AddressClass::Private,
        [0xfe80..=0xfebf, ..] => AddressClass::LinkLocal,
        _ => AddressClass::Special,
    }
}

/// A tunnel to a public address leads nowhere that is wanted; one to another says where.
fn tunnelled(inside: AddressClass) -> AddressClass {
    match inside {
        AddressClass::Public => AddressClass::Special,
        other => other,
    }
}

fn joined(high: u16, low: u16) -> Ipv4Addr {
    let [a, b] = high.to_be_bytes();
    let [c, d] = low.to_be_bytes();
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(class: AddressClass, addresses: &[&str]) {
        for address in addresses {
            assert_eq!(
                AddressClass::of(address.parse().unwrap()),
                class,
                "{address}"
            );
        }
    }

    #[test]
    fn every_range_has_its_class_at_both_ends() {
        use AddressClass::*;
        check(
            Public,
            &[
                "1.1.1.1",
                "9.255.255.255",
                "11.0.0.0",
                "100.63.255.255",
                "100.128.0.0",
                "126.255.255.255",
            ],
        );
        check(
            Public,
            &[
                "128.0.0.0",
                "169.253.255.255",
                "169.255.0.0",
                "172.15.255.255",
                "172.32.0.0",
            ],
        );
        check(
            Public,
            &[
                "192.0.1.0",
                "192.167.255.255",
                "192.169.0.0",
                "198.17.255.255",
                "198.20.0.0",
                "223.255.255.255",
            ],
        );
        check(
            Loopback,
            &["127.0.0.1", "127.0.0.0", "127.255.255.255", "::1"],
        );
        check(
            Private,
            &[
                "10.0.0.0",
                "10.255.255.255",
                "172.16.0.0",
                "172.31.255.255",
                "192.168.0.0",
                "192.168.255.255",
            ],
        );
        check(
            Private,
            &["100.64.0.0", "100.127.255.255", "100.100.100.200"],
        );
        check(
            Private,
            &["fc00::", "fdff:ffff::1", "fd00:ec2::254", "fec0::1"],
        );
        check(
            LinkLocal,
            &[
                "169.254.0.0",
                "169.254.169.254",
                "169.254.255.255",
                "168.63.129.16",
                "fe80::1",
                "febf::1",
            ],
        );
        check(
            Special,
            &[
                "0.0.0.0",
                "0.255.255.255",
                "192.0.0.192",
                "192.0.2.1",
                "192.88.99.1",
                "198.18.0.0",
                "198.19.255.255",
            ],
        );
        check(
            Special,
            &[
                "198.51.100.1",
                "203.0.113.1",
                "224.0.0.1",
                "239.255.255.255",
                "240.0.0.1",
                "255.255.255.255",
            ],
        );
        check(
            Special,
            &[
                "::",
                "ff02::1",
                "2001:db8::1",
                "2001::1",
                "2001:1ff::1",
                "3fff::1",
                "3fff:fff::1",
                "5f00::1",
                "100::1",
            ],
        );
        check(
            Public,
            &[
                "2606:4700::1111",
                "2001:200::1",
                "2001:4860:4860::8888",
                "2a00::1",
                "3ffe::1",
                "3fff:1000::1",
            ],
        );
    }

    #[test]
    fn an_address_inside_another_counts_as_what_it_is() {
        use AddressClass::*;
        check(
            Loopback,
            &[
                "::ffff:127.0.0.1",
                "::ffff:7f00:1",
                "64:ff9b::127.0.0.1",
                "2002:7f00:1::",
            ],
        );
        check(
            Private,
            &[
                "::ffff:10.0.0.1",
                "64:ff9b::192.168.1.1",
                "2002:c0a8:101::1",
                "2002:ac10:1::",
            ],
        );
        check(
            LinkLocal,
            &[
                "::ffff:169.254.169.254",
                "64:ff9b::a9fe:a9fe",
                "2002:a9fe:a9fe::",
            ],
        );
        check(Public, &["::ffff:1.1.1.1", "64:ff9b::1.1.1.1"]);
        // Compatible and translated addresses, NAT64 with a prefix of one's own, tunnels: nobody needs them.
        check(
            Special,
            &[
                "::127.0.0.1",
                "::ffff:0:127.0.0.1",
                "64:ff9b:1::7f00:1",
                "2002:101:101::1",
            ],
        );
    }
}
