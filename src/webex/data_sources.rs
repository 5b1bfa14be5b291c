//! `GET /v1/dataSources`: the request that a service-app token is for, and so its validation
//! (Webex "Data Sources"). 401 means that the token is dead, 403 that it lives and may not.

use reqwest::Method;

use super::authorizations::authorized;
use super::{Client, Prepared, Reading};
use crate::token::AccessToken;

impl Client {
    /// Lists data sources; only the beginning of the answer is read.
    pub(crate) fn validate(&self, token: &AccessToken) -> Prepared {
        let url = self.url(&["dataSources"]);
        authorized(Method::GET, url, token, Reading::Beginning)
    }
}
