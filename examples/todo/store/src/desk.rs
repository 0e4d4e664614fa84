//! Connections to PostgreSQL that go from one query straight to the next.
//!
//! The pool asks a connection whether it still works each time it comes back: a second question to the database for every
//! query. A connection whose query has just succeeded works, so it waits here instead, and goes back to the pool, which
//! asks, after an error, when a caller left in the middle of a query, or when nobody needed it for [`TRUSTED_FOR`].
//!
//! Start at [`Desk::lease`].

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Error, Postgres};
use tokio::sync::{Semaphore, SemaphorePermit};

/// A connection used this recently is taken as alive.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(crate) struct Desk {
    pool: PgPool,
    shared: Arc<Shared>,
}

struct Shared {
    /// The one used last is at the end.
    kept: Mutex<Vec<(PoolConnection<Postgres>, Instant)>>,
    /// As many as the pool has connections: who holds one finds a connection here or in the pool.
    leases: Semaphore,
}

impl Desk {
    pub fn new(pool: PgPool) -> Self {
        let connections = usize::try_from(pool.options().get_max_connections()).unwrap_or(usize::MAX);
        let leases = Semaphore::new(connections.min(Semaphore::MAX_PERMITS));
        Self { pool, shared: Arc::new(Shared { kept: Mutex::default(), leases }) }
    }

    /// A connection for one caller; waits as long as the pool would.
    pub async fn lease(&self) -> Result<Lease<'_>, Error> {
        let place = match self.shared.leases.try_acquire() {
            Ok(place) => place,
            Err(_) => self.wait_for_place().await?,
        };
        let kept = self.kept().pop().filter(|(_, since)| since.elapsed() < TRUSTED_FOR);
        let connection = match kept {
            Some((connection, _)) => connection,
            None => self.pool.acquire().await?,
        };
        Ok(Lease { connection: Some(connection), desk: self, _place: place })
    }

    async fn wait_for_place(&self) -> Result<SemaphorePermit<'_>, Error> {
        let patience = self.pool.options().get_acquire_timeout();
        let place = tokio::time::timeout(patience, self.shared.leases.acquire()).await;
        place.map_err(|_| Error::PoolTimedOut)?.map_err(|_| Error::PoolClosed)
    }

    /// Connections open, and how many of them nobody uses.
    pub fn usage(&self) -> (u32, usize) {
        (self.pool.size(), self.pool.num_idle() + self.kept().len())
    }

    /// Closes the connections politely; queries in progress finish first.
    pub async fn close(&self) {
        // From here on nothing is kept any more.
        let closing = self.pool.close();
        self.kept().clear();
        closing.await;
    }

    fn keep(&self, connection: PoolConnection<Postgres>) {
        let mut kept = self.kept();
        if self.pool.is_closed() {
            return;
        }
        kept.push((connection, Instant::now()));
        // What is not needed any more sinks to the bottom.
        if kept[0].1.elapsed() >= TRUSTED_FOR {
            kept.remove(0);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Vec<(PoolConnection<Postgres>, Instant)>> {
        self.shared.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A connection in use. Dropped as it is, it goes back to the pool, which asks whether it still works.
pub(crate) struct Lease<'a> {
    /// Until [`Lease::returned`].
    connection: Option<PoolConnection<Postgres>>,
    desk: &'a Desk,
    _place: SemaphorePermit<'a>,
}

impl Lease<'_> {
    /// Hands the connection to whoever is next, unless its last query failed.
    pub fn returned<T>(mut self, outcome: Result<T, Error>) -> Result<T, Error> {
        if outcome.is_ok() {
            self.desk.keep(self.connection.take().expect("taken here only"));
        }
        outcome
    }
}

impl Deref for Lease<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.connection.as_ref().expect("taken at the end only")
    }
}

impl DerefMut for Lease<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("taken at the end only")
    }
}
