//! Which addresses a socket can be reached at.

use std::io;
use std::net::{IpAddr, SocketAddr};

/// Whether loopback addresses are offered to peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Loopback {
    /// Only when the machine has no other address (a container without a network, a test).
    #[default]
    WhenAlone,
    /// Always: peers are known to live on this machine too.
    Always,
}

/// The addresses to put into [`Config::local_addresses`](crate::Config::local_addresses) for a socket
/// bound to `bound`: that address itself, or for a wildcard bind (`0.0.0.0`, `[::]`) one per usable
/// interface address. IPv6 link-local addresses are left out: they mean nothing without a scope.
///
/// # Errors
/// The system refuses to list its interfaces.
pub fn host_addresses(bound: SocketAddr, loopback: Loopback) -> io::Result<Vec<SocketAddr>> {
    if !bound.ip().is_unspecified() {
        return Ok(vec![bound]);
    }
    let interfaces = if_addrs::get_if_addrs()?;
    let addresses = interfaces
        .iter()
        .filter(|interface| interface.is_oper_up())
        .map(if_addrs::Interface::ip);
    Ok(select(bound, loopback, addresses))
}

/// Reduces what the system lists to what `bound` can serve.
fn select(
    bound: SocketAddr,
    loopback: Loopback,
    addresses: impl Iterator<Item = IpAddr>,
) -> Vec<SocketAddr> {
    let (mut local, mut outward): (Vec<_>, Vec<_>) = addresses
        .filter(|ip| bound.is_ipv6() || ip.is_ipv4())
        .filter(|ip| !is_link_local(*ip) && !ip.is_unspecified())
        .map(|ip| SocketAddr::new(ip, bound.port()))
        .partition(|address| address.ip().is_loopback());
    if loopback == Loopback::Always || outward.is_empty() {
        outward.append(&mut local);
    }
    outward.sort_unstable();
    outward.dedup();
    outward
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(bound: &str, loopback: Loopback, ips: &[&str]) -> Vec<String> {
        let addresses = ips.iter().map(|ip| ip.parse().unwrap());
        select(bound.parse().unwrap(), loopback, addresses)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_concrete_bind_is_its_own_address() {
        let bound = "127.0.0.1:7".parse().unwrap();
        assert_eq!(host_addresses(bound, Loopback::WhenAlone).unwrap(), [bound]);
    }

    #[test]
    fn a_wildcard_bind_always_finds_an_address() {
        let bound = "0.0.0.0:7".parse().unwrap();
        assert!(!host_addresses(bound, Loopback::Always).unwrap().is_empty());
    }

    #[test]
    fn loopback_is_offered_when_alone_or_asked() {
        let (alone, always) = (Loopback::WhenAlone, Loopback::Always);
        assert_eq!(
            selected("0.0.0.0:7", alone, &["127.0.0.1"]),
            ["127.0.0.1:7"]
        );
        assert_eq!(
            selected("0.0.0.0:7", alone, &["127.0.0.1", "10.0.0.1"]),
            ["10.0.0.1:7"]
        );
        let both = selected("0.0.0.0:7", always, &["127.0.0.1", "10.0.0.1"]);
        assert_eq!(both, ["10.0.0.1:7", "127.0.0.1:7"]);
    }

    #[test]
    fn an_ipv4_wildcard_offers_no_ipv6_and_nobody_offers_link_local() {
        let ips = ["10.0.0.1", "2001:db8::1", "fe80::1", "169.254.1.1"];
        let loopback = Loopback::WhenAlone;
        assert_eq!(selected("0.0.0.0:7", loopback, &ips), ["10.0.0.1:7"]);
        assert_eq!(
            selected("[::]:7", loopback, &ips),
            ["10.0.0.1:7", "[2001:db8::1]:7"]
        );
    }
}
