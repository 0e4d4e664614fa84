//! How much a stream may still send, for peers that keep count.
//!
//! Kubernetes' own clients never announce what they have room for, so the count binds only once a peer has sent
//! SETTINGS or WINDOW_UPDATE. It is kept from the first byte, so that it is right when it begins to bind.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

pub const INITIAL_BYTES: i64 = 64 << 10;
pub const MAX_BYTES: i64 = (1 << 31) - 1;

/// What all windows of a connection share.
#[derive(Debug)]
pub struct Flow {
    binding: AtomicBool,
    initial: AtomicI64,
}

impl Default for Flow {
    fn default() -> Self {
        Self { binding: AtomicBool::new(false), initial: AtomicI64::new(INITIAL_BYTES) }
    }
}

impl Flow {
    pub fn bind(&self) {
        self.binding.store(true, Ordering::Release);
    }

    /// Changes what new streams begin with; the difference is for those that exist.
    pub fn set_initial(&self, bytes: i64) -> i64 {
        bytes - self.initial.swap(bytes, Ordering::AcqRel)
    }
}

#[derive(Debug)]
pub struct Window {
    flow: Arc<Flow>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    left: i64,
    waiting: Option<Waker>,
}

impl Window {
    pub fn new(flow: Arc<Flow>) -> Self {
        let left = flow.initial.load(Ordering::Acquire);
        Self { flow, state: Mutex::new(State { left, waiting: None }) }
    }

    /// Takes at most `wanted`, at least one; waits for room where the peer asks for that.
    pub fn poll_take(&self, cx: &mut Context<'_>, wanted: usize) -> Poll<usize> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = match self.flow.binding.load(Ordering::Acquire) {
            false => wanted,
            true if state.left > 0 => wanted.min(usize::try_from(state.left).unwrap_or(usize::MAX)),
            true => {
                state.waiting = Some(cx.waker().clone());
                return Poll::Pending;
            }
        };
        state.left -= taken as i64;
        Poll::Ready(taken)
    }

    /// Gives room; false when that is more than a window can hold.
    pub fn add(&self, bytes: i64) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.left = state.left.saturating_add(bytes);
        if let Some(waiting) = state.waiting.take() {
            waiting.wake();
        }
        state.left <= MAX_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(window: &Window, wanted: usize) -> Option<usize> {
        match window.poll_take(&mut Context::from_waker(Waker::noop()), wanted) {
            Poll::Ready(taken) => Some(taken),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_peer_that_never_counts_is_sent_everything() {
        let window = Window::new(Arc::default());
        assert_eq!((take(&window, 1 << 20), take(&window, 1 << 20)), (Some(1 << 20), Some(1 << 20)));
    }

    #[test]
    fn a_peer_that_counts_gets_what_it_has_room_for() {
        let flow = Arc::new(Flow::default());
        let window = Window::new(flow.clone());
        assert_eq!(take(&window, 60 << 10), Some(60 << 10));
        flow.bind();
        assert_eq!((take(&window, 60 << 10), take(&window, 1)), (Some(4 << 10), None));
        assert!(window.add(10));
        assert_eq!((take(&window, 60), take(&window, 1)), (Some(10), None));
        assert!(!window.add(MAX_BYTES + 1), "a window has an end");
    }
}
