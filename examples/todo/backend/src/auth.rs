//! Accounts and sessions: sign up, log in, log out, who am I; and [`Session`], the extractor that every
//! protected route takes.
//!
//! What is done with passwords stands in [`crate::passwords`].

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequestParts, RawPathParams, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use service::clock;
use service::metrics::count;
use service::token::{Audience, Claims};
use store::{FieldError, User};

use crate::app::{App, AppState};
use crate::error::{ApiError, Result};

#[derive(Deserialize)]
pub struct SignUp {
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
}

#[derive(Deserialize)]
pub struct LogIn {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
}

#[derive(Serialize)]
pub struct Profile {
    id: String,
    email: String,
    name: String,
    created_at: String,
}

#[derive(Serialize)]
pub struct LoggedIn {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    user: Profile,
}

impl From<User> for Profile {
    fn from(user: User) -> Self {
        Self { id: user.id, email: user.email, name: user.name, created_at: user.created_at }
    }
}

pub async fn sign_up(
    State(app): State<App>,
    body: std::result::Result<Json<SignUp>, JsonRejection>,
) -> Result<(StatusCode, Json<LoggedIn>)> {
    let Json(form) = body?;
    let (name, email) = checked(&form)?;
    let hash = app.passwords.hash(form.password).await?;
    let id = service::request_id::random_hex(16);
    let user = app.store.add_user(&id, &email, &name, &hash).await?;
    tracing::info!(user_id = id, "signed up");
    Ok((StatusCode::CREATED, Json(session_for(&app, user))))
}

/// The name may be left out: the part of the address before the `@` is used then.
fn checked(form: &SignUp) -> Result<(String, String)> {
    let given = form.name.trim();
    let name = if given.is_empty() { form.email.split('@').next().unwrap_or_default() } else { given };
    let (name, email) = (store::name(name), store::email(&form.email));
    let mut errors: Vec<FieldError> = Vec::new();
    errors.extend(email.as_ref().err().cloned());
    if email.is_ok() || !given.is_empty() {
        errors.extend(name.as_ref().err().cloned());
    }
    errors.extend(store::password(&form.password).err());
    match (name, email) {
        (Ok(name), Ok(email)) if errors.is_empty() => Ok((name, email)),
        _ => Err(ApiError::Invalid(errors)),
    }
}

pub async fn log_in(
    State(app): State<App>,
    body: std::result::Result<Json<LogIn>, JsonRejection>,
) -> Result<Json<LoggedIn>> {
    let Json(form) = body?;
    let email = store::email(&form.email).unwrap_or_default();
    let user = match app.store.user_by_email(&email).await {
        Ok(user) => Some(user),
        Err(store::Error::NotFound) => None,
        Err(error) => return Err(error.into()),
    };
    let hash = user.as_ref().map(|user| user.password_hash.clone());
    // Longer than any password we let anyone register; hashing it would only cost.
    let password: String = form.password.chars().take(256).collect();
    let matches = app.passwords.matches(password, hash).await?;
    match user {
        Some(user) if matches => {
            count(&app.metrics.logins, "ok");
            Ok(Json(session_for(&app, user)))
        }
        _ => {
            count(&app.metrics.logins, "refused");
            Err(ApiError::BadCredentials)
        }
    }
}

pub async fn log_out(State(app): State<App>, session: Session) -> Result<StatusCode> {
    app.store.revoke_token(&session.token_id, session.expires_at_s).await?;
    app.sessions.forget(&session.token_id);
    if let Err(error) = app.store.sweep_revoked(clock::unix_s()).await {
        tracing::warn!(error = service::log::chain(&error), "old revocations stay for now");
    }
    Ok(StatusCode::NO_CONTENT)
}

pub async fn me(State(app): State<App>, session: Session) -> Result<Json<Profile>> {
    match app.store.user_by_id(&session.user_id).await {
        Ok(user) => Ok(Json(user.into())),
        Err(store::Error::NotFound) => Err(ApiError::BadToken),
        Err(error) => Err(error.into()),
    }
}

fn session_for(app: &AppState, user: User) -> LoggedIn {
    let claims = Claims::new(&user.id, Audience::Session, clock::unix_s(), app.session_s);
    LoggedIn {
        access_token: app.keys.sign(&claims),
        token_type: "bearer",
        expires_in: app.session_s,
        user: user.into(),
    }
}

/// A logged-in user. On routes with `{user_id}` the path must name the same user, else 403.
pub struct Session {
    pub user_id: String,
    token_id: String,
    expires_at_s: u64,
}

impl Session {
    /// For streams, which outlive the check at their beginning. What cannot be asked right now counts as valid.
    pub async fn is_still_valid(&self, app: &App) -> bool {
        let is_refused =
            matches!(refuse_closed(app, &self.token_id, &self.user_id).await, Err(ApiError::BadToken));
        clock::unix_s() < self.expires_at_s && !is_refused
    }
}

impl FromRequestParts<App> for Session {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let token = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or(ApiError::Unauthenticated)?;
        let claims = app.keys.verify(token.trim(), Audience::Session, clock::unix_s()).map_err(|error| {
            tracing::info!(%error, "token refused");
            ApiError::BadToken
        })?;
        refuse_closed(app, &claims.jti, &claims.sub).await?;
        let path = RawPathParams::from_request_parts(parts, app)
            .await
            .map_err(|_| ApiError::NotFound("this address"))?;
        match path.iter().find(|(name, _)| *name == "user_id") {
            Some((_, user)) if user != claims.sub => Err(ApiError::Forbidden),
            _ => Ok(Self { user_id: claims.sub, token_id: claims.jti, expires_at_s: claims.exp }),
        }
    }
}

/// Refuses a session that was logged out of, or whose user is gone.
async fn refuse_closed(app: &AppState, token_id: &str, user_id: &str) -> Result<()> {
    if app.sessions.is_fresh(token_id) {
        return Ok(());
    }
    if !app.store.is_session_open(token_id, user_id).await? {
        return Err(ApiError::BadToken);
    }
    app.sessions.note(token_id);
    Ok(())
}
