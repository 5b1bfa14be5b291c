//! What Webex answers, before it is HTTP: a status, headers, and a body in one of the error
//! shapes that have been seen.
//!
//! Webex's layers do not agree on how an error looks, so the shape is data ([`ErrorShape`]) and a
//! policy may choose it per refusal ([`Refusal`]).

use serde_json::{Value, json};

/// How an error body is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorShape {
    /// `{"message", "errors": [{"description"}], "trackingId"}`, the code of the error in
    /// `errors[0].description` (API reference of webexapis.com).
    Webex,
    /// As [`ErrorShape::Webex`], but the code is the `message` and `errors` is absent (device
    /// grant replies).
    WebexMessage,
    /// `{"message", "trackingId"}`: the human text alone (a recorded 403).
    WebexWithoutErrors,
    /// `{"code", "message", "trackingId": "GTWY_…"}`: the newer gateway.
    Gateway,
    /// `{"error", "error_description"}` (RFC 6749 §5.2): the identity broker.
    Rfc6749,
}

/// A refusal: its status, its shape, the code of the error and the text for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// How the body is laid out.
    pub shape: ErrorShape,
    /// The code, such as `invalid_grant` (RFC 6749 §5.2). Where it is empty, the text stands in.
    pub error: String,
    /// The text for people.
    pub description: String,
}

impl Refusal {
    /// A refusal in Webex's usual shape.
    #[must_use]
    pub fn new(status: u16, error: &str, description: &str) -> Self {
        Self {
            status,
            shape: ErrorShape::Webex,
            error: error.to_owned(),
            description: description.to_owned(),
        }
    }

    /// The same refusal in another shape.
    #[must_use]
    pub fn shape(mut self, shape: ErrorShape) -> Self {
        self.shape = shape;
        self
    }

    /// The refusal that Webex's documentation gives for `status`, without a code.
    #[must_use]
    pub fn standard(status: u16) -> Self {
        Self::new(status, "", standard_text(status))
    }

    /// The body, for a `trackingId` made of the layer's prefix and `id`.
    pub(crate) fn body(&self, id: &str) -> Value {
        let tracking_id = self.tracking_id(id);
        let code = match self.error.as_str() {
            "" => &self.description,
            error => error,
        };
        match self.shape {
            ErrorShape::Webex => json!({
                "message": self.description,
                "errors": [{ "description": code }],
                "trackingId": tracking_id,
            }),
            ErrorShape::WebexMessage => json!({ "message": code, "trackingId": tracking_id }),
            ErrorShape::WebexWithoutErrors => {
                json!({ "message": self.description, "trackingId": tracking_id })
            }
            ErrorShape::Gateway => json!({
                "code": self.status,
                "message": self.description,
                "trackingId": tracking_id,
            }),
            ErrorShape::Rfc6749 => {
                json!({ "error": code, "error_description": self.description })
            }
        }
    }

    /// `ROUTER_…`, `ROUTERGW_…` (401) or `GTWY_…` (the newer gateway).
    pub(crate) fn tracking_id(&self, id: &str) -> String {
        let prefix = match (self.shape, self.status) {
            (ErrorShape::Gateway, _) => "GTWY",
            (_, 401) => "ROUTERGW",
            _ => "ROUTER",
        };
        format!("{prefix}_{id}")
    }
}

/// The text that goes with a status on every public operation (API reference).
fn standard_text(status: u16) -> &'static str {
    match status {
        400 => "The request could not be understood by the server due to malformed syntax.",
        401 => "The request requires a valid access token set in the Authorization request header.",
        403 => {
            "The server understood the request, but refused to fulfill it because the access \
             token is missing required scopes or the user is missing required roles or licenses."
        }
        404 => "The requested resource could not be found.",
        405 => "The method received in the request-line is known but not supported.",
        409 => "The request could not be processed because it conflicts with established rules.",
        415 => "The request payload is in a format not supported by this method.",
        423 => "The requested resource is temporarily unavailable.",
        428 => "The request is missing a required precondition.",
        429 => "Too many requests have been sent and the request has been rate limited.",
        500 => "Something went wrong on the server.",
        502 => "The server received an invalid response from an upstream server.",
        503 => "The server is overloaded with requests. Try again later.",
        504 => "An upstream server failed to respond on time.",
        _ => "The request could not be processed.",
    }
}

/// An answer of the world: what the routes turn into HTTP.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Body,
}

/// The body of a [`Reply`].
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Empty,
    Json(Value),
    Html(String),
    Refused(Refusal),
}

impl Reply {
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self::with_body(status, Body::Json(body))
    }

    pub(crate) fn html(status: u16, body: String) -> Self {
        Self::with_body(status, Body::Html(body))
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self::with_body(status, Body::Empty)
    }

    pub(crate) fn redirect(location: String) -> Self {
        Self::empty(302).header("location", location)
    }

    pub(crate) fn header(mut self, name: &str, value: String) -> Self {
        self.headers.push((name.to_owned(), value));
        self
    }

    fn with_body(status: u16, body: Body) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body,
        }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        Self::with_body(refusal.status, Body::Refused(refusal))
    }
}

impl From<Result<Reply, Refusal>> for Reply {
    fn from(result: Result<Reply, Refusal>) -> Self {
        result.unwrap_or_else(Self::from)
    }
}
