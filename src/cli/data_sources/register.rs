//! `register`: from flags, from a file, or from what a person answers.

use std::io;
use std::path::Path;

use super::arguments::{Fields, Register, receiver_url, text, token_lifetime};
use super::done::Done;
use super::preview::show;
use super::trouble::Trouble;
use super::{Ended, Session, from_file, schema};
use crate::cli::arguments::STANDARD_INPUT;
use crate::cli::dialogue::Question;
use crate::cli::terminal as tty;
use crate::sources::draft::{Draft, Field};
use crate::sources::{Schema, diff};

impl Session<'_> {
    pub(super) async fn register(&self, arguments: &Register) -> Ended {
        let deadline = arguments.deadline.deadline;
        let mut draft = draft(&arguments.fields);
        if let Some(path) = &arguments.from {
            draft = draft.or(from_file::read(path, &self.limits(deadline)).await?);
        }
        let is_stdin = arguments.from.as_deref() == Some(Path::new(STANDARD_INPUT));
        if let Err(missing) = draft.registration()
            && (is_stdin || !self.can_ask())
        {
            return Err(incomplete(&missing));
        }
        let mut changes = self.changes(deadline)?;
        let schemas = self.known_schemas(changes.sources()).await?;
        if let Some(given) = &draft.schema_id {
            draft.schema_id = Some(schema::meant(given, &schemas)?);
        }
        let registration = loop {
            match draft.registration() {
                Ok(registration) => break registration,
                Err(missing) => self.ask(&mut draft, &missing, &schemas).await?,
            }
            changes = changes.within(self.limits(deadline));
        };
        self.note_wait();
        let made = changes.register(&registration).await;
        let made =
            made.map_err(|error| Trouble::from(error).doing("cannot register the data source"))?;
        let after = made.data_source.as_ref().map(diff::summary);
        let now = changes.sources().calls().clock().now();
        let done = Done::new("registered", None, made, now);
        self.report(&done.to(after.unwrap_or_default()))
    }

    /// Asks for what is missing.
    async fn ask(
        &self,
        draft: &mut Draft,
        missing: &[Field],
        schemas: &[Schema],
    ) -> Result<(), Trouble> {
        let dialogue = self.dialogue();
        // Only a signal ends the wait for a person.
        let limits = self.limits(jiff::SignedDuration::MAX);
        let first = "Nothing is registered before the last answer; Ctrl-C ends this.\n";
        show(&tty::fitted(first, &io::stderr()));
        for field in missing {
            if *field == Field::SchemaId {
                let choices = schema::choices(schemas);
                draft.schema_id = Some(self.choose("Schema", choices).await?);
                continue;
            }
            let field = *field;
            let judge = move |answer: &str| take(&mut Draft::default(), field, answer.trim());
            let answer = dialogue.ask(question(field), judge, &limits).await?;
            take(draft, field, answer.trim()).expect("the answer was judged good");
        }
        Ok(())
    }
}

fn draft(fields: &Fields) -> Draft {
    let fields = fields.clone();
    Draft {
        schema_id: fields.schema,
        url: fields.url,
        audience: fields.audience,
        subject: fields.subject,
        token_lifetime: fields.lifetime,
    }
}

/// What a person is asked; the flag says the same on the command line.
fn question(field: Field) -> Question {
    let (label, suggestion) = match field {
        Field::SchemaId => ("Schema", None),
        Field::Url => ("URL of the receiver, https or wss", None),
        Field::Audience => ("Audience, usually the application's name", None),
        Field::Subject => ("Subject, such as callAudioData", None),
        Field::TokenLifetime => ("How long each JWS lives, at most 24h", Some("24h")),
    };
    Question {
        label,
        is_secret: false,
        suggestion,
    }
}

/// Takes an answer as the command line would take it.
fn take(draft: &mut Draft, field: Field, answer: &str) -> Result<(), String> {
    match field {
        Field::SchemaId => draft.schema_id = Some(text(answer)?),
        Field::Url => draft.url = Some(receiver_url(answer)?),
        Field::Audience => draft.audience = Some(text(answer)?),
        Field::Subject => draft.subject = Some(text(answer)?),
        Field::TokenLifetime => draft.token_lifetime = Some(token_lifetime(answer)?),
    }
    Ok(())
}

fn flag(field: Field) -> &'static str {
    match field {
        Field::SchemaId => "--schema",
        Field::Url => "--url",
        Field::Audience => "--audience",
        Field::Subject => "--subject",
        Field::TokenLifetime => "--lifetime",
    }
}

fn incomplete(missing: &[Field]) -> Trouble {
    let line = |field: &Field| format!("{}: missing; give {}", field.name(), flag(*field));
    Trouble::usage(
        "a data source needs more than is given",
        "give what is listed, in the file of --from if you like, or run this on a terminal to be \
         asked for it",
    )
    .listing(missing.iter().map(line))
}
