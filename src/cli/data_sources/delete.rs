//! `delete`: for good, so that its id has to be typed.

use jiff::SignedDuration;

use super::arguments::Delete;
use super::done::Done;
use super::preview::{self, show};
use super::trouble::Trouble;
use super::update::{changed_meanwhile, unasked};
use super::{Ended, Session};
use crate::cli::dialogue::Question;
use crate::sources::{DataSource, diff, update};

impl Session<'_> {
    pub(super) async fn delete(&self, arguments: &Delete) -> Ended {
        if !arguments.yes && !self.can_ask() {
            return Err(unasked());
        }
        let deadline = arguments.deadline.deadline;
        let mut changes = self.changes(deadline)?;
        let (id, mut current) = self.meant(&changes, &arguments.id, "delete").await?;
        if !arguments.yes || !self.terminal.quiet && !self.terminal.json {
            describe(&id, &current);
        }
        if !arguments.yes {
            self.ask_for_id(&id).await?;
            changes = changes.within(self.limits(deadline));
            let shown = current;
            current = self.meant(&changes, &id, "delete").await?.1;
            if update::has_changed(&shown, &current) {
                describe(&id, &current);
                return Err(changed_meanwhile());
            }
        }
        let made = changes.delete(&id, &current).await;
        let made =
            made.map_err(|error| Trouble::from(error).doing(&format!("cannot delete {id}")))?;
        let now = changes.sources().calls().clock().now();
        let done = Done::new("deleted", Some(&id), made, now);
        self.report(&done.from(diff::summary(&current)))
    }

    async fn ask_for_id(&self, id: &str) -> Result<(), Trouble> {
        let question = Question {
            label: "Type its whole id to delete it for good",
            is_secret: false,
            suggestion: None,
        };
        let wanted = id.to_owned();
        let judge = move |answer: &str| {
            if answer.trim().eq_ignore_ascii_case(&wanted) {
                Ok(())
            } else {
                Err("this is not its id; Ctrl-C keeps it".to_owned())
            }
        };
        // Only a signal ends the wait for a person.
        let limits = self.limits(SignedDuration::MAX);
        self.dialogue().ask(question, judge, &limits).await?;
        Ok(())
    }
}

fn describe(id: &str, source: &DataSource) {
    let fields = diff::summary(source);
    show(&preview::summary(id, &fields, preview::width()));
}
