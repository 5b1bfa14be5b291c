//! Redirects: nobody is asked but Webex, whoever it names.

use webex_sandbox::{Fault, Sandbox, Tls};

use crate::support::raw_server::{Conduct, RawServer};
use crate::support::{CHECK_TOKEN, DATA_SOURCES, Hand, Is, REFRESH_TOKEN, SETUP_OAUTH, Story};
use webex_sandbox::Endpoint;

/// Every program, with what it is asked to do and what it has.
const PROGRAMS: [(&str, &[&str], Hand); 5] = [
    (REFRESH_TOKEN, &["--deadline=1s"], Hand::REFRESH_TOKEN),
    (REFRESH_TOKEN, &["--deadline=1s"], Hand::ALL_RUNGS),
    (CHECK_TOKEN, &[], LIVE),
    (DATA_SOURCES, &["list", "--deadline=1s"], LIVE),
    (SETUP_OAUTH, &["--device", "--reauthorize"], Hand::ALL_RUNGS),
];

const LIVE: Hand = Hand {
    access_token: Is::Live,
    ..Hand::REFRESH_TOKEN
};

#[test]
fn no_redirect_is_followed_wherever_it_leads() {
    let trap = RawServer::start(Conduct::default());
    let elsewhere = format!("http://{}/v1/elsewhere", trap.address());
    let user_info = format!("http://u:p@{}/elsewhere", trap.address());
    let no_scheme = format!("//{}/elsewhere", trap.address());
    let targets = [
        elsewhere.as_str(),
        &user_info,
        &no_scheme,
        "/v1/elsewhere",
        "elsewhere",
        // A loop, for whoever follows it.
        "",
        "file:///etc/passwd",
        "data:application/json,{}",
        "https://",
        "\u{e9}",
    ];
    std::thread::scope(|scope| {
        for (which, status) in [301, 302, 303, 307, 308].into_iter().enumerate() {
            let (targets, trap) = (&targets, &trap);
            scope.spawn(move || {
                for (at, target) in targets.iter().enumerate() {
                    let (program, arguments, hand) = PROGRAMS[(at + which) % PROGRAMS.len()];
                    let story = Story::with_hand(hand);
                    let before = story.env();
                    let answer = format!(
                        "HTTP/1.1 {status} Moved\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n"
                    );
                    let server = RawServer::answering(answer);
                    let mut command = story.command(program);
                    command
                        .args(arguments)
                        .env("WEBEX_API_BASE_URL", server.base_url());

                    let told = story.run(&mut command);

                    told.exits(75)
                        .says("; run this again later; nothing was lost");
                    told.says(&format!("HTTP {status} "));
                    let requests = server.requests();
                    assert!(!requests.is_empty());
                    for request in requests {
                        assert!(!request.contains("elsewhere"), "{target}: {request}");
                    }
                    assert_eq!(story.env(), before);
                    assert_eq!(trap.connections(), 0, "{status} {target}");
                }
            });
        }
    });
}

#[test]
fn no_redirect_leads_from_https_to_http() {
    let trap = RawServer::start(Conduct::default());
    let target = format!("http://{}/v1/access_token", trap.address());
    for (program, arguments, hand) in PROGRAMS {
        let sandbox = Sandbox::builder().tls(Tls::Trusted).start();
        let story = Story::with_hand_in(sandbox, hand);
        story
            .sandbox
            .script_always(Endpoint::Any, Fault::redirect(&target));

        let told = story.run(story.command(program).args(arguments));

        told.exits(75).says("HTTP 302 redirects from localhost");
        assert_eq!(trap.connections(), 0, "{program}");
    }
}
