//! What the sandbox counts, so that a client is judged from outside.

/// Totals since the start, or since [`Sandbox::clear_requests`](crate::Sandbox::clear_requests).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Requests received, answered or not.
    pub requests: u64,
    /// TCP connections accepted.
    pub connections: u64,
    /// Requests to the token endpoint with `grant_type=refresh_token`, answered or not.
    pub refresh_requests: u64,
    /// Refresh tokens exchanged: the world changed, whether or not the answer got through.
    pub refreshes: u64,
    /// Grants carried out at the token endpoints: refreshes, codes and device codes.
    pub grants: u64,
    /// Requests to the mint call, answered or not.
    pub mint_requests: u64,
    /// Mints carried out.
    pub mints: u64,
    /// `GET /dataSources` requests, answered or not.
    pub validations: u64,
    /// Presentations of a refresh token that a rotation had replaced.
    pub reused_refresh_tokens: u64,
    /// Refresh requests that arrived while another of the same grant was unanswered.
    pub overlapping_refreshes: u64,
}
