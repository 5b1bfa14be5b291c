//! `schemas`: what kinds of data a receiver can be sent.

use serde::Serialize;

use super::arguments::Schemas;
use super::table::{Cell, Column, Fit, table};
use super::{Ended, Session, shown};
use crate::cli::output::{self, JSON_VERSION};
use crate::cli::{terminal, write_out};
use crate::remedy::ExitStatus;
use crate::sources::Schema;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    outcome: &'a str,
    schemas: &'a [Schema],
    warnings: [&'a str; 0],
}

impl Session<'_> {
    pub(super) async fn schemas(&self, arguments: &Schemas) -> Ended {
        let sources = self.sources(arguments.deadline.deadline)?;
        let mut schemas = self.known_schemas(&sources).await?;
        schemas.iter_mut().for_each(make_presentable);
        let terminal = self.terminal;
        write_out(&if terminal.json {
            output::document(&Document {
                version: JSON_VERSION,
                outcome: "listed",
                schemas: &schemas,
                warnings: [],
            })
        } else if schemas.is_empty() {
            "Webex lists no schema\n".to_owned()
        } else {
            let column = |head, fit| Column { head, fit };
            let columns = [
                // It is what other programs ask for.
                column("ID", Fit::Whole),
                column("SERVICE", Fit::End(11)),
                column("PROTOCOL", Fit::End(9)),
                column("APP TYPE", Fit::End(10)),
                column("URL", Fit::Middle(16)),
            ];
            let rows: Vec<_> = schemas.iter().map(cells).collect();
            table(columns, &rows, terminal::table_width(), terminal.stdout)
        })?;
        Ok(ExitStatus::Works)
    }
}

fn make_presentable(schema: &mut Schema) {
    let shown = |name, text: &mut String| *text = shown::text(name, &text.as_str().into());
    shown("id", &mut schema.id);
    let others = [
        ("serviceType", &mut schema.service_type),
        ("protocol", &mut schema.protocol),
        ("appType", &mut schema.app_type),
        ("url", &mut schema.url),
    ];
    for (name, text) in others {
        if let Some(text) = text {
            shown(name, text);
        }
    }
}

fn cells(schema: &Schema) -> [Cell; 5] {
    let others = [
        &schema.service_type,
        &schema.protocol,
        &schema.app_type,
        &schema.url,
    ];
    let [service, protocol, app_type, url] =
        others.map(|text| Cell::plain(text.as_deref().unwrap_or(shown::NOTHING)));
    [
        Cell::plain(schema.id.as_str()),
        service,
        protocol,
        app_type,
        url,
    ]
}
