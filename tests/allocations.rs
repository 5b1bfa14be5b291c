//! A look at a valid token allocates nothing: a program may take one for every request it sends.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use webex_sandbox::Sandbox;
use webex_tokens::config::{Environment, Flags, Sources};
use webex_tokens::manager::TokenManager;

#[tokio::test]
async fn a_valid_token_is_handed_out_without_an_allocation() {
    let sandbox = Sandbox::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tenant = sandbox.tenant();
    let environment: Environment = [
        ("WEBEX_API_BASE_URL", sandbox.base_url()),
        ("WEBEX_SERVICE_APP_CLIENT_ID", tenant.client_id),
        ("WEBEX_SERVICE_APP_CLIENT_SECRET", tenant.client_secret),
        ("WEBEX_TARGET_ORG_ID", tenant.target_org_id),
        (
            "WEBEX_PERSONAL_ACCESS_TOKEN",
            sandbox.issue_personal_access_token(),
        ),
    ]
    .into_iter()
    .collect();
    let manager = TokenManager::new(Sources {
        flags: Flags {
            env_file: Some(folder.path().join(".env")),
            config: Some(folder.path().join("token-config.json")),
            ..Flags::default()
        },
        environment,
    });
    drop(manager.access_token().await.expect("the sandbox mints"));

    let mut length = 0;
    let counted = allocation_counter::measure(|| {
        for _ in 0..1000 {
            let look = pin!(manager.access_token());
            let Poll::Ready(token) = look.poll(&mut Context::from_waker(Waker::noop())) else {
                panic!("a valid token is there at once");
            };
            length += token.expect("a valid token").expose().len();
        }
    });

    assert!(length > 0);
    assert_eq!(counted.count_total, 0, "{counted:?}");
}
