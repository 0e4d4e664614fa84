//! What a model has said of its answer so far: words, and calls whose arguments come in fragments. Pure.
//!
//! A call is made only from an answer that came to its end, so that one that broke changes nothing.

use mcp_client::JsonObject;
use serde_json::Value;

use super::super::provider::{Error, Reply, Step, Wish};

/// Calls of one answer, and the length of their arguments in bytes.
const CALLS_MAX: usize = 20;
const ARGUMENTS_MAX: usize = 64 << 10;

#[derive(Default)]
pub struct Gathered {
    text: String,
    /// How much of the text was handed out by [`Gathered::fresh`].
    told: usize,
    calls: Vec<Fragments>,
    is_complete: bool,
}

#[derive(Default)]
struct Fragments {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: Value,
}

impl Gathered {
    pub fn say(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// The words since the last time.
    pub fn fresh(&mut self) -> &str {
        let from = std::mem::replace(&mut self.told, self.text.len());
        &self.text[from..]
    }

    /// A call, or more of one: a fragment goes on with the call of its index, or without a name with the last one.
    pub fn call(
        &mut self,
        index: Option<u64>,
        id: &Value,
        name: &Value,
        arguments: &Value,
    ) -> Result<(), Error> {
        let (id, name) = (id.as_str().unwrap_or_default(), name.as_str().unwrap_or_default());
        let goes_on = |call: &Fragments| match index {
            // Some services number every call of an answer 0; their ids differ.
            Some(_) => call.index == index && (id.is_empty() || call.id.is_empty() || call.id == id),
            None => name.is_empty() && call.index.is_none(),
        };
        let at = match self.calls.iter().rposition(goes_on) {
            Some(at) => at,
            None if self.calls.len() >= CALLS_MAX => return Err(Error::Nonsense("calls without end")),
            None => {
                self.calls.push(Fragments { index, ..Fragments::default() });
                self.calls.len() - 1
            }
        };
        self.calls[at].add(id, name, arguments)
    }

    /// The service said that this is all.
    pub fn complete(&mut self) {
        self.is_complete = true;
    }

    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// A step of calls when there are some, else of words.
    pub fn finish(self) -> Result<Step, Error> {
        if !self.is_complete {
            return Err(Error::Nonsense("cut off"));
        }
        if !self.calls.is_empty() {
            let wishes = self.calls.into_iter().map(Fragments::wish);
            return Ok(Step::Call(wishes.collect::<Result<_, _>>()?));
        }
        match self.text.trim() {
            // A model that has nothing to say did not answer.
            "" => Err(Error::Nonsense("empty")),
            text => Ok(Step::Say(Reply { text: text.to_owned(), ..Reply::default() })),
        }
    }
}

impl Fragments {
    fn add(&mut self, id: &str, name: &str, arguments: &Value) -> Result<(), Error> {
        if self.id.is_empty() {
            self.id = id.to_owned();
        }
        if self.name.is_empty() {
            self.name = name.to_owned();
        }
        match (&mut self.arguments, arguments) {
            (_, Value::Null) => {}
            (Value::String(before), Value::String(more)) if before.len() + more.len() > ARGUMENTS_MAX => {
                return Err(Error::Nonsense("arguments without end"));
            }
            (Value::String(before), Value::String(more)) => before.push_str(more),
            (before, all) => *before = all.clone(),
        }
        Ok(())
    }

    /// Arguments are an object, or the text of one.
    fn wish(self) -> Result<Wish, Error> {
        let arguments = match self.arguments {
            Value::Object(object) => Some(object),
            Value::String(text) if !text.trim().is_empty() => serde_json::from_str(&text).ok(),
            Value::String(_) | Value::Null => Some(JsonObject::new()),
            _ => None,
        };
        match (self.name, arguments) {
            (name, _) if name.is_empty() => Err(Error::Nonsense("a call without a name")),
            (_, None) => Err(Error::Nonsense("a call whose arguments are no object")),
            (tool, Some(arguments)) => Ok(Wish { tool, arguments }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Fragments as (index, id, name, arguments), and the calls they make up.
    #[track_caller]
    fn check(fragments: &[(Option<u64>, &str, &str, Value)], expect: &str) {
        let mut gathered = Gathered::default();
        for (index, id, name, arguments) in fragments {
            gathered.call(*index, &json!(id), &json!(name), arguments).unwrap();
        }
        gathered.complete();
        let got = match gathered.finish() {
            Ok(Step::Call(wishes)) => {
                let calls =
                    wishes.into_iter().map(|wish| format!("{} {}", wish.tool, Value::Object(wish.arguments)));
                calls.collect::<Vec<_>>().join(", ")
            }
            Ok(other) => format!("{other:?}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, expect);
    }

    #[test]
    fn fragments_find_their_call() {
        let (a, b) = (json!("{\"title\":"), json!("\"Milk\"}"));
        let whole = "add_task {\"title\":\"Milk\"}";
        check(
            &[
                (Some(0), "c", "add_task", json!("")),
                (Some(0), "", "", a.clone()),
                (Some(0), "", "", b.clone()),
            ],
            whole,
        );
        check(&[(None, "c", "add_task", a.clone()), (None, "", "", b.clone())], whole);
        let twice = format!("{whole}, {whole}");
        let first = [(Some(0), "c", "add_task", a.clone()), (Some(1), "d", "add_task", a.clone())];
        check(&[&first[..], &[(Some(1), "", "", b.clone()), (Some(0), "", "", b.clone())]].concat(), &twice);
        let complete = json!("{\"title\":\"Milk\"}");
        check(
            &[(Some(0), "c", "add_task", complete.clone()), (Some(0), "d", "add_task", complete.clone())],
            &twice,
        );
        check(&[(None, "", "add_task", complete.clone()), (None, "", "add_task", complete)], &twice);
        check(&[(None, "", "list_tasks", Value::Null)], "list_tasks {}");
    }

    #[test]
    fn what_is_cut_off_empty_or_endless_is_no_step() {
        let expect = "the model answered something that is a call whose arguments are no object";
        check(&[(Some(0), "c", "add_task", json!("{\"title\": \"Mi"))], expect);
        check(
            &[(Some(0), "c", "", json!("{}"))],
            "the model answered something that is a call without a name",
        );
        let mut gathered = Gathered::default();
        gathered.say("All of your ta");
        assert!(gathered.finish().is_err());
        let mut gathered = Gathered::default();
        let many = (0..=CALLS_MAX as u64)
            .try_for_each(|at| gathered.call(Some(at), &json!("x"), &json!("y"), &Value::Null));
        assert!(many.is_err());
        let mut gathered = Gathered::default();
        let long = json!("x".repeat(ARGUMENTS_MAX / 2 + 1));
        let twice = [&long, &long]
            .into_iter()
            .try_for_each(|part| gathered.call(Some(0), &json!(""), &json!("y"), part));
        assert!(twice.is_err());
    }
}
