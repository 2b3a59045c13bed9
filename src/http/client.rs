//! Who asks: the client's address, also behind proxies.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use poem::http::HeaderMap;

/// The address of the client at the other end of a connection from `peer`. If that is one of the
/// `trusted` proxies, it is the right-most address of `X-Forwarded-For` that is not: what stands to
/// the left of it, anybody may have written. An entry that is no address ends the search at the
/// proxy that wrote it.
pub(super) fn address(peer: SocketAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    // IPv4 addresses of a socket for both families, as IPv4.
    let mut client = peer.ip().to_canonical();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    if trusted.is_empty() {
        return client;
    }
    let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
    let mut hops = lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|b| *b == b','));
    while is_trusted(&client) {
        match hops.next().map(parse) {
            Some(Some(hop)) => client = hop,
            Some(None) | None => break,
        }
    }
    client
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`.
fn parse(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, lines: &[&str]) -> String {
        let trusted = ["10.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap());
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_may_say_who_the_client_is() {
        assert_eq!(client("192.0.2.9:1", &["198.51.100.1"]), "192.0.2.9");
        assert_eq!(client("10.0.0.1:1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("[::ffff:10.0.0.1]:1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("[::1]:1", &[]), "::1");
    }

    #[test]
    fn what_the_client_wrote_itself_is_not_believed() {
        for lines in [
            &["203.0.113.7, 198.51.100.1"][..],
            &["203.0.113.7", "198.51.100.1"],
            &["10.9.9.9, 198.51.100.1, 10.0.0.2"],
            &["10.9.9.9, 198.51.100.1", "10.0.0.2, 10.0.0.3"],
        ] {
            assert_eq!(client("10.0.0.1:1", lines), "198.51.100.1", "{lines:?}");
        }
    }

    #[test]
    fn an_entry_that_is_no_address_ends_the_search_at_the_proxy_that_wrote_it() {
        for line in ["198.51.100.1, unknown", "198.51.100.1,", "198.51.100.1, 10.0.0.2:x"] {
            assert_eq!(client("10.0.0.1:1", &[line]), "10.0.0.1", "{line}");
        }
        assert_eq!(client("10.0.0.1:1", &["_hidden, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(client("10.0.0.1:1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
    }

    #[test]
    fn a_port_is_left_out() {
        for (hop, expected) in [
            ("198.51.100.1:4711", "198.51.100.1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:198.51.100.1", "198.51.100.1"),
        ] {
            assert_eq!(client("10.0.0.1:1", &[hop]), expected);
        }
    }
}
