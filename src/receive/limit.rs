//! Who is calling, and how often they may.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use http::HeaderMap;
use ipnet::IpNet;

use crate::clock::Timestamp;
use crate::config::Connection;
use crate::event::ConnectionId;

/// The address a request comes from: the peer, or, where the peer is a trusted proxy, the last
/// address in `X-Forwarded-For` that is not one.
pub(super) fn remote(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    if !is_trusted(&peer) {
        return peer;
    }
    let mut nearest = peer;
    let named: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    for hop in named.into_iter().rev() {
        let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
        nearest = address;
        if !is_trusted(&address) {
            break;
        }
    }
    nearest
}

/// Requests of this second, for connections that have a `rate_limit`.
#[derive(Debug, Default)]
pub struct RateLimits(Mutex<HashMap<ConnectionId, (u32, u32)>>);

impl RateLimits {
    /// Counts a request; false when its connection has had its share of this second.
    pub fn admit(&self, connection: &Connection, now: Timestamp) -> bool {
        let Some(most) = connection.rate_limit else { return true };
        let mut seconds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (second, count) = seconds.entry(connection.id.clone()).or_default();
        if *second != now.seconds() {
            (*second, *count) = (now.seconds(), 0);
        }
        *count = count.saturating_add(1);
        *count <= most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_addresses_are_believed_of_trusted_proxies_only() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let headers = |value: &'static str| {
            HeaderMap::from_iter([("x-forwarded-for".parse().unwrap(), value.parse().unwrap())])
        };
        for (peer, forwarded, expected) in [
            ("1.2.3.4", "9.9.9.9", "1.2.3.4"),
            ("10.0.0.1", "9.9.9.9", "9.9.9.9"),
            ("10.0.0.1", "6.6.6.6, 9.9.9.9, 10.0.0.2", "9.9.9.9"),
            ("10.0.0.1", "6.6.6.6, nonsense", "10.0.0.1"),
            ("10.0.0.1", "", "10.0.0.1"),
        ] {
            let seen = remote(peer.parse().unwrap(), &headers(forwarded), &trusted);
            assert_eq!(seen, expected.parse::<IpAddr>().unwrap(), "{peer} {forwarded}");
        }
    }
}
