//! The state of this Webex and how requests change it: no I/O, no clock of its own, no HTTP.
//!
//! Every function that depends on time takes `now`. What a request does is decided here; how it
//! arrives and how its answer is spoilt are the business of `routes` and `fault`.

mod authorize;
mod data_sources;
mod device;
mod entropy;
mod ids;
mod mint;
mod token_endpoint;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Value, json};

pub(crate) use self::{
    authorize::Prompt,
    data_sources::{Page, SigningKey, Unsigned},
    entropy::uuid,
    token_endpoint::ClientCredentials,
};
use self::{
    authorize::{AuthorizationCode, PendingAuthorization},
    data_sources::Shelf,
    device::DeviceCode,
    entropy::Entropy,
};
use crate::{
    counts::Counts,
    judge::{Credentials, Judge, Met, Verdict, Works},
    policy::Policy,
    reply::{Refusal, Reply},
};

/// The scope that the mint call asks for.
pub const MINT_SCOPE: &str = "spark:applications_token";
/// The scope that reads data sources.
pub const READ_SCOPE: &str = "spark-admin:datasource_read";
/// The scope that changes data sources.
pub const WRITE_SCOPE: &str = "spark-admin:datasource_write";
/// The scope that reads people, `/people/me` included.
pub const PEOPLE_SCOPE: &str = "spark:people_read";

/// Form fields of a request, the last of duplicates.
pub(crate) type Form = BTreeMap<String, String>;

/// The one seeded world: who exists, under which ids and secrets. All values are drawn anew at
/// each start and are long enough to be searched for in logs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Tenant {
    /// The service app's id: unpadded base64 of `ciscospark://us/APPLICATION/<client id>`.
    pub app_id: String,
    /// The service app's client id, `C` and 64 hexadecimal digits.
    pub client_id: String,
    /// The service app's client secret, as it was at the start.
    pub client_secret: String,
    /// The organization that authorized the service app, as a base64 id.
    pub target_org_id: String,
    /// The same organization as a bare UUID.
    pub target_org_uuid: String,
    /// The integration's client id.
    pub integration_client_id: String,
    /// The integration's client secret.
    pub integration_client_secret: String,
    /// The integration's one registered redirect URI.
    pub redirect_uri: String,
    /// The scopes registered on the integration.
    pub integration_scopes: Vec<String>,
    /// The developer who owns service app and integration: the email address to sign in with.
    pub developer_email: String,
    /// The developer's id, as a base64 id.
    pub developer_id: String,
}

/// A token pair as a token reply gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedTokens {
    /// The access token.
    pub access_token: String,
    /// Its life in seconds.
    pub expires_in: u64,
    /// The refresh token.
    pub refresh_token: String,
    /// Its remaining life in seconds.
    pub refresh_token_expires_in: u64,
}

/// The kinds of grant that tokens are issued under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Grant {
    /// The service app in the target organization (a machine account).
    ServiceApp,
    /// The developer's integration.
    Integration,
    /// A personal access token of the developer who owns the service app. No refresh token.
    PersonalAccessToken,
    /// A personal access token of another developer. No refresh token.
    StrangersPersonalAccessToken,
}

/// How issuing departs from the ordinary, as a fault asks for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Issue {
    /// The value of the access token.
    pub(crate) access_token: Option<String>,
    /// The value of a newly made refresh token.
    pub(crate) refresh_token: Option<String>,
    /// What every use of the issued access token is answered with.
    pub(crate) refused: Option<Refused>,
}

/// How a token that was issued is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Unauthorized,
    Forbidden,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct GrantId(usize);

struct GrantState {
    kind: Grant,
    scopes: BTreeSet<String>,
    revoked: bool,
    refresh_token: Option<String>,
    last_issue: Option<(Timestamp, String)>,
    refreshing: u32,
}

struct AccessToken {
    grant: GrantId,
    /// The refresh token that the grant held when this was issued.
    beside: Option<String>,
    expires_at: Timestamp,
    revoked: bool,
    refused: Option<Refused>,
}

struct RefreshToken {
    grant: GrantId,
    expires_at: Timestamp,
    spent: bool,
    revoked: bool,
}

/// Everything this Webex knows.
pub(crate) struct World {
    pub(crate) policy: Policy,
    pub(crate) counts: Counts,
    pub(crate) judge: Option<Judge>,
    /// How often somebody has changed what is valid, clients apart.
    changes: u64,
    tenant: Tenant,
    issuer: String,
    origin: String,
    entropy: Entropy,
    client_secret: String,
    service_app_authorized: bool,
    machine_account: String,
    grants: Vec<GrantState>,
    access_tokens: HashMap<String, AccessToken>,
    refresh_tokens: HashMap<String, RefreshToken>,
    pending: HashMap<String, PendingAuthorization>,
    codes: HashMap<String, AuthorizationCode>,
    devices: HashMap<String, DeviceCode>,
    data_sources: Shelf,
    jws_key_rotations: usize,
    rate_window: Option<(Timestamp, u32)>,
}

impl World {
    /// A fresh world, reachable at `origin` (`http://127.0.0.1:PORT`).
    pub(crate) fn new(seed: [u8; 32], origin: &str, policy: Policy) -> Self {
        let mut entropy = Entropy::new(seed);
        let client_id = format!("C{}", entropy.hex());
        let org = entropy.uuid();
        let client_secret = entropy.hex();
        let tenant = Tenant {
            app_id: ids::encode("APPLICATION", &client_id),
            client_id,
            client_secret: client_secret.clone(),
            target_org_id: ids::encode("ORGANIZATION", &org),
            target_org_uuid: org,
            integration_client_id: format!("C{}", entropy.hex()),
            integration_client_secret: entropy.hex(),
            redirect_uri: "http://localhost:3000/callback".to_owned(),
            integration_scopes: vec![MINT_SCOPE.to_owned(), PEOPLE_SCOPE.to_owned()],
            developer_email: "developer@example.com".to_owned(),
            developer_id: ids::encode("PEOPLE", &entropy.uuid()),
        };
        Self {
            policy,
            counts: Counts::default(),
            judge: None,
            changes: 0,
            tenant,
            issuer: format!("{origin}/idb"),
            origin: origin.to_owned(),
            machine_account: entropy.uuid(),
            entropy,
            client_secret,
            service_app_authorized: true,
            grants: Vec::new(),
            access_tokens: HashMap::new(),
            refresh_tokens: HashMap::new(),
            pending: HashMap::new(),
            codes: HashMap::new(),
            devices: HashMap::new(),
            data_sources: Shelf::default(),
            jws_key_rotations: 0,
            rate_window: None,
        }
    }

    pub(crate) fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    pub(crate) fn set_redirect_uri(&mut self, redirect_uri: String) {
        self.tenant.redirect_uri = redirect_uri;
    }

    /// A random UUID, for tracking ids.
    pub(crate) fn uuid(&mut self) -> String {
        self.entropy.uuid()
    }

    /// Issues a pair outside HTTP.
    pub(crate) fn issue(&mut self, kind: Grant, scopes: &[&str], now: Timestamp) -> IssuedTokens {
        let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        let grant = self.grant(kind, scopes);
        if has_refresh_token(kind) {
            self.new_refresh_token(grant, &Issue::default(), now);
        }
        self.new_access_token(grant, &Issue::default(), now);
        self.issued(grant, now)
    }

    /// The scopes a grant of this kind has unless told otherwise.
    pub(crate) fn usual_scopes(kind: Grant) -> &'static [&'static str] {
        match kind {
            Grant::ServiceApp => &[READ_SCOPE, WRITE_SCOPE],
            Grant::Integration => &[MINT_SCOPE],
            Grant::PersonalAccessToken | Grant::StrangersPersonalAccessToken => {
                &["spark:all", MINT_SCOPE, PEOPLE_SCOPE]
            }
        }
    }

    /// Ends the life of an access or refresh token now. False if there is no such token.
    pub(crate) fn expire(&mut self, token: &str, now: Timestamp) -> bool {
        self.changes += 1;
        if let Some(access) = self.access_tokens.get_mut(token) {
            access.expires_at = now;
            true
        } else if let Some(refresh) = self.refresh_tokens.get_mut(token) {
            refresh.expires_at = now;
            true
        } else {
            false
        }
    }

    /// Revokes an access or refresh token, and with `whole_grant` everything of its grant.
    pub(crate) fn revoke(&mut self, token: &str, whole_grant: bool) -> bool {
        self.changes += 1;
        let grant = if let Some(access) = self.access_tokens.get_mut(token) {
            access.revoked = true;
            access.grant
        } else if let Some(refresh) = self.refresh_tokens.get_mut(token) {
            refresh.revoked = true;
            refresh.grant
        } else {
            return false;
        };
        if whole_grant {
            self.grants[grant.0].revoked = true;
        }
        true
    }

    /// Whether a bearer token is accepted (scopes apart).
    pub(crate) fn is_live(&self, token: &str, now: Timestamp) -> bool {
        self.access_tokens.get(token).is_some_and(|access| {
            self.is_unexpired(access, now) && access.refused != Some(Refused::Unauthorized)
        })
    }

    /// Whether an access token was issued with this refresh token beside it.
    pub(crate) fn were_issued_together(&self, access_token: &str, refresh_token: &str) -> bool {
        self.access_tokens
            .get(access_token)
            .is_some_and(|access| access.beside.as_deref() == Some(refresh_token))
    }

    /// Whether a refresh token would be accepted.
    pub(crate) fn is_live_refresh_token(&self, token: &str, now: Timestamp) -> bool {
        self.refresh_tokens.get(token).is_some_and(|refresh| {
            !refresh.spent
                && !refresh.revoked
                && now < refresh.expires_at
                && !self.grants[refresh.grant.0].revoked
        })
    }

    /// A Full Admin withdraws the service app in Control Hub: its machine account and tokens are
    /// gone.
    pub(crate) fn deauthorize_service_app(&mut self) {
        self.changes += 1;
        self.service_app_authorized = false;
        self.revoke_all(Grant::ServiceApp);
    }

    /// A Full Admin authorizes the service app again: a new machine account.
    pub(crate) fn reauthorize_service_app(&mut self) {
        self.changes += 1;
        self.service_app_authorized = true;
        self.machine_account = self.entropy.uuid();
    }

    /// Replaces the service app's client secret.
    pub(crate) fn regenerate_client_secret(&mut self) -> String {
        self.client_secret = self.entropy.hex();
        if self.policy.secret_regeneration_revokes {
            self.revoke_all(Grant::ServiceApp);
        }
        self.client_secret.clone()
    }

    /// Notes that a refresh request for this token has arrived. A grant that is already being
    /// refreshed makes it an overlap.
    pub(crate) fn refresh_arrived(&mut self, door: usize, refresh_token: &str, now: Timestamp) {
        let works = self.works(now);
        if let Some(refresh) = self.refresh_tokens.get(refresh_token) {
            let is_integrations = self.grants[refresh.grant.0].kind == Grant::Integration;
            if let Some(judge) = &mut self.judge {
                judge.refresh_arrived(door, refresh_token, refresh.grant.0, is_integrations, works);
            }
            let grant = &mut self.grants[refresh.grant.0];
            if grant.refreshing > 0 {
                self.counts.overlapping_refreshes += 1;
            }
            grant.refreshing += 1;
        }
    }

    /// Notes that a refresh request has been answered or given up.
    pub(crate) fn refresh_left(&mut self, door: usize, refresh_token: &str) {
        if let Some(judge) = &mut self.judge {
            judge.refresh_left(door);
        }
        if let Some(refresh) = self.refresh_tokens.get(refresh_token) {
            let grant = &mut self.grants[refresh.grant.0];
            grant.refreshing = grant.refreshing.saturating_sub(1);
        }
    }

    /// A judged run begins.
    pub(crate) fn run_begins(&mut self, door: usize, name: &str, now: Timestamp) {
        let works = self.works(now);
        let changes = self.changes;
        if let Some(judge) = &mut self.judge {
            judge.begins(door, name, works, changes);
        }
    }

    /// A judged run has ended; what it has met.
    pub(crate) fn run_ends(&mut self, door: usize, verdict: Verdict, now: Timestamp) -> Met {
        let works = self.works(now);
        let changes = self.changes;
        self.judge.as_mut().map_or_else(Met::default, |judge| {
            judge.ends(door, verdict, works, changes)
        })
    }

    /// A judged run has replaced what its client's files held.
    pub(crate) fn run_saved(&mut self, door: usize, before: &Credentials, now: Timestamp) {
        let Some(judge) = &self.judge else { return };
        let after = judge.credentials();
        let lives = |token: &Option<String>| token.as_ref().is_some_and(|t| self.is_live(t, now));
        if lives(&before.access_token)
            && !lives(&after.access_token)
            && let Some(judge) = &mut self.judge
        {
            judge.valid_token_is_gone(door);
        }
    }

    /// What of the credentials on the client's disk works.
    pub(crate) fn works(&self, now: Timestamp) -> Works {
        let Some(judge) = &self.judge else {
            return Works::default();
        };
        let Credentials {
            access_token,
            refresh_token,
            personal_access_token,
            integration,
            client_secret,
        } = judge.credentials();
        let lives = |token: &Option<String>| token.as_ref().is_some_and(|t| self.is_live(t, now));
        let refreshes = |token: &Option<String>| {
            let token = token.as_ref();
            token.is_some_and(|token| self.is_live_refresh_token(token, now))
        };
        Works {
            access_token: lives(&access_token),
            refresh_token: refreshes(&refresh_token),
            personal_access_token: lives(&personal_access_token),
            integration: refreshes(&integration),
            is_configured: client_secret.is_none_or(|secret| secret == self.client_secret),
            is_authorized: self.service_app_authorized,
            is_below_limit: self.check_token_limit(Grant::ServiceApp, now).is_ok()
                && self.check_token_limit(Grant::Integration, now).is_ok(),
        }
    }

    /// Tells the judge what was issued, in exchange for `spent` if that is good no more.
    fn tell_of_issue(&mut self, grant: GrantId, spent: Option<&str>, now: Timestamp) {
        if self.judge.is_none() {
            return;
        }
        let issued = self.issued(grant, now);
        let refresh = Some(issued.refresh_token).filter(|token| !token.is_empty());
        if let Some(judge) = &mut self.judge {
            judge.issued(spent, &issued.access_token, refresh.as_deref());
        }
    }

    /// `GET /authorizations/tokenExpiry`: milliseconds since the epoch.
    pub(crate) fn token_expiry(&self, bearer: Option<&str>, now: Timestamp) -> Reply {
        let result = self.authenticate(bearer, now).map(|token| {
            Reply::json(
                200,
                json!({ "exp": self.access_tokens[token].expires_at.as_millisecond() }),
            )
        });
        Reply::from(result)
    }

    /// `GET /people/me`.
    pub(crate) fn people_me(&self, bearer: Option<&str>, now: Timestamp) -> Reply {
        let result = self
            .authorize_bearer(bearer, PEOPLE_SCOPE, now)
            .map(|grant| {
                let (id, email, kind) = match grant.kind {
                    Grant::ServiceApp => (
                        ids::encode("PEOPLE", &self.machine_account),
                        "machine-account@example.com",
                        "appuser",
                    ),
                    _ => (
                        self.tenant.developer_id.clone(),
                        self.tenant.developer_email.as_str(),
                        "person",
                    ),
                };
                Reply::json(
                    200,
                    json!({
                        "id": id,
                        "emails": [email],
                        "displayName": "Sandbox Account",
                        "orgId": self.tenant.target_org_id,
                        "type": kind,
                    }),
                )
            });
        Reply::from(result)
    }

    fn grant(&mut self, kind: Grant, scopes: BTreeSet<String>) -> GrantId {
        self.grants.push(GrantState {
            kind,
            scopes,
            revoked: false,
            refresh_token: None,
            last_issue: None,
            refreshing: 0,
        });
        GrantId(self.grants.len() - 1)
    }

    /// Makes a new access token of a grant.
    fn new_access_token(&mut self, grant: GrantId, issue: &Issue, now: Timestamp) {
        let life = match self.grants[grant.0].kind {
            Grant::ServiceApp => self.policy.service_app_access_life,
            Grant::Integration => self.policy.integration_access_life,
            Grant::PersonalAccessToken | Grant::StrangersPersonalAccessToken => {
                self.policy.personal_access_token_life
            }
        };
        let token = issue
            .access_token
            .clone()
            .unwrap_or_else(|| self.token_value());
        self.access_tokens.insert(
            token.clone(),
            AccessToken {
                grant,
                beside: self.grants[grant.0].refresh_token.clone(),
                expires_at: now + life,
                revoked: false,
                refused: issue.refused,
            },
        );
        self.grants[grant.0].last_issue = Some((now, token));
    }

    /// Makes a new refresh token of a grant and makes it the current one.
    fn new_refresh_token(&mut self, grant: GrantId, issue: &Issue, now: Timestamp) {
        let life = self.refresh_life(grant);
        let token = issue
            .refresh_token
            .clone()
            .unwrap_or_else(|| self.token_value());
        self.refresh_tokens.insert(
            token.clone(),
            RefreshToken {
                grant,
                expires_at: now + life,
                spent: false,
                revoked: false,
            },
        );
        self.grants[grant.0].refresh_token = Some(token);
    }

    fn refresh_life(&self, grant: GrantId) -> Duration {
        match self.grants[grant.0].kind {
            Grant::ServiceApp => self.policy.service_app_refresh_life,
            _ => self.policy.integration_refresh_life,
        }
    }

    /// The pair a grant holds now.
    fn issued(&self, grant: GrantId, now: Timestamp) -> IssuedTokens {
        let state = &self.grants[grant.0];
        let access_token = state
            .last_issue
            .as_ref()
            .map(|(_, token)| token.clone())
            .unwrap_or_default();
        let refresh_token = state.refresh_token.clone().unwrap_or_default();
        IssuedTokens {
            expires_in: self
                .access_tokens
                .get(&access_token)
                .map_or(0, |access| seconds_left(access.expires_at, now)),
            refresh_token_expires_in: self
                .refresh_tokens
                .get(&refresh_token)
                .map_or(0, |refresh| seconds_left(refresh.expires_at, now)),
            access_token,
            refresh_token,
        }
    }

    /// The token reply for the pair a grant holds now (RFC 6749 §5.1 with Webex's second expiry).
    fn token_reply(&self, grant: GrantId, with_refresh_token: bool, now: Timestamp) -> Reply {
        let issued = self.issued(grant, now);
        let mut body = json!({
            "access_token": issued.access_token,
            "expires_in": issued.expires_in,
            "token_type": "Bearer",
        });
        if with_refresh_token && !issued.refresh_token.is_empty() {
            body["refresh_token"] = Value::from(issued.refresh_token);
            body["refresh_token_expires_in"] = Value::from(issued.refresh_token_expires_in);
        }
        if self.policy.scope_in_reply {
            let scopes: Vec<&str> = self.grants[grant.0]
                .scopes
                .iter()
                .map(String::as_str)
                .collect();
            body["scope"] = Value::from(scopes.join(" "));
        }
        Reply::json(200, body)
    }

    /// Refuses when the account behind `kind` already holds as many live tokens as it may.
    fn check_token_limit(&self, kind: Grant, now: Timestamp) -> Result<(), Refusal> {
        let live = self
            .access_tokens
            .values()
            .filter(|access| {
                is_same_account(self.grants[access.grant.0].kind, kind)
                    && self.is_unexpired(access, now)
            })
            .count();
        if live >= self.policy.token_limit {
            return Err(self.policy.too_many_tokens.clone());
        }
        Ok(())
    }

    fn is_unexpired(&self, access: &AccessToken, now: Timestamp) -> bool {
        !access.revoked && now < access.expires_at && !self.grants[access.grant.0].revoked
    }

    /// The live bearer token of a request, or 401.
    fn authenticate<'t>(
        &self,
        bearer: Option<&'t str>,
        now: Timestamp,
    ) -> Result<&'t str, Refusal> {
        match bearer {
            Some(token) if self.is_live(token, now) => Ok(token),
            _ => Err(self.policy.unauthorized.clone()),
        }
    }

    /// The grant of the live bearer token of a request, or 401; without the scope, 403.
    fn authorize_bearer(
        &self,
        bearer: Option<&str>,
        scope: &str,
        now: Timestamp,
    ) -> Result<&GrantState, Refusal> {
        let access = &self.access_tokens[self.authenticate(bearer, now)?];
        let grant = &self.grants[access.grant.0];
        if grant.scopes.contains(scope) && access.refused != Some(Refused::Forbidden) {
            Ok(grant)
        } else {
            Err(self.policy.forbidden.clone())
        }
    }

    fn revoke_all(&mut self, kind: Grant) {
        for grant in &mut self.grants {
            if grant.kind == kind {
                grant.revoked = true;
            }
        }
    }

    /// An opaque value of the form seen in the login guide: random, cluster tag, organization.
    fn token_value(&mut self) -> String {
        let random = self.entropy.alphanumeric(64);
        format!("{random}_PF84_{}", self.tenant.target_org_uuid)
    }
}

fn has_refresh_token(kind: Grant) -> bool {
    matches!(kind, Grant::ServiceApp | Grant::Integration)
}

/// A service app acts as a machine account; everything else of the developer's is the developer.
fn is_same_account(one: Grant, other: Grant) -> bool {
    let account = |kind| match kind {
        Grant::ServiceApp => 0,
        Grant::Integration | Grant::PersonalAccessToken => 1,
        Grant::StrangersPersonalAccessToken => 2,
    };
    account(one) == account(other)
}

fn seconds_left(expires_at: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(expires_at.duration_since(now).as_secs()).unwrap_or(0)
}
