//! The chat completions of OpenAI, which many other services and local servers speak too.

use axum::http::{HeaderName, header};
use serde_json::{Value, json};
use service::config::{self, Settings};

use super::super::provider::{Error, Turn};
use super::{Dialect, Gathered, PROMPT, parameters, setting, spoken};

pub struct OpenAi {
    base: String,
    model: String,
    key: Option<String>,
}

impl OpenAi {
    pub fn new(base: &str, model: &str, key: Option<String>) -> Self {
        Self { base: base.to_owned(), model: model.to_owned(), key }
    }

    /// The public service needs a key; servers of one's own often need none.
    pub fn configured(settings: &Settings) -> Result<Self, config::Error> {
        const PUBLIC: &str = "https://api.openai.com/v1";
        let base = setting(settings, "OPENAI_BASE_URL", PUBLIC)?;
        let key = if base == PUBLIC {
            Some(settings.required("OPENAI_API_KEY")?)
        } else {
            settings.optional("OPENAI_API_KEY")?
        };
        Ok(Self::new(&base, &setting(settings, "OPENAI_MODEL", "gpt-5-mini")?, key))
    }
}

impl Dialect for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn url(&self) -> String {
        format!("{}/chat/completions", self.base)
    }

    fn authorization(&self) -> Option<(HeaderName, String)> {
        self.key.as_ref().map(|key| (header::AUTHORIZATION, format!("Bearer {key}")))
    }

    fn request(&self, turn: &Turn<'_>) -> Value {
        let mut messages = vec![json!({ "role": "system", "content": PROMPT })];
        messages.extend(spoken(turn).map(
            |(is_user, text)| json!({ "role": if is_user { "user" } else { "assistant" }, "content": text }),
        ));
        for (number, call) in turn.calls.iter().enumerate() {
            let id = format!("call_{number}");
            let function = json!({ "name": call.tool, "arguments": call.arguments.to_string() });
            let made = json!([{ "id": id, "type": "function", "function": function }]);
            messages.push(json!({ "role": "assistant", "content": null, "tool_calls": made }));
            messages.push(json!({ "role": "tool", "tool_call_id": id, "content": call.result.to_string() }));
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
        let choice = &piece["choices"][0];
        let message = choice.get("delta").unwrap_or(&choice["message"]);
        for text in [&message["content"], &message["refusal"]] {
            answer.say(text.as_str().unwrap_or_default());
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let function = &call["function"];
            answer.call(call["index"].as_u64(), &call["id"], &function["name"], &function["arguments"])?;
        }
        if choice["finish_reason"].is_string() {
            answer.complete();
        }
        Ok(())
    }
}
