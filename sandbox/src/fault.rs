//! Faults: how one request goes wrong. Scripted with [`Sandbox::script`](crate::Sandbox::script).
//!
//! A fault either keeps Webex from acting (the state of the world is as before) or spoils the
//! answer after Webex has acted (a token was issued, and the client does not learn of it). Each
//! constructor says which; [`Fault::after_acting`] and [`Fault::before_acting`] choose the other.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use serde_json::Value;

use crate::{
    endpoint::Endpoint,
    reply::{ErrorShape, Refusal},
    world::{Issue, Refused},
};

/// One way for one request to go wrong.
#[derive(Clone, Debug)]
pub struct Fault {
    pub(crate) acts: bool,
    pub(crate) delay: Option<Duration>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) issue: Issue,
    pub(crate) answer: Answer,
}

/// What becomes of the answer.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    AsUsual,
    Drop,
    Never,
    Refused(Refusal),
    Given {
        status: u16,
        content_type: Option<String>,
        body: Vec<u8>,
    },
    /// Half of the ordinary body under its full `Content-Length`, then the end of the connection.
    HalfBody,
    /// Half of the ordinary body under a `Content-Length` that fits.
    CutShort,
    Edited(Vec<(String, Option<Value>)>),
    NumbersAsStrings,
    Padded {
        bytes: usize,
        chunked: bool,
    },
    Endless,
}

impl Fault {
    /// Whether whoever asked may never learn from it if Webex has acted: the answer is lost,
    /// unusable, or comes late, or a gateway gives it that has waited in vain itself.
    pub(crate) fn leaves_in_the_dark(&self) -> bool {
        match &self.answer {
            Answer::Refused(refusal) => refusal.status >= 500 && refusal.status != 503,
            _ => true,
        }
    }

    fn new(acts: bool, answer: Answer) -> Self {
        Self {
            acts,
            delay: None,
            headers: Vec::new(),
            issue: Issue::default(),
            answer,
        }
    }

    /// An error status in Webex's shape with its documented text. Webex did not act.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::new(false, Answer::Refused(Refusal::standard(status)))
    }

    /// This very refusal. Webex did not act.
    #[must_use]
    pub fn refusal(refusal: Refusal) -> Self {
        Self::new(false, Answer::Refused(refusal))
    }

    /// The ordinary answer, but later. Real time passes, so tests prefer a
    /// [`Gate`](crate::Gate).
    #[must_use]
    pub fn delay(delay: Duration) -> Self {
        Self::new(true, Answer::AsUsual).delayed(delay)
    }

    /// No answer until the client goes away. Webex did not act.
    #[must_use]
    pub fn never_answer() -> Self {
        Self::new(false, Answer::Never)
    }

    /// The connection ends without a byte. Webex did not act.
    #[must_use]
    pub fn drop_before() -> Self {
        Self::new(false, Answer::Drop)
    }

    /// The connection ends without a byte. Webex acted.
    #[must_use]
    pub fn drop_after() -> Self {
        Self::new(true, Answer::Drop)
    }

    /// Half of the body under the full `Content-Length`, then the connection ends. Webex acted.
    #[must_use]
    pub fn half_body() -> Self {
        Self::new(true, Answer::HalfBody)
    }

    /// Half of the body under a `Content-Length` that fits: JSON that breaks off. Webex acted.
    #[must_use]
    pub fn cut_short() -> Self {
        Self::new(true, Answer::CutShort)
    }

    /// 200 with an HTML page, as a captive portal or a proxy answers. Webex did not act.
    #[must_use]
    pub fn html() -> Self {
        Self::body(200, "text/html", "<!doctype html><title>Sign in</title>")
    }

    /// Any status, content type and body; an empty content type sends none. Webex did not act.
    #[must_use]
    pub fn body(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new(
            false,
            Answer::Given {
                status,
                content_type: (!content_type.is_empty()).then(|| content_type.to_owned()),
                body: body.into(),
            },
        )
    }

    /// A status and no body. Webex did not act.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self::body(status, "", "")
    }

    /// 302 to a URL. Webex did not act.
    #[must_use]
    pub fn redirect(location: &str) -> Self {
        Self::empty(302).header("location", location)
    }

    /// The ordinary JSON without some of its fields. Webex acted.
    #[must_use]
    pub fn without(fields: &[&str]) -> Self {
        let edits = fields.iter().map(|&field| (field.to_owned(), None));
        Self::new(true, Answer::Edited(edits.collect()))
    }

    /// The ordinary JSON with one field set to a value. Webex acted.
    #[must_use]
    pub fn with(field: &str, value: impl Into<Value>) -> Self {
        let edit = (field.to_owned(), Some(value.into()));
        Self::new(true, Answer::Edited(vec![edit]))
    }

    /// A token reply without `access_token`. Webex acted.
    #[must_use]
    pub fn missing_access_token() -> Self {
        Self::without(&["access_token"])
    }

    /// A token reply without `refresh_token`. Webex acted.
    #[must_use]
    pub fn missing_refresh_token() -> Self {
        Self::without(&["refresh_token", "refresh_token_expires_in"])
    }

    /// A token reply whose `refresh_token` is empty. Webex acted.
    #[must_use]
    pub fn empty_refresh_token() -> Self {
        Self::with("refresh_token", "")
    }

    /// A token reply that does not say how long anything lives. Webex acted.
    #[must_use]
    pub fn missing_lifetimes() -> Self {
        Self::without(&["expires_in", "refresh_token_expires_in"])
    }

    /// Every number of the JSON as a string. Webex acted.
    #[must_use]
    pub fn numbers_as_strings() -> Self {
        Self::new(true, Answer::NumbersAsStrings)
    }

    /// The ordinary JSON with white space after it, at least `bytes` long. Webex acted.
    #[must_use]
    pub fn huge_body(bytes: usize) -> Self {
        Self::new(
            true,
            Answer::Padded {
                bytes,
                chunked: false,
            },
        )
    }

    /// As [`Fault::huge_body`], in chunks of an undeclared total length. Webex acted.
    #[must_use]
    pub fn huge_chunked_body(bytes: usize) -> Self {
        Self::new(
            true,
            Answer::Padded {
                bytes,
                chunked: true,
            },
        )
    }

    /// The ordinary JSON and then white space without end, in chunks. Webex acted.
    #[must_use]
    pub fn endless_body() -> Self {
        Self::new(true, Answer::Endless)
    }

    /// Issues this very access token, which lives as any other. Webex acted.
    #[must_use]
    pub fn access_token(value: &str) -> Self {
        let mut fault = Self::new(true, Answer::AsUsual);
        fault.issue.access_token = Some(value.to_owned());
        fault
    }

    /// Issues this very refresh token, where a new one is due. Webex acted.
    #[must_use]
    pub fn refresh_token(value: &str) -> Self {
        let mut fault = Self::new(true, Answer::AsUsual);
        fault.issue.refresh_token = Some(value.to_owned());
        fault
    }

    /// Issues an access token that every later use answers with 401. Webex acted.
    #[must_use]
    pub fn issued_but_refused() -> Self {
        let mut fault = Self::new(true, Answer::AsUsual);
        fault.issue.refused = Some(Refused::Unauthorized);
        fault
    }

    /// Issues an access token that lives but is answered with 403 wherever a scope is needed.
    /// Webex acted.
    #[must_use]
    pub fn issued_but_forbidden() -> Self {
        let mut fault = Self::new(true, Answer::AsUsual);
        fault.issue.refused = Some(Refused::Forbidden);
        fault
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The error code and the text, for a [`Fault::status`].
    #[must_use]
    pub fn error(mut self, error: &str, description: &str) -> Self {
        if let Answer::Refused(refusal) = &mut self.answer {
            error.clone_into(&mut refusal.error);
            description.clone_into(&mut refusal.description);
        }
        self
    }

    /// The shape of the error, for a [`Fault::status`].
    #[must_use]
    pub fn shape(mut self, shape: ErrorShape) -> Self {
        if let Answer::Refused(refusal) = &mut self.answer {
            refusal.shape = shape;
        }
        self
    }

    /// Waits before anything else. Real time passes.
    #[must_use]
    pub fn delayed(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// Lets Webex act before the answer is spoilt.
    #[must_use]
    pub fn after_acting(mut self) -> Self {
        self.acts = true;
        self
    }

    /// Keeps Webex from acting. For a fault that edits the ordinary answer there is then none to
    /// edit, and it answers 200 with an empty JSON object.
    #[must_use]
    pub fn before_acting(mut self) -> Self {
        self.acts = false;
        self
    }
}

/// The faults in store, by endpoint.
#[derive(Default)]
pub(crate) struct Script {
    once: HashMap<Endpoint, VecDeque<Fault>>,
    always: HashMap<Endpoint, Fault>,
}

impl Script {
    pub(crate) fn push(&mut self, endpoint: Endpoint, faults: impl IntoIterator<Item = Fault>) {
        self.once.entry(endpoint).or_default().extend(faults);
    }

    pub(crate) fn always(&mut self, endpoint: Endpoint, fault: Fault) {
        self.always.insert(endpoint, fault);
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn remaining(&self) -> usize {
        self.once.values().map(VecDeque::len).sum()
    }

    /// The fault for a request: scripted ones first, the most specific endpoint first.
    pub(crate) fn take(&mut self, endpoints: &[Endpoint]) -> Option<Fault> {
        endpoints
            .iter()
            .find_map(|endpoint| self.once.get_mut(endpoint)?.pop_front())
            .or_else(|| {
                endpoints
                    .iter()
                    .find_map(|endpoint| self.always.get(endpoint).cloned())
            })
    }
}
