//! Durable objects with revisions and watches. Knows keys and bytes, not kinds.
