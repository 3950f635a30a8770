//! Where a message went: the recipient's country and network, as far as any receipt names them. Pure.
//!
//! A route is named by a digest, so that nothing has to be agreed on. It is counted by the hour
//! beside the cells, and read only where somebody looks for a cause.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Longest name of a network that is believed, in bytes.
const NETWORK_BYTES_MAX: usize = 64;

/// A destination.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Route {
    /// The recipient's country, ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// The recipient's network: an MCC and MNC, or an operator's name.
    pub network: Option<String>,
}

/// A digest of a route below one rank: the better one is greater. A network outranks a country
/// alone, and that outranks nothing; of two networks the greater digest stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(u32);

impl Route {
    /// A route, without a name of a network that is too long to be one.
    pub fn new(country: Option<String>, network: Option<String>) -> Self {
        let fits = |name: &String| (1..=NETWORK_BYTES_MAX).contains(&name.len());
        Self { country: country.filter(fits), network: network.filter(fits) }
    }

    /// The id that stands for it.
    pub fn id(&self) -> RouteId {
        let rank = match self {
            Self { country: None, network: None } => return RouteId::NONE,
            Self { network: None, .. } => 1,
            Self { .. } => 2,
        };
        let mut hash = Sha256::new();
        for part in [&self.country, &self.network] {
            hash.update(part.as_deref().unwrap_or_default());
            hash.update([0]);
        }
        let [a, b, c, d, ..] = hash.finalize()[..] else { return RouteId::NONE };
        RouteId(rank << 30 | u32::from_be_bytes([a, b, c, d]) >> 2)
    }
}

impl RouteId {
    /// Nobody has said where.
    pub const NONE: Self = Self(0);

    /// The id's value.
    pub const fn value(self) -> u32 {
        self.0
    }

    /// The id with this value.
    pub const fn from_value(value: u32) -> Self {
        Self(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(country: Option<&str>, network: Option<&str>) -> Route {
        Route::new(country.map(Into::into), network.map(Into::into))
    }

    #[test]
    fn whoever_says_more_is_believed() {
        let (nothing, country) = (route(None, None).id(), route(Some("US"), None).id());
        let networks = [route(Some("US"), Some("310260")).id(), route(None, Some("310260")).id()];
        assert_eq!(nothing, RouteId::NONE);
        assert!(nothing < country && networks.iter().all(|network| country < *network));
        assert_ne!(networks[0], networks[1]);
        assert_eq!(route(Some("US"), Some(&"x".repeat(65))).id(), country);
    }
}
