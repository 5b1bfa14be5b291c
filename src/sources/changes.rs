//! Every change of a data source goes through here: asked for, then written down.

use std::path::Path;

use serde_json::{Map, Value};

use super::client::{DataSources, Done, SourceError, nonce};
use super::data_source::DataSource;
use super::journal::{Entry, Operation, Outcome};
use super::update::{self, Change, Delivery, Registration};
use crate::manager::Limits;
use crate::store::{AppendLog, StoreError};

/// Changes data sources, and keeps the operation log of it.
#[derive(Debug)]
pub struct Changes {
    sources: DataSources,
    log: AppendLog,
}

/// A change that was made.
#[derive(Debug)]
pub struct Changed {
    /// The data source as Webex shows it now; `None` where it was deleted.
    pub data_source: Option<DataSource>,
    /// Webex's `trackingId`, where the answer arrived.
    pub tracking_id: Option<String>,
    /// Whether it stands in the operation log.
    pub recorded: Result<(), StoreError>,
}

/// A change that was not made, as far as is known.
#[derive(Debug)]
pub struct NotChanged {
    /// Why.
    pub error: SourceError,
    /// Whether it stands in the operation log, where it may have been made.
    pub recorded: Result<(), StoreError>,
}

/// What is written down of a change, whatever becomes of it.
struct Draft<'a> {
    operation: Operation,
    id: Option<&'a str>,
    before: Option<&'a Map<String, Value>>,
    /// What was sent.
    sent: Option<&'a Map<String, Value>>,
}

impl Changes {
    /// Changes what `sources` shows, and writes it into the operation log: the file `log`, or else
    /// `data-sources.log` beside `.env`. It is opened here and now: nothing is changed that could not
    /// be written down.
    ///
    /// # Errors
    ///
    /// The log cannot be opened.
    pub fn open(sources: DataSources, log: Option<&Path>) -> Result<Self, StoreError> {
        let (env, config) = sources.calls().manager().places()?;
        let path = log.map_or_else(|| env.operation_log(), Path::to_owned);
        let places: Vec<_> = std::iter::once(&env).chain(&config).collect();
        Ok(Self {
            log: AppendLog::open(&path, &places)?,
            sources,
        })
    }

    /// The same within other limits: a person may have taken their time.
    #[must_use]
    pub(crate) fn within(self, limits: Limits) -> Self {
        Self {
            sources: self.sources.within(limits),
            ..self
        }
    }

    /// The data sources.
    #[must_use]
    pub fn sources(&self) -> &DataSources {
        &self.sources
    }

    /// Registers a data source.
    ///
    /// # Errors
    ///
    /// As for [`DataSources::register`].
    pub async fn register(&self, registration: &Registration) -> Result<Changed, NotChanged> {
        let nonce = nonce();
        let body = registration.body(&nonce);
        let draft = Draft {
            operation: Operation::Register,
            id: None,
            before: None,
            sent: Some(&body),
        };
        let registered = self.sources.register(&body, &nonce).await;
        self.write_down(&draft, registered)
    }

    /// Changes what is named of `current`, which has been read just now, and nothing else.
    ///
    /// # Errors
    ///
    /// As for [`update::body`] and [`DataSources::replace`].
    pub async fn update(
        &self,
        id: &str,
        current: &DataSource,
        change: &Change,
    ) -> Result<Changed, NotChanged> {
        let operation = match &change.status {
            None => Operation::Update,
            Some(Delivery::Active) => Operation::Enable,
            Some(Delivery::Disabled { .. }) => Operation::Disable,
        };
        self.replace(operation, id, current, change).await
    }

    /// Renews the JWS of `current`, which has been read just now, and changes nothing else but, if
    /// asked to, how long the JWS lives.
    ///
    /// # Errors
    ///
    /// As for [`Changes::update`].
    pub async fn extend(
        &self,
        id: &str,
        current: &DataSource,
        change: &Change,
    ) -> Result<Changed, NotChanged> {
        self.replace(Operation::Extend, id, current, change).await
    }

    /// Deletes `current`.
    ///
    /// # Errors
    ///
    /// As for [`DataSources::delete`].
    pub async fn delete(&self, id: &str, current: &DataSource) -> Result<Changed, NotChanged> {
        let draft = Draft {
            operation: Operation::Delete,
            id: Some(id),
            before: Some(current.fields()),
            sent: None,
        };
        let deleted = self.sources.delete(id).await;
        self.write_down(&draft, deleted)
    }

    async fn replace(
        &self,
        operation: Operation,
        id: &str,
        current: &DataSource,
        change: &Change,
    ) -> Result<Changed, NotChanged> {
        let nonce = nonce();
        let body = match update::body(current, change, &nonce) {
            Ok(body) => body,
            Err(error) => {
                return Err(NotChanged {
                    error: error.into(),
                    recorded: Ok(()),
                });
            }
        };
        let draft = Draft {
            operation,
            id: Some(id),
            before: Some(current.fields()),
            sent: Some(&body),
        };
        let replaced = self.sources.replace(id, current, &body, &nonce).await;
        self.write_down(&draft, replaced)
    }

    /// Writes down what was done, or may have been.
    fn write_down(
        &self,
        draft: &Draft<'_>,
        done: Result<Done, SourceError>,
    ) -> Result<Changed, NotChanged> {
        let time = self.sources.calls().clock().now();
        match done {
            Ok(Done {
                data_source,
                tracking_id,
            }) => {
                let shown = data_source.as_ref();
                let recorded = self.record(&Entry {
                    time,
                    operation: draft.operation,
                    id: draft.id.or_else(|| shown?.id()),
                    before: draft.before,
                    after: shown.map(DataSource::fields),
                    tracking_id: tracking_id.as_deref(),
                    outcome: Outcome::Done,
                });
                Ok(Changed {
                    data_source,
                    tracking_id,
                    recorded,
                })
            }
            Err(error) => {
                let recorded = if error.may_be_done() {
                    self.record(&Entry {
                        time,
                        operation: draft.operation,
                        id: draft.id,
                        before: draft.before,
                        after: draft.sent,
                        tracking_id: error.tracking_id(),
                        outcome: Outcome::Unknown,
                    })
                } else {
                    Ok(())
                };
                Err(NotChanged { error, recorded })
            }
        }
    }

    fn record(&self, entry: &Entry<'_>) -> Result<(), StoreError> {
        self.log.append(&entry.line())
    }
}
