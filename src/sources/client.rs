//! The data-source API, call by call: replies are read leniently, and no change is sent twice
//! because its answer was lost.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::HashSet;
use url::Url;
use uuid::Uuid;

use super::data_source::DataSource;
use super::id_prefix::{self, NoOneMeant};
use super::list::{self, MOST_OF_AN_OBJECT, NotAList};
use super::update::{self, CannotUpdate};
use crate::authorized::{Answer, AuthorizedClient, CallError, Failure, FailureKind};
use crate::ids::is_uuid;
use crate::manager::Limits;
use crate::remedy::Remedy;
use crate::webex::{Call, Method};

/// How many pages a list has, at most: more is a circle.
const MOST_PAGES: usize = 10_000;

/// How many items a list has, at most, and how many bytes in all its pages: ten thousand data sources
/// are 13 MB. More would not fit into the memory of a small machine.
const MOST_ITEMS: usize = 100_000;
const MOST_OF_A_LIST: usize = 32 * 1024 * 1024;

/// How long what was read of a data source is good enough to make an update from.
const FRESH_FOR: Duration = Duration::from_secs(30);

/// How often an update that had to wait is looked after.
const MOST_LOOKS: usize = 5;

/// The resource (Webex "Data Sources").
const DATA_SOURCES: &str = "dataSources";

/// The data sources of the organization that authorized the service app. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DataSources {
    calls: AuthorizedClient,
}

/// A kind of data that a receiver can be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Schema {
    /// Its id, a UUID.
    pub id: String,
    /// Such as `VoiceVirtualAgent`.
    pub service_type: Option<String>,
    /// Such as `gRPC`.
    pub protocol: Option<String>,
    /// Such as `serviceApp`.
    pub app_type: Option<String>,
    /// Where it is described.
    pub url: Option<String>,
}

impl Schema {
    /// Its service's name, with the protocol: `VoiceVirtualAgent (gRPC)`.
    #[must_use]
    pub fn name(&self) -> String {
        match (&self.service_type, &self.protocol) {
            (Some(service), Some(protocol)) => format!("{service} ({protocol})"),
            (Some(name), None) | (None, Some(name)) => name.clone(),
            (None, None) => self.id.clone(),
        }
    }
}

/// A change that was made.
#[derive(Clone, Debug)]
pub struct Done {
    /// The data source as Webex shows it now; `None` where it was deleted.
    pub data_source: Option<DataSource>,
    /// Webex's `trackingId`, where the answer arrived.
    pub tracking_id: Option<String>,
}

/// Something about data sources that could not be done.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The call came to nothing.
    #[error(transparent)]
    Call(#[from] CallError),
    /// An id names no data source, or several.
    #[error(transparent)]
    Id(#[from] NoOneMeant),
    /// The update would have to invent something.
    #[error(transparent)]
    Update(#[from] CannotUpdate),
    /// Somebody else has changed it since it was read, and theirs stands.
    #[error("somebody else has changed it meanwhile, and was not overruled")]
    ChangedMeanwhile {
        /// Whether it was changed as asked before that, perhaps.
        may_be_done: bool,
    },
    /// A 200 with something else in it.
    #[error("Webex's answer is not what was asked for{}", tracked(.tracking_id.as_deref()))]
    Unreadable {
        /// Webex's `trackingId`.
        tracking_id: Option<String>,
    },
    /// The update was taken, and the JWS is the one from before.
    #[error("Webex took the update, and shows the JWS from before{}", tracked(.tracking_id.as_deref()))]
    NotRenewed {
        /// Webex's `trackingId`.
        tracking_id: Option<String>,
    },
    /// The list shows a data source without its id, so that nobody can ask for it.
    #[error("Webex's list does not tell its id")]
    Nameless,
    /// The list goes on where the token must not be sent.
    #[error("Webex's list goes on at {host}, which is another host and not followed")]
    AnotherHost {
        /// The host that the link names.
        host: String,
    },
    /// The list never ends, or is far longer than any.
    #[error("Webex's list has no end, or more than {MOST_ITEMS} items")]
    Endless,
}

fn tracked(tracking_id: Option<&str>) -> String {
    tracking_id.map_or_else(String::new, |id| format!(" (trackingId {id})"))
}

impl SourceError {
    /// How the call failed, if it did and Webex had a say in it.
    #[must_use]
    pub fn kind(&self) -> Option<FailureKind> {
        match self {
            Self::Call(error) => error.kind(),
            _ => None,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn remedy(&self) -> Option<Remedy> {
        Some(match self {
            Self::Call(CallError::Token(error)) => return error.remedy().cloned(),
            Self::Call(CallError::Failed(failure)) => match (failure.kind, failure.method) {
                (FailureKind::NotFound, _) => Remedy::LookAtTheList,
                (FailureKind::Forbidden, Method::Get) => Remedy::FixDataSourceScope,
                (FailureKind::Forbidden, _) => Remedy::FixWriteScope,
                // What is too large has nothing that could be corrected.
                (FailureKind::Refused, _) if failure.http_status < Some(300) => return None,
                (FailureKind::Refused, _) => Remedy::AskForSomethingElse,
                (FailureKind::ProxyRefused, _) => Remedy::FixProxy,
                (FailureKind::Unavailable, _) => Remedy::TryAgainLater,
                (FailureKind::Unknown, _) => Remedy::LookWhetherDone,
            },
            Self::ChangedMeanwhile { may_be_done: true } => Remedy::LookWhetherDone,
            Self::Call(CallError::Stale | CallError::Stopped)
            | Self::ChangedMeanwhile { may_be_done: false } => Remedy::TryAgainLater,
            Self::Id(_) => Remedy::LookAtTheList,
            Self::Update(CannotUpdate::Silent) => Remedy::EnableFirst,
            Self::Update(_) => Remedy::NameIt,
            Self::Nameless => return None,
            Self::AnotherHost { .. } => Remedy::FixApiBase,
            Self::Unreadable { .. } | Self::NotRenewed { .. } | Self::Endless => {
                Remedy::TryAgainLater
            }
        })
    }

    /// Whether trying again later may help.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        self.remedy().is_some_and(|remedy| remedy.is_passing())
    }

    /// The name in `--json`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Call(CallError::Token(error)) => error.report().outcome.name(),
            Self::Call(CallError::Failed(failure)) => failure.kind.name(),
            Self::Call(CallError::Stale) => FailureKind::Unavailable.name(),
            Self::Call(CallError::Stopped) => "interrupted",
            Self::ChangedMeanwhile { .. } => "changed_meanwhile",
            Self::Id(NoOneMeant::NotFound { .. }) => FailureKind::NotFound.name(),
            Self::Id(NoOneMeant::Ambiguous { .. }) => "ambiguous",
            Self::Update(_) => "incomplete",
            Self::NotRenewed { .. } => "not_renewed",
            Self::Nameless | Self::AnotherHost { .. } => FailureKind::Refused.name(),
            Self::Unreadable { .. } | Self::Endless => FailureKind::Unavailable.name(),
        }
    }

    /// Whether the answer was lost, so that it may have been done all the same.
    #[must_use]
    pub fn may_be_done(&self) -> bool {
        self.kind() == Some(FailureKind::Unknown)
            || matches!(self, Self::ChangedMeanwhile { may_be_done: true })
    }

    /// Webex's `trackingId`.
    #[must_use]
    pub fn tracking_id(&self) -> Option<&str> {
        match self {
            Self::Call(CallError::Failed(failure)) => failure.tracking_id.as_deref(),
            Self::Unreadable { tracking_id } | Self::NotRenewed { tracking_id } => {
                tracking_id.as_deref()
            }
            _ => None,
        }
    }

    /// How long Webex asks to wait, where that is longer than the call was given.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Call(CallError::Failed(failure)) => failure.retry_after,
            _ => None,
        }
    }
}

/// A data source that is not there any more, whoever has deleted it.
const GONE: Done = Done {
    data_source: None,
    tracking_id: None,
};

/// A nonce that was never sent before: a random UUID.
pub(super) fn nonce() -> String {
    Uuid::new_v4().to_string()
}

impl DataSources {
    /// The data sources that `calls` is allowed to see.
    #[must_use]
    pub fn new(calls: AuthorizedClient) -> Self {
        Self { calls }
    }

    /// The same within other limits.
    #[must_use]
    pub(super) fn within(self, limits: Limits) -> Self {
        Self {
            calls: self.calls.within(limits),
        }
    }

    /// How Webex is called.
    #[must_use]
    pub fn calls(&self) -> &AuthorizedClient {
        &self.calls
    }

    /// `GET /v1/dataSources`, every page of it: hands each data source to `take`.
    ///
    /// # Errors
    ///
    /// The call fails, an answer is no list, or the list goes on at another host; what was taken
    /// until then is not all.
    pub async fn each(&self, mut take: impl FnMut(DataSource)) -> Result<(), SourceError> {
        self.pages(&[DATA_SOURCES], |item| take(item.into())).await
    }

    /// Hands each item of a list to `take`.
    async fn pages(
        &self,
        path: &[&str],
        mut take: impl FnMut(Map<String, Value>),
    ) -> Result<(), SourceError> {
        let mut call = Call::get(path);
        let mut seen = HashSet::new();
        let (mut items, mut bytes) = (0, 0);
        loop {
            let page = self.calls.send(&call).await?;
            bytes += page.body.len();
            let taken = list::each(&page.body, |item| {
                items += 1;
                let is_wanted = items <= MOST_ITEMS;
                if is_wanted {
                    take(item);
                }
                is_wanted
            });
            if items > MOST_ITEMS || bytes > MOST_OF_A_LIST {
                return Err(SourceError::Endless);
            }
            taken.map_err(|NotAList| unreadable(&page))?;
            let Some(next) = page.next else {
                return Ok(());
            };
            let next = self.on_the_same_host(next)?;
            if !seen.insert(next.clone()) || seen.len() > MOST_PAGES {
                return Err(SourceError::Endless);
            }
            call = Call::get_at(next);
        }
    }

    /// The same, all at once.
    ///
    /// # Errors
    ///
    /// As for [`DataSources::each`].
    pub async fn list(&self) -> Result<Vec<DataSource>, SourceError> {
        let mut all = Vec::new();
        self.each(|source| all.push(source)).await?;
        Ok(all)
    }

    /// The id that `prefix` abbreviates. A whole one is taken as it is, and nothing is asked.
    ///
    /// # Errors
    ///
    /// No id or several begin with it, or the list cannot be had.
    pub async fn resolve(&self, prefix: &str) -> Result<String, SourceError> {
        let ids = self.resolve_each(&[prefix.to_owned()]).await?;
        // One prefix has one id, or an error.
        Ok(ids.into_iter().collect::<Result<String, _>>()?)
    }

    /// The ids that `prefixes` abbreviate, in their order. Whole ones are taken as they are; the list
    /// is asked for once, and only if there are others.
    ///
    /// # Errors
    ///
    /// The list cannot be had. That no id or several begin with one of them stands in its place.
    pub async fn resolve_each(
        &self,
        prefixes: &[String],
    ) -> Result<Vec<Result<String, NoOneMeant>>, SourceError> {
        let mut ids = Vec::new();
        if !prefixes.iter().all(|prefix| is_uuid(prefix)) {
            self.each(|source| ids.extend(source.id().map(str::to_owned)))
                .await?;
        }
        let resolved = prefixes.iter().map(|prefix| {
            if is_uuid(prefix) {
                return Ok(prefix.clone());
            }
            let id = id_prefix::resolve(prefix, ids.iter().map(String::as_str))?;
            Ok(id.to_owned())
        });
        Ok(resolved.collect())
    }

    /// `GET /v1/dataSources/{id}`.
    ///
    /// # Errors
    ///
    /// The call fails ([`FailureKind::NotFound`] where there is none), or its answer is no object.
    pub async fn read(&self, id: &str) -> Result<DataSource, SourceError> {
        read(&self.calls, id).await
    }

    /// The same, as it came.
    ///
    /// # Errors
    ///
    /// The call fails.
    pub async fn read_raw(&self, id: &str) -> Result<Answer, SourceError> {
        Ok(self.calls.send(&Call::get(&[DATA_SOURCES, id])).await?)
    }

    /// `GET /v1/dataSources/schemas`, every page of it.
    ///
    /// # Errors
    ///
    /// The call fails, or its answer is no list.
    pub async fn schemas(&self) -> Result<Vec<Schema>, SourceError> {
        let mut schemas = Vec::new();
        // One that has no id, or fields of other types, cannot be chosen anyway.
        let take = |item| {
            let schema = serde_json::from_value::<Schema>(Value::Object(item)).ok();
            schemas.extend(schema.filter(|schema| !schema.id.is_empty()));
        };
        self.pages(&[DATA_SOURCES, "schemas"], take).await?;
        Ok(schemas)
    }

    /// `POST /v1/dataSources` with a body that holds `nonce`. Where the answer is lost, the list
    /// tells by the nonce whether it was done; it is never sent again, as that might register
    /// another.
    ///
    /// # Errors
    ///
    /// The call fails; [`SourceError::may_be_done`] tells that it may have been done.
    pub async fn register(
        &self,
        body: &Map<String, Value>,
        nonce: &str,
    ) -> Result<Done, SourceError> {
        let call = Call::post(&[DATA_SOURCES], body);
        let lost = match self.calls.send(&call).await {
            Ok(answer) => match object(&answer) {
                Ok(data_source) if data_source.id().is_some() && data_source.has_nonce(nonce) => {
                    return Ok(Done {
                        data_source: Some(data_source),
                        tracking_id: answer.tracking_id,
                    });
                }
                _ => unreadable_change(Method::Post, &answer),
            },
            Err(error) if error.kind() == Some(FailureKind::Unknown) => error.into(),
            Err(error) => return Err(error.into()),
        };
        let mut found = None;
        let settling = Self::new(self.calls.settling());
        let listed = settling.each(|source| {
            if source.has_nonce(nonce) {
                found = Some(source);
            }
        });
        listed.await.map_err(|_| lost.clone())?;
        Ok(Done {
            data_source: Some(found.ok_or(lost)?),
            tracking_id: None,
        })
    }

    /// `PUT /v1/dataSources/{id}` with a whole body, which holds `nonce` and was made from `current`.
    ///
    /// What is not answered with that nonce is looked for: the data source itself tells by it whether
    /// the update was made. If not, and it is still as `current` was, the same update is sent once
    /// more. The same look is taken where the update had to wait before it could be sent. Where
    /// somebody else has changed the data source meanwhile, theirs stands.
    ///
    /// # Errors
    ///
    /// The call fails; [`SourceError::may_be_done`] tells that it may have been done.
    pub async fn replace(
        &self,
        id: &str,
        current: &DataSource,
        body: &Map<String, Value>,
        nonce: &str,
    ) -> Result<Done, SourceError> {
        let mut lost: Option<SourceError> = None;
        for _ in 0..MOST_LOOKS {
            let call = Call::put(&[DATA_SOURCES, id], body).stale_after(FRESH_FOR);
            let is_lost_now = match self.calls.send(&call).await {
                Ok(answer) => match object(&answer) {
                    Ok(data_source) if is_it(&data_source, id) && data_source.has_nonce(nonce) => {
                        return Ok(Done {
                            data_source: Some(data_source),
                            tracking_id: answer.tracking_id,
                        });
                    }
                    _ => Some(unreadable_change(Method::Put, &answer)),
                },
                Err(CallError::Stale) => None,
                Err(error) if error.kind() == Some(FailureKind::Unknown) => Some(error.into()),
                // The first one arrived after all, and Webex takes no nonce twice.
                Err(error) if lost.is_some() && error.kind() == Some(FailureKind::Refused) => {
                    Some(error.into())
                }
                Err(error) => return Err(lost.unwrap_or_else(|| error.into())),
            };
            let was_lost = lost.is_some();
            lost = is_lost_now.or(lost);
            // What cannot be read now settles nothing.
            let settling = self.calls.settling();
            let calls = if lost.is_some() {
                &settling
            } else {
                &self.calls
            };
            let shown = match read(calls, id).await {
                Ok(shown) => shown,
                Err(error) => return Err(lost.unwrap_or(error)),
            };
            if shown.has_nonce(nonce) {
                return Ok(Done {
                    data_source: Some(shown),
                    tracking_id: None,
                });
            }
            if shown.nonce() != current.nonce() || update::has_changed(current, &shown) {
                let may_be_done = lost.is_some();
                return Err(SourceError::ChangedMeanwhile { may_be_done });
            }
            if let Some(lost) = lost.take_if(|_| was_lost) {
                return Err(lost);
            }
        }
        Err(lost.unwrap_or(CallError::Stale.into()))
    }

    /// `DELETE /v1/dataSources/{id}`. Where the answer is lost, it is looked for; where it is still
    /// there, it is deleted once more.
    ///
    /// # Errors
    ///
    /// The call fails; [`SourceError::may_be_done`] tells that it may have been done.
    pub async fn delete(&self, id: &str) -> Result<Done, SourceError> {
        let call = Call::delete(&[DATA_SOURCES, id]);
        let mut was_lost = false;
        loop {
            let lost = match self.calls.send(&call).await {
                Ok(answer) => {
                    return Ok(Done {
                        data_source: None,
                        tracking_id: answer.tracking_id,
                    });
                }
                Err(error) if was_lost && error.kind() == Some(FailureKind::NotFound) => {
                    return Ok(GONE);
                }
                Err(error) if error.kind() == Some(FailureKind::Unknown) => error,
                Err(error) => return Err(error.into()),
            };
            match read(&self.calls.settling(), id).await {
                Err(error) if error.kind() == Some(FailureKind::NotFound) => {
                    return Ok(GONE);
                }
                Ok(_) if !was_lost => was_lost = true,
                _ => return Err(lost.into()),
            }
        }
    }

    /// The bearer token goes where the next page is: to Webex and nobody else.
    fn on_the_same_host(&self, next: Url) -> Result<Url, SourceError> {
        if next.origin() == self.calls.base_url().origin() {
            return Ok(next);
        }
        let host = next.host_str().unwrap_or("an address without a host");
        Err(SourceError::AnotherHost {
            host: crate::token::one_line(host),
        })
    }
}

/// Reads a data source, and makes sure that it is the one that was asked for.
async fn read(calls: &AuthorizedClient, id: &str) -> Result<DataSource, SourceError> {
    let answer = calls.send(&Call::get(&[DATA_SOURCES, id])).await?;
    let data_source = object(&answer)?;
    if is_it(&data_source, id) {
        Ok(data_source)
    } else {
        Err(unreadable(&answer))
    }
}

/// Whether an answer shows the data source with this id, as far as it tells.
fn is_it(data_source: &DataSource, id: &str) -> bool {
    let shown = data_source.id();
    shown.is_none_or(|shown| shown.eq_ignore_ascii_case(id))
}

/// The data source in an answer.
fn object(answer: &Answer) -> Result<DataSource, SourceError> {
    if answer.body.len() > MOST_OF_AN_OBJECT {
        return Err(unreadable(answer));
    }
    serde_json::from_slice::<Map<String, Value>>(&answer.body)
        .map(DataSource::from)
        // No text of the error: it quotes the offending value.
        .map_err(|_| unreadable(answer))
}

fn unreadable(answer: &Answer) -> SourceError {
    SourceError::Unreadable {
        tracking_id: answer.tracking_id.clone(),
    }
}

/// A change that was answered with something else than the data source: it may have been done.
fn unreadable_change(method: Method, answer: &Answer) -> SourceError {
    SourceError::Call(CallError::Failed(Box::new(Failure {
        kind: FailureKind::Unknown,
        method,
        what: "the answer is not the data source as it was sent".to_owned(),
        http_status: Some(answer.status),
        tracking_id: answer.tracking_id.clone(),
        retry_after: None,
    })))
}
