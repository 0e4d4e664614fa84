//! Go templates as Helm uses them: text in, text out.
