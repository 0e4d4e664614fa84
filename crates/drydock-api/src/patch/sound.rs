//! Whether an applied configuration fits its kind: what it names is declared, and no item comes twice.

use drydock_kinds::schema::{Shape, Type};
use serde_json::Value;

use super::go;
use super::walk::{Form, field_type, form};

/// All complaints as one text, in the words of structured-merge-diff; they are what people find when they search.
pub(super) fn check(config: &Value, root: Type<'_>) -> Result<(), String> {
    let mut walk = Walk { path: String::new(), complaints: Vec::new() };
    walk.value(config, Some(root));
    match walk.complaints.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        many => Err(format!("errors:\n  {}", many.join("\n  "))),
    }
}

struct Walk {
    path: String,
    complaints: Vec<String>,
}

impl Walk {
    fn value(&mut self, value: &Value, ty: Option<Type<'_>>) {
        let Some(ty) = ty else { return };
        if value.is_null() {
            return;
        }
        match (ty.shape(), value) {
            (Shape::Struct | Shape::Map, Value::Object(fields)) => {
                for (name, child) in fields {
                    let declared = ty.shape() == Shape::Map || ty.field(name).is_some();
                    self.within(&format!(".{name}"), |walk| match declared {
                        true => walk.value(child, field_type(ty, name)),
                        false => walk.complain("field not declared in schema"),
                    });
                    if !declared {
                        break;
                    }
                }
            }
            (Shape::List, Value::Array(items)) => self.items(items, value, ty),
            (Shape::Struct | Shape::Map, other) => {
                self.complain(&format!("expected map, got &{{{}}}", go::text(other)));
            }
            (Shape::List, other) => self.complain(&format!("expected list, got &{{{}}}", go::text(other))),
            (Shape::Integer | Shape::Integer32 | Shape::Number, other) if !other.is_number() => {
                self.complain(&format!("expected numeric (int or float), got {}", go::type_name(other)));
            }
            (Shape::String | Shape::Bytes, other) if !other.is_string() => {
                self.complain(&format!(
                    "expected string, got &value.valueUnstructured{{Value:{}}}",
                    go::text(other)
                ));
            }
            (Shape::Boolean, other) if !other.is_boolean() => {
                self.complain(&format!(
                    "expected boolean, got &value.valueUnstructured{{Value:{}}}",
                    go::text(other)
                ));
            }
            _ => {}
        }
    }

    fn items(&mut self, items: &[Value], list: &Value, ty: Type<'_>) {
        let Form::Items(_, of) = form(list, Some(ty)) else {
            for (index, item) in items.iter().enumerate() {
                self.within(&format!("[{index}]"), |walk| walk.value(item, ty.items()));
            }
            return;
        };
        let mut seen = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let Some(element) = of.element(item) else {
                return self.complain(&format!("element {index}: {}", of.why_no_element(item)));
            };
            if seen.contains(&element) {
                self.complain(&format!("duplicate entries for key {element}"));
            }
            self.within(&element.to_string(), |walk| walk.value(item, Some(of.ty)));
            seen.push(element);
        }
    }

    fn within(&mut self, step: &str, look: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push_str(step);
        look(self);
        self.path.truncate(length);
    }

    fn complain(&mut self, what: &str) {
        self.complaints.push(format!("{}: {what}", self.path));
    }
}
