//! The device authorization grant (RFC 8628), with Webex's departures from it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::json;

use super::{Form, Grant, Issue, World, token_endpoint::ClientCredentials};
use crate::reply::{Refusal, Reply};

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";

pub(super) struct DeviceCode {
    user_code: String,
    /// The code in the complete verification URI.
    link_code: String,
    scopes: BTreeSet<String>,
    expires_at: Timestamp,
    polled_at: Option<Timestamp>,
    decision: Option<bool>,
}

impl World {
    /// `POST /device/authorize`. No client authentication.
    pub(crate) fn device_authorize(&mut self, form: &Form, now: Timestamp) -> Reply {
        let refuse = |description| Reply::from(device_refusal(description));
        if form.get("client_id") != Some(&self.tenant.integration_client_id) {
            return refuse("Client Id is invalid");
        }
        let Some(scopes) = self.known_scopes(form) else {
            return refuse("Scope is invalid");
        };
        let device_code = self.entropy.uuid();
        let user_code = self.entropy.digits(6);
        let link_code = self.entropy.hex();
        let verification_uri = format!("{}/verify", self.origin);
        let reply = Reply::json(
            200,
            json!({
                "device_code": device_code,
                "expires_in": self.policy.device_code_life.as_secs(),
                "user_code": user_code,
                "verification_uri": verification_uri,
                "verification_uri_complete": format!("{verification_uri}?userCode={link_code}"),
                "interval": self.policy.device_interval.as_secs(),
            }),
        );
        self.devices.insert(
            device_code,
            DeviceCode {
                user_code,
                link_code,
                scopes,
                expires_at: now + self.policy.device_code_life,
                polled_at: None,
                decision: None,
            },
        );
        reply
    }

    /// `POST /device/token`. HTTP Basic only.
    pub(crate) fn device_token(
        &mut self,
        form: &Form,
        basic: Option<ClientCredentials>,
        issue: &Issue,
        now: Timestamp,
    ) -> Reply {
        Reply::from(self.poll(form, basic, issue, now))
    }

    fn poll(
        &mut self,
        form: &Form,
        basic: Option<ClientCredentials>,
        issue: &Issue,
        now: Timestamp,
    ) -> Result<Reply, Refusal> {
        if basic.is_none() || self.client(form, basic)? != Grant::Integration {
            return Err(self.policy.bad_client.clone());
        }
        if self.required(form, "grant_type")? != GRANT_TYPE {
            return Err(device_refusal("unsupported_grant_type"));
        }
        let code = self.required(form, "device_code")?;
        let interval = self.policy.device_interval;
        let device = self
            .devices
            .get_mut(&code)
            .ok_or_else(|| device_refusal("invalid_grant"))?;
        if now >= device.expires_at {
            return Err(device_refusal("invalid_grant"));
        }
        let is_early = device.polled_at.is_some_and(|at| now < at + interval);
        device.polled_at = Some(now);
        if is_early {
            return Err(self.policy.device_slow_down.clone());
        }
        match device.decision {
            None => Err(self.policy.device_pending.clone()),
            Some(false) => Err(device_refusal("access_denied")),
            Some(true) => {
                let scopes = device.scopes.clone();
                self.check_token_limit(Grant::Integration, now)?;
                self.devices.remove(&code);
                Ok(self.issue_to_user(scopes, issue, now))
            }
        }
    }

    /// The user's decision on the verification page. False if the user code is not waiting.
    pub(crate) fn decide_device(&mut self, user_code: &str, allow: bool, now: Timestamp) -> bool {
        let device = self
            .devices
            .values_mut()
            .find(|device| device.user_code == user_code && now < device.expires_at);
        match device {
            Some(device) if device.decision.is_none() => {
                device.decision = Some(allow);
                true
            }
            _ => false,
        }
    }

    /// The user code behind the code of a complete verification URI.
    pub(crate) fn user_code(&self, link_code: &str) -> Option<String> {
        self.devices
            .values()
            .find(|device| device.link_code == link_code)
            .map(|device| device.user_code.clone())
    }
}

/// 400 with the documented message, the code in `errors[0].description`.
fn device_refusal(code: &str) -> Refusal {
    Refusal {
        error: code.to_owned(),
        ..Refusal::standard(400)
    }
}
