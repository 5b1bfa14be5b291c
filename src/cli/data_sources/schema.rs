//! Which schema is meant, and which there are.

use super::Session;
use super::trouble::Trouble;
use crate::remedy::{ExitStatus, Remedy};
use crate::sources::id_prefix::{self, NoOneMeant};
use crate::sources::{DataSources, Schema};
use crate::token::one_line;

impl Session<'_> {
    /// The schemas that Webex has, by their names.
    pub(super) async fn known_schemas(
        &self,
        sources: &DataSources,
    ) -> Result<Vec<Schema>, Trouble> {
        let schemas = sources.schemas().await;
        let mut schemas = schemas
            .map_err(|error| Trouble::from(error).doing("cannot get the list of schemas"))?;
        schemas.retain(|schema| !schema.id.is_empty());
        if schemas.is_empty() {
            let message = "Webex's list of schemas is empty";
            let remedy = Some(Remedy::TryAgainLater);
            return Err(Trouble::new(
                "unavailable",
                message,
                remedy,
                ExitStatus::Passing,
            ));
        }
        schemas.sort_by_key(|schema| (schema.name(), schema.id.clone()));
        Ok(schemas)
    }
}

/// The whole id of the schema that is meant.
pub(super) fn meant(given: &str, schemas: &[Schema]) -> Result<String, Trouble> {
    let ids = schemas.iter().map(|schema| schema.id.as_str());
    let found = id_prefix::resolve(given, ids);
    found.map(str::to_owned).map_err(|error| {
        let given = one_line(given);
        let (message, listed): (_, Vec<&Schema>) = match &error {
            NoOneMeant::NotFound { .. } => (
                format!("there is no schema {given}"),
                schemas.iter().collect(),
            ),
            NoOneMeant::Ambiguous { candidates, .. } => (
                format!("{given} may be any of several schemas"),
                schemas
                    .iter()
                    .filter(|schema| candidates.contains(&schema.id))
                    .collect(),
            ),
        };
        Trouble::new("unknown_schema", message, None, ExitStatus::No)
            .advising("name one of these")
            .listing(listed.into_iter().map(line))
    })
}

/// The schemas to choose from.
pub(super) fn choices(schemas: &[Schema]) -> Vec<(String, String)> {
    let choices = schemas.iter().map(|it| (it.id.clone(), choice(it)));
    choices.collect()
}

/// A line to choose it by, such as `VoiceVirtualAgent (gRPC)  5397013b`.
fn choice(schema: &Schema) -> String {
    const SHOWN: usize = 8;
    let id = one_line(&schema.id);
    let beginning: String = id.chars().take(SHOWN).collect();
    format!("{}  {beginning}", one_line(&schema.name()))
}

/// Such as `5397013b-7920-4ffc-807c-e8a3e0a18f43  VoiceVirtualAgent (gRPC)`.
pub(super) fn line(schema: &Schema) -> String {
    format!("{}  {}", one_line(&schema.id), one_line(&schema.name()))
}
