//! Long-lived tasks that must not die: a panic is logged and the task starts again.
//!
//! Start at [`supervise`]. A task that returns has finished and stays finished.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use tokio_util::sync::CancellationToken;

/// Between two lives of a crashing task, so that it cannot take a whole core.
const RESTART_PAUSE: Duration = Duration::from_millis(200);

pub async fn supervise<F>(name: String, shutdown: CancellationToken, task: impl Fn() -> F + Send)
where
    F: Future<Output = ()> + Send,
{
    loop {
        let Err(panic) = AssertUnwindSafe(task()).catch_unwind().await else { return };
        tracing::error!(task = %name, panic = %panic_text(&*panic), "task crashed and is started again");
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(RESTART_PAUSE) => {}
        }
    }
}

/// The words a panic was raised with.
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn a_crashed_task_is_started_again() {
        let lives = AtomicUsize::new(0);
        let task = || async {
            if lives.fetch_add(1, Ordering::SeqCst) < 2 {
                panic!("first lives end badly");
            }
        };
        supervise("test".into(), CancellationToken::new(), task).await;
        assert_eq!(lives.load(Ordering::SeqCst), 3);
    }
}
