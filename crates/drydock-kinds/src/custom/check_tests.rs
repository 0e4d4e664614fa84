//! What a cluster says about values that do not fit their schema.

use serde_json::{Value, json};

use super::check::{check, check_lists};
use super::node::Node;

/// Checks `spec: value` against the schema of `spec`.
#[track_caller]
fn expect(schema: Value, value: Value, messages: &[&str]) {
    let root = Node::parse(&json!({ "type": "object", "properties": { "spec": schema } }));
    let errors = check(&json!({ "spec": value }), None, &root, "");
    assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), messages);
}

fn object(field: &str, schema: Value) -> Value {
    json!({ "type": "object", "properties": { field: schema } })
}

#[test]
fn a_wrong_type_is_named_with_what_came() {
    expect(
        object("replicas", json!({ "type": "integer" })),
        json!({ "replicas": "3" }),
        &[
            r#"spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string""#,
        ],
    );
    expect(
        object("replicas", json!({ "type": "integer" })),
        json!({ "replicas": 1.5 }),
        &[
            r#"spec.replicas: Invalid value: "number": spec.replicas in body must be of type integer: "number""#,
        ],
    );
    expect(
        json!({ "type": "object" }),
        json!([]),
        &[r#"spec: Invalid value: "array": spec in body must be of type object: "array""#],
    );
    expect(
        object("name", json!({ "type": "string" })),
        json!({ "name": null }),
        &[r#"spec.name: Invalid value: "null": spec.name in body must be of type string: "null""#],
    );
}

#[test]
fn whole_floats_are_integers_and_nullable_allows_null() {
    expect(object("n", json!({ "type": "integer" })), json!({ "n": 3.0 }), &[]);
    expect(object("n", json!({ "type": "number" })), json!({ "n": 3 }), &[]);
    expect(object("n", json!({ "type": "integer", "nullable": true })), json!({ "n": null }), &[]);
}

#[test]
fn int_or_string_takes_both_and_nothing_else() {
    let schema =
        json!({ "x-kubernetes-int-or-string": true, "anyOf": [{ "type": "integer" }, { "type": "string" }] });
    expect(object("port", schema.clone()), json!({ "port": 80 }), &[]);
    expect(object("port", schema.clone()), json!({ "port": "http" }), &[]);
    expect(
        object("port", json!({ "x-kubernetes-int-or-string": true })),
        json!({ "port": true }),
        &[
            r#"spec.port: Invalid value: "boolean": spec.port in body must be of type integer,string: "boolean""#,
        ],
    );
}

#[test]
fn required_fields_are_named_by_their_path() {
    expect(
        json!({ "type": "object", "required": ["a", "b"], "properties": { "a": { "type": "string" } } }),
        json!({}),
        &["spec.a: Required value", "spec.b: Required value"],
    );
    let root = Node::parse(&json!({ "type": "object", "required": ["spec"] }));
    assert_eq!(check(&json!({}), None, &root, "")[0].to_string(), "spec: Required value");
}

#[test]
fn numbers_stay_within_their_bounds() {
    let schema = json!({ "type": "integer", "minimum": 1, "maximum": 5, "multipleOf": 2 });
    expect(object("n", schema.clone()), json!({ "n": 4 }), &[]);
    expect(
        object("n", schema.clone()),
        json!({ "n": 8 }),
        &["spec.n: Invalid value: 8: spec.n in body should be less than or equal to 5"],
    );
    expect(
        object("n", schema),
        json!({ "n": -1 }),
        &[
            "spec.n: Invalid value: -1: spec.n in body should be a multiple of 2",
            "spec.n: Invalid value: -1: spec.n in body should be greater than or equal to 1",
        ],
    );
    expect(
        object("n", json!({ "type": "number", "minimum": 0, "exclusiveMinimum": true })),
        json!({ "n": 0 }),
        &["spec.n: Invalid value: 0: spec.n in body should be greater than 0"],
    );
}

#[test]
fn texts_keep_length_pattern_and_format() {
    expect(
        object("s", json!({ "type": "string", "maxLength": 2 })),
        json!({ "s": "abc" }),
        &["spec.s: Too long: may not be more than 2 bytes"],
    );
    expect(
        object("s", json!({ "type": "string", "minLength": 1 })),
        json!({ "s": "" }),
        &[r#"spec.s: Invalid value: "": spec.s in body should be at least 1 chars long"#],
    );
    expect(
        object("s", json!({ "type": "string", "pattern": "^[a-z]+$" })),
        json!({ "s": "A" }),
        &[r#"spec.s: Invalid value: "A": spec.s in body should match '^[a-z]+$'"#],
    );
    expect(
        object("s", json!({ "type": "string", "format": "date-time" })),
        json!({ "s": "soon" }),
        &[r#"spec.s: Invalid value: "soon": spec.s in body must be of type date-time: "soon""#],
    );
    expect(object("s", json!({ "type": "string", "format": "telephone" })), json!({ "s": "soon" }), &[]);
}

#[test]
fn a_choice_lists_what_is_supported_in_the_authors_order() {
    expect(
        object("s", json!({ "type": "string", "enum": ["b", "a"] })),
        json!({ "s": "c" }),
        &[r#"spec.s: Unsupported value: "c": supported values: "b", "a""#],
    );
}

#[test]
fn lists_and_maps_are_counted_and_walked() {
    let list = json!({ "type": "array", "minItems": 1, "maxItems": 2, "items": { "type": "string" } });
    expect(
        object("l", list.clone()),
        json!({ "l": [] }),
        &["spec.l: Invalid value: 0: spec.l in body should have at least 1 items"],
    );
    expect(
        object("l", list.clone()),
        json!({ "l": ["a", "b", "c"] }),
        &["spec.l: Too many: 3: must have at most 2 items"],
    );
    expect(
        object("l", list),
        json!({ "l": ["a", 1] }),
        &[r#"spec.l[1]: Invalid value: "integer": spec.l[1] in body must be of type string: "integer""#],
    );
    expect(
        object("m", json!({ "type": "object", "additionalProperties": { "type": "integer" } })),
        json!({ "m": { "k": "v" } }),
        &[r#"spec.m.k: Invalid value: "string": spec.m.k in body must be of type integer: "string""#],
    );
}

#[test]
fn alternatives_report_that_none_or_too_many_fit() {
    let either = json!({ "type": "object", "oneOf": [{ "required": ["a"] }, { "required": ["b"] }] });
    expect(either.clone(), json!({ "a": 1 }), &[]);
    expect(
        either.clone(),
        json!({}),
        &[
            r#"<nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found none valid"#,
            "spec.a: Required value",
        ],
    );
    expect(
        either,
        json!({ "a": 1, "b": 1 }),
        &[
            r#"<nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found 2 valid alternatives"#,
        ],
    );
    expect(
        json!({ "type": "object", "not": { "required": ["a"] } }),
        json!({ "a": 1 }),
        &[r#"<nil>: Invalid value: "": "spec" must not validate the schema (not)"#],
    );
    expect(
        json!({ "type": "object", "anyOf": [{ "required": ["a"] }, { "required": ["b"] }] }),
        json!({ "b": 1 }),
        &[],
    );
}

#[test]
fn what_did_not_change_is_not_checked_again() {
    let root = Node::parse(&json!({ "type": "object", "properties": { "spec": {
        "type": "object", "properties": { "a": { "type": "string", "maxLength": 1 }, "b": { "type": "string", "maxLength": 1 } },
    } } }));
    let old = json!({ "spec": { "a": "long" } });
    let errors = |new: Value| check(&new, Some(&old), &root, "").len();
    assert_eq!(errors(json!({ "spec": { "a": "long", "b": "x" } })), 0);
    assert_eq!(errors(json!({ "spec": { "a": "longer", "b": "x" } })), 1);
}

#[test]
fn repeated_keys_and_items_are_duplicates() {
    let root = Node::parse(&json!({ "type": "object", "properties": {
        "set": { "type": "array", "x-kubernetes-list-type": "set", "items": { "type": "string" } },
        "map": {
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "items": { "type": "object", "properties": { "name": { "type": "string" } } },
        },
    } }));
    let value = json!({ "set": ["a", "b", "a"], "map": [{ "name": "x", "v": 1 }, { "name": "x" }] });
    let mut errors = Vec::new();
    check_lists(&value, &root, "", &mut errors);
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(texts, [r#"map[1]: Duplicate value: {"name":"x"}"#, r#"set[2]: Duplicate value: "a""#]);
}

#[test]
fn complaints_are_bounded() {
    let root = Node::parse(&json!({ "type": "array", "items": { "type": "string" } }));
    let many: Vec<i32> = (0..10_000).collect();
    assert_eq!(check(&json!(many), None, &root, "").len(), 100);
}
