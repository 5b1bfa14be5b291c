//! From what the layers say to finished values, or to all that is wrong with them.

use std::collections::BTreeMap;

use super::layer::{ConfigLayer, Content, DotenvLayer, Layer, Origin, merge};
use super::problem::{Place, Problem, ProblemKind};
use super::setting::{Setting, Spelling};
use super::{
    ApiBase, Endpoint, Given, Integration, MintTarget, RedirectUri, Seeds, ServiceApp, Settings,
    Sourced, Sources,
};
use crate::ids::{self, IdKind};
use crate::token::{AccessToken, ClientSecret, Fingerprint, RefreshToken};

pub(super) fn resolve(
    sources: &Sources,
    dotenv: &DotenvLayer,
    config: &ConfigLayer,
    saved: &Seeds,
) -> Settings {
    let mut environment = Layer::environment(&sources.environment);
    let mut dotenv_layer = dotenv.layer.clone();
    let mut seed = |setting, spent: Option<&Fingerprint>| {
        let seed = [&environment, &dotenv_layer]
            .into_iter()
            .filter_map(|layer| layer.contents.get(&setting))
            .find(|content| !content.is_empty())
            .and_then(|content| content.value().ok())
            .map(Fingerprint::of);
        let newer = config.layer.contents.get(&setting);
        let is_saved = newer.is_some_and(|newer| !newer.is_empty() && newer.value().is_ok());
        if seed.is_some() && seed.as_ref() == spent && is_saved {
            environment.contents.remove(&setting);
            dotenv_layer.contents.remove(&setting);
        }
        seed
    };
    let seeds = Seeds {
        personal_access_token: seed(
            Setting::PersonalAccessToken,
            saved.personal_access_token.as_ref(),
        ),
        integration_refresh_token: seed(
            Setting::IntegrationRefreshToken,
            saved.integration_refresh_token.as_ref(),
        ),
    };
    let values = merge(&[
        Layer::defaults(),
        config.layer.clone(),
        dotenv_layer,
        environment,
        Layer::flags(&sources.flags),
    ]);
    let resolver = Resolver {
        dotenv,
        config,
        values,
        seeds,
        problems: [&dotenv.problems[..], &config.problems].concat(),
    };
    resolver.settings(sources)
}

struct Resolver<'a> {
    dotenv: &'a DotenvLayer,
    config: &'a ConfigLayer,
    values: BTreeMap<Setting, (Origin, Content)>,
    seeds: Seeds,
    problems: Vec<Problem>,
}

/// A value that passed inspection, and whence it came.
struct Text {
    value: String,
    origin: Origin,
}

impl Resolver<'_> {
    fn settings(mut self, sources: &Sources) -> Settings {
        let api = self.api();
        let mut settings = Settings {
            api,
            authorize_endpoint: self.endpoint(Setting::AuthorizeUrl),
            token_endpoint: self.endpoint(Setting::TokenUrl),
            service_app: None,
            mint: None,
            personal_access_token: None,
            integration: None,
            redirect_uri: self.redirect_uri(),
            given: BTreeMap::new(),
            problems: Vec::new(),
        };
        if settings.leave_this_machine() {
            self.problems.extend(sources.proxies().err());
        }
        if self.is_there_nothing() {
            let nothing = Problem::in_file(&self.config.path, None, ProblemKind::NoConfiguration);
            self.problems.push(nothing);
        } else {
            let client_id = self.client_id(Setting::ClientId);
            let client_secret = self.required(Setting::ClientSecret);
            let mint = self.mint(client_id.as_deref());
            settings.service_app = client_id.zip(client_secret).map(|(client_id, secret)| {
                let client_secret = ClientSecret::new(secret.value);
                ServiceApp {
                    client_id,
                    client_secret,
                }
            });
            settings.mint = mint.filter(|_| settings.service_app.is_some());
            settings.personal_access_token = self.personal_access_token();
            settings.integration = self.integration();
        }
        let in_file_order = |problem: &Problem| match &problem.place {
            Place::CommandLine => (0, None),
            Place::Environment => (1, None),
            Place::File(path) if *path != self.config.path => (2, problem.line),
            Place::File(_) => (3, problem.line),
        };
        self.problems.sort_by_key(in_file_order);
        let given = self.values.iter();
        let given = given.filter(|(_, (origin, _))| *origin != Origin::Default);
        settings.given = given
            .map(|(setting, (origin, content))| {
                let fingerprint = fingerprint(content);
                let origin = *origin;
                (
                    *setting,
                    Given {
                        origin,
                        fingerprint,
                    },
                )
            })
            .collect();
        settings.problems = self.problems;
        settings
    }

    fn api(&mut self) -> Result<ApiBase, Problem> {
        let setting = Setting::ApiBaseUrl;
        let api = self.take(setting).and_then(|text| {
            let text = text.expect("there is a default");
            ApiBase::parse(&text.value)
                .map_err(|error| self.problem(setting, text.origin, error.into()))
        });
        self.problems.extend(api.as_ref().err().cloned());
        api
    }

    fn endpoint(&mut self, setting: Setting) -> Option<Endpoint> {
        let text = self.optional(setting)?;
        let endpoint = Endpoint::parse(&text.value)
            .map_err(|error| self.problem(setting, text.origin, error.into()));
        self.problems.extend(endpoint.as_ref().err().cloned());
        endpoint.ok()
    }

    fn redirect_uri(&mut self) -> Option<RedirectUri> {
        let setting = Setting::RedirectUri;
        let text = self.optional(setting)?;
        let uri = RedirectUri::parse(&text.value)
            .map_err(|error| self.problem(setting, text.origin, error.into()));
        self.problems.extend(uri.as_ref().err().cloned());
        uri.ok()
    }

    fn client_id(&mut self, setting: Setting) -> Option<String> {
        let id = self.required(setting)?;
        self.id(setting, &id)
    }

    fn mint(&mut self, client_id: Option<&str>) -> Option<MintTarget> {
        let app_id = match self.take(Setting::AppId) {
            Ok(Some(given)) => self.application_id(&given, client_id),
            Ok(None) => client_id.map(ids::application_id),
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        };
        let is_needed = self.is_given(Setting::PersonalAccessToken) || self.is_integration_given();
        let organization = if is_needed {
            self.required(Setting::TargetOrgId)
        } else {
            self.optional(Setting::TargetOrgId)
        };
        let organization = organization.filter(|id| self.id(Setting::TargetOrgId, id).is_some());
        Some(MintTarget {
            app_id: app_id?,
            target_org_id: organization?.value,
        })
    }

    /// The application's id as it was given, unless it was given bare.
    fn application_id(&mut self, given: &Text, client_id: Option<&str>) -> Option<String> {
        let value = self.id(Setting::AppId, given)?;
        if client_id.is_some_and(|client_id| client_id != value) {
            let kind = ProblemKind::OtherApplication;
            let problem = self.problem(Setting::AppId, given.origin, kind);
            self.problems.push(problem);
            return None;
        }
        let is_bare = value == given.value;
        Some(if is_bare {
            ids::application_id(&value)
        } else {
            given.value.clone()
        })
    }

    fn personal_access_token(&mut self) -> Option<Sourced<AccessToken>> {
        let token = self.optional(Setting::PersonalAccessToken)?;
        Some(Sourced {
            value: AccessToken::new(token.value),
            origin: token.origin,
            seed: self.seeds.personal_access_token.clone(),
        })
    }

    fn integration(&mut self) -> Option<Integration> {
        if !self.is_integration_given() {
            return None;
        }
        let client_id = self.client_id(Setting::IntegrationClientId);
        let client_secret = self.required(Setting::IntegrationClientSecret);
        for (own, of_the_service_app) in [
            (Setting::IntegrationClientId, Setting::ClientId),
            (Setting::IntegrationClientSecret, Setting::ClientSecret),
        ] {
            self.tell_apart(own, of_the_service_app);
        }
        let refresh_token = self.optional(Setting::IntegrationRefreshToken);
        Some(Integration {
            client_id: client_id?,
            client_secret: ClientSecret::new(client_secret?.value),
            refresh_token: refresh_token.map(|token| Sourced {
                value: RefreshToken::new(token.value),
                origin: token.origin,
                seed: self.seeds.integration_refresh_token.clone(),
            }),
        })
    }

    /// The commonest slip: the two applications of one developer mixed up.
    fn tell_apart(&mut self, own: Setting, of_the_service_app: Setting) {
        let value = |setting| self.values.get(&setting);
        let (Some((origin, own_value)), Some((_, other))) = (value(own), value(of_the_service_app))
        else {
            return;
        };
        let own_value = fingerprint(own_value);
        if own_value.is_some() && own_value == fingerprint(other) {
            let problem = self.problem(own, *origin, ProblemKind::OfTheServiceApp);
            self.problems.push(problem);
        }
    }

    fn is_there_nothing(&self) -> bool {
        let says_nothing = |(setting, (origin, _)): (&Setting, &(Origin, Content))| {
            *origin == Origin::Default || setting.path(Spelling::default()).is_none()
        };
        !self.config.exists
            && self.dotenv.problems.is_empty()
            && self.values.iter().all(says_nothing)
    }

    fn is_integration_given(&self) -> bool {
        self.is_given(Setting::IntegrationClientId)
            || self.is_given(Setting::IntegrationClientSecret)
            || self.is_given(Setting::IntegrationRefreshToken)
    }

    fn is_given(&self, setting: Setting) -> bool {
        self.values.contains_key(&setting)
    }

    /// The setting's value, if any layer has one.
    fn take(&self, setting: Setting) -> Result<Option<Text>, Problem> {
        let Some((origin, content)) = self.values.get(&setting) else {
            return Ok(None);
        };
        let problem = |kind| self.problem(setting, *origin, kind);
        let value = content.value().map_err(problem)?;
        Ok(Some(Text {
            value: value.to_owned(),
            origin: *origin,
        }))
    }

    fn optional(&mut self, setting: Setting) -> Option<Text> {
        self.take(setting).unwrap_or_else(|problem| {
            self.problems.push(problem);
            None
        })
    }

    /// As `optional`, but if no layer has a value, that is a problem: of the configuration file
    /// if there is one. What a file that cannot be understood would have said is not known.
    fn required(&mut self, setting: Setting) -> Option<Text> {
        let is_all_known = self.config.problems.is_empty() && self.dotenv.problems.is_empty();
        if is_all_known && !self.is_given(setting) {
            let problem = if !self.config.exists {
                self.problem(setting, Origin::Environment, ProblemKind::Missing)
            } else if self.config.layer.contents.contains_key(&setting) {
                self.problem(setting, Origin::ConfigFile, ProblemKind::Empty)
            } else {
                self.problem(setting, Origin::ConfigFile, ProblemKind::Missing)
            };
            self.problems.push(problem);
        }
        self.optional(setting)
    }

    /// What stands behind an id.
    fn id(&mut self, setting: Setting, id: &Text) -> Option<String> {
        let wanted = match setting {
            Setting::TargetOrgId => IdKind::Organization,
            _ => IdKind::Application,
        };
        match ids::value(&id.value, wanted) {
            Ok(value) => Some(value),
            Err(wrong) => {
                let problem = self.problem(setting, id.origin, wrong.into());
                self.problems.push(problem);
                None
            }
        }
    }

    /// A problem with what `origin` says, or does not say, about `setting`.
    fn problem(&self, setting: Setting, origin: Origin, kind: ProblemKind) -> Problem {
        let variable = || Some(setting.variable().to_owned());
        let (place, line, key) = match origin {
            Origin::Flag => (Place::CommandLine, None, setting.flag().map(str::to_owned)),
            Origin::Environment | Origin::Default => (Place::Environment, None, variable()),
            Origin::Dotenv => {
                let line = self.dotenv.lines.get(&setting);
                (
                    Place::File(self.dotenv.path.clone()),
                    line.copied(),
                    variable(),
                )
            }
            Origin::ConfigFile => {
                let line = self.config.lines.get(&setting);
                let key = setting
                    .path(self.config.spelling)
                    .map(|path| path.join("."));
                (Place::File(self.config.path.clone()), line.copied(), key)
            }
        };
        let mut problem = Problem::new(place, line, key, kind);
        problem.setting = Some(setting);
        if problem.kind.is_about_the_value() {
            problem.remedy = setting.remedy();
        }
        problem
    }
}

/// The fingerprint of a value, decoded if it is an application's id.
fn fingerprint(content: &Content) -> Option<Fingerprint> {
    let value = content.value().ok()?;
    let decoded = ids::value(value, IdKind::Application);
    Some(Fingerprint::of(decoded.as_deref().unwrap_or(value)))
}
