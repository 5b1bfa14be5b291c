//! `GET /authorize` (RFC 6749 §4.1, RFC 7636): sign in, consent, and the code that comes of it.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{Form, Grant, Issue, World, token_endpoint::ClientCredentials};
use crate::reply::{Refusal, Reply};

/// An authorization request that waits for the user.
#[derive(Clone)]
pub(super) struct PendingAuthorization {
    redirect_uri: String,
    /// Whether the request named its redirect URI; the token request then has to as well.
    redirect_uri_given: bool,
    state: Option<String>,
    scopes: BTreeSet<String>,
    challenge: Option<Challenge>,
    signed_in: bool,
}

#[derive(Clone)]
enum Challenge {
    Plain(String),
    S256(String),
}

pub(super) struct AuthorizationCode {
    request: PendingAuthorization,
    expires_at: Timestamp,
}

/// What the user sees next.
pub(crate) enum Prompt {
    /// The sign-in form of a request.
    SignIn { request: String, email: String },
    /// The consent form of a request.
    Consent {
        request: String,
        email: String,
        scopes: Vec<String>,
    },
    /// A page that says why nothing can go on; never a redirect (RFC 6749 §4.1.2.1).
    Problem { status: u16, text: &'static str },
    /// The browser goes back to the client.
    Redirect(String),
}

impl World {
    /// Receives an authorization request.
    pub(crate) fn begin_authorization(&mut self, query: &Form) -> Prompt {
        if query.get("client_id") != Some(&self.tenant.integration_client_id) {
            return Prompt::Problem {
                status: 400,
                text: "The client_id of this request is not known.",
            };
        }
        let given = query.get("redirect_uri");
        if given.is_some_and(|uri| *uri != self.tenant.redirect_uri) {
            return Prompt::Problem {
                status: 400,
                text: "The redirect_uri of this request is not registered with the integration.",
            };
        }
        let state = query.get("state").cloned();
        let pending = match self.authorization(query, state.clone()) {
            Ok(pending) => pending,
            Err((error, description)) => {
                return Prompt::Redirect(self.error_redirect(state.as_deref(), error, description));
            }
        };
        let request = self.entropy.alphanumeric(32);
        self.pending.insert(request.clone(), pending);
        Prompt::SignIn {
            request,
            email: self.tenant.developer_email.clone(),
        }
    }

    /// The user signed in.
    pub(crate) fn sign_in(&mut self, request: &str) -> Prompt {
        let Some(pending) = self.pending.get_mut(request) else {
            return gone();
        };
        pending.signed_in = true;
        Prompt::Consent {
            request: request.to_owned(),
            email: self.tenant.developer_email.clone(),
            scopes: pending.scopes.iter().cloned().collect(),
        }
    }

    /// The signed-in user allowed or denied a request. Each request is decided once.
    pub(crate) fn decide(&mut self, request: &str, allow: bool, now: Timestamp) -> Prompt {
        match self.pending.get(request) {
            Some(pending) if pending.signed_in => {}
            _ => return gone(),
        }
        let Some(pending) = self.pending.remove(request) else {
            return gone();
        };
        if !allow {
            let text = "The user denied the request.";
            return Prompt::Redirect(self.error_redirect(
                pending.state.as_deref(),
                "access_denied",
                text,
            ));
        }
        let code = self.entropy.alphanumeric(48);
        let mut fields = vec![("code", code.as_str())];
        if let Some(state) = &pending.state {
            fields.push(("state", state));
        }
        let location = redirect(&pending.redirect_uri, '?', &fields);
        let expires_at = now + self.policy.code_life;
        self.codes.insert(
            code,
            AuthorizationCode {
                request: pending,
                expires_at,
            },
        );
        Prompt::Redirect(location)
    }

    /// `grant_type=authorization_code`.
    pub(super) fn exchange_code(
        &mut self,
        form: &Form,
        basic: Option<ClientCredentials>,
        issue: &Issue,
        now: Timestamp,
    ) -> Result<Reply, Refusal> {
        if self.client(form, basic)? != Grant::Integration {
            return Err(self.policy.bad_code.clone());
        }
        let code = self.required(form, "code")?;
        self.check_token_limit(Grant::Integration, now)?;
        let AuthorizationCode {
            request,
            expires_at,
        } = self
            .codes
            .remove(&code)
            .ok_or_else(|| self.policy.bad_code.clone())?;
        if now >= expires_at {
            return Err(self.policy.bad_code.clone());
        }
        let redirect_uri = form.get("redirect_uri");
        if redirect_uri.is_none() && request.redirect_uri_given {
            self.required(form, "redirect_uri")?;
        }
        if redirect_uri.is_some_and(|uri| *uri != request.redirect_uri) {
            return Err(self.policy.redirect_mismatch.clone());
        }
        let verifier = form.get("code_verifier").map(String::as_str);
        if !is_proven(request.challenge.as_ref(), verifier) {
            return Err(self.policy.bad_code.clone());
        }
        Ok(self.issue_to_user(request.scopes, issue, now))
    }

    /// Tokens for the integration, acting for the developer.
    pub(super) fn issue_to_user(
        &mut self,
        scopes: BTreeSet<String>,
        issue: &Issue,
        now: Timestamp,
    ) -> Reply {
        let earlier = self.live_grant(Grant::Integration, now);
        let grant = match earlier {
            Some(grant) if self.policy.authorization_reuses_refresh_token => {
                self.grants[grant.0].scopes = scopes;
                grant
            }
            _ => {
                let grant = self.grant(Grant::Integration, scopes);
                self.new_refresh_token(grant, issue, now);
                grant
            }
        };
        self.new_access_token(grant, issue, now);
        self.counts.grants += 1;
        self.token_reply(grant, true, now)
    }

    /// Judges the parts of a request whose faults are told to the client.
    fn authorization(
        &self,
        query: &Form,
        state: Option<String>,
    ) -> Result<PendingAuthorization, (&'static str, &'static str)> {
        if query.get("response_type").map(String::as_str) != Some("code") {
            return Err((
                "unsupported_response_type",
                "Only the authorization code flow is offered.",
            ));
        }
        let scopes = self.known_scopes(query).ok_or((
            "invalid_scope",
            "A scope is missing or not registered with the integration.",
        ))?;
        let method = query.get("code_challenge_method").map(String::as_str);
        let challenge = match (query.get("code_challenge").cloned(), method) {
            (None, None) => None,
            (Some(challenge), Some("S256")) => Some(Challenge::S256(challenge)),
            (Some(challenge), None | Some("plain")) => Some(Challenge::Plain(challenge)),
            _ => return Err(("invalid_request", "The code challenge is not usable.")),
        };
        if query.get("prompt").map(String::as_str) == Some("none") {
            return Err(("login_required", "The user has to sign in."));
        }
        Ok(PendingAuthorization {
            redirect_uri: self.tenant.redirect_uri.clone(),
            redirect_uri_given: query.contains_key("redirect_uri"),
            state,
            scopes,
            challenge,
            signed_in: false,
        })
    }

    /// The scopes asked for, if there are any and all are registered with the integration.
    pub(super) fn known_scopes(&self, form: &Form) -> Option<BTreeSet<String>> {
        let scopes: BTreeSet<String> = form
            .get("scope")?
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        let is_known = |scope| self.tenant.integration_scopes.contains(scope);
        (!scopes.is_empty() && scopes.iter().all(is_known)).then_some(scopes)
    }

    fn error_redirect(&self, state: Option<&str>, error: &str, description: &str) -> String {
        let mut fields = vec![("error", error), ("error_description", description)];
        if let Some(state) = state {
            fields.push(("state", state));
        }
        let separator = if self.policy.authorize_error_in_fragment {
            '#'
        } else {
            '?'
        };
        redirect(&self.tenant.redirect_uri, separator, &fields)
    }
}

fn gone() -> Prompt {
    Prompt::Problem {
        status: 400,
        text: "This sign-in request has been answered or does not exist.",
    }
}

fn redirect(uri: &str, separator: char, fields: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    format!("{uri}{separator}{query}")
}

/// Checks a code verifier (RFC 7636 §4.6). One that was never announced is refused as well.
fn is_proven(challenge: Option<&Challenge>, verifier: Option<&str>) -> bool {
    let is_unreserved =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    match (challenge, verifier) {
        (None, None) => true,
        (Some(challenge), Some(verifier)) => {
            (43..=128).contains(&verifier.len())
                && verifier.bytes().all(is_unreserved)
                && match challenge {
                    Challenge::Plain(expected) => verifier == expected,
                    Challenge::S256(expected) => {
                        URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) == *expected
                    }
                }
        }
        _ => false,
    }
}
