//! The application model into the files of a Helm chart, in memory.
