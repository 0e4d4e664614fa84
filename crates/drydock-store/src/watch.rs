//! Following changes: a replay from the log, then live events from a bounded queue.
//!
//! Replay and registration happen under one lock, so no event is lost, doubled or reordered between the two. A
//! watcher that does not keep up is ended with [`Lagged`] instead of slowing the writer or growing without bound.

use std::any::Any;
use std::collections::VecDeque;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, RwLock};
use std::task::{Context, Poll};

use futures::Stream;
use tokio::sync::mpsc;

use crate::memory::{Event, State};
use crate::store::{read, write};

/// The watcher fell further behind than its queue holds; it must list again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the watch fell behind and was ended")]
pub struct Lagged;

/// An event on its way to its watchers. All of them get the same one, so what the first works out about it serves
/// the others, and is forgotten with the last.
#[derive(Debug)]
pub struct Notice {
    event: Arc<Event>,
    memo: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Notice {
    pub(crate) fn new(event: Arc<Event>) -> Self {
        Self { event, memo: OnceLock::new() }
    }

    /// The watchers' common notes, made on first use. `None` when watchers of another mind came first.
    pub fn memo<T: Default + Send + Sync + 'static>(&self) -> Option<&T> {
        self.memo.get_or_init(|| Box::new(T::default())).downcast_ref()
    }
}

impl Deref for Notice {
    type Target = Event;

    fn deref(&self) -> &Event {
        &self.event
    }
}

/// The writer's end of a watch.
#[derive(Debug)]
pub(crate) struct Registration {
    id: u64,
    prefix: Arc<str>,
    queue: mpsc::Sender<Arc<Notice>>,
    lagged: Arc<AtomicBool>,
}

impl Registration {
    /// Hands over an event of ours; false means the watch has ended and is to be forgotten.
    pub fn offer(&self, notice: &Arc<Notice>) -> bool {
        if !notice.key.starts_with(&*self.prefix) {
            return true;
        }
        match self.queue.try_send(notice.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.lagged.store(true, Ordering::Release);
                false
            }
        }
    }
}

/// A stream of events in revision order. Ends with `Err(Lagged)`, or without error when the store closes.
#[derive(Debug)]
pub struct Watch {
    id: u64,
    replay: VecDeque<Arc<Event>>,
    live: mpsc::Receiver<Arc<Notice>>,
    lagged: Arc<AtomicBool>,
    state: Arc<RwLock<State>>,
}

impl Watch {
    /// Registers under the lock the caller holds, together with the `replay` it took under the same lock.
    pub(crate) fn register(
        state: &mut State,
        shared: &Arc<RwLock<State>>,
        prefix: &str,
        replay: VecDeque<Arc<Event>>,
        id: u64,
        queue: usize,
    ) -> Self {
        let (sender, live) = mpsc::channel(queue);
        let lagged = Arc::new(AtomicBool::new(false));
        let registration = Registration { id, prefix: prefix.into(), queue: sender, lagged: lagged.clone() };
        state.watchers.push(registration);
        Self { id, replay, live, lagged, state: shared.clone() }
    }

    /// The revision up to which every event of this watch has been taken out of it, or `None` while some wait.
    pub fn progress(&self) -> Option<u64> {
        let state = read(&self.state);
        (self.replay.is_empty() && self.live.is_empty() && !self.lagged.load(Ordering::Acquire))
            .then_some(state.revision)
    }
}

impl Stream for Watch {
    type Item = Result<Arc<Notice>, Lagged>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(event) = self.replay.pop_front() {
            return Poll::Ready(Some(Ok(Arc::new(Notice::new(event)))));
        }
        match self.live.poll_recv(cx) {
            Poll::Ready(Some(event)) => Poll::Ready(Some(Ok(event))),
            Poll::Ready(None) if self.lagged.swap(false, Ordering::AcqRel) => Poll::Ready(Some(Err(Lagged))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        write(&self.state).watchers.retain(|watcher| watcher.id != self.id);
    }
}
