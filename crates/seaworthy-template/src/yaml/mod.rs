//! YAML as Helm reads and writes it: sigs.k8s.io/yaml over go-yaml v2, that is YAML 1.1 scalars by way of JSON.
//!
//! Reading yields `serde_json::Value` and is bounded in size, depth and alias expansion. Writing prints what
//! Go's encoder prints, byte for byte. The one place that knows YAML; charts, values and manifests use it too.

mod fault;
mod read;
mod resolve;
mod write;

pub use fault::{Error, Stage};
pub use read::{Limits, read, read_with, split_documents};
pub use resolve::{Scalar, resolve};
pub use write::{write, write_json, write_pretty};

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check_read(text: &str, expect: serde_json::Value) {
        assert_eq!(read(text), Ok(expect), "{text}");
    }

    #[track_caller]
    fn check_refused(text: &str, reason: &str) {
        let error = read(text).expect_err(text).to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }

    #[test]
    fn plain_scalars_follow_yaml_1_1() {
        check_read("[on, Off, y, N, yes, ~, null]", json!([true, false, true, false, true, null, null]));
        check_read(
            "[0o14, 014, 0x1F, 0b11, 1_000, 08, .5, 1e3]",
            json!([12, 12, 31, 3, 1000, 8.0, 0.5, 1000.0]),
        );
        check_read("[2024-01-02, 1:30, 'on', \"1\", !!str 5]", json!(["2024-01-02", "1:30", "on", "1", "5"]));
    }

    #[test]
    fn keys_become_texts_and_the_last_of_two_wins() {
        check_read("{1: a, on: b, 1.5: c}", json!({"1": "a", "true": "b", "1.5": "c"}));
        check_read("a: 1\na: 2\n", json!({"a": 2}));
    }

    #[test]
    fn anchors_and_merge_keys_are_resolved() {
        check_read(
            "b: &b {x: 1, z: 2}\nd: {<<: *b, z: 3}\n",
            json!({"b": {"x": 1, "z": 2}, "d": {"x": 1, "z": 3}}),
        );
        check_refused("a: {<<: 5}", "map merge requires");
    }

    #[test]
    fn only_the_first_document_is_read_and_nothing_is_null() {
        check_read("a: 1\n---\nb: 2\n", json!({"a": 1}));
        check_read("", json!(null));
        check_read("# only a comment\n", json!(null));
    }

    #[test]
    fn what_cannot_be_json_is_an_error_with_its_line() {
        check_refused("a: 1\nb: [\n", "line");
        check_refused("a: .inf", "unsupported value");
        check_refused(&"[".repeat(200), "levels");
        check_refused(&"[".repeat(5_000), "limit");
    }

    #[test]
    fn what_is_written_reads_back_as_it_was() {
        let value = json!({"a": ["x: y", "on", "", " lead", "two\nlines\n", "tab\t", {"k": [[1, 2], {}]}], "n": null, "f": 0.5});
        assert_eq!(read(&write_json(&value).unwrap()), Ok(json!({"a": value["a"], "n": null, "f": 0.5})));
    }
}
