//! What `setup_oauth` does next, as a table like the ladder's. Pure.
//!
//! What is known goes in, one step comes out; after each step the files are read again. So a run
//! that begins half done, or that corrects what Webex has refused, is no case of its own. What is
//! asked, and in which words, is in [`questions`].

pub mod questions;

use std::collections::BTreeSet;

use crate::config::{Origin, Problem, ProblemKind, Setting, Settings};
use crate::remedy::Remedy;

/// What a service app cannot do without here: there is nothing to mint for without an organization.
pub const SERVICE_APP: [Setting; 3] = [
    Setting::ClientId,
    Setting::ClientSecret,
    Setting::TargetOrgId,
];

/// What an integration cannot do without.
pub const INTEGRATION: [Setting; 2] = [
    Setting::IntegrationClientId,
    Setting::IntegrationClientSecret,
];

/// What mints, and what it is given by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// An integration, which a person authorizes.
    Integration,
    /// A personal access token, which a person copies.
    PersonalAccessToken,
}

/// How the climb went that comes before anything is asked of a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Climbed {
    /// There was none.
    #[default]
    NotYet,
    /// The token in `.env` works.
    Works,
    /// No stored credential is accepted any more.
    Exhausted,
}

/// What is known.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "facts, each on its own")]
pub struct Known {
    /// The settings that are given and can be used.
    pub given: BTreeSet<Setting>,
    /// Whether something is wrong that no answer can put right.
    pub is_faulty: bool,
    /// Whether there is something to write: settings that the command line gives, or placeholders
    /// in the place of what may be absent.
    pub is_unwritten: bool,
    /// Whether anything is stored that a climb could use.
    pub has_credentials: bool,
    /// Whether there is a terminal with somebody at it.
    pub can_ask: bool,
    /// `--reauthorize`: to go on even if the token works.
    pub reauthorize: bool,
    /// How the climb went.
    pub climbed: Climbed,
    /// What Webex has refused, to be asked for again.
    pub refused: Vec<Setting>,
    /// Which way was chosen, if that had to be asked.
    pub way: Option<Way>,
    /// Whether a person's consent, or their token, is in the file.
    pub has_consent: bool,
    /// Whether that has minted a token.
    pub is_proven: bool,
}

/// The next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The settings do not serve, and no answer would change that.
    Faulty,
    /// These are missing, and nobody can be asked.
    Missing(Vec<Setting>),
    /// Ask for these, and write them.
    Ask(Vec<Setting>),
    /// Write what the command line gives.
    Write,
    /// Climb the ladder.
    Climb,
    /// Ask which way to go.
    Choose,
    /// Have a person authorize the integration.
    Consent,
    /// Mint with what the person has given, and validate.
    Prove,
    /// All is well.
    Done,
}

/// Decides what follows from what is `known`.
#[must_use]
pub fn next(known: &Known) -> Step {
    if known.is_faulty {
        return Step::Faulty;
    }
    if !known.refused.is_empty() && known.can_ask {
        return Step::Ask(known.refused.clone());
    }
    let way = known.way();
    let lacking = known.lacking();
    if !lacking.is_empty() {
        return known.ask(lacking);
    }
    if known.is_unwritten {
        return Step::Write;
    }
    match known.climbed {
        Climbed::NotYet if known.has_credentials && !known.has_consent => return Step::Climb,
        Climbed::Works if !known.reauthorize => return Step::Done,
        _ => {}
    }
    match way {
        _ if known.is_proven => Step::Done,
        _ if known.has_consent => Step::Prove,
        Some(Way::Integration) => Step::Consent,
        Some(Way::PersonalAccessToken) => known.ask(vec![Setting::PersonalAccessToken]),
        None if known.can_ask => Step::Choose,
        None => Step::Missing(INTEGRATION.to_vec()),
    }
}

impl Known {
    /// Takes in what the settings say now.
    pub fn take_in(&mut self, settings: &Settings) {
        self.given = settings.usable().collect();
        if settings.is_wrong(Setting::AppId) {
            // One of the two ids is wrong, and only a person knows which.
            self.given.remove(&Setting::ClientId);
        }
        self.is_faulty = !faults(settings).is_empty();
    }

    /// What was chosen; else an integration, if one is begun.
    fn way(&self) -> Option<Way> {
        let is_given = |setting| self.given.contains(setting);
        if self.way.is_none() && INTEGRATION.iter().any(is_given) {
            return Some(Way::Integration);
        }
        self.way
    }

    /// What has to be given before anything is written or spent.
    #[must_use]
    pub fn lacking(&self) -> Vec<Setting> {
        let way = self.way();
        let mut missing = self.missing(&SERVICE_APP);
        if way == Some(Way::Integration) {
            missing.extend(self.missing(&INTEGRATION));
        } else if way.is_none() && !self.can_ask && !self.has_credentials {
            // All that is missing is told at once, before anything is written.
            missing.extend(INTEGRATION);
        }
        missing
    }

    fn missing(&self, settings: &[Setting]) -> Vec<Setting> {
        let is_missing = |setting: &&Setting| !self.given.contains(setting);
        settings.iter().filter(is_missing).copied().collect()
    }

    fn ask(&self, settings: Vec<Setting>) -> Step {
        if self.can_ask {
            Step::Ask(settings)
        } else {
            Step::Missing(settings)
        }
    }
}

/// What is wrong that no answer can put right.
#[must_use]
pub fn faults(settings: &Settings) -> Vec<&Problem> {
    let is_fault = |problem: &&Problem| !is_askable(problem, settings);
    settings.problems.iter().filter(is_fault).collect()
}

/// Whether an answer would put this problem right: the value is absent, or stands in the file that
/// answers are written into.
fn is_askable(problem: &Problem, settings: &Settings) -> bool {
    let Some(setting) = problem.setting else {
        return problem.kind == ProblemKind::NoConfiguration;
    };
    let is_written = settings
        .origin(setting)
        .is_none_or(|origin| origin == Origin::ConfigFile);
    let is_asked = setting == Setting::AppId
        || SERVICE_APP.contains(&setting)
        || INTEGRATION.contains(&setting);
    is_written && (is_asked || problem.kind == ProblemKind::Placeholder)
}

/// The settings that may be absent, and hold a placeholder in the file: to be emptied.
#[must_use]
pub fn placeholders(settings: &Settings) -> Vec<Setting> {
    let is_one = |problem: &&Problem| problem.kind == ProblemKind::Placeholder;
    let problems = settings.problems.iter().filter(is_one);
    problems
        .filter_map(|problem| problem.setting)
        .filter(|setting| !SERVICE_APP.contains(setting) && !INTEGRATION.contains(setting))
        .filter(|setting| settings.origin(*setting) == Some(Origin::ConfigFile))
        .collect()
}

/// What an error that came back with the redirect means (RFC 6749 §4.1.2.1).
#[must_use]
pub fn refused(error: &str, redirect_uri: &str) -> Remedy {
    match error {
        "server_error" | "temporarily_unavailable" => Remedy::TryAgainLater,
        "invalid_scope" => Remedy::FixIntegrationScope,
        "invalid_redirect_uri" | "redirect_uri_mismatch" => Remedy::FixRedirectUri {
            uri: redirect_uri.to_owned(),
        },
        _ => Remedy::FixIntegrationClient,
    }
}

/// What to ask for again after Webex has refused it.
#[must_use]
pub fn to_correct(remedy: &Remedy) -> &'static [Setting] {
    match remedy {
        Remedy::FixServiceAppClient => &[Setting::ClientId, Setting::ClientSecret],
        Remedy::FixMintInput => &SERVICE_APP,
        Remedy::FixIntegrationClient => &INTEGRATION,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn known(given: &[Setting]) -> Known {
        Known {
            given: given.iter().copied().collect(),
            ..Known::default()
        }
    }

    fn at_a_terminal(given: &[Setting]) -> Known {
        Known {
            can_ask: true,
            ..known(given)
        }
    }

    /// The service app and the integration, complete.
    fn both() -> Vec<Setting> {
        [&SERVICE_APP[..], &INTEGRATION].concat()
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn each_state_has_one_next_step() {
        let all = both();
        let table = [
            (
                "something is wrong that no answer helps",
                Known {
                    is_faulty: true,
                    ..at_a_terminal(&all)
                },
                Step::Faulty,
            ),
            (
                "nothing is there",
                at_a_terminal(&[]),
                Step::Ask(SERVICE_APP.to_vec()),
            ),
            (
                "nothing is there, nor anybody to ask: all is told at once",
                known(&[]),
                Step::Missing(all.clone()),
            ),
            (
                "one value is missing",
                at_a_terminal(&[Setting::ClientId, Setting::TargetOrgId]),
                Step::Ask(vec![Setting::ClientSecret]),
            ),
            (
                "without a terminal, credentials may do without an integration",
                Known {
                    has_credentials: true,
                    ..known(&SERVICE_APP)
                },
                Step::Climb,
            ),
            (
                "half an integration",
                at_a_terminal(&[&SERVICE_APP[..], &[Setting::IntegrationClientId]].concat()),
                Step::Ask(vec![Setting::IntegrationClientSecret]),
            ),
            (
                "what the command line gave is written before anything is spent",
                Known {
                    is_unwritten: true,
                    has_credentials: true,
                    ..known(&all)
                },
                Step::Write,
            ),
            (
                "what is missing is told before anything is written",
                Known {
                    is_unwritten: true,
                    ..known(&[Setting::ClientId])
                },
                Step::Missing(vec![
                    Setting::ClientSecret,
                    Setting::TargetOrgId,
                    Setting::IntegrationClientId,
                    Setting::IntegrationClientSecret,
                ]),
            ),
            (
                "there is something to climb with",
                Known {
                    has_credentials: true,
                    ..at_a_terminal(&all)
                },
                Step::Climb,
            ),
            (
                "the ladder works",
                Known {
                    has_credentials: true,
                    climbed: Climbed::Works,
                    ..at_a_terminal(&all)
                },
                Step::Done,
            ),
            (
                "the ladder works, and is not what was asked for",
                Known {
                    has_credentials: true,
                    climbed: Climbed::Works,
                    reauthorize: true,
                    ..at_a_terminal(&all)
                },
                Step::Consent,
            ),
            (
                "the ladder ends",
                Known {
                    has_credentials: true,
                    climbed: Climbed::Exhausted,
                    ..at_a_terminal(&all)
                },
                Step::Consent,
            ),
            ("nothing to climb with", known(&all), Step::Consent),
            (
                "no integration, and somebody to ask",
                at_a_terminal(&SERVICE_APP),
                Step::Choose,
            ),
            (
                "no integration after the ladder has ended, and nobody to ask",
                Known {
                    has_credentials: true,
                    climbed: Climbed::Exhausted,
                    ..known(&SERVICE_APP)
                },
                Step::Missing(INTEGRATION.to_vec()),
            ),
            (
                "an integration was chosen",
                Known {
                    way: Some(Way::Integration),
                    ..at_a_terminal(&SERVICE_APP)
                },
                Step::Ask(INTEGRATION.to_vec()),
            ),
            (
                "a personal access token was chosen",
                Known {
                    way: Some(Way::PersonalAccessToken),
                    ..at_a_terminal(&SERVICE_APP)
                },
                Step::Ask(vec![Setting::PersonalAccessToken]),
            ),
            (
                "consent was given: it is to be proven, though there is something to climb with now",
                Known {
                    has_credentials: true,
                    has_consent: true,
                    ..at_a_terminal(&all)
                },
                Step::Prove,
            ),
            (
                "it is proven",
                Known {
                    has_credentials: true,
                    has_consent: true,
                    is_proven: true,
                    ..at_a_terminal(&all)
                },
                Step::Done,
            ),
            (
                "Webex refuses a value that can be asked for again",
                Known {
                    has_credentials: true,
                    refused: vec![Setting::ClientSecret],
                    ..at_a_terminal(&all)
                },
                Step::Ask(vec![Setting::ClientSecret]),
            ),
        ];
        for (story, known, step) in table {
            assert_eq!(next(&known), step, "{story}");
        }
    }

    fn setting() -> impl Strategy<Value = Setting> {
        prop::sample::select(both())
    }

    prop_compose! {
        fn any_known()(
            given in prop::collection::btree_set(setting(), 0..=5),
            (is_faulty, is_unwritten, has_credentials) in any::<(bool, bool, bool)>(),
            (can_ask, reauthorize, has_consent, is_proven) in any::<(bool, bool, bool, bool)>(),
            climbed in prop::sample::select(vec![
                Climbed::NotYet, Climbed::Works, Climbed::Exhausted,
            ]),
            refused in prop::collection::vec(setting(), 0..2),
            way in prop::sample::select(vec![
                None, Some(Way::Integration), Some(Way::PersonalAccessToken),
            ]),
        ) -> Known {
            Known {
                given, is_faulty, is_unwritten, has_credentials, can_ask, reauthorize, climbed,
                refused, way, has_consent, is_proven,
            }
        }
    }

    proptest! {
        #[test]
        fn nobody_is_asked_where_there_is_nobody(known in any_known()) {
            let known = Known { can_ask: false, ..known };
            prop_assert!(!matches!(next(&known), Step::Ask(_) | Step::Choose));
        }

        #[test]
        fn nothing_is_spent_before_all_is_there_and_written(known in any_known()) {
            if matches!(next(&known), Step::Climb | Step::Consent | Step::Prove) {
                prop_assert!(SERVICE_APP.iter().all(|setting| known.given.contains(setting)));
                prop_assert!(!known.is_faulty && !known.is_unwritten);
            }
        }

        #[test]
        fn an_integration_is_complete_before_a_person_is_asked_to_allow_it(known in any_known()) {
            if next(&known) == Step::Consent {
                prop_assert!(INTEGRATION.iter().all(|setting| known.given.contains(setting)));
            }
        }
    }

    #[test]
    fn what_comes_back_with_the_redirect_has_a_remedy_each() {
        let uri = "http://localhost:3000/callback";
        assert_eq!(refused("invalid_scope", uri), Remedy::FixIntegrationScope);
        assert_eq!(
            refused("redirect_uri_mismatch", uri),
            Remedy::FixRedirectUri {
                uri: uri.to_owned()
            }
        );
        assert!(refused("temporarily_unavailable", uri).is_passing());
        assert_eq!(
            refused("unauthorized_client", uri),
            Remedy::FixIntegrationClient
        );
    }
}
