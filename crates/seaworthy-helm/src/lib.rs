//! Charts on disk: load, values, render.
