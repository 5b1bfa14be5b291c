//! The menu: the list, drawn anew in its place, and under it what can be done.

use std::io;

use jiff::SignedDuration;

use super::arguments::{
    Command, Deadline, Disable, Enable, Extend, Fields, List, Register, Show, Update,
};
use super::arguments::{receiver_url, text, token_lifetime};
use super::list::{Listing, Row};
use super::trouble::Trouble;
use super::{Ended, Session, schema};
use crate::cli::dialogue::Question;
use crate::cli::{terminal as tty, write_out};
use crate::remedy::ExitStatus;
use crate::sources::id_prefix;

/// More than these are not offered for choice: their id is asked for.
const MOST_CHOICES: usize = 20;

/// No terminal is so low that fewer are listed.
const FEWEST_ROWS: usize = 3;

/// How long each step may take.
const DEADLINE: Deadline = Deadline {
    deadline: SignedDuration::from_mins(1),
};

/// What the menu offers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    Look,
    Update,
    Register,
    Extend,
    ExtendAll,
    ListAgain,
    ListAll,
    Quit,
}

/// What can be changed of a data source.
#[derive(Clone, Copy)]
enum Field {
    Audience,
    Subject,
    Schema,
    Url,
    Lifetime,
    Disable,
    Enable,
}

/// What the person has before them.
struct Shown {
    /// `None` where Webex could not be asked.
    listing: Option<Listing>,
    /// How many data sources are listed, of those that there are.
    rows: usize,
}

impl Session<'_> {
    /// Goes on until the person has had enough.
    pub(super) async fn menu(&self) -> Ended {
        let mut is_first = true;
        loop {
            if !is_first && self.files.is_dumb() {
                write_out("\n")?;
            }
            let listing = self.listing().await;
            if self.stop.is_set() {
                return Err(Trouble::left());
            }
            let shown = match listing {
                // What is wrong from the start is not cured by a menu.
                Err(trouble) if is_first => return Err(trouble),
                listing => self.draw(listing, is_first)?,
            };
            is_first = false;
            let choice = self.choose("What next?", shown.choices());
            let choice = match choice.await.map_err(|_| Trouble::left())? {
                Choice::Quit => return Ok(ExitStatus::Works),
                Choice::ListAgain => continue,
                choice => choice,
            };
            match self.carry_out(choice, shown.listing.as_ref()).await {
                Ok(_) => {}
                Err(trouble) if self.stop.is_set() && trouble.signal.is_some() => {
                    return Err(Trouble::left());
                }
                // A question that is left leads back to the menu.
                Err(trouble) if trouble.signal.is_some() => continue,
                Err(trouble) => self.tell(&trouble)?,
            }
            if self.stop.is_set() {
                return Err(Trouble::left());
            }
            write_out("\n")?;
            if self.has_had_enough().await? {
                return Ok(ExitStatus::Works);
            }
        }
    }

    async fn listing(&self) -> Result<Listing, Trouble> {
        self.note_wait();
        let listing = match self.sources(DEADLINE.deadline) {
            Ok(sources) => Listing::fetch(&sources, None).await,
            Err(trouble) => Err(trouble),
        };
        tty::erase_note();
        listing
    }

    /// Draws the list, or says why there is none.
    fn draw(&self, listing: Result<Listing, Trouble>, is_first: bool) -> anyhow::Result<Shown> {
        // Keys that were pressed meanwhile were not meant for what is asked next.
        tty::forget_typed();
        self.clear(is_first)?;
        let listing = match listing {
            Ok(listing) => listing,
            Err(trouble) => {
                self.tell(&trouble)?;
                write_out("\n")?;
                return Ok(Shown::NOTHING);
            }
        };
        let token = listing.token.line(self.terminal.stdout, listing.now);
        let token = tty::fitted(&token, &io::stdout());
        let rows = rows_that_fit(&listing, &token);
        write_out(&listing.beginning(rows, tty::table_width(), self.terminal.stdout))?;
        write_out(&token)?;
        self.terminal.warn(&listing.warnings);
        write_out("\n")?;
        Ok(Shown {
            listing: Some(listing),
            rows,
        })
    }

    async fn carry_out(&self, choice: Choice, listing: Option<&Listing>) -> Ended {
        let command = match choice {
            Choice::Look => Command::Show(Show {
                id: self.which(listing).await?,
                no_verify: false,
                raw: false,
                deadline: DEADLINE,
            }),
            Choice::Update => {
                let id = self.which(listing).await?;
                self.what_to_change(id).await?
            }
            Choice::Register => Command::Register(Register {
                fields: Fields::default(),
                from: None,
                deadline: DEADLINE,
            }),
            Choice::Extend => Command::Extend(Extend::named(self.which(listing).await?)),
            Choice::ExtendAll => Command::Extend(Extend::all()),
            Choice::ListAgain | Choice::ListAll | Choice::Quit => Command::List(List {
                expiring_within: None,
                deadline: DEADLINE,
            }),
        };
        self.note_wait();
        let ended = Box::pin(self.carry(&command)).await;
        tty::erase_note();
        ended
    }

    /// The id of one that is listed.
    async fn which(&self, listing: Option<&Listing>) -> Result<String, Trouble> {
        let named: Vec<_> = listing.map_or_else(Vec::new, |listing| {
            let rows = listing.rows.iter();
            let line = |row: &Row| row.line(listing.id_len, listing.now);
            rows.filter_map(|row| Some((row.id.clone()?, line(row))))
                .collect()
        });
        if named.len() <= MOST_CHOICES {
            return self.choose("Which one?", named).await;
        }
        let ids: Vec<_> = named.into_iter().map(|(id, _)| id).collect();
        let judge = move |answer: &str| {
            if answer.is_empty() {
                return Err("it is empty".to_owned());
            }
            let meant = id_prefix::resolve(answer, ids.iter().map(String::as_str));
            meant.map(drop).map_err(|error| error.to_string())
        };
        self.ask_for("ID, or its beginning", judge).await
    }

    async fn what_to_change(&self, id: String) -> Result<Command, Trouble> {
        let choices = [
            (Field::Audience, "audience"),
            (Field::Subject, "subject"),
            (Field::Schema, "schema"),
            (Field::Url, "URL"),
            (Field::Lifetime, "JWS lifetime"),
            (Field::Disable, "disable it"),
            (Field::Enable, "enable it"),
        ];
        let choices = choices.map(|(field, text)| (field, text.to_owned()));
        let mut fields = Fields::default();
        let deadline = DEADLINE;
        match self.choose("What is to change?", choices.into()).await? {
            Field::Audience => fields.audience = Some(self.ask_text("Audience").await?),
            Field::Subject => fields.subject = Some(self.ask_text("Subject").await?),
            Field::Schema => {
                self.note_wait();
                let sources = self.sources(deadline.deadline)?;
                let choices = schema::choices(&self.known_schemas(&sources).await?);
                fields.schema = Some(self.choose("Schema", choices).await?);
            }
            Field::Url => {
                let judge = |answer: &str| receiver_url(answer).map(drop);
                fields.url = Some(self.ask_for("URL", judge).await?);
            }
            Field::Lifetime => {
                let judge = |answer: &str| token_lifetime(answer).map(drop);
                let answer = self.ask_for("How long each JWS lives, such as 24h", judge);
                fields.lifetime = token_lifetime(&answer.await?).ok();
            }
            Field::Disable => {
                let error_message = self.ask_text("Why, as Control Hub shows it").await?;
                return Ok(Command::Disable(Disable {
                    id,
                    error_message,
                    deadline,
                }));
            }
            Field::Enable => return Ok(Command::Enable(Enable { id, deadline })),
        }
        Ok(Command::Update(Update {
            id,
            fields,
            yes: false,
            deadline,
        }))
    }

    async fn ask_text(&self, label: &'static str) -> Result<String, Trouble> {
        let judge = |answer: &str| text(answer).map(drop).map_err(str::to_owned);
        self.ask_for(label, judge).await
    }

    async fn ask_for(
        &self,
        label: &'static str,
        judge: impl Fn(&str) -> Result<(), String> + Send + 'static,
    ) -> Result<String, Trouble> {
        let question = Question {
            label,
            is_secret: false,
            suggestion: None,
        };
        let limits = self.limits(SignedDuration::MAX);
        let judge = move |answer: &str| judge(answer.trim());
        let answer = self.dialogue().ask(question, judge, &limits).await?;
        Ok(answer.trim().to_owned())
    }

    /// Leaves time to read. Whoever leaves the question goes back to the list.
    async fn has_had_enough(&self) -> Result<bool, Trouble> {
        let choices = [(false, "back to the list"), (true, "quit")];
        let choices = choices.map(|(is_enough, text)| (is_enough, text.to_owned()));
        match self.choose("What next?", choices.into()).await {
            Err(_) if self.stop.is_set() => Err(Trouble::left()),
            answer => Ok(answer.unwrap_or(false)),
        }
    }

    /// Makes room from the first line of the screen on.
    fn clear(&self, is_first: bool) -> anyhow::Result<()> {
        if self.files.is_dumb() {
            return Ok(());
        }
        if is_first {
            // What stood there before is nobody's to erase: it scrolls away.
            let (_, rows) = tty::size().unwrap_or_default();
            write_out(&"\n".repeat(rows))?;
        }
        write_out("\x1b[H\x1b[2J")
    }
}

impl Shown {
    const NOTHING: Self = Self {
        listing: None,
        rows: 0,
    };

    fn choices(&self) -> Vec<(Choice, String)> {
        let mut choices = vec![
            (Choice::Look, "look at one"),
            (Choice::Update, "update one"),
            (Choice::Extend, "extend one"),
            (Choice::ExtendAll, "extend all that are due"),
            (Choice::Register, "register one"),
            (Choice::ListAgain, "list again"),
            (Choice::ListAll, "list all of them"),
            (Choice::Quit, "quit"),
        ];
        let rows = self.listing.as_ref().map_or(&[][..], |it| &it.rows);
        let has_named = rows.iter().any(|row| row.id.is_some());
        choices.retain(|(choice, _)| match choice {
            Choice::Look | Choice::Update | Choice::Extend | Choice::ExtendAll => has_named,
            Choice::Register => self.listing.is_some(),
            Choice::ListAll => self.rows < rows.len(),
            Choice::ListAgain | Choice::Quit => true,
        });
        let choices = choices.into_iter();
        choices.map(|(it, text)| (it, text.to_owned())).collect()
    }
}

/// How many data sources can be listed so that the menu below stays in sight.
fn rows_that_fit(listing: &Listing, token: &str) -> usize {
    /// The heads of the table, the empty line, the menu itself, and a line to spare below.
    const AROUND: usize = 1 + 1 + 9 + 1;
    /// The line that tells of the others, and the choice to see them.
    const OTHERS: usize = 2;
    let all = listing.rows.len();
    let Some((_, rows)) = tty::size().filter(|(_, rows)| *rows > 0) else {
        return all;
    };
    let warnings = listing.warnings.iter().map(|warning| {
        let line = tty::fitted(&format!("warning: {warning}"), &io::stderr());
        line.lines().count()
    });
    let around = AROUND + token.lines().count() + warnings.sum::<usize>();
    let room = rows.saturating_sub(around);
    if all <= room {
        return all;
    }
    room.saturating_sub(OTHERS).max(FEWEST_ROWS).min(all)
}
