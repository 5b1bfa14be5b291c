//! One value as a person types it, judged at once and by the rules of the files.

use super::problem::ProblemKind;
use super::{RedirectUri, Setting, text};
use crate::ids::{self, IdKind};

/// The value without the white space that was pasted around it.
///
/// A file may hold what only Webex can judge; somebody who is there to be asked can be told more.
///
/// # Errors
///
/// It cannot be the value of this setting.
pub fn typed(setting: Setting, typed: &str) -> Result<String, ProblemKind> {
    let value = typed.trim();
    if value.is_empty() {
        return Err(ProblemKind::Empty);
    }
    text::check(value)?;
    match setting {
        Setting::AppId | Setting::ClientId | Setting::IntegrationClientId => {
            let id = ids::value(value, IdKind::Application)?;
            if ids::is_uuid(&id) {
                return Err(ProblemKind::NotAnApplication);
            }
        }
        Setting::TargetOrgId => {
            let id = ids::value(value, IdKind::Organization)?;
            if !ids::is_uuid(&id) {
                return Err(ProblemKind::NotAnOrganization);
            }
        }
        Setting::RedirectUri => drop(RedirectUri::parse(value)?),
        _ => {}
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pasted_into_the_wrong_question_is_caught() {
        let client_id = "C0ffee00112233445566778899aabbccddeeff0";
        let app_id = ids::application_id(client_id);
        let uuid = "1eb65fdf-9643-417f-9974-ad72cae0e10f";
        let organization = "Y2lzY29zcGFyazovL3VzL09SR0FOSVpBVElPTi8xZWI2NWZkZi05NjQzLTQxN2YtOTk3NC1hZDcyY2FlMGUxMGY";
        let person =
            "Y2lzY29zcGFyazovL3VzL1BFT1BMRS8xZWI2NWZkZi05NjQzLTQxN2YtOTk3NC1hZDcyY2FlMGUxMGY";
        let right = [
            (Setting::ClientId, client_id),
            (Setting::ClientId, &app_id),
            (Setting::TargetOrgId, organization),
            (Setting::TargetOrgId, uuid),
            (Setting::ClientSecret, "5ecret"),
            (Setting::RedirectUri, "http://localhost:6001/redirect"),
        ];
        for (setting, value) in right {
            let pasted = format!("  {value}\r\n");
            assert_eq!(typed(setting, &pasted).as_deref(), Ok(value), "{setting:?}");
        }
        let wrong = [
            (
                Setting::ClientId,
                organization,
                "this is the id of a Webex organization",
            ),
            (
                Setting::AppId,
                organization,
                "this is the id of a Webex organization",
            ),
            (Setting::IntegrationClientId, uuid, "a bare UUID"),
            (
                Setting::TargetOrgId,
                &app_id,
                "this is the id of a Webex application",
            ),
            (
                Setting::TargetOrgId,
                person,
                "this is the id of a Webex person",
            ),
            (
                Setting::TargetOrgId,
                client_id,
                "neither an encoded id nor a UUID",
            ),
            (Setting::ClientSecret, "   ", "empty"),
            (
                Setting::ClientSecret,
                "\"5ecret\"",
                "the value itself begins",
            ),
            (
                Setting::ClientSecret,
                "your-client-secret",
                "still the template's",
            ),
            (Setting::ClientSecret, "5e cret", "has a space"),
            (
                Setting::RedirectUri,
                "http://example.com/callback",
                "plain http",
            ),
        ];
        for (setting, value, why) in wrong {
            match typed(setting, value) {
                Ok(_) => panic!("{setting:?} took what it should not"),
                Err(kind) => assert!(kind.to_string().starts_with(why), "{setting:?}: {kind}"),
            }
        }
    }
}
