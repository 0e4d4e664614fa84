//! The patch engine against what Kubernetes' own libraries answer to the same questions.
//!
//! `upstream/*.jsonl` holds our cases, one per line, each with the answer recorded from apimachinery (see
//! `upstream/README.md`). [`generate`] makes more of them from the schemas; where the recorder was built and
//! `DRYDOCK_PATCH_RECORDER` names it, they are compared live.

#![allow(clippy::unwrap_used)] // A test that unwraps nothing has failed, as it should.

mod generate;
mod live;
mod recorded;
mod replay;
