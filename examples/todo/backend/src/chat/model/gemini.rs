//! Google's Gemini. Its schemas are a part of JSON schema: no type may be a list, and what it does not know is an error.

use axum::http::HeaderName;
use serde_json::{Map, Value, json};
use service::config::{self, Settings};

use super::super::provider::{Error, Turn};
use super::{Dialect, Gathered, PROMPT, parameters, setting, spoken};

pub struct Gemini {
    base: String,
    model: String,
    key: String,
}

impl Gemini {
    pub fn new(base: &str, model: &str, key: &str) -> Self {
        Self { base: base.to_owned(), model: model.to_owned(), key: key.to_owned() }
    }

    pub fn configured(settings: &Settings) -> Result<Self, config::Error> {
        let base = setting(settings, "GEMINI_BASE_URL", "https://generativelanguage.googleapis.com")?;
        let model = setting(settings, "GEMINI_MODEL", "gemini-2.5-flash")?;
        Ok(Self::new(&base, &model, &settings.required("GEMINI_API_KEY")?))
    }
}

impl Dialect for Gemini {
    fn name(&self) -> &'static str {
        "gemini"
    }

    fn url(&self) -> String {
        format!("{}/v1beta/models/{}:streamGenerateContent?alt=sse", self.base, self.model)
    }

    /// In a header: addresses end up in logs.
    fn authorization(&self) -> Option<(HeaderName, String)> {
        Some((HeaderName::from_static("x-goog-api-key"), self.key.clone()))
    }

    fn request(&self, turn: &Turn<'_>) -> Value {
        let mut contents: Vec<Value> = spoken(turn)
            .map(|(is_user, text)| {
                json!({ "role": if is_user { "user" } else { "model" }, "parts": [{ "text": text }] })
            })
            .collect();
        for call in turn.calls {
            let made = json!({ "functionCall": { "name": call.tool, "args": call.arguments } });
            let answer = json!({ "functionResponse": { "name": call.tool, "response": call.result } });
            contents.push(json!({ "role": "model", "parts": [made] }));
            contents.push(json!({ "role": "user", "parts": [answer] }));
        }
        let declarations: Vec<Value> = turn
            .tools
            .iter()
            .map(|tool| {
                let parameters = understood(&parameters(&tool.parameters));
                json!({ "name": tool.name, "description": tool.description, "parameters": parameters })
            })
            .collect();
        json!({
            "systemInstruction": { "parts": [{ "text": PROMPT }] },
            "contents": contents,
            "tools": [{ "functionDeclarations": declarations }],
        })
    }

    fn gather(&self, piece: &Value, answer: &mut Gathered) -> Result<(), Error> {
        let candidate = &piece["candidates"][0];
        for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
            if part["thought"] != true {
                answer.say(part["text"].as_str().unwrap_or_default());
            }
            if let Some(call) = part.get("functionCall") {
                answer.call(None, &Value::Null, &call["name"], &call["args"])?;
            }
        }
        if candidate["finishReason"].is_string() {
            answer.complete();
        }
        Ok(())
    }
}

/// The part of a schema that Gemini understands. A choice between something and nothing becomes that something.
fn understood(schema: &Value) -> Value {
    let choices = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array());
    let chosen = choices.and_then(|choices| choices.iter().find(|choice| choice["type"] != "null"));
    let mut kept = Map::new();
    if let Some(chosen) = chosen.map(understood) {
        kept.extend(chosen.as_object().cloned().unwrap_or_default());
    }
    for key in ["description", "enum", "required"] {
        if let Some(value) = schema.get(key) {
            kept.insert(key.to_owned(), value.clone());
        }
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null").cloned(),
        Value::Null => None,
        kind => Some(kind.clone()),
    };
    kept.extend(kind.map(|kind| ("type".to_owned(), kind)));
    if let Some(properties) = schema["properties"].as_object() {
        let properties: Map<String, Value> =
            properties.iter().map(|(name, schema)| (name.clone(), understood(schema))).collect();
        kept.insert("properties".to_owned(), Value::Object(properties));
    }
    Value::Object(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_lose_what_gemini_does_not_know() {
        let schema = json!({
            "type": "object", "additionalProperties": false, "required": ["title"],
            "properties": {
                "title": { "type": "string", "description": "What." },
                "description": { "type": ["string", "null"] },
                "status": { "anyOf": [{ "type": "string", "enum": ["all"] }, { "type": "null" }], "default": null },
            },
        });
        let expect = json!({
            "type": "object", "required": ["title"],
            "properties": {
                "title": { "type": "string", "description": "What." },
                "description": { "type": "string" },
                "status": { "type": "string", "enum": ["all"] },
            },
        });
        assert_eq!(understood(&schema), expect);
    }
}
