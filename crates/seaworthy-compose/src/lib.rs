//! Compose files into the application model, reporting every key that is not carried over.
