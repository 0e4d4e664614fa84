//! The one entry for every request: who, what, may they, and then the handler.
//!
//! HTTP connections and in-process clients end in the same [`Server::answer`]. How much anybody may ask at once
//! decides `bounds`; what was asked is told to `audit`.

use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use drydock_store::Store;
use futures::FutureExt as _;
use http::{HeaderMap, Method, Request, Response};
use hyper::upgrade::OnUpgrade;
use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::audit::{Annotations, AuditConfig, AuditLog, Record, Story};
use crate::auth::rbac::cache::PolicyCache;
use crate::auth::token::TokenCache;
use crate::auth::{self, Attributes, MASTERS, User};
pub(crate) use crate::bounds::Permit;
use crate::bounds::{Bounds, Sort};
use crate::counts::{Begun, Counts};
use crate::node::NodeBackend;
use crate::pki::Pki;
use crate::request::{Query, ResourcePath, Target};
use crate::served::ServedKind;
use crate::status::ApiError;
use crate::wire::Wishes;
use crate::{bootstrap, custom, discovery, expiry, metrics, openapi, proxy, renewal, resource, review, wire};

/// Bounds and addresses of the API.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// Where clients reach the API, as `kubernetes` Endpoints and kubeconfigs name it.
    pub port: u16,
    /// Where pods reach the API on the same port, without the Service in between; what its Endpoints say.
    pub pod_address: Ipv4Addr,
    /// Service addresses are taken from this network (first three octets fixed by its prefix).
    pub service_network: crate::service_ip::Network,
    pub max_body_bytes: usize,
    pub max_uri_bytes: usize,
    /// Requests that read, in flight from outside our process; more are answered 429.
    pub max_reads: usize,
    /// Requests that change something, likewise.
    pub max_writes: usize,
    /// Watches and streams in flight from outside our process.
    pub max_watches: usize,
    /// Requests per second of one user who is no administrator, and how many may come at once.
    pub user_rate: u32,
    pub user_burst: u32,
    /// For requests that are neither watches nor streams.
    pub request_timeout: Duration,
    /// How long a connection may take to ask for the first time.
    pub first_request_timeout: Duration,
    /// Whether listeners on other addresses than loopback are served.
    pub beyond_loopback: bool,
    /// Where to record who asked for what.
    pub audit: Option<AuditConfig>,
    /// How often a watch that asked for bookmarks gets one while nothing happens.
    pub bookmark_interval: Duration,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            port: 6443,
            pod_address: Ipv4Addr::new(10, 244, 0, 1),
            service_network: crate::service_ip::Network::default(),
            max_body_bytes: 3 << 20,
            max_uri_bytes: 32 << 10,
            max_reads: 400,
            max_writes: 200,
            max_watches: 2000,
            user_rate: 1000,
            user_burst: 5000,
            request_timeout: Duration::from_secs(60),
            first_request_timeout: Duration::from_secs(30),
            beyond_loopback: false,
            audit: None,
            bookmark_interval: Duration::from_secs(60),
        }
    }
}

/// The Kubernetes API over a store. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    server: Arc<Server>,
}

/// The engine's own parts, as roles know them (see `auth::rbac::defaults`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Controllers,
    /// The agent, which runs the pods of its node.
    Node,
    /// DNS, the rules for Services, and the ingress.
    Network,
}

/// What handlers share.
pub(crate) struct Server {
    pub config: ApiConfig,
    pub store: Store,
    pub pki: Arc<Pki>,
    pub node: Arc<dyn NodeBackend>,
    pub custom: custom::Registry,
    pub documents: openapi::Documents,
    pub counts: Counts,
    /// Held while a Service's addresses are chosen and stored, so that none is given twice.
    pub service_addresses: Mutex<()>,
    /// Held from counting what a namespace uses until the object that was counted for is stored.
    pub quota: Mutex<()>,
    /// Held from asking a disruption budget until its answer is counted.
    pub evictions: Mutex<()>,
    pub shutdown: CancellationToken,
    /// Roles and bindings, following the store.
    pub policy: PolicyCache,
    /// Tokens that were found good, with what that rests on.
    pub tokens: TokenCache,
    bounds: Bounds,
    audit: Option<AuditLog>,
}

/// One request on its way through the handlers.
#[derive(Clone)]
pub(crate) struct Cx {
    pub server: Arc<Server>,
    /// Who asks; after impersonation, whom they act as.
    pub user: Arc<User>,
    pub path: ResourcePath,
    pub kind: ServedKind,
    pub query: Query,
    pub headers: HeaderMap,
    pub now: Timestamp,
    pub warnings: Warnings,
}

/// What is told besides the answer: warnings to the client, annotations to the audit log. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Warnings(Arc<std::sync::Mutex<Told>>);

#[derive(Debug, Default)]
struct Told {
    warnings: Vec<String>,
    annotations: Annotations,
}

impl Warnings {
    /// Adds a warning, once however often a write is tried.
    pub fn add(&self, warning: impl Into<String>) {
        let warning = warning.into();
        let all = &mut self.told().warnings;
        if !all.contains(&warning) {
            all.push(warning);
        }
    }

    pub fn extend(&self, warnings: impl IntoIterator<Item = String>) {
        warnings.into_iter().for_each(|warning| self.add(warning));
    }

    /// Adds to the event of the audit log; the last word on a key counts.
    pub fn annotate(&self, key: &str, value: &str) {
        self.told().annotations.0.insert(key.to_owned(), value.to_owned());
    }

    pub fn take(&self) -> (Vec<String>, Annotations) {
        let Told { warnings, annotations } = std::mem::take(&mut *self.told());
        (warnings, annotations)
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Api {
    /// An API over `store`, with the objects every cluster has from the start. Fails when the store refuses writes.
    pub async fn new(
        config: ApiConfig,
        store: Store,
        pki: Arc<Pki>,
        node: Arc<dyn NodeBackend>,
    ) -> Result<Self, ApiError> {
        let unusable = |path: &Path| {
            let path = path.display().to_string();
            move |error: io::Error| {
                ApiError::internal(format!("cannot write the audit log `{path}`: {error}"))
            }
        };
        let audit = config.audit.clone().map(|audit| {
            let unusable = unusable(&audit.path);
            AuditLog::open(audit).map_err(unusable)
        });
        let server = Arc::new(Server {
            bounds: Bounds::new(&config),
            audit: audit.transpose()?,
            custom: custom::Registry::default(),
            documents: openapi::Documents::default(),
            counts: Counts::default(),
            service_addresses: Mutex::new(()),
            quota: Mutex::new(()),
            evictions: Mutex::new(()),
            policy: PolicyCache::default(),
            tokens: TokenCache::default(),
            shutdown: CancellationToken::new(),
            config,
            store,
            pki,
            node,
        });
        server.custom.load(&server.store)?;
        bootstrap::run(&server).await?;
        custom::cleanup::resume(&server)?;
        expiry::start(&server);
        renewal::start(&server);
        Ok(Self { server })
    }

    pub(crate) fn config(&self) -> &ApiConfig {
        &self.server.config
    }

    /// Where clients reach it, see [`ApiConfig::port`].
    pub fn port(&self) -> u16 {
        self.server.config.port
    }

    /// Brings the objects every cluster has from its start back into the shape they need, as every start does.
    pub async fn reconcile(&self) -> Result<(), ApiError> {
        bootstrap::run(&self.server).await
    }

    /// An in-process client as `system:masters`, with a queue of its own. Needs a tokio runtime.
    pub fn client(&self) -> kube::Client {
        self.client_as("system:drydock", [MASTERS])
    }

    /// An in-process client with the rights a part of the engine needs.
    pub fn client_of(&self, part: Part) -> kube::Client {
        match part {
            Part::Controllers => self.client_as("system:drydock:controllers", [""; 0]),
            Part::Node => self.client_as("system:node:drydock", ["system:nodes"]),
            Part::Network => self.client_as("system:drydock:network", [""; 0]),
        }
    }

    /// An in-process client with the rights of this user and these groups.
    pub fn client_as(
        &self,
        user: impl Into<String>,
        groups: impl IntoIterator<Item = impl Into<String>>,
    ) -> kube::Client {
        let user = User { internal: true, ..User::new(user, groups) };
        let server = self.server.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let (mut parts, body) = request.into_parts();
            parts.extensions.insert(user.clone());
            let request = Request::from_parts(parts, Body::new(body));
            server.clone().answer(request).map(Ok::<_, Infallible>)
        });
        kube::Client::new(service, "default")
    }

    /// Answers one request. The user of a verified client certificate comes in as an extension of type [`User`].
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        self.server.clone().answer(request).await
    }

    /// Ends all watches and streams, so that their clients connect again elsewhere or later.
    pub fn shut_down(&self) {
        self.server.shutdown.cancel();
    }
}

impl Server {
    pub fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    pub(crate) async fn answer(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        let is_head = request.method() == Method::HEAD;
        let wishes = Wishes::of(&request);
        let begun = Begun::of(request.method(), request.uri(), |path| self.serves(path));
        let mut record = Record::of(self.audit.as_ref(), &request, self.now());
        let outcome = self.clone().handle(request, &mut record.story).await;
        record.end(&outcome, self.now());
        let mut response = outcome.unwrap_or_else(|error| {
            if error.code.is_server_error() {
                tracing::warn!(code = error.code.as_u16(), "{}", error.message);
            }
            wire::error(&error)
        });
        self.counts.end(begun, response.status());
        response = wishes.fulfil(response);
        if is_head {
            *response.body_mut() = Body::empty();
        }
        response
    }

    async fn handle(
        self: Arc<Self>,
        mut request: Request<Body>,
        story: &mut Story,
    ) -> Result<Response<Body>, ApiError> {
        let connection = request.extensions_mut().remove::<User>();
        self.check_uri(&request)?;
        let caller = auth::authenticate(&self, connection, request.headers(), request.uri().path())?;
        story.caller = Some(caller);
        let query = Query::of(request.uri());
        match Target::parse(request.uri().path())? {
            Target::Other(path) => {
                let verb = request.method().as_str().to_ascii_lowercase();
                let user = self.allow(story, request.headers(), &Attributes::of_path(&path, &verb))?;
                let _permit = self.bounds.admit(&user, Sort::of(&verb, false), Instant::now())?;
                let (parts, body) = request.into_parts();
                if let Some(answer) = auth::oidc::answer(&self, &path, &parts.method) {
                    return answer;
                }
                match openapi::answer(&self, &path, &parts).await {
                    Some(answer) => answer,
                    None => discovery::answer(&self, &path, &Request::from_parts(parts, body)),
                }
            }
            Target::Resource(path) => self.handle_resource(story, path, query, request).await,
        }
    }

    /// Whether a path names something that is counted by name.
    fn serves(&self, path: &ResourcePath) -> bool {
        let kind = self.kind(&path.group, &path.version, &path.plural);
        let is_plain =
            path.subresource.len() < 32 && path.subresource.bytes().all(|b| b.is_ascii_lowercase());
        is_plain && (kind.is_some() || review::is_review(path))
    }

    /// Long paths and queries cost before anything is decided.
    fn check_uri(&self, request: &Request<Body>) -> Result<(), ApiError> {
        let uri = request.uri();
        let length = uri.path().len() + uri.query().map_or(0, str::len);
        match length > self.config.max_uri_bytes {
            true => Err(ApiError::uri_too_long(self.config.max_uri_bytes)),
            false => Ok(()),
        }
    }

    /// The user who acts, when roles allow what is `wanted`.
    fn allow(
        &self,
        story: &mut Story,
        headers: &HeaderMap,
        wanted: &Attributes<'_>,
    ) -> Result<User, ApiError> {
        let caller = story.caller.clone().ok_or_else(ApiError::unauthorized)?;
        story.allowed = Some(false);
        story.acting = auth::impersonate::wanted(self, &caller, headers, wanted)?;
        let user = story.acting.clone().unwrap_or(caller);
        auth::authorize(self, &user, wanted)?;
        story.allowed = Some(true);
        Ok(user)
    }

    async fn handle_resource(
        self: Arc<Self>,
        story: &mut Story,
        path: ResourcePath,
        query: Query,
        request: Request<Body>,
    ) -> Result<Response<Body>, ApiError> {
        let verb = path.verb(request.method(), &query);
        let long_running = path.is_long_running(verb);
        (story.verb, story.path, story.long_running) = (verb.to_owned(), Some(path.clone()), long_running);
        let wanted = Attributes::of(&path, verb, &query);
        let user = self.allow(story, request.headers(), &wanted)?;
        if path.is_command() {
            // Whoever may only read pods must not run commands in them by asking with GET.
            auth::authorize(&self, &user, &Attributes { verb: "create", ..wanted })?;
        }
        let permit = self.bounds.admit(&user, Sort::of(verb, long_running), Instant::now())?;
        let timeout = self.config.request_timeout;
        if review::is_review(&path) {
            let answer = Box::pin(review::answer(&self, &user, &path, request));
            return tokio::time::timeout(timeout, answer).await.map_err(|_| ApiError::timeout())?;
        }
        if metrics::is_metrics(&self, &path) {
            return metrics::answer(&self, &path, &query, request.method());
        }
        let Some(kind) = self.kind(&path.group, &path.version, &path.plural) else {
            // A group that nobody brought is no path at all.
            return match drydock_kinds::catalog().iter().any(|spec| spec.group == path.group) {
                true => Err(ApiError::no_such_path()),
                false => Ok(discovery::no_page()),
            };
        };
        if path.is_proxy() {
            let (user, headers) = (Arc::new(user), request.headers().clone());
            let warnings = Warnings::default();
            let cx = Cx { now: self.now(), server: self, user, path, kind, query, headers, warnings };
            return Box::pin(proxy::answer(cx, verb, permit, request)).await;
        }
        let (mut parts, body) = request.into_parts();
        let user = Arc::new(user);
        let cx = Cx {
            now: self.now(),
            server: self.clone(),
            user,
            path,
            kind,
            query,
            headers: parts.headers,
            warnings: Warnings::default(),
        };
        if long_running {
            let upgrade = parts.extensions.remove::<OnUpgrade>();
            return resource::stream(cx, verb, permit, upgrade).await;
        }
        // Boxed: the write path's state is large, and most of it is unused by most requests.
        let answer = Box::pin(resource::answer(&cx, verb, body));
        tokio::time::timeout(timeout, answer).await.map_err(|_| ApiError::timeout())?
    }
}
