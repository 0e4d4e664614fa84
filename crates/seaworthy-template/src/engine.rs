//! A set of templates and one rendering of it.
//!
//! [`Templates`] parses files and executes them; [`Runtime`] carries what a rendering shares (limits, clock,
//! cluster); [`Scope`] is the set of names that `include` can see, which `tpl` extends for its own text.

use std::collections::HashMap;
use std::rc::Rc;

use crate::ast::Tree;
use crate::error::{Error, Failure, ParseError};
use crate::eval;
use crate::funcs;
use crate::parse;
use crate::value::Value;

/// How often one name may be included inside itself; Helm's figure.
const MAX_RECURSION: usize = 1_000;

/// What one rendering may consume. Honest charts stay far below the defaults.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Evaluation steps over all templates.
    pub steps: usize,
    /// Bytes written over all templates, `include` counted again.
    pub output_bytes: usize,
    /// Templates executing inside each other.
    pub depth: usize,
    /// Bytes of one string and items of one list.
    pub value_size: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { steps: 50_000_000, output_bytes: 512 << 20, depth: 1_200, value_size: 64 << 20 }
    }
}

/// Reads objects of the cluster for `lookup`.
pub trait Lookup {
    /// One object, a list when `name` is empty, or an empty map when there is none.
    fn lookup(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<serde_json::Value, String>;
}

/// What a rendering takes from outside.
#[derive(Default)]
pub struct Options {
    pub limits: Limits,
    /// The time `now` returns; the system's when absent.
    pub now: Option<jiff::Timestamp>,
    /// Without one, `lookup` finds nothing, as in `helm template`.
    pub lookup: Option<Rc<dyn Lookup>>,
    /// `required` and `fail` pass, as in `helm lint`.
    pub lint: bool,
    /// The address of a host for `getHostByName`, which finds none without this.
    pub resolve: Option<Resolve>,
}

/// Asks for the address of a host.
pub type Resolve = fn(&str) -> Option<String>;

/// The named templates that are visible.
#[derive(Clone, Default)]
pub struct Scope {
    trees: HashMap<String, Rc<Tree>>,
}

impl Scope {
    pub(crate) fn get(&self, name: &str) -> Option<Rc<Tree>> {
        self.trees.get(name).cloned()
    }

    /// Later definitions win, except that a blank one never hides a real one.
    fn add(&mut self, tree: Tree) {
        let keeps = tree.is_blank() && self.trees.get(&tree.name).is_some_and(|old| !old.is_blank());
        if !keeps {
            self.trees.insert(tree.name.clone(), Rc::new(tree));
        }
    }
}

/// What one rendering shares.
pub struct Runtime {
    pub options: Options,
    steps: usize,
    written: usize,
    depth: usize,
    included: HashMap<String, usize>,
}

impl Runtime {
    fn new(options: Options) -> Self {
        Runtime { options, steps: 0, written: 0, depth: 0, included: HashMap::new() }
    }

    pub(crate) fn step(&mut self) -> Result<(), Failure> {
        self.steps += 1;
        let limit = self.options.limits.steps;
        if self.steps > limit { Err(Error::Limit { what: "evaluation steps", limit }) } else { Ok(()) }
    }

    pub(crate) fn wrote(&mut self, bytes: usize) -> Result<(), Failure> {
        self.written = self.written.saturating_add(bytes);
        let limit = self.options.limits.output_bytes;
        if self.written > limit { Err(Error::Limit { what: "bytes of output", limit }) } else { Ok(()) }
    }

    pub(crate) fn enter(&mut self) -> Result<(), Failure> {
        self.depth += 1;
        let limit = self.options.limits.depth;
        if self.depth > limit { Err(Error::Limit { what: "nested templates", limit }) } else { Ok(()) }
    }

    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Refuses values that only a hostile template builds.
    pub(crate) fn checked(&mut self, value: Value) -> Result<Value, Failure> {
        let size = match &value {
            Value::Str(text) => text.len(),
            Value::List(list) => list.items.len().saturating_mul(16),
            _ => 0,
        };
        self.steps += size / 64;
        let limit = self.options.limits.value_size;
        if size > limit { Err(Error::Limit { what: "bytes in one value", limit }) } else { Ok(value) }
    }

    pub(crate) fn now(&self) -> jiff::Timestamp {
        self.options.now.unwrap_or_else(jiff::Timestamp::now)
    }

    /// The text of a named template.
    pub(crate) fn include(&mut self, scope: &Rc<Scope>, name: &str, dot: Value) -> Result<Vec<u8>, Failure> {
        let count = self.included.entry(name.to_owned()).or_default();
        if *count > MAX_RECURSION {
            let message =
                format!("rendering template has a nested reference name: {name}: unable to execute template");
            return Err(message.into());
        }
        *count += 1;
        let tree = scope.get(name).ok_or_else(|| Error::NoTemplate(name.to_owned()))?;
        let mut out = Vec::new();
        eval::execute(self, scope, &tree, dot.unwrapped(), &mut out)?;
        if let Some(count) = self.included.get_mut(name) {
            *count -= 1;
        }
        Ok(out)
    }

    /// The text of a template given as a string; its definitions are seen by nobody else.
    pub(crate) fn tpl(&mut self, scope: &Rc<Scope>, text: &str, dot: Value) -> Result<Vec<u8>, Failure> {
        self.steps += text.len() / 64;
        let shown = crate::gofmt::quote(text.as_bytes());
        let mut trees = parse::parse("gotpl", text, &funcs::exists)
            .map_err(|error| Error::Message(format!("cannot parse template {shown}: {error}")))?
            .into_iter();
        let Some(main) = trees.next() else { return Ok(Vec::new()) };
        let mut scope = scope.clone();
        let more: Vec<Tree> = trees.collect();
        if !more.is_empty() {
            let own = Rc::make_mut(&mut scope);
            more.into_iter().for_each(|tree| own.add(tree));
        }
        let mut out = Vec::new();
        eval::execute(self, &scope, &main, dot.unwrapped(), &mut out).map_err(|error| match error {
            Error::Limit { .. } => error,
            other => Error::Message(format!("error during tpl function execution for {shown}: {other}")),
        })?;
        Ok(without_no_value(out))
    }
}

/// Helm removes the text Go prints for missing values.
fn without_no_value(out: Vec<u8>) -> Vec<u8> {
    const NO_VALUE: &[u8] = b"<no value>";
    if !out.windows(NO_VALUE.len()).any(|window| window == NO_VALUE) {
        return out;
    }
    let mut kept = Vec::with_capacity(out.len());
    let mut rest = out.as_slice();
    while let Some(at) = rest.windows(NO_VALUE.len()).position(|window| window == NO_VALUE) {
        kept.extend_from_slice(&rest[..at]);
        rest = &rest[at + NO_VALUE.len()..];
    }
    kept.extend_from_slice(rest);
    kept
}

/// The templates of a chart and its subcharts, and one rendering of them.
pub struct Templates {
    scope: Rc<Scope>,
    runtime: Runtime,
}

impl Templates {
    pub fn new(options: Options) -> Self {
        Templates { scope: Rc::default(), runtime: Runtime::new(options) }
    }

    /// Parses one file. Definitions replace earlier ones of the same name, as in Helm: parse in its order.
    pub fn parse(&mut self, name: &str, text: &str) -> Result<(), ParseError> {
        let trees = parse::parse(name, text, &funcs::exists)?;
        let scope = Rc::make_mut(&mut self.scope);
        trees.into_iter().for_each(|tree| scope.add(tree));
        Ok(())
    }

    /// Executes a parsed file; the result has Go's `<no value>` removed, as Helm does.
    pub fn render(&mut self, name: &str, dot: Value) -> Result<String, Error> {
        let tree = self.scope.get(name).ok_or_else(|| Error::NoTemplate(name.to_owned()))?;
        let mut out = Vec::new();
        self.runtime.depth = 0;
        self.runtime.included.clear();
        eval::execute(&mut self.runtime, &self.scope.clone(), &tree, dot, &mut out)?;
        let out = without_no_value(out);
        Ok(String::from_utf8(out)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Map;

    fn render(text: &str) -> Result<String, String> {
        let mut templates = Templates::new(Options::default());
        templates.parse("t", text).map_err(|error| error.to_string())?;
        let dot = Value::map([("n", Value::Float(2.0)), ("m", Value::map([("k", Value::str("v"))]))]);
        templates.render("t", dot).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn check(text: &str, expect: &str) {
        assert_eq!(render(text).as_deref(), Ok(expect), "{text}");
    }

    #[track_caller]
    fn check_fails(text: &str, expect: &str) {
        let error = render(text).expect_err(text);
        assert!(error.contains(expect), "{text}: {error}");
    }

    #[test]
    fn trim_markers_take_spaces_on_their_side_only() {
        check("a {{- 1 -}} b", "a1b");
        check("a {{ 1 -}} \n b", "a 1b");
        check("a {{- /* gone */ -}} b", "ab");
        check("{{3}}-{{-3}}", "3--3");
    }

    #[test]
    fn a_variable_set_inside_a_block_is_seen_after_it_and_a_declared_one_is_not() {
        check("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}", "2");
        check("{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ end }}{{ $x }}", "1");
    }

    #[test]
    fn and_and_or_stop_at_the_first_answer() {
        check(r#"{{ or 1 (fail "not reached") }}{{ and 0 (fail "not reached") }}"#, "10");
    }

    #[test]
    fn a_missing_field_is_nothing_but_a_field_of_it_is_an_error() {
        check("[{{ .none }}]", "[]");
        check("[{{ (.none).deep }}]", "[]");
        check_fails(
            "{{ .none.deep }}",
            "t:1:8: executing \"t\" at <.none.deep>: nil pointer evaluating interface {}.deep",
        );
    }

    #[test]
    fn set_changes_the_map_that_others_hold() {
        check(r#"{{ $_ := set .m "new" 1 }}{{ .m }}"#, "map[k:v new:1]");
        check(r#"{{ $c := deepCopy .m }}{{ $_ := set $c "new" 1 }}{{ .m }}"#, "map[k:v]");
    }

    #[test]
    fn a_later_file_replaces_a_definition_and_a_blank_one_does_not() {
        let mut templates = Templates::new(Options::default());
        templates.parse("a", r#"{{ define "x" }}first{{ end }}"#).unwrap();
        templates.parse("b", r#"{{ define "x" }}second{{ end }}{{ define "y" }}kept{{ end }}"#).unwrap();
        templates.parse("c", r#"{{ define "y" }} {{ end }}{{ include "x" . }} {{ include "y" . }}"#).unwrap();
        assert_eq!(templates.render("c", Value::Nil).unwrap(), "second kept");
    }

    #[test]
    fn limits_can_be_chosen_and_name_themselves() {
        let limits = Limits { steps: 100, ..Limits::default() };
        let mut templates = Templates::new(Options { limits, ..Options::default() });
        templates.parse("t", "{{ range until 1000 }}{{ . }}{{ end }}").unwrap();
        let error = templates.render("t", Value::Nil).unwrap_err();
        assert_eq!(error, Error::Limit { what: "evaluation steps", limit: 100 });
    }

    #[test]
    fn lookup_asks_whoever_was_given() {
        struct One;
        impl Lookup for One {
            fn lookup(
                &self,
                version: &str,
                kind: &str,
                ns: &str,
                name: &str,
            ) -> Result<serde_json::Value, String> {
                Ok(serde_json::json!({ "found": format!("{version}/{kind}/{ns}/{name}") }))
            }
        }
        let mut templates = Templates::new(Options { lookup: Some(Rc::new(One)), ..Options::default() });
        templates.parse("t", r#"{{ (lookup "v1" "Secret" "ns" "x").found }}"#).unwrap();
        assert_eq!(
            templates.render("t", Value::Map(Map::new(crate::MapType::Any))).unwrap(),
            "v1/Secret/ns/x"
        );
    }

    #[test]
    fn bytes_that_are_not_text_survive_functions() {
        check(r#"{{ "/wD+AQ==" | b64dec | b64enc }}"#, "/wD+AQ==");
    }
}
