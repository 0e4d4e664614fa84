//! Brings the database up to the journal, beside the writer.
//!
//! One thread owns the database. It gets the changes of a full journal file while the writer goes on with the other;
//! the writer waits only when both are full. A checkpoint that failed keeps its changes and is tried again before
//! the journal's next turn, so a disk that was full costs nothing once it has room again.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use crate::disk::{Disk, DiskError};
use crate::memory::Event;

/// Changes for the database, and how far its log may be compacted.
#[derive(Debug)]
pub(crate) struct Job {
    pub events: Vec<Arc<Event>>,
    pub floor: u64,
}

type Outcome = Result<(), (Job, DiskError)>;

pub(crate) struct Checkpoints {
    jobs: Option<Sender<Job>>,
    outcomes: Receiver<Outcome>,
    under_way: bool,
    failed: Option<Job>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    pub fn start(disk: Disk) -> std::io::Result<Self> {
        let (jobs, todo) = channel();
        let (done, outcomes) = channel();
        let work = move || run(disk, &todo, &done);
        let thread = std::thread::Builder::new().name("store-checkpoint".into()).spawn(work)?;
        Ok(Self { jobs: Some(jobs), outcomes, under_way: false, failed: None, thread: Some(thread) })
    }

    /// Starts a checkpoint. The one before has been settled.
    pub fn begin(&mut self, job: Job) {
        if job.events.is_empty() {
            return;
        }
        let sent = self.jobs.as_ref().map(|jobs| jobs.send(job));
        self.under_way = matches!(sent, Some(Ok(())));
    }

    /// Waits for the checkpoint under way and tries one that failed once more. Afterwards the database has all that
    /// was ever handed to [`Self::begin`].
    pub fn settle(&mut self) -> Result<(), DiskError> {
        if let Err((job, error)) = self.wait() {
            tracing::error!(%error, "the store's database could not be written");
            self.failed = Some(job);
        }
        let Some(job) = self.failed.take() else { return Ok(()) };
        self.begin(job);
        self.wait().map_err(|(job, error)| {
            self.failed = Some(job);
            error
        })
    }

    fn wait(&mut self) -> Outcome {
        match std::mem::take(&mut self.under_way) {
            true => self.outcomes.recv().unwrap_or(Ok(())),
            false => Ok(()),
        }
    }

    /// Ends the thread, which closes the database.
    pub fn close(mut self) {
        drop(self.jobs.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the store's checkpoint thread panicked");
        }
    }
}

fn run(mut disk: Disk, todo: &Receiver<Job>, done: &Sender<Outcome>) {
    for job in todo {
        let outcome = disk.checkpoint(&job.events, job.floor);
        // The writer is gone only when nobody waits any more.
        let _ = done.send(outcome.map_err(|error| (job, error)));
    }
}
