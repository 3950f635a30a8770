//! One connection's waits, for headers and for bodies, on one timer of the runtime's.
//!
//! hyper makes a timer for every request and drops it once the headers are there, microseconds later
//! as a rule; each would be entered into the runtime's list of timers and taken out again. These
//! share one entry, which is moved when it has run out and somebody still has time left.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// The timer of one connection. Its clones are that timer.
#[derive(Clone, Debug, Default)]
pub(super) struct Patience(Arc<Mutex<Option<Pin<Box<Sleep>>>>>);

impl Patience {
    /// What comes of `work` within `span`; `None` when it takes longer.
    pub(super) async fn within<T>(&self, span: Duration, work: impl Future<Output = T>) -> Option<T> {
        let end = self.until(Instant::now() + span);
        tokio::select! {
            biased;
            done = work => Some(done),
            () = end => None,
        }
    }

    fn until(&self, end: Instant) -> Wait {
        Wait { patience: self.clone(), end }
    }
}

/// A wait until a moment.
struct Wait {
    patience: Patience,
    end: Instant,
}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut timer = self.patience.0.lock().unwrap_or_else(PoisonError::into_inner);
        let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(self.end)));
        if timer.deadline() > self.end {
            timer.as_mut().reset(self.end);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if timer.deadline() >= self.end {
                return Poll::Ready(());
            }
            timer.as_mut().reset(self.end);
        }
        Poll::Pending
    }
}

impl hyper::rt::Sleep for Wait {}

impl hyper::rt::Timer for Patience {
    fn sleep(&self, span: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(self.until(Instant::now() + span))
    }

    fn sleep_until(&self, end: std::time::Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(self.until(end.into()))
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into()
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn waits_of_any_length_end_in_time_one_after_the_other() {
        let (patience, begun) = (Patience::default(), Instant::now());
        let mut due = Duration::ZERO;
        for seconds in [5, 10, 5, 1, 0, 7] {
            assert_eq!(patience.within(seconds * SECOND, pending::<()>()).await, None);
            due += seconds * SECOND;
            let late = begun.elapsed().saturating_sub(due);
            assert!(begun.elapsed() >= due && late < SECOND / 10, "{seconds} s: {:?}", begun.elapsed());
            assert_eq!(patience.within(20 * SECOND, ready(())).await, Some(()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_done_in_time_counts_though_an_earlier_wait_has_run_out_meanwhile() {
        let patience = Patience::default();
        assert_eq!(patience.within(SECOND, tokio::time::sleep(SECOND / 2)).await, Some(()));
        assert_eq!(patience.within(5 * SECOND, tokio::time::sleep(3 * SECOND)).await, Some(()));
        assert_eq!(patience.within(5 * SECOND, tokio::time::sleep(9 * SECOND)).await, None);
    }
}
