//! The language of `--set` and of values files.

use serde_json::json;

use seaworthy_helm::{Values, merge_maps, parse_values, set};

#[track_caller]
fn check(line: &str, expected: serde_json::Value) {
    let mut values = Values::new();
    set::set(line, &mut values).unwrap();
    assert_eq!(serde_json::Value::Object(values), expected, "{line}");
}

#[track_caller]
fn check_refused(line: &str, reason: &str) {
    let error = set::set(line, &mut Values::new()).unwrap_err();
    assert!(error.to_string().contains(reason), "{line}: {error}");
}

#[test]
fn numbers_bools_and_nulls_are_recognised_and_leading_zeros_are_text() {
    check(
        "a=1,b=true,c=null,d=1.5,e=007,f=0,g=-3",
        json!({"a":1,"b":true,"c":null,"d":"1.5","e":"007","f":0,"g":-3}),
    );
}

#[test]
fn dots_nest_and_backslashes_keep_dots_and_commas() {
    check(r"a.b.c=x,k8s\.io/name=y,v=a\,b", json!({"a":{"b":{"c":"x"}},"k8s.io/name":"y","v":"a,b"}));
}

#[test]
fn braces_make_lists_and_indexes_fill_with_nulls() {
    check(
        "a={x,2,true},b[1]=z,c[0].d=1,c[0].e=2",
        json!({"a":["x",2,true],"b":[null,"z"],"c":[{"d":1,"e":2}]}),
    );
    check("a[0][1]=x", json!({"a":[[null,"x"]]}));
    check("a=", json!({"a":""}));
}

#[test]
fn malformed_assignments_say_what_is_wrong() {
    check_refused("a", "has no value");
    check_refused("a={x", "must end with");
    check_refused("a[x]=1", "index");
    check_refused("a[99999]=1", "greater than the largest");
    check_refused("a=1,a.b=2", "is not a map");
}

#[test]
fn set_string_and_set_json_keep_their_types() {
    let mut values = Values::new();
    set::set_string("a=1,b=true", &mut values).unwrap();
    set::set_json(r#"c={"x":[1,"y"]},d=null"#, &mut values).unwrap();
    set::set_literal("e=a,b={c}", &mut values).unwrap();
    assert_eq!(json!(values), json!({"a":"1","b":"true","c":{"x":[1.0,"y"]},"d":null,"e":"a,b={c}"}));
}

#[test]
fn later_files_win_and_nulls_survive_until_rendering() {
    let mut values = parse_values("a.yaml", "a: {b: 1, c: on}\nd: [1]\n").unwrap();
    merge_maps(&mut values, parse_values("b.yaml", "a: {b: null}\nd: [2]\n---\ne: 0o14\n").unwrap());
    assert_eq!(json!(values), json!({"a":{"b":null,"c":true},"d":[2.0],"e":12.0}));
}

#[test]
fn a_document_of_aliases_that_explodes_is_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let previous = format!("*a{}", i - 1);
        text.push_str(&format!("a{i}: &a{i} [{}]\n", vec![previous; 10].join(", ")));
    }
    let error = parse_values("bomb.yaml", &text).unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("limit"), "{error:?}");
}
