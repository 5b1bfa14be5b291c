//! `POST /applications/{applicationId}/token`: tokens of a service app for an organization.

use jiff::Timestamp;
use serde_json::Value;

use super::{Grant, GrantId, Issue, MINT_SCOPE, World, ids};
use crate::{
    policy::MintRefreshToken,
    reply::{Refusal, Reply},
};

impl World {
    /// Mints. `body` is `None` where the request's body was not a JSON object.
    pub(crate) fn mint(
        &mut self,
        bearer: Option<&str>,
        application_id: &str,
        body: Option<&Value>,
        issue: &Issue,
        now: Timestamp,
    ) -> Reply {
        let result = self
            .may_mint(bearer, application_id, body, now)
            .and_then(|()| self.mint_pair(issue, now));
        Reply::from(result)
    }

    fn may_mint(
        &self,
        bearer: Option<&str>,
        application_id: &str,
        body: Option<&Value>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let grant = self.authorize_bearer(bearer, MINT_SCOPE, now)?;
        let field = |name: &str| match body.and_then(|body| body.get(name)) {
            Some(Value::String(value)) if !value.is_empty() => Ok(value.as_str()),
            _ => Err(Refusal::new(
                400,
                &format!("{name} is required"),
                "Invalid client credentials",
            )),
        };
        let client_id = field("clientId")?;
        let client_secret = field("clientSecret")?;
        let org_id = field("targetOrgId")?;
        if ids::decode("APPLICATION", application_id).as_deref() != Some(&*self.tenant.client_id) {
            return Err(Refusal::standard(404));
        }
        let is_owners = match grant.kind {
            Grant::Integration | Grant::PersonalAccessToken => true,
            Grant::ServiceApp => self.policy.service_app_may_mint,
            Grant::StrangersPersonalAccessToken => false,
        };
        if !is_owners {
            return Err(self.policy.forbidden.clone());
        }
        if client_id != self.tenant.client_id || client_secret != self.client_secret {
            return Err(self.policy.mint_bad_secret.clone());
        }
        let is_target =
            ids::decode("ORGANIZATION", org_id).as_deref() == Some(&*self.tenant.target_org_uuid);
        if !is_target || !self.service_app_authorized {
            return Err(self.policy.mint_not_authorized.clone());
        }
        Ok(())
    }

    fn mint_pair(&mut self, issue: &Issue, now: Timestamp) -> Result<Reply, Refusal> {
        self.check_token_limit(Grant::ServiceApp, now)?;
        let grant = match self.live_service_app_grant(now) {
            Some(grant) if self.policy.mint_refresh_token == MintRefreshToken::Existing => grant,
            _ => {
                let scopes = World::usual_scopes(Grant::ServiceApp);
                let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
                let grant = self.grant(Grant::ServiceApp, scopes);
                if self.policy.mint_refresh_token != MintRefreshToken::Absent {
                    self.new_refresh_token(grant, issue, now);
                }
                grant
            }
        };
        self.new_access_token(grant, issue, now);
        self.tell_of_issue(grant, None, now);
        self.counts.mints += 1;
        Ok(self.token_reply(grant, true, now))
    }

    fn live_service_app_grant(&self, now: Timestamp) -> Option<GrantId> {
        self.live_grant(Grant::ServiceApp, now)
    }

    /// The newest grant of a kind whose refresh token is still accepted.
    pub(super) fn live_grant(&self, kind: Grant, now: Timestamp) -> Option<GrantId> {
        self.grants
            .iter()
            .enumerate()
            .rev()
            .find(|(_, state)| {
                state.kind == kind
                    && state
                        .refresh_token
                        .as_ref()
                        .is_some_and(|token| self.is_live_refresh_token(token, now))
            })
            .map(|(index, _)| GrantId(index))
    }
}
