//! The four bands of a delivery rate, and having none. Pure.

use serde::{Deserialize, Serialize};

use crate::config::Thresholds;

/// Where a rate lies between the thresholds; later ones are worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Band {
    /// Too few messages to say.
    #[default]
    Unknown,
    /// At or above `healthy`.
    Healthy,
    /// Below `healthy`.
    Watch,
    /// Below `degraded`.
    Degraded,
    /// Below `critical`.
    Critical,
}

impl Band {
    /// Every band.
    pub const ALL: [Self; 5] = [Self::Unknown, Self::Healthy, Self::Watch, Self::Degraded, Self::Critical];

    /// The bands an incident can be in, mildest first.
    pub const BAD: [Self; 3] = [Self::Watch, Self::Degraded, Self::Critical];

    /// The band a rate lies in.
    pub fn of(rate: Option<f64>, thresholds: &Thresholds) -> Self {
        match rate {
            None => Self::Unknown,
            Some(rate) if rate < thresholds.critical => Self::Critical,
            Some(rate) if rate < thresholds.degraded => Self::Degraded,
            Some(rate) if rate < thresholds.healthy => Self::Watch,
            Some(_) => Self::Healthy,
        }
    }

    /// The rate below which this band begins; none for the two that are not bad.
    pub const fn begins_below(self, thresholds: &Thresholds) -> Option<f64> {
        match self {
            Self::Unknown | Self::Healthy => None,
            Self::Watch => Some(thresholds.healthy),
            Self::Degraded => Some(thresholds.degraded),
            Self::Critical => Some(thresholds.critical),
        }
    }

    /// The band that is one better.
    pub const fn one_better(self) -> Self {
        match self {
            Self::Unknown => Self::Unknown,
            Self::Healthy | Self::Watch => Self::Healthy,
            Self::Degraded => Self::Watch,
            Self::Critical => Self::Degraded,
        }
    }

    /// The name in the API, in metrics and in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Watch => "watch",
            Self::Degraded => "degraded",
            Self::Critical => "critical",
        }
    }

    /// The name as a title begins with it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Unknown => "Unknown",
            Self::Healthy => "Healthy",
            Self::Watch => "Watch",
            Self::Degraded => "Degraded",
            Self::Critical => "Critical",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Health;

    #[test]
    fn a_rate_on_a_threshold_is_in_the_better_band() {
        let thresholds = Health::default().thresholds;
        for (rate, band) in [
            (None, Band::Unknown),
            (Some(1.0), Band::Healthy),
            (Some(0.95), Band::Healthy),
            (Some(0.949), Band::Watch),
            (Some(0.90), Band::Watch),
            (Some(0.899), Band::Degraded),
            (Some(0.80), Band::Degraded),
            (Some(0.799), Band::Critical),
        ] {
            assert_eq!(Band::of(rate, &thresholds), band, "{rate:?}");
        }
    }

    #[test]
    fn a_worse_band_compares_greater() {
        assert!(Band::ALL.is_sorted());
    }
}
