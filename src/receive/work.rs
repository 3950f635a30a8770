//! A webhook's work, done on its connection's task, and to its end though the client hang up: what
//! is left then goes on as a task of its own. It must never be dropped half done.
//!
//! A task a webhook would be the simpler way to that end; it asks for another trip through the
//! scheduler both ways.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

use super::{Answer, Unavailable};

/// Work under way, and whether any is left.
pub(super) struct Work(Option<Pin<Box<dyn Future<Output = Answer> + Send>>>);

impl Work {
    /// Work that will be finished once it is begun.
    pub(super) fn new(work: impl Future<Output = Answer> + Send + 'static) -> Self {
        Self(Some(Box::pin(work)))
    }
}

impl Future for Work {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        // Out of its place while it runs: what has panicked must not be run again.
        let Some(mut work) = self.0.take() else { return Poll::Pending };
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(Poll::Ready(answer)) => Poll::Ready(answer),
            Ok(Poll::Pending) => {
                self.0 = Some(work);
                Poll::Pending
            }
            // The panic is in the log; the ledger counts the webhook as lost.
            Err(_) => Poll::Ready(Answer::Unavailable(Unavailable::NotDurable)),
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let (Some(work), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn work_that_nobody_waits_for_any_more_ends_all_the_same() {
        let ((go, gone), (end, ended)) = (oneshot::channel::<()>(), oneshot::channel());
        let mut work = Work::new(async move {
            gone.await.unwrap();
            end.send(()).unwrap();
            Answer::Unauthorized
        });
        assert!(poll_once(&mut work).is_pending());
        drop(work);
        go.send(()).unwrap();
        ended.await.unwrap();
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_that_asks_for_another_try() {
        let work = Work::new(async { panic!("as a test") });
        assert_eq!(work.await, Answer::Unavailable(Unavailable::NotDurable));
    }

    fn poll_once(work: &mut Work) -> Poll<Answer> {
        Pin::new(work).poll(&mut Context::from_waker(std::task::Waker::noop()))
    }
}
