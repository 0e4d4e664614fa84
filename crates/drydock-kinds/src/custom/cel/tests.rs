//! Expressions as definitions in the wild write them.

use serde_json::{Value, json};

use super::{Rule, check};
use crate::custom::node::Node;

fn errors(schema: Value, rule: Value, value: Value, old: Option<Value>) -> Vec<String> {
    let mut schema = schema;
    schema["x-kubernetes-validations"] = json!([rule]);
    let root = Node::parse(&json!({ "type": "object", "properties": { "spec": schema } }));
    let old = old.map(|old| json!({ "spec": old }));
    let found = check(&json!({ "spec": value }), old.as_ref(), &root, "");
    found.iter().map(ToString::to_string).collect()
}

/// Whether `rule` holds for a value without any schema worth mentioning.
#[track_caller]
fn holds(rule: &str, value: Value) {
    let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    assert_eq!(errors(schema, json!({ "rule": rule }), value, None), Vec::<String>::new(), "{rule}");
}

#[track_caller]
fn fails(rule: &str, value: Value, expect: &str) {
    let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    assert_eq!(errors(schema, json!({ "rule": rule }), value, None), [expect], "{rule}");
}

#[test]
fn operators_and_precedence_are_those_of_the_language() {
    holds("1 + 2 * 3 == 7 && !(1 > 2) || false", json!({}));
    holds("7 / 2 == 3 && -7 % 3 == -1 && 7.0 / 2.0 == 3.5", json!({}));
    holds("1 == 1.0 && 2u == 2 && 'a' < 'b'", json!({}));
    holds("true ? 1 == 1 : false", json!({}));
    holds("'x' in ['x', 'y'] && 'k' in {'k': 1} && !('z' in ['x'])", json!({}));
    holds("[1, 2] + [3] == [1, 2, 3] && {'a': [1]} == {'a': [1]}", json!({}));
    holds("-9223372036854775808 < 0 && 0x10 == 16 && 1e3 == 1000.0", json!({}));
}

#[test]
fn fields_are_selected_and_tested() {
    holds("has(self.a) && !has(self.b) && self.a.b == 1", json!({ "a": { "b": 1 } }));
    fails(
        "self.b == 1",
        json!({}),
        r#"spec: Invalid value: "object": no such key: b evaluating rule: self.b == 1"#,
    );
    fails("self.a == 1", json!({ "a": 2 }), "spec: Invalid value: failed rule: self.a == 1");
    holds("!has(self.b) || self.b > 1", json!({}));
    holds("self.__namespace__ == 'x' && self.a__dot__b == 1", json!({ "namespace": "x", "a.b": 1 }));
    holds("self['a b'] == 1", json!({ "a b": 1 }));
}

#[test]
fn a_side_that_decides_wins_over_an_error() {
    holds("self.missing == 1 || true", json!({}));
    holds("!(self.missing == 1 && false)", json!({}));
    holds("[1, 2].exists(x, x == 2 || self.missing)", json!({}));
}

#[test]
fn macros_walk_lists_and_maps() {
    let value = || json!({ "l": [{ "n": "a", "p": 1 }, { "n": "b", "p": 2 }], "m": { "x": 1, "y": 2 } });
    holds(
        "self.l.all(i, i.p > 0) && self.l.exists(i, i.n == 'b') && self.l.exists_one(i, i.p == 1)",
        value(),
    );
    holds("self.l.map(i, i.n) == ['a', 'b'] && self.l.filter(i, i.p > 1).size() == 1", value());
    holds("self.l.map(i, i.p > 1, i.n) == ['b']", value());
    holds("self.m.all(k, self.m[k] < 3) && self.m.exists(k, v, v == 2)", value());
    holds("self.l.all(i, self.l.exists_one(j, j.n == i.n))", value());
    holds("cel.bind(x, self.l.size(), x * x == 4)", value());
    holds("self.l.transformList(i, v, v.p + i) == [1, 3]", value());
}

#[test]
fn optional_values_chain() {
    holds("self.?a.?b.orValue('none') == 'none'", json!({}));
    holds("self.?a.b.orValue('none') == 'x'", json!({ "a": { "b": "x" } }));
    holds("self.?a.hasValue() && self[?'a'].hasValue() && !self.?z.hasValue()", json!({ "a": 1 }));
    holds(
        "optional.of(3).optMap(x, x + 1).value() == 4 && optional.none().or(optional.of(1)).value() == 1",
        json!({}),
    );
}

#[test]
fn texts_are_taken_apart() {
    holds("'a,b,c'.split(',') == ['a', 'b', 'c'] && ['a', 'b'].join('-') == 'a-b'", json!({}));
    holds(
        "'hello'.substring(1, 3) == 'el' && 'hello'.indexOf('l') == 2 && 'hello'.lastIndexOf('l') == 3",
        json!({}),
    );
    holds("'Ab'.lowerAscii() == 'ab' && ' x '.trim() == 'x' && 'aXa'.replace('X', 'b') == 'aba'", json!({}));
    holds(r"'abc-1'.matches('^[a-z]+-\\d$') && 'a1b2'.findAll('[0-9]') == ['1', '2']", json!({}));
    holds("size('äö') == 2 && 'x'.size() == 1 && 'abc'.charAt(1) == 'b'", json!({}));
    holds("'%s is %d'.format(['a', 3]) == 'a is 3'", json!({}));
    holds(r#"r'\d' == '\\d' && """a"b""" == 'a"b'"#, json!({}));
}

#[test]
fn what_kubernetes_adds_is_there() {
    holds(
        "quantity('1Gi').isGreaterThan(quantity('1000M')) && isQuantity('5m') && !isQuantity('x')",
        json!({}),
    );
    holds(
        "quantity('2').asInteger() == 2 && quantity('1').add(quantity('500m')).compareTo(quantity('1500m')) == 0",
        json!({}),
    );
    holds("isIP('10.0.0.1') && ip('10.0.0.1').family() == 4 && ip('::1').isLoopback()", json!({}));
    holds(
        "cidr('10.0.0.0/8').containsIP('10.1.2.3') && cidr('10.0.0.0/8').containsCIDR(cidr('10.1.0.0/16')) && !isCIDR('10.0.0.0')",
        json!({}),
    );
    holds(
        "isURL('https://a.b:80/c?d=e') && url('https://a.b:80/c?d=e').getHost() == 'a.b:80' && url('https://a.b/c?d=e').getQuery()['d'] == ['e']",
        json!({}),
    );
    holds("semver('1.2.3').isLessThan(semver('1.10.0')) && !isSemver('1.2')", json!({}));
    holds(
        "[1, 2, 3].sum() == 6 && [3, 1].max() == 3 && [1, 2].isSorted() && sets.contains([1, 2], [2])",
        json!({}),
    );
    holds(
        "!format.dns1123Label().validate('a-b').hasValue() && format.named('dns1123Label').value().validate('A').hasValue()",
        json!({}),
    );
    holds(
        "duration('90s').getMinutes() == 1 && timestamp('2026-01-02T03:04:05Z').getHours() == 3",
        json!({}),
    );
    holds("type(1) == int && string(1) == '1' && int('2') == 2 && double(1) == 1.0", json!({}));
}

#[test]
fn values_have_the_types_of_their_schema() {
    let schema = json!({ "type": "object", "properties": {
        "n": { "type": "number" }, "i": { "type": "integer" }, "t": { "type": "string", "format": "date-time" },
        "d": { "type": "string", "format": "duration" }, "s": { "type": "array", "x-kubernetes-list-type": "set", "items": { "type": "string" } },
        "e": { "x-kubernetes-int-or-string": true },
    } });
    let rule = "self.n / 2.0 == 0.5 && self.i + 1 == 3 && self.t < timestamp('2030-01-01T00:00:00Z') && self.d == duration('1h') && self.s == ['b', 'a'] && (type(self.e) == int ? self.e == 80 : false)";
    let value = json!({ "n": 1, "i": 2, "t": "2026-01-01T00:00:00Z", "d": "60m", "s": ["a", "b"], "e": 80 });
    assert_eq!(errors(schema, json!({ "rule": rule }), value, None), Vec::<String>::new());
}

#[test]
fn transitions_compare_with_the_old_value() {
    let schema = || json!({ "type": "object", "properties": { "a": { "type": "string" } } });
    let rule = || json!({ "rule": "self.a == oldSelf.a", "message": "a is immutable" });
    assert_eq!(errors(schema(), rule(), json!({ "a": "x" }), None), Vec::<String>::new());
    assert_eq!(
        errors(schema(), rule(), json!({ "a": "x" }), Some(json!({ "a": "x" }))),
        Vec::<String>::new()
    );
    assert_eq!(
        errors(schema(), rule(), json!({ "a": "y" }), Some(json!({ "a": "x" }))),
        ["spec: Invalid value: a is immutable"]
    );
    let optional = json!({ "rule": "oldSelf.hasValue() || self.a == 'first'", "optionalOldSelf": true });
    assert_eq!(errors(schema(), optional.clone(), json!({ "a": "first" }), None), Vec::<String>::new());
    assert_eq!(errors(schema(), optional, json!({ "a": "other" }), None).len(), 1);
}

#[test]
fn a_rule_that_did_not_hold_before_is_no_obstacle_for_other_changes() {
    let schema = json!({ "type": "object", "properties": { "a": { "type": "string" } } });
    let rule = json!({ "rule": "self.a == 'x'" });
    assert_eq!(errors(schema, rule, json!({ "a": "y" }), Some(json!({ "a": "y" }))), Vec::<String>::new());
}

#[test]
fn messages_can_be_computed_and_point_elsewhere() {
    let schema = || json!({ "type": "object", "properties": { "a": { "type": "integer" } } });
    let rule = json!({ "rule": "self.a > 5", "messageExpression": "'a is ' + string(self.a)", "fieldPath": ".a", "reason": "FieldValueForbidden" });
    assert_eq!(errors(schema(), rule, json!({ "a": 3 }), None), ["spec.a: Forbidden: a is 3"]);
    let scalar = errors(
        json!({ "type": "integer" }),
        json!({ "rule": "self > 5", "message": "too small" }),
        json!(3),
        None,
    );
    assert_eq!(scalar, ["spec: Invalid value: 3: too small"]);
}

#[test]
fn the_budget_ends_every_evaluation() {
    let list: Vec<i32> = (0..3000).collect();
    let found = errors(
        json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true }),
        json!({ "rule": "self.l.all(x, self.l.all(y, self.l.all(z, x + y + z >= 0)))" }),
        json!({ "l": list }),
        None,
    );
    assert!(found[0].contains("actual cost limit exceeded"), "{found:?}");
    let grown = "cel.bind(a, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', a.replace('a', a).replace('a', a).replace('a', a).replace('a', a).replace('a', a).size() > 0)";
    let found = errors(json!({ "type": "object" }), json!({ "rule": grown }), json!({}), None);
    assert!(found[0].contains("cost limit exceeded"), "{found:?}");
}

#[test]
fn broken_expressions_are_refused_with_their_place() {
    #[track_caller]
    fn refused(rule: &str, expect: &str) {
        let error = Rule::compile(&json!({ "rule": rule })).expect_err(rule);
        assert_eq!(error.to_string(), expect);
    }
    refused("self.a ==", "ERROR: <input>:1:10: Syntax error: mismatched input '<EOF>'");
    refused("self.a.b(", "ERROR: <input>:1:10: Syntax error: mismatched input '<EOF>'");
    refused("other.a == 1", "ERROR: <input>:1:1: undeclared reference to 'other' (in container '')");
    refused("self.frob() == 1", "ERROR: <input>:1:6: undeclared reference to 'frob' (in container '')");
    refused("'a", "ERROR: <input>:1:3: unterminated string literal");
    refused("has(self)", "ERROR: <input>:1:10: invalid argument to has() macro");
    assert!(Rule::compile(&json!({ "rule": "(".repeat(10_000) })).is_err());
    assert!(Rule::compile(&json!({ "rule": format!("{}true", "!".repeat(10_000)) })).is_err());
}
