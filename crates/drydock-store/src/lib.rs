//! Durable objects with revisions and watches, for the API server.
//!
//! Knows keys and bytes, never kinds: it does not parse what it stores. Every change gets its own revision from
//! one global counter, is fsynced before it is acknowledged, and reaches every watch of its key exactly once and
//! in order. Older states stay readable down to a *floor*, below which the event log has been compacted.
//!
//! Start at [`Store`]; [`Txn`] is what can be written, [`Watch`] what can be followed. `writer` is the only code
//! that changes anything: a write is durable in the `journal`, and reaches the database on the `disk` later, by a
//! `checkpoint`.

mod checkpoint;
mod disk;
mod error;
mod journal;
mod memory;
mod packed;
mod record;
mod reseal;
mod salvage;
mod seal;
mod store;
mod txn;
mod watch;
mod writer;

pub use error::{Compacted, OpenError, WriteError};
pub use memory::{Entry, Event, Item, Page};
pub use packed::Packed;
pub use reseal::{Staged, stage};
pub use salvage::{Salvage, salvage};
pub use seal::{Seal, SealError};
pub use store::{List, Options, Store};
pub use txn::{Expect, Txn};
pub use watch::{Lagged, Notice, Watch};
