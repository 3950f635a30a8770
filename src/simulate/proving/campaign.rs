//! What makes failures come together: campaigns and carriers, each with its own share of them. Pure.

use rand::{Rng, RngExt};

/// Carriers, by their share of recipients.
const CARRIERS: [f64; 4] = [0.38, 0.31, 0.24, 0.07];
/// Minutes a campaign lasts, on average.
const LASTS: f64 = 120.0;
/// The spread of the logarithm of a campaign's, and of a carrier's, share of failures.
const SPREAD: f64 = 0.5;

/// How much more often than usual messages fail now, carrier by carrier; 1 on average.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Campaign {
    until: f64,
    factors: [f64; CARRIERS.len()],
}

impl Campaign {
    /// The factor of one message at a moment, in a new campaign when the last is over.
    pub(super) fn factor(&mut self, at: f64, random: &mut impl Rng) -> f64 {
        if at >= self.until {
            let of_campaign = spread(random);
            self.until = at + exponential(LASTS, random);
            self.factors = std::array::from_fn(|_| of_campaign * spread(random));
        }
        let mut place = random.random::<f64>();
        for (share, factor) in CARRIERS.iter().zip(self.factors) {
            place -= share;
            if place < 0.0 {
                return factor;
            }
        }
        self.factors[0]
    }
}

/// A logarithmically normal factor of mean 1.
fn spread(random: &mut impl Rng) -> f64 {
    let (a, b) = (1.0 - random.random::<f64>(), random.random::<f64>());
    let normal = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
    (SPREAD * normal - SPREAD * SPREAD / 2.0).exp()
}

/// An exponentially distributed span.
pub(super) fn exponential(mean: f64, random: &mut impl Rng) -> f64 {
    -mean * (1.0 - random.random::<f64>()).ln()
}
