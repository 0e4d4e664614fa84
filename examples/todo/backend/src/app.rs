//! What every request handler shares.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use service::client::Client;
use service::config::{self, Settings};
use service::health::Health;
use service::token::Keys;
use store::{PoolSize, Store};

use crate::chat::provider::{Provider, Tool};
use crate::chat::{model, own_tools};
use crate::metrics::Counters;
use crate::passwords::Passwords;

/// A day: long enough for a working day, short enough for a stolen token.
const SESSION_DEFAULT_S: u64 = 24 * 3_600;
const MODEL_PATIENCE_S: u64 = 10;
/// A request as a whole is given up after 15 seconds.
const MODEL_PATIENCE_MAX_S: u64 = 13;
const CHATS_PER_MINUTE: u64 = 10;

pub type App = Arc<AppState>;

pub struct AppState {
    pub health: Health,
    pub store: Store,
    pub keys: Keys,
    pub session_s: u64,
    pub chats_per_minute: u64,
    pub mcp_url: String,
    pub client: Client,
    pub provider: Box<dyn Provider>,
    /// How long a language model may think before the turn ends without it.
    pub model_patience: Duration,
    pub sessions: SeenSessions,
    pub metrics: Counters,
    /// What models are told of the tools; asked for once.
    tools: tokio::sync::OnceCell<Vec<Tool>>,
    pub passwords: Passwords,
    /// Origins that may call the API from a browser page of another site; none by default.
    pub cors_origins: Vec<String>,
    migrated: AtomicBool,
}

impl AppState {
    /// Reads every setting of section "Environment" in the README.
    pub fn new(settings: &Settings) -> Result<App, crate::Error> {
        let size = PoolSize {
            min: settings.parsed("DB_POOL_MIN", "a number", 5)?,
            max: settings.parsed("DB_POOL_MAX", "a number", 10)?,
        };
        let redis_url = settings.optional("REDIS_URL")?;
        let store = Store::connect(&settings.database_url()?, redis_url.as_deref(), size)?;
        let model_patience = Duration::from_secs(
            settings
                .parsed("MODEL_TIMEOUT_SECONDS", "a number of seconds", MODEL_PATIENCE_S)?
                .clamp(1, MODEL_PATIENCE_MAX_S),
        );
        let minutes =
            settings.parsed("ACCESS_TOKEN_EXPIRE_MINUTES", "a number of minutes", SESSION_DEFAULT_S / 60)?;
        let origins_text = settings.optional("CORS_ORIGINS")?.unwrap_or_default();
        Ok(Arc::new(Self {
            health: Health::new(crate::SERVICE, settings)?,
            store,
            keys: Keys::from_settings(settings)?,
            session_s: minutes * 60,
            chats_per_minute: settings.parsed("CHAT_LIMIT_PER_MINUTE", "a number", CHATS_PER_MINUTE)?,
            mcp_url: mcp_url(settings)?,
            client: Client::new(Duration::from_secs(8)),
            provider: model::provider(settings, model_patience)?,
            model_patience,
            sessions: SeenSessions::default(),
            metrics: Counters::default(),
            tools: tokio::sync::OnceCell::new(),
            passwords: Passwords::default(),
            cors_origins: origins(&origins_text),
            migrated: AtomicBool::new(false),
        }))
    }

    /// The tools of the MCP server, and our own.
    pub async fn tools(&self, session: &mut mcp_client::Session) -> Result<&[Tool], mcp_client::Error> {
        let asking = async || {
            let mut tools = session.tools().await?;
            tools.extend(own_tools::described());
            Ok(tools)
        };
        Ok(self.tools.get_or_try_init(asking).await?)
    }

    pub fn mark_migrated(&self) {
        self.migrated.store(true, Ordering::Relaxed);
    }

    pub fn is_migrated(&self) -> bool {
        self.migrated.load(Ordering::Relaxed)
    }
}

/// `MCP_SERVER_URL`; else where compose and Kubernetes have it, or on this machine.
fn mcp_url(settings: &Settings) -> Result<String, config::Error> {
    if let Some(url) = settings.optional("MCP_SERVER_URL")? {
        return Ok(url);
    }
    let host = if settings.is_production()? { "mcp-server" } else { "127.0.0.1" };
    Ok(format!("http://{host}:8001/mcp"))
}

/// A JSON array or a comma list, as different deployments write it.
fn origins(text: &str) -> Vec<String> {
    let list = serde_json::from_str::<Vec<String>>(text)
        .unwrap_or_else(|_| text.split(',').map(str::to_owned).collect());
    list.iter()
        .map(|origin| origin.trim().trim_end_matches('/').to_owned())
        .filter(|o| !o.is_empty())
        .collect()
}

/// Tokens found not revoked a moment ago, so that not every request asks the database.
///
/// A logout is effective at once on the replica that served it and within two seconds on all others.
#[derive(Default)]
pub struct SeenSessions(Mutex<HashMap<String, Instant>>);

impl SeenSessions {
    const FRESH: Duration = Duration::from_secs(2);
    const MAX: usize = 10_000;

    pub fn is_fresh(&self, id: &str) -> bool {
        self.lock().get(id).is_some_and(|seen| seen.elapsed() < Self::FRESH)
    }

    pub fn note(&self, id: &str) {
        let mut seen = self.lock();
        if seen.len() >= Self::MAX {
            seen.retain(|_, at| at.elapsed() < Self::FRESH);
        }
        if seen.len() < Self::MAX {
            seen.insert(id.to_owned(), Instant::now());
        }
    }

    pub fn forget(&self, id: &str) {
        self.lock().remove(id);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_a_json_array_or_a_comma_list() {
        assert_eq!(origins(r#"["http://a.test/", "http://b.test"]"#), ["http://a.test", "http://b.test"]);
        assert_eq!(origins("http://a.test, http://b.test"), ["http://a.test", "http://b.test"]);
        assert!(origins("").is_empty());
    }
}
