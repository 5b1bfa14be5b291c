//! `POST /access_token` (RFC 6749 §3.2): authorization code and refresh token grants.

use jiff::Timestamp;

use super::{Form, Grant, GrantId, Issue, World};
use crate::{
    policy::Reuse,
    reply::{Refusal, Reply},
};

/// Client id and secret, as HTTP Basic or the form gave them (RFC 6749 §2.3.1).
pub(crate) struct ClientCredentials {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl World {
    /// Answers a token request. `basic` are the credentials of the `Authorization` header.
    pub(crate) fn access_token(
        &mut self,
        form: &Form,
        basic: Option<ClientCredentials>,
        issue: &Issue,
        now: Timestamp,
    ) -> Reply {
        let result = match form.get("grant_type").map(String::as_str) {
            Some("refresh_token") => self.refresh(form, basic, issue, now),
            Some("authorization_code") => self.exchange_code(form, basic, issue, now),
            Some(_) => Err(Refusal::new(
                400,
                "unsupported_grant_type",
                "The grant type is not supported.",
            )),
            None => Err(self.missing("grant_type")),
        };
        Reply::from(result)
    }

    fn refresh(
        &mut self,
        form: &Form,
        basic: Option<ClientCredentials>,
        issue: &Issue,
        now: Timestamp,
    ) -> Result<Reply, Refusal> {
        let client = self.client(form, basic)?;
        let token = self.required(form, "refresh_token")?;
        let grant = self.spend(&token, client, now)?;
        if self.is_reissue(grant, now) {
            self.counts.refreshes += 1;
            self.counts.grants += 1;
            return Ok(self.token_reply(grant, self.policy.refresh_token_in_refresh, now));
        }
        self.check_token_limit(client, now)?;
        if self.policy.revoke_access_on_refresh {
            for access in self.access_tokens.values_mut() {
                access.revoked |= access.grant == grant;
            }
        }
        let life = self.refresh_life(grant);
        let is_fixed = self.policy.fixed_service_app_lifetime && client == Grant::ServiceApp;
        let renews = self.policy.renew_refresh_lifetime && !is_fixed;
        if self.policy.rotate {
            let expires_at = self.refresh_tokens[&token].expires_at;
            if let Some(old) = self.refresh_tokens.get_mut(&token) {
                old.spent = true;
            }
            self.new_refresh_token(grant, issue, now);
            if !renews {
                self.limit_refresh_token(grant, expires_at);
            }
        } else if renews && let Some(refresh) = self.refresh_tokens.get_mut(&token) {
            refresh.expires_at = now + life;
        }
        self.new_access_token(grant, issue, now);
        let is_spent = self.refresh_tokens[&token].spent;
        self.tell_of_issue(grant, is_spent.then_some(&*token), now);
        self.counts.refreshes += 1;
        self.counts.grants += 1;
        Ok(self.token_reply(grant, self.policy.refresh_token_in_refresh, now))
    }

    /// The grant of a refresh token that this client may use now.
    fn spend(&mut self, token: &str, client: Grant, now: Timestamp) -> Result<GrantId, Refusal> {
        let dead = || self.policy.dead_grant.clone();
        let refresh = self.refresh_tokens.get(token).ok_or_else(dead)?;
        let (grant, spent) = (refresh.grant, refresh.spent);
        if self.grants[grant.0].kind != client {
            return Err(dead());
        }
        if spent {
            self.counts.reused_refresh_tokens += 1;
            if self.policy.reuse == Reuse::RevokeGrant {
                self.grants[grant.0].revoked = true;
            }
            return Err(self.policy.dead_grant.clone());
        }
        if !self.is_live_refresh_token(token, now) {
            return Err(dead());
        }
        Ok(grant)
    }

    /// Whether a refresh now returns the access token already issued.
    fn is_reissue(&self, grant: GrantId, now: Timestamp) -> bool {
        let (Some(within), Some((at, token))) = (
            self.policy.reissue_within,
            self.grants[grant.0].last_issue.as_ref(),
        ) else {
            return false;
        };
        now < *at + within && self.is_live(token, now)
    }

    fn limit_refresh_token(&mut self, grant: GrantId, expires_at: Timestamp) {
        if let Some(token) = self.grants[grant.0].refresh_token.clone()
            && let Some(refresh) = self.refresh_tokens.get_mut(&token)
        {
            refresh.expires_at = expires_at;
        }
    }

    /// Which client is asking, by HTTP Basic or by form fields.
    pub(super) fn client(
        &self,
        form: &Form,
        basic: Option<ClientCredentials>,
    ) -> Result<Grant, Refusal> {
        let given = match basic {
            Some(credentials) => credentials,
            None => ClientCredentials {
                id: self.required(form, "client_id")?,
                secret: self.required(form, "client_secret")?,
            },
        };
        if given.id == self.tenant.client_id && given.secret == self.client_secret {
            Ok(Grant::ServiceApp)
        } else if given.id == self.tenant.integration_client_id
            && given.secret == self.tenant.integration_client_secret
        {
            Ok(Grant::Integration)
        } else {
            Err(self.policy.bad_client.clone())
        }
    }

    /// The value of a form field, or a refusal that names it. Empty counts as missing.
    pub(super) fn required(&self, form: &Form, field: &str) -> Result<String, Refusal> {
        form.get(field)
            .filter(|value| !value.is_empty())
            .cloned()
            .ok_or_else(|| self.missing(field))
    }

    fn missing(&self, field: &str) -> Refusal {
        let mut refusal = self.policy.missing_parameter.clone();
        refusal.description = format!("{}: {field}", refusal.description);
        refusal
    }
}
