//! [`Sandbox`]: starts the server and is the test's hand in its world.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use serde_json::Value;
use tokio::{net::TcpListener, sync::oneshot};
use tokio_rustls::TlsAcceptor;

use crate::{
    clock::Clock,
    counts::Counts,
    endpoint::Endpoint,
    fault::Fault,
    gate::{Gate, Position},
    judge::{Credentials, Judge, Met, Verdict, Violation, Witness},
    jws::sign,
    log::Request,
    policy::Policy,
    reply::Refusal,
    routes::form,
    serve::{Shared, serve},
    tls::{self, Tls},
    world::{Grant, IssuedTokens, Prompt, Tenant, World},
};

/// A running Webex of one's own. It stops when it is dropped.
pub struct Sandbox {
    shared: Arc<Shared>,
    address: SocketAddr,
    doors: Vec<SocketAddr>,
    origin: String,
    ca_pem: Option<String>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Spoils requests as they come: from the endpoint and the door of a request to its fault.
pub type Weather = Arc<dyn Fn(Endpoint, usize) -> Option<Fault> + Send + Sync>;

/// How a sandbox is to be started. Made by [`Sandbox::builder`].
#[derive(Default)]
pub struct Builder {
    tls: Tls,
    policy: Policy,
    port: u16,
    redirect_uri: Option<String>,
    forgets_requests: bool,
    seed: Option<u64>,
    doors: usize,
    weather: Option<Weather>,
    witness: Option<Box<dyn Witness>>,
}

impl Builder {
    /// Plain HTTP or a kind of TLS. Default: plain HTTP.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// The switches. Default: [`Policy::default`].
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The port on 127.0.0.1. Default: any free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The integration's registered redirect URI. Default: `http://localhost:3000/callback`.
    #[must_use]
    pub fn redirect_uri(mut self, uri: &str) -> Self {
        self.redirect_uri = Some(uri.to_owned());
        self
    }

    /// Keeps no requests, only counts: for load tests. Default: all are kept.
    #[must_use]
    pub fn forget_requests(mut self) -> Self {
        self.forgets_requests = true;
        self
    }

    /// What every id, secret and token is drawn from. Default: the system's randomness.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Further ports, for clients that are to be told apart. Default: none.
    #[must_use]
    pub fn doors(mut self, doors: usize) -> Self {
        self.doors = doors;
        self
    }

    /// What spoils the requests that no scripted fault is left for. Default: nothing.
    #[must_use]
    pub fn weather(mut self, weather: Weather) -> Self {
        self.weather = Some(weather);
        self
    }

    /// Has the clients judged, each run of them announced by [`Sandbox::run_begins`].
    #[must_use]
    pub fn judged(mut self, witness: impl Witness + 'static) -> Self {
        self.witness = Some(Box::new(witness));
        self
    }

    /// Starts it. The port accepts connections when this returns.
    ///
    /// # Panics
    ///
    /// If the port is taken or the system gives no randomness, thread or socket.
    #[must_use]
    pub fn start(self) -> Sandbox {
        self.try_start().expect("the sandbox starts")
    }

    /// As [`Builder::start`], for callers that can do something about a failure.
    ///
    /// # Errors
    ///
    /// If the port is taken or the system gives no randomness, thread or socket.
    pub fn try_start(self) -> std::io::Result<Sandbox> {
        let (mut sandbox, entrances) = self.built(None)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&sandbox.shared);
        let thread = std::thread::Builder::new()
            .name("webex-sandbox".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    if entrances.open(&served).is_ok() {
                        let _ = stopped.await;
                    }
                });
            })?;
        sandbox.stop = Some(stop);
        sandbox.thread = Some(thread);
        Ok(sandbox)
    }

    /// Starts it on the runtime of the caller, by whose time it goes: it is `start` now. It serves
    /// for as long as that runtime lives.
    ///
    /// # Panics
    ///
    /// If there is no runtime, or the system gives no randomness or socket.
    #[must_use]
    pub fn start_here(self, start: SystemTime) -> Sandbox {
        let start = Timestamp::try_from(start).expect("a time of this era");
        let clock = Clock::of_the_runtime(start);
        let (sandbox, entrances) = self.built(Some(clock)).expect("the sandbox starts");
        let opened = entrances.open(&sandbox.shared);
        opened.expect("a runtime with input and output");
        sandbox
    }

    fn built(self, clock: Option<Clock>) -> std::io::Result<(Sandbox, Entrances)> {
        let bind = |port| {
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
            listener.set_nonblocking(true)?;
            Ok::<_, std::io::Error>(listener)
        };
        let mut listeners = vec![bind(self.port)?];
        for _ in 0..self.doors {
            listeners.push(bind(0)?);
        }
        let doors = listeners
            .iter()
            .map(std::net::TcpListener::local_addr)
            .collect::<Result<Vec<_>, _>>()?;
        let address = doors[0];
        let identity = tls::identity(self.tls);
        let origin = match identity {
            Some(_) => format!("https://localhost:{}", address.port()),
            None => format!("http://{address}"),
        };
        let mut seed = [0; 32];
        match self.seed {
            Some(given) => seed[..8].copy_from_slice(&given.to_be_bytes()),
            None => getrandom::fill(&mut seed)?,
        }
        let mut world = World::new(seed, &origin, self.policy);
        if let Some(uri) = self.redirect_uri {
            world.set_redirect_uri(uri);
        }
        world.judge = self.witness.map(Judge::new);
        let clock = clock.unwrap_or_default();
        let shared = Shared::new(world, clock, self.weather, !self.forgets_requests);
        let (acceptor, ca_pem) = match identity {
            Some(identity) => (Some(identity.acceptor), Some(identity.ca_pem)),
            None => (None, None),
        };
        let sandbox = Sandbox {
            shared: Arc::new(shared),
            address,
            doors,
            origin,
            ca_pem,
            stop: None,
            thread: None,
        };
        Ok((
            sandbox,
            Entrances {
                listeners,
                acceptor,
            },
        ))
    }
}

/// Where connections will be accepted.
struct Entrances {
    listeners: Vec<std::net::TcpListener>,
    acceptor: Option<TlsAcceptor>,
}

impl Entrances {
    /// Accepts connections on the runtime of the caller from now on.
    fn open(self, shared: &Arc<Shared>) -> std::io::Result<()> {
        for (door, listener) in self.listeners.into_iter().enumerate() {
            let listener = TcpListener::from_std(listener)?;
            let acceptor = self.acceptor.clone();
            tokio::spawn(serve(listener, door, acceptor, Arc::clone(shared)));
        }
        Ok(())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the server has been printed by its own thread.
            let _ended = thread.join();
        }
    }
}

impl Sandbox {
    /// Starts with every default: plain HTTP, any free port.
    ///
    /// # Panics
    ///
    /// As [`Builder::start`].
    #[must_use]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// Starts otherwise.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The API base URL: `http://127.0.0.1:PORT/v1`, with TLS `https://localhost:PORT/v1`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("{}/v1", self.origin)
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The API base URL behind a further port, from 1 on; 0 is the usual one.
    ///
    /// # Panics
    ///
    /// If there are not as many.
    #[must_use]
    pub fn door(&self, door: usize) -> String {
        format!("http://{}/v1", self.doors[door])
    }

    /// A judged run begins behind a door.
    pub fn run_begins(&self, door: usize, name: &str) {
        let now = self.shared.now();
        self.shared.world().run_begins(door, name, now);
    }

    /// It has ended; what it has met.
    #[expect(
        clippy::must_use_candidate,
        reason = "it is called for its effect; few ask what the run has met"
    )]
    pub fn run_ends(&self, door: usize, verdict: Verdict) -> Met {
        let now = self.shared.now();
        self.shared.world().run_ends(door, verdict, now)
    }

    /// Whether what the judged clients hold would give them a token now.
    #[must_use]
    pub fn would_issue(&self) -> bool {
        let now = self.shared.now();
        self.shared.world().works(now).would_issue()
    }

    /// Tells the judge that the clients' machine gives them trouble.
    pub fn disturb_runs(&self) {
        if let Some(judge) = &mut self.shared.world().judge {
            judge.disturb();
        }
    }

    /// Tells the judge that the clients' machine has lost power, and is up again.
    pub fn power_was_cut(&self) {
        if let Some(judge) = &mut self.shared.world().judge {
            judge.power_was_cut();
        }
    }

    /// Tells the judge that a judged run has replaced what its client's files held.
    pub fn run_saved(&self, door: usize, before: &Credentials) {
        let now = self.shared.now();
        self.shared.world().run_saved(door, before, now);
    }

    /// What the judge has found, from the violation of this number on.
    #[must_use]
    pub fn violations_from(&self, first: usize) -> Vec<Violation> {
        let world = self.shared.world();
        let violations = world.judge.as_ref().map(Judge::violations);
        let violations = violations.and_then(|violations| violations.get(first..));
        violations.unwrap_or_default().to_vec()
    }

    /// What the judge has found.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        self.violations_from(0)
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The CA that a client is to trust, as PEM. `None` without TLS.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// Who exists in this world.
    #[must_use]
    pub fn tenant(&self) -> Tenant {
        self.shared.world().tenant().clone()
    }

    /// Issues an access and a refresh token of the service app.
    #[must_use]
    pub fn issue_service_app_tokens(&self) -> IssuedTokens {
        self.issue(Grant::ServiceApp)
    }

    /// Issues an access and a refresh token of the integration, scope `spark:applications_token`.
    #[must_use]
    pub fn issue_integration_tokens(&self) -> IssuedTokens {
        self.issue(Grant::Integration)
    }

    /// Issues a personal access token of the developer, the scope `spark:applications_token`
    /// among its scopes.
    #[must_use]
    pub fn issue_personal_access_token(&self) -> String {
        self.issue(Grant::PersonalAccessToken).access_token
    }

    /// Issues tokens with these scopes and no others. A personal access token comes without a
    /// refresh token, which then is empty.
    #[must_use]
    pub fn issue_with(&self, grant: Grant, scopes: &[&str]) -> IssuedTokens {
        let now = self.shared.now();
        self.shared.world().issue(grant, scopes, now)
    }

    fn issue(&self, grant: Grant) -> IssuedTokens {
        self.issue_with(grant, World::usual_scopes(grant))
    }

    /// Ends the life of an access or refresh token now.
    ///
    /// # Panics
    ///
    /// If this sandbox never issued it.
    pub fn expire(&self, token: &str) {
        let now = self.shared.now();
        let is_known = self.shared.world().expire(token, now);
        assert!(is_known, "the sandbox never issued this token");
    }

    /// Revokes an access or refresh token and nothing else.
    ///
    /// # Panics
    ///
    /// If this sandbox never issued it.
    pub fn revoke(&self, token: &str) {
        let is_known = self.shared.world().revoke(token, false);
        assert!(is_known, "the sandbox never issued this token");
    }

    /// Revokes the grant of an access or refresh token: every token of it.
    ///
    /// # Panics
    ///
    /// If this sandbox never issued it.
    pub fn revoke_grant(&self, token: &str) {
        let is_known = self.shared.world().revoke(token, true);
        assert!(is_known, "the sandbox never issued this token");
    }

    /// Whether a bearer token would be accepted now, whatever its scopes.
    #[must_use]
    pub fn is_live(&self, access_token: &str) -> bool {
        let now = self.shared.now();
        self.shared.world().is_live(access_token, now)
    }

    /// Whether a refresh token would be accepted now.
    #[must_use]
    pub fn is_live_refresh_token(&self, refresh_token: &str) -> bool {
        let now = self.shared.now();
        self.shared
            .world()
            .is_live_refresh_token(refresh_token, now)
    }

    /// Whether both tokens came in one answer, dead or alive. Where an answer left the refresh token
    /// out, the one that the grant held counts.
    #[must_use]
    pub fn were_issued_together(&self, access_token: &str, refresh_token: &str) -> bool {
        self.shared
            .world()
            .were_issued_together(access_token, refresh_token)
    }

    /// A Full Admin withdraws the service app in Control Hub: its tokens die, minting is 403.
    pub fn deauthorize_service_app(&self) {
        self.shared.world().deauthorize_service_app();
    }

    /// A Full Admin authorizes the service app again. Its old tokens stay dead.
    pub fn reauthorize_service_app(&self) {
        self.shared.world().reauthorize_service_app();
    }

    /// Replaces the service app's client secret and returns the new one. [`Tenant`] keeps the
    /// first.
    #[must_use]
    pub fn regenerate_client_secret(&self) -> String {
        self.shared.world().regenerate_client_secret()
    }

    /// Changes switches while it runs.
    pub fn set_policy(&self, change: impl FnOnce(&mut Policy)) {
        change(&mut self.shared.world().policy);
    }

    /// The switches as they are.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.shared.world().policy.clone()
    }

    /// Moves the world's clock forward.
    pub fn advance(&self, by: Duration) {
        self.shared.clock.advance(by);
    }

    /// What the world's clock says.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.shared.now().into()
    }

    /// Scripts faults for the next requests to an endpoint, one each, in this order; requests
    /// after that are answered as usual.
    pub fn script(&self, endpoint: Endpoint, faults: impl IntoIterator<Item = Fault>) {
        self.shared.script().push(endpoint, faults);
    }

    /// Spoils every request to an endpoint that no scripted fault is left for.
    pub fn script_always(&self, endpoint: Endpoint, fault: Fault) {
        self.shared.script().always(endpoint, fault);
    }

    /// Forgets every fault.
    pub fn clear_faults(&self) {
        self.shared.script().clear();
    }

    /// How many scripted faults have not happened yet.
    #[must_use]
    pub fn remaining_faults(&self) -> usize {
        self.shared.script().remaining()
    }

    /// Holds the requests to an endpoint before Webex acts on them.
    #[must_use]
    pub fn gate(&self, endpoint: Endpoint) -> Gate {
        self.gate_at(endpoint, Position::BeforeActing)
    }

    /// Holds the requests to an endpoint at a position.
    #[must_use]
    pub fn gate_at(&self, endpoint: Endpoint, position: Position) -> Gate {
        self.shared.gates.put_up(endpoint, position)
    }

    /// The requests so far, in order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.log().requests()
    }

    /// Forgets the requests and sets every count to zero.
    pub fn clear_requests(&self) {
        self.shared.log().clear();
        self.shared.world().counts = Counts::default();
    }

    /// The totals so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.world().counts
    }

    /// Puts active data sources into the world and returns their ids. Each JWS is signed when it
    /// is first shown.
    #[expect(
        clippy::must_use_candidate,
        reason = "seeding is an effect; the ids are for those who want them"
    )]
    pub fn seed_data_sources(&self, count: usize) -> Vec<String> {
        let now = self.shared.now();
        self.shared.world().seed_data_sources(count, now)
    }

    /// Registers a data source outside HTTP and returns its id. The body is that of
    /// `POST /dataSources`.
    ///
    /// # Panics
    ///
    /// If Webex would refuse the body.
    #[must_use]
    pub fn register_data_source(&self, body: &Value) -> String {
        let now = self.shared.now();
        unless_refused(self.shared.world().add(body, now))
    }

    /// The same under an id that is given, for documents that name it.
    ///
    /// # Panics
    ///
    /// If Webex would refuse the body.
    pub fn register_data_source_as(&self, id: &str, body: &Value) {
        let now = self.shared.now();
        unless_refused(self.shared.world().add_as(id, body, now));
    }

    /// Disables a data source outside HTTP; Control Hub would show the message.
    ///
    /// # Panics
    ///
    /// If there is no such data source.
    pub fn disable_data_source(&self, id: &str, error_message: &str) {
        let is_known = self.shared.world().disable_data_source(id, error_message);
        assert!(is_known, "there is no such data source");
    }

    /// Moves the dates of a data source and of its JWS into the past, as if it had been dealt with
    /// that much earlier. The JWS is signed anew when it is next shown. For clients that look at
    /// real time; [`Sandbox::advance`] moves the sandbox's clock alone.
    ///
    /// # Panics
    ///
    /// If there is no such data source.
    pub fn age_data_source(&self, id: &str, by: Duration) {
        let is_known = self.shared.world().age_data_source(id, by);
        assert!(is_known, "there is no such data source");
    }

    /// [`Sandbox::age_data_source`] for every one there is.
    pub fn age_data_sources(&self, by: Duration) {
        self.shared.world().age_data_sources(by);
    }

    /// Publishes a new verification key, with a `kid` of its own, and signs with it from now on.
    /// The earlier ones stay published, and each JWS stays as it was issued.
    pub fn rotate_jws_key(&self) {
        self.shared.world().rotate_jws_key();
    }

    /// A data source with every field under its usual name, whatever shape replies have.
    #[must_use]
    pub fn data_source(&self, id: &str) -> Option<Value> {
        self.shared.world().data_source(id, &sign)
    }

    /// `jwsToken`, `nonce` and `url` of each data source whose JWS has been shown: what a client may
    /// know of them and has to keep to itself.
    #[must_use]
    pub fn shown_data_sources(&self) -> Vec<Value> {
        self.shared.world().shown_data_sources()
    }

    /// The user's answer to a device's user code.
    ///
    /// # Panics
    ///
    /// If no device waits with this user code.
    pub fn decide_device(&self, user_code: &str, allow: bool) {
        let now = self.shared.now();
        let is_waiting = self.shared.world().decide_device(user_code, allow, now);
        assert!(is_waiting, "no device waits with this user code");
    }

    /// Does what a browser and its user do with an authorization URL: signs in, allows or denies,
    /// and returns the URL that the browser is sent back to.
    ///
    /// # Panics
    ///
    /// If Webex shows a page that says why it cannot go on: unknown client, unregistered redirect
    /// URI.
    #[must_use]
    pub fn consent(&self, authorization_url: &str, allow: bool) -> String {
        let query = authorization_url
            .split_once('?')
            .map_or("", |(_, query)| query);
        let now = self.shared.now();
        let mut world = self.shared.world();
        let mut prompt = world.begin_authorization(&form(query.as_bytes()));
        loop {
            prompt = match prompt {
                Prompt::SignIn { request, .. } => world.sign_in(&request),
                Prompt::Consent { request, .. } => world.decide(&request, allow, now),
                Prompt::Redirect(location) => return location,
                Prompt::Problem { text, .. } => panic!("{text}"),
            };
        }
    }
}

#[track_caller]
fn unless_refused<T>(answer: Result<T, Refusal>) -> T {
    match answer {
        Ok(done) => done,
        Err(refusal) => panic!("{}: {}", refusal.description, refusal.error),
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Sandbox")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}
