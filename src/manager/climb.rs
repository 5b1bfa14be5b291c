//! The climb: one transaction over the user's files, from the lock to the renamed file.
//!
//! Invariants: nothing is spent before its result can be saved and the intent is on disk; what was
//! issued is saved before anything is decided about it; a lost answer leaves the intent open.

use jiff::Timestamp;

use super::files::{self, Files};
use super::flag;
use super::integration;
use super::repair;
use super::report::{Attempt, Step as Asked};
use super::run::{Cut, Run};
use super::save::{self, SaveError};
use super::verdict::End;
use crate::ladder::{Ending, Held, Ladder, Outcome, Request, Rung, Start, Step, Wait};
use crate::lifetime::{self, Freshness};
use crate::store::{
    self, Credential, Flag, Replacement, Rescue, StoreError, StoreLock, StoredTokens,
};
use crate::token::{AccessToken, Issued, RefreshToken};
use crate::webex::judge::{self, Question};
use crate::webex::{Grant, Mint};

const SERVICE_APP: Credential = Credential::ServiceAppRefreshToken;

/// Climbs with the lock held, from what was read under it.
pub(super) async fn climb(run: &mut Run<'_>, lock: StoreLock, held: Files) -> Result<End, End> {
    Climb::begin(run, Some(lock), held)?.go().await
}

/// Mints where nothing can be saved: that spends nothing, and the caller prints the token.
pub(super) async fn without_saving(
    run: &mut Run<'_>,
    held: Files,
    why: StoreError,
) -> Result<End, End> {
    let mut climb = Climb::begin(run, None, held)?;
    let start = climb.start();
    let ending = climb.ladder(start).await?;
    let token = climb.unsaved.take();
    Ok(match ending {
        Ending::Kept => End::Ladder(ending),
        _ => End::Unsaved {
            ending,
            // What Webex has just refused serves nobody.
            token: token.filter(|_| ending != Ending::MintRefused),
            why,
        },
    })
}

pub(super) struct Climb<'r, 'a> {
    pub(super) run: &'r mut Run<'a>,
    /// `None` where nothing can be saved.
    lock: Option<StoreLock>,
    replacement: Option<Replacement>,
    pub(super) held: Files,
    /// The service app's refresh token has been sent, and no answer told what became of it.
    doubtful: bool,
    /// The rung whose intent is on disk.
    intent: Option<Rung>,
    /// The access token that the integration has just given, to mint with.
    renewed: Option<AccessToken>,
    /// Whether another pair is stored than the one the intent names.
    saved: bool,
    /// What was minted where nothing can be saved.
    unsaved: Option<AccessToken>,
    /// Whether the state has something to say that its file does not.
    state_changed: bool,
}

impl<'r, 'a> Climb<'r, 'a> {
    fn begin(run: &'r mut Run<'a>, lock: Option<StoreLock>, held: Files) -> Result<Self, End> {
        held.require_settings()?;
        let mut climb = Self {
            run,
            lock,
            replacement: None,
            held,
            doubtful: false,
            intent: None,
            saved: false,
            renewed: None,
            unsaved: None,
            state_changed: false,
        };
        climb
            .run
            .needed_since
            .clone_from(&climb.held.tokens.reauthorization_required);
        climb.read_intent()?;
        if let Some(lost) = climb.held.lost_renewal() {
            // A rung before the integration's may do, and then nobody else tells.
            climb.run.warn_once(lost);
        }
        climb.state_changed = climb.held.note_seen(climb.run.clock.now());
        if !climb.held.has_way_to_mint() {
            climb.run.warnings.push(
                "neither a personal access token nor an authorized integration is configured: \
                 only the refresh token can renew the access token"
                    .to_owned(),
            );
        }
        Ok(climb)
    }

    /// An open intent with the stored pair means that an earlier run ended before its answer was
    /// saved; with another pair the save had happened, and there is nothing to say.
    fn read_intent(&mut self) -> Result<(), End> {
        let Some(lock) = &self.lock else {
            return Ok(());
        };
        let open = lock.open_intent().map_err(End::CannotSave)?;
        let Some(lost) = open.and_then(|intent| self.held.who_lost(&intent)) else {
            return Ok(());
        };
        self.doubtful = self.held.tokens.refresh_token.is_some();
        let consequence = if self.doubtful {
            "; the refresh token may be spent and is tried last"
        } else {
            ""
        };
        self.run.warnings.push(lost + consequence);
        Ok(())
    }

    async fn go(mut self) -> Result<End, End> {
        self.held.require_editable_env()?;
        let start = self.start();
        if start.plan().requests().next().is_some()
            && let Err(error) = self.make_sure_it_can_be_saved()
        {
            if self.run.need.even_unsaved {
                let held = self.held.clone();
                return Box::pin(without_saving(self.run, held, error)).await;
            }
            return Err(End::CannotSave(error));
        }
        let ending = self.ladder(start).await;
        if let Ok(ending) = ending {
            self.conclude(ending).await;
        }
        self.finish();
        ending.map(End::Ladder)
    }

    /// What the ladder has to know, read under the lock.
    fn start(&mut self) -> Start {
        let now = self.run.clock.now();
        let tokens = &self.held.tokens;
        let settings = &self.held.settings;
        let access_token = tokens.access_token.as_ref().map(AccessToken::fingerprint);
        let may_live = access_token.as_ref().is_some_and(|access_token| {
            Some(access_token) != self.run.refused.as_ref()
                && self.run.freshness(&self.held, access_token) != Freshness::Expired
        });
        let integration = integration::held(&self.held);
        let personal_access_token =
            settings.mint.is_some() && settings.personal_access_token.is_some();
        let can_mint = personal_access_token || !matches!(integration, Held::Absent | Held::Dead);
        let refresh_token = match &tokens.refresh_token {
            None => Held::Absent,
            Some(_) if self.lock.is_none() => Held::Absent,
            Some(_) if self.doubtful => Held::Doubtful,
            Some(token) if self.held.is_dead(SERVICE_APP, &token.fingerprint()) => Held::Dead,
            Some(_) if can_mint && self.run.need.prove => Held::Fading,
            Some(token) if can_mint && self.is_fading(token) => {
                self.note_put_off(now);
                Held::Fading
            }
            Some(_) => Held::Ready,
        };
        Start {
            access_token_may_live: may_live,
            refresh_token,
            personal_access_token,
            integration: if self.lock.is_some() {
                integration
            } else {
                Held::Absent
            },
        }
    }

    fn note_put_off(&mut self, now: Timestamp) {
        self.held.state.set_keep_alive_at(SERVICE_APP, now);
        self.state_changed = true;
    }

    /// Webex has said whether it is good: if not, what may work is asked before from now on.
    fn note_dead(&mut self, refresh_token: &RefreshToken, is_dead: bool) {
        let now = self.run.clock.now();
        let fingerprint = refresh_token.fingerprint();
        let record = self.held.state.record_mut(SERVICE_APP, &fingerprint, now);
        record.is_dead = is_dead;
        self.state_changed = true;
    }

    fn is_fading(&self, refresh_token: &RefreshToken) -> bool {
        let now = self.run.clock.now();
        let life = self.held.life(SERVICE_APP, &refresh_token.fingerprint());
        let state = &self.held.state;
        lifetime::is_fading(life, state.refresh_extended().unwrap_or(true), now)
            && !lifetime::within_a_day(state.keep_alive_at(SERVICE_APP), now)
    }

    fn make_sure_it_can_be_saved(&mut self) -> Result<(), StoreError> {
        let Some(lock) = &self.lock else {
            return Ok(());
        };
        self.replacement = Some(self.held.prepare_env(lock)?);
        Ok(())
    }

    /// The one loop.
    async fn ladder(&mut self, start: Start) -> Result<Ending, End> {
        let (mut ladder, mut step) = Ladder::climb(start);
        loop {
            let (request, wait) = match step {
                Step::Send(request, wait) => (request, wait),
                Step::Climb => unreachable!("only a look at the stored token asks for a climb"),
                Step::End(ending) => return Ok(ending),
            };
            let outcome = match request {
                Request::Check | Request::CheckKept | Request::Validate(_) => {
                    self.validate(request, wait).await
                }
                Request::Grant => self.grant(wait).await?,
                Request::Mint | Request::MintRenewed => self.mint(request, wait).await?,
                Request::Renew => self.renew(Asked::Ladder(request), wait).await?,
            };
            step = ladder.next(outcome);
        }
    }

    async fn validate(&mut self, request: Request, wait: Wait) -> Outcome {
        let stored = self.held.tokens.access_token.clone();
        let Some(token) = self.unsaved.clone().or(stored) else {
            return Outcome::Rejected;
        };
        let outcome = self.run.validate(request, wait, &token).await;
        if outcome == Outcome::Rejected {
            self.run.refused = Some(token.fingerprint());
        }
        outcome
    }

    async fn grant(&mut self, wait: Wait) -> Result<Outcome, End> {
        let rung = Rung::ServiceAppRefreshToken;
        let (Some(app), Some(refresh_token)) = (
            self.held.settings.service_app.clone(),
            self.held.tokens.refresh_token.clone(),
        ) else {
            return Ok(Outcome::Rejected);
        };
        self.record_intent(rung)?;
        let prepared = self.run.client().grant(Grant {
            client_id: &app.client_id,
            client_secret: &app.client_secret,
            refresh_token: &refresh_token,
        });
        let step = Asked::Ladder(Request::Grant);
        let (outcome, issued) = self
            .run
            .ask(step, wait, prepared, Cut::Never, |exchange, now| {
                judge::judge_tokens(Question::Grant, exchange, now)
            })
            .await;
        match outcome {
            Outcome::Doubtful => self.doubtful = true,
            Outcome::Issued => {
                self.doubtful = false;
                self.note_dead(&refresh_token, false);
            }
            Outcome::Rejected => {
                self.doubtful = false;
                if self.run.last_was_a_dead_credential() {
                    self.note_dead(&refresh_token, true);
                }
            }
            _ => {}
        }
        self.take(rung, outcome, issued).await
    }

    async fn mint(&mut self, request: Request, wait: Wait) -> Result<Outcome, End> {
        let settings = self.held.settings.clone();
        let bearer = match request {
            Request::MintRenewed => self.renewed.clone(),
            _ => settings.personal_access_token.map(|token| token.value),
        };
        let (Some(app), Some(target), Some(bearer)) = (settings.service_app, settings.mint, bearer)
        else {
            return Ok(Outcome::Rejected);
        };
        let rung = request.rung().expect("a mint belongs to a rung");
        self.record_intent(rung)?;
        let prepared = self.run.client().mint(Mint {
            app_id: &target.app_id,
            client_id: &app.client_id,
            client_secret: &app.client_secret,
            target_org_id: &target.target_org_id,
            bearer: &bearer,
        });
        let step = Asked::Ladder(request);
        let (outcome, issued) = self
            .run
            .ask(step, wait, prepared, Cut::Never, |exchange, now| {
                judge::judge_tokens(Question::Mint, exchange, now)
            })
            .await;
        self.take(rung, outcome, issued).await
    }

    async fn renew(&mut self, step: Asked, wait: Wait) -> Result<Outcome, End> {
        let (outcome, access_token) =
            integration::renew(self.run, &mut self.held, step, wait).await?;
        self.renewed = access_token;
        Ok(outcome)
    }

    /// Saves what was issued, before anything is decided about it.
    async fn take(
        &mut self,
        rung: Rung,
        outcome: Outcome,
        issued: Option<Issued>,
    ) -> Result<Outcome, End> {
        let Some(issued) = issued else {
            if outcome != Outcome::Doubtful {
                self.note_unspent();
            }
            return Ok(outcome);
        };
        self.run.keep_closed(&issued);
        if self.lock.is_none() {
            self.unsaved = Some(issued.access_token);
            return Ok(outcome);
        }
        let keeps_refresh_token = issued.refresh_token.is_none();
        let limits = self.run.limits.clone();
        match save::persistently(&limits, || self.save(&issued)).await {
            Ok(()) => {
                // A mint that brought no refresh token tells nothing about the old one.
                self.doubtful &= keeps_refresh_token && rung != Rung::ServiceAppRefreshToken;
                Ok(outcome)
            }
            Err(error) => {
                self.replacement = None;
                Err(self.rescue(rung, issued, error))
            }
        }
    }

    /// An answer has said that nothing was issued: a run that dies in a later rung leaves no doubt
    /// about this one.
    fn note_unspent(&mut self) {
        if !self.doubtful
            && self.intent.take().is_some()
            && let Some(lock) = &mut self.lock
        {
            repair::close_intent(lock);
        }
    }

    /// Puts what was issued into `.env` as it stands at this moment, then tells the state.
    fn save(&mut self, issued: &Issued) -> Result<(), SaveError> {
        let lock = self
            .lock
            .as_ref()
            .expect("nothing is saved without the lock");
        let place = &self.held.env;
        let text = place.read()?.unwrap_or_default();
        let there = StoredTokens::in_text(&text).map_err(|e| SaveError::dotenv(place, e))?;
        for key in there.keys_changed_since(&self.held.tokens, issued) {
            self.run.warn_once(format!(
                "{}: {key} was changed by hand during this run; it now holds the token that Webex \
                 has just issued",
                place.shown().display()
            ));
        }
        let text = store::dotenv_with(&text, Some(issued), &Flag::Down)
            .map_err(|error| SaveError::dotenv(place, error))?;
        let mut replacement = match self.replacement.take() {
            Some(replacement) => replacement,
            None => self.held.prepare_env(lock)?,
        };
        let committed = replacement.commit(text.as_bytes());
        if committed.is_err() {
            // The room that it has taken is needed again.
            self.replacement = Some(replacement);
        }
        self.run
            .warn_of_access(place, committed?.others_lost_access);
        self.held.note_issued(issued);
        self.saved = true;
        self.state_changed = true;
        self.held.note_seen(issued.issued_at);
        self.save_state();
        Ok(())
    }

    fn save_state(&mut self) {
        if let Some(lock) = &self.lock
            && std::mem::take(&mut self.state_changed)
        {
            repair::save_state(self.held.state.save(&self.held.env, lock));
        }
    }

    /// What is rescued is as good as saved; what is lost leaves the intent open.
    fn rescue(&mut self, rung: Rung, issued: Issued, error: SaveError) -> End {
        let lock = self
            .lock
            .as_ref()
            .expect("nothing is saved without the lock");
        let access_token = self.held.tokens.access_token.as_ref();
        let refresh_token = self.held.tokens.refresh_token.as_ref();
        let rescue = Rescue {
            rung: rung.name().to_owned(),
            replaces_access_token: access_token.map(AccessToken::fingerprint),
            replaces_refresh_token: refresh_token.map(RefreshToken::fingerprint),
            issued,
        };
        let end = End::not_saved(self.run, &self.held.env, lock, &rescue, error);
        if rung == Rung::ServiceAppRefreshToken && !end.is_rescued() {
            self.doubtful = true;
        }
        end
    }

    fn record_intent(&mut self, rung: Rung) -> Result<(), End> {
        let Some(lock) = &mut self.lock else {
            return Ok(());
        };
        if self.intent == Some(rung) {
            return Ok(());
        }
        let name = if self.doubtful {
            files::IN_DOUBT
        } else {
            rung.name()
        };
        let intent = self.held.tokens.intent(name, self.run.clock.now());
        lock.record_intent(&intent).map_err(End::CannotSave)?;
        self.intent = Some(rung);
        Ok(())
    }

    /// What an ending leaves to be done while the lock is still held; none of it can change it.
    async fn conclude(&mut self, ending: Ending) {
        match ending {
            Ending::Reauthorize => {
                // The time that stands there first stays, even if this run has taken it down.
                let since = self.run.needed_since.clone();
                let since = since
                    .unwrap_or_else(|| lifetime::to_the_second(self.run.clock.now()).to_string());
                self.write_flag(&Flag::Up(since));
            }
            Ending::Kept => self.write_flag(&Flag::Down),
            Ending::MintRefused => {
                if let Some(token) = &self.held.tokens.access_token {
                    let now = self.run.clock.now();
                    self.held.state.set_refused(token.fingerprint(), now);
                    self.state_changed = true;
                }
            }
            Ending::Refreshed(rung) if rung != Rung::IntegrationRefreshToken => {
                self.keep_integration_alive().await;
            }
            _ => {}
        }
    }

    fn write_flag(&mut self, flag: &Flag) {
        if let Some(lock) = &self.lock {
            let replacement = self.replacement.take();
            flag::write(self.run, &mut self.held, replacement, lock, flag);
        }
    }

    /// While the rungs before it work, the integration's refresh token is never used, and dies
    /// just when it is needed; so it is renewed here when it is past half of its life.
    async fn keep_integration_alive(&mut self) {
        if integration::is_dead(&self.held) {
            self.run.warn_once(
                "Webex has refused the integration's refresh token: authorize the integration \
                 again with setup_oauth, or nothing is left when the other credentials end"
                    .to_owned(),
            );
        }
        let now = self.run.clock.now();
        if !integration::wants_keep_alive(&self.held, now) || !self.run.limits.allow_more() {
            return;
        }
        self.held
            .state
            .set_keep_alive_at(Credential::IntegrationRefreshToken, now);
        self.state_changed = true;
        let renewed =
            integration::renew(self.run, &mut self.held, Asked::KeepAlive, Wait::No).await;
        let failure = match renewed {
            Ok((Outcome::Issued, _)) => return,
            Ok(_) => self.run.attempts.last().map(Attempt::to_string),
            Err(end) => Some(end.to_string()),
        };
        self.run.warnings.push(format!(
            "the integration's refresh token was to be used so that it stays alive: {}",
            failure.unwrap_or_default()
        ));
    }

    /// Closes the intent, or leaves it open on the pair that is stored now.
    fn settle_intent(&mut self) {
        let Some(lock) = &mut self.lock else { return };
        let settled = match (self.doubtful, self.saved) {
            (false, _) => lock.close_intent(),
            (true, false) => return,
            (true, true) => {
                let rung = Rung::ServiceAppRefreshToken.name();
                let intent = self.held.tokens.intent(rung, self.run.clock.now());
                lock.record_intent(&intent)
            }
        };
        if let Err(error) = settled {
            tracing::debug!(%error, "the intent stays as it is");
        }
    }

    fn finish(&mut self) {
        self.save_state();
        self.settle_intent();
        self.run.files = Some(self.held.clone());
    }
}
