//! Ollama's own chat interface: models on one's own machine.

use axum::http::HeaderName;
use serde_json::{Value, json};
use service::config::{self, Settings};

use super::super::provider::{Error, Turn};
use super::{Dialect, Gathered, PROMPT, parameters, setting, spoken};

pub struct Ollama {
    base: String,
    model: String,
}

impl Ollama {
    pub fn new(base: &str, model: &str) -> Self {
        Self { base: base.to_owned(), model: model.to_owned() }
    }

    pub fn configured(settings: &Settings) -> Result<Self, config::Error> {
        let base = setting(settings, "OLLAMA_URL", "http://127.0.0.1:11434")?;
        Ok(Self::new(&base, &setting(settings, "OLLAMA_MODEL", "llama3.2")?))
    }
}

impl Dialect for Ollama {
    fn name(&self) -> &'static str {
        "ollama"
    }

    fn url(&self) -> String {
        format!("{}/api/chat", self.base)
    }

    fn authorization(&self) -> Option<(HeaderName, String)> {
        None
    }

    fn request(&self, turn: &Turn<'_>) -> Value {
        let mut messages = vec![json!({ "role": "system", "content": PROMPT })];
        messages.extend(spoken(turn).map(
            |(is_user, text)| json!({ "role": if is_user { "user" } else { "assistant" }, "content": text }),
        ));
        for call in turn.calls {
            let made = json!([{ "function": { "name": call.tool, "arguments": call.arguments } }]);
            messages.push(json!({ "role": "assistant", "content": "", "tool_calls": made }));
            let result = call.result.to_string();
            messages.push(json!({ "role": "tool", "tool_name": call.tool, "content": result }));
        }
        let tools: Vec<Value> = turn
            .tools
            .iter()
            .map(|tool| {
                let parameters = parameters(&tool.parameters);
                json!({ "type": "function", "function": {
                    "name": tool.name, "description": tool.description, "parameters": parameters,
                } })
            })
            .collect();
        json!({ "model": self.model, "messages": messages, "tools": tools, "stream": true })
    }

    fn gather(&self, piece: &Value, answer: &mut Gathered) -> Result<(), Error> {
        let message = &piece["message"];
        answer.say(message["content"].as_str().unwrap_or_default());
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            answer.call(None, &Value::Null, &call["function"]["name"], &call["function"]["arguments"])?;
        }
        if piece["done"] == true {
            answer.complete();
        }
        Ok(())
    }
}
