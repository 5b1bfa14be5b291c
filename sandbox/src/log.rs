//! The requests that arrived, as they arrived.

use std::{collections::BTreeMap, time::SystemTime};

use serde_json::Value;

/// One request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// When it had arrived whole, by the world's clock.
    pub at: SystemTime,
    /// The method, in capitals.
    pub method: String,
    /// The path as sent.
    pub path: String,
    /// The fields of the query.
    pub query: BTreeMap<String, String>,
    /// The headers; names are lower-case, values of repeated ones joined with `, `.
    pub headers: BTreeMap<String, String>,
    /// The fields of a form body; empty for any other.
    pub form: BTreeMap<String, String>,
    /// The body, if it is JSON.
    pub json: Option<Value>,
    /// The body.
    pub body: Vec<u8>,
    /// Which TCP connection it came on: 1 is the first that was accepted.
    pub connection: u64,
    /// The status it was answered with. `None` while it is unanswered, and for ever if the
    /// connection was dropped.
    pub status: Option<u16>,
    pub(crate) id: u64,
}

impl Request {
    /// The token of an `Authorization: Bearer` header.
    #[must_use]
    pub fn bearer(&self) -> Option<&str> {
        self.headers.get("authorization")?.strip_prefix("Bearer ")
    }
}

/// The log of requests.
#[derive(Default)]
pub(crate) struct Log {
    requests: Vec<Request>,
    arrived: u64,
}

impl Log {
    /// Notes a request and returns its id.
    pub(crate) fn arrived(&mut self, mut request: Request) -> u64 {
        self.arrived += 1;
        request.id = self.arrived;
        self.requests.push(request);
        self.arrived
    }

    pub(crate) fn answered(&mut self, id: u64, status: u16) {
        let found = self.requests.iter_mut().rev().find(|entry| entry.id == id);
        if let Some(request) = found {
            request.status = Some(status);
        }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.clone()
    }

    pub(crate) fn clear(&mut self) {
        self.requests.clear();
    }
}
