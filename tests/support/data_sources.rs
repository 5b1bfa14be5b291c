//! Stories about data sources: what Webex has, what it was asked, and what stands in the log.

use serde_json::Value;
use webex_sandbox::{DataSourceShape, Policy, Sandbox};

use super::{Hand, Is, Story};

/// Every shape that replies have been recorded in.
pub(crate) const SHAPES: [DataSourceShape; 5] = [
    DataSourceShape::Recorded,
    DataSourceShape::CcReadme,
    DataSourceShape::ByodsJs,
    DataSourceShape::Oas,
    DataSourceShape::Full,
];

/// A story with a token that works.
pub(crate) fn story_with(policy: Policy) -> Story {
    let sandbox = Sandbox::builder().policy(policy).start();
    let hand = Hand {
        access_token: Is::Live,
        ..Hand::ALL_RUNGS
    };
    Story::with_hand_in(sandbox, hand)
}

/// The same, with the usual policy.
pub(crate) fn story() -> Story {
    story_with(Policy::default())
}

impl Story {
    /// A data source, whatever shape replies have.
    pub(crate) fn source(&self, id: &str) -> Value {
        self.sandbox.data_source(id).expect("it is there")
    }

    /// The bodies of the updates of this source, as they arrived.
    pub(crate) fn updates(&self, id: &str) -> Vec<Value> {
        let path = format!("/v1/dataSources/{id}");
        self.bodies("PUT", &path)
    }

    /// The bodies of such requests, as they arrived.
    pub(crate) fn bodies(&self, method: &str, path: &str) -> Vec<Value> {
        let requests = self.sandbox.requests();
        let bodies = requests
            .iter()
            .filter(|request| request.method == method && request.path == path);
        bodies
            .map(|request| request.json.clone().expect("JSON"))
            .collect()
    }

    /// How many requests there were with this method.
    pub(crate) fn count(&self, method: &str) -> usize {
        let requests = self.sandbox.requests();
        requests.iter().filter(|it| it.method == method).count()
    }

    /// The lines of the operation log.
    pub(crate) fn log(&self) -> Vec<Value> {
        let log = self.read("data-sources.log");
        log.lines()
            .map(|line| serde_json::from_str(line).expect("a line is JSON"))
            .collect()
    }
}

/// All fields but those that every update changes.
pub(crate) fn without_dates(source: &Value) -> Value {
    let mut source = source.clone();
    let fields = source.as_object_mut().expect("an object");
    for changed in [
        "nonce",
        "jwsToken",
        "tokenExpiryTime",
        "updatedAt",
        "updatedBy",
    ] {
        fields.remove(changed);
    }
    source
}
