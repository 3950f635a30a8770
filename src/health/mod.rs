//! Cells → rates, bands and transitions. Pure: `now` is an argument, nothing is read or written.
//!
//! [`report`] sums the cells into views of numbers, legs, lists, providers and
//! connections; [`judge`](policy::judge) says what a view means for where its number stands.

mod band;
mod rate;
mod sums;
mod view;
mod early;
mod delay;
mod coverage;
mod response;
mod report;
mod scope;
mod settle;
mod silence;
mod orders;
mod signal;
mod signals;
mod outage;
mod case;
mod round;
mod standing;
mod verdict;
pub mod policy;
#[cfg(test)]
pub(crate) mod story;

pub use band::Band;
pub use case::Case;
pub use coverage::{Coverage, seen_before};
pub use delay::Delays;
pub use early::{Early, Span, odds};
pub use orders::Orders;
pub use rate::{Counts, SHOWN_Z, Tally, wilson};
pub use report::{Report, report};
pub use response::{Complaints, OptOut, OptOuts};
pub use round::{Decision, Step, decide};
pub use scope::{Kind, Scope};
pub use settle::Settle;
pub use signal::{Flag, Signal};
pub use silence::{Concern, Silence, Silenced, silenced};
pub use standing::{Change, Evidence, Resolved, Rule, Standing, Transition};
pub use sums::{Sums, Window};
pub use verdict::{BandVerdict, Finding, Hindrance, Lack, Measure, Recovery, Verdict, percent};
pub use view::{ConnectionView, Leg, ListView, NumberView, ProviderView, View};
