//! `update`: what is named changes, and nothing else.

use jiff::SignedDuration;

use super::arguments::{Fields, Update};
use super::done::Done;
use super::preview::{self, show};
use super::trouble::Trouble;
use super::{Ended, Session, schema};
use crate::remedy::ExitStatus;
use crate::sources::SourceError;
use crate::sources::diff::{self, Difference};
use crate::sources::update::{self, Change};

impl Session<'_> {
    pub(super) async fn update(&self, arguments: &Update) -> Ended {
        let mut change = change(&arguments.fields);
        if change.is_empty() {
            return Err(Trouble::usage(
                "nothing is named that is to change",
                "name it with --audience, --subject, --schema, --url or --lifetime",
            ));
        }
        if !arguments.yes && !self.can_ask() {
            return Err(unasked());
        }
        let deadline = arguments.deadline.deadline;
        let mut changes = self.changes(deadline)?;
        if let Some(given) = &change.schema_id {
            let schemas = self.known_schemas(changes.sources()).await?;
            change.schema_id = Some(schema::meant(given, &schemas)?);
        }
        let (id, mut current) = self.meant(&changes, &arguments.id, "update").await?;
        let differences = diff::differences(&current, &change);
        if differences.is_empty() {
            let message = "it is like that already";
            return self.report(&Done::unchanged(&id, message));
        }
        let cannot = format!("cannot update {id}");
        // What cannot be sent is not worth a question.
        if let Err(error) = update::body(&current, &change, "") {
            return Err(Trouble::from(SourceError::from(error)).doing(&cannot));
        }
        if !arguments.yes || !self.terminal.quiet && !self.terminal.json {
            self.preview(&id, &differences);
        }
        if !arguments.yes {
            self.confirm("Change it?").await?;
            self.note_wait();
            changes = changes.within(self.limits(deadline));
            let shown = current;
            current = self.meant(&changes, &id, "update").await?.1;
            if update::has_changed(&shown, &current) {
                self.preview(&id, &diff::differences(&current, &change));
                return Err(changed_meanwhile());
            }
        }
        let made = changes.update(&id, &current, &change).await;
        let made = made.map_err(|error| Trouble::from(error).doing(&cannot))?;
        let now = changes.sources().calls().clock().now();
        self.report(&Done::new("updated", Some(&id), made, now).by(&differences))
    }

    fn preview(&self, id: &str, differences: &[Difference]) {
        let width = preview::width();
        show(&preview::differences(
            id,
            differences,
            width,
            self.terminal.stderr,
        ));
    }

    /// Asks for a yes.
    async fn confirm(&self, question: &'static str) -> Result<(), Trouble> {
        // Only a signal ends the wait for a person.
        let limits = self.limits(SignedDuration::MAX);
        if self.dialogue().confirm(question, &limits).await? {
            Ok(())
        } else {
            Err(Trouble::declined())
        }
    }
}

fn change(fields: &Fields) -> Change {
    let fields = fields.clone();
    Change {
        audience: fields.audience,
        subject: fields.subject,
        schema_id: fields.schema,
        url: fields.url,
        token_lifetime: fields.lifetime,
        status: None,
    }
}

/// There is nobody to ask, and nobody said that this need not be asked.
pub(super) fn unasked() -> Trouble {
    Trouble::usage(
        "this has to be confirmed, and there is nobody to ask",
        "run it on a terminal without --json, or with --yes",
    )
}

/// What a person has decided on is not what is there any more.
pub(super) fn changed_meanwhile() -> Trouble {
    let message = "it has been changed since it was shown, and nothing was sent";
    Trouble::new("changed_meanwhile", message, None, ExitStatus::Passing)
        .advising("look at it as it is now, then run this again")
}
