//! `disable` and `enable`: whether Webex delivers.

use jiff::SignedDuration;

use super::arguments::{Disable, Enable};
use super::done::Done;
use super::trouble::Trouble;
use super::{Ended, Session};
use crate::sources::diff;
use crate::sources::update::{Change, Delivery};

impl Session<'_> {
    pub(super) async fn disable(&self, arguments: &Disable) -> Ended {
        let error_message = arguments.error_message.clone();
        let delivery = Delivery::Disabled { error_message };
        self.deliver(&arguments.id, delivery, arguments.deadline.deadline)
            .await
    }

    pub(super) async fn enable(&self, arguments: &Enable) -> Ended {
        self.deliver(&arguments.id, Delivery::Active, arguments.deadline.deadline)
            .await
    }

    async fn deliver(&self, id: &str, delivery: Delivery, deadline: SignedDuration) -> Ended {
        let (doing, outcome, so_already) = match &delivery {
            Delivery::Active => ("enable", "enabled", "it is active already"),
            Delivery::Disabled { .. } => (
                "disable",
                "disabled",
                "it is disabled already, with this message",
            ),
        };
        let changes = self.changes(deadline)?;
        let (id, current) = self.meant(&changes, id, doing).await?;
        let change = Change {
            status: Some(delivery),
            ..Change::default()
        };
        let differences = diff::differences(&current, &change);
        if differences.is_empty() {
            return self.report(&Done::unchanged(&id, so_already));
        }
        let made = changes.update(&id, &current, &change).await;
        let made =
            made.map_err(|error| Trouble::from(error).doing(&format!("cannot {doing} {id}")))?;
        let now = changes.sources().calls().clock().now();
        self.report(&Done::new(outcome, Some(&id), made, now).by(&differences))
    }
}
