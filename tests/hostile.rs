//! Servers that misbehave: every run ends, within its memory and in its own words, and loses
//! nothing.

#![cfg(target_os = "linux")]

mod support;

#[path = "hostile/lists.rs"]
mod lists;
#[path = "hostile/proxy.rs"]
mod proxy;
#[path = "hostile/redirects.rs"]
mod redirects;
#[path = "hostile/servers.rs"]
mod servers;
#[path = "hostile/tls.rs"]
mod tls;
#[path = "hostile/tokens.rs"]
mod tokens;

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::json;
use webex_sandbox::{Policy, Reuse, Sandbox};

use servers::{BAIT, Kind, Lasts, Looks};
use support::raw_server::{Behind, Reserved};
use support::{
    CHECK_TOKEN, DATA_SOURCES, Hand, Is, REFRESH_TOKEN, SETUP_OAUTH, Story, Told, assert_no_piece,
    torture,
};

/// What the programs that know a token or two may hold, in MiB.
pub(crate) const LEAN: u64 = 64;

/// What `data-sources` may hold, which reads replies of up to 32 MiB.
pub(crate) const ROOMY: u64 = 160;

/// One thing that a program asks for, and gets an answer to that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Play {
    /// `refresh_token` spends the one refresh token that there is.
    Grant,
    /// The same, and Webex has acted; another rung works.
    GrantActedOn,
    /// `refresh_token` mints with a personal access token.
    Mint,
    /// `refresh_token` renews the integration's tokens.
    Renewal,
    /// `check_token` looks at the token.
    Look,
    /// `data-sources show` reads a data source.
    Read,
    /// The same asks for the keys of the JWS.
    Keys,
    /// `data-sources extend` updates a data source, which Webex does not do.
    Update,
    /// The same, which Webex does.
    UpdateActedOn,
    /// `setup_oauth` asks for a device code.
    Device,
}

impl Play {
    /// What is quick enough to meet every server in every test run.
    const MAIN: [Self; 3] = [Self::Grant, Self::Look, Self::Read];
    const OTHERS: [Self; 7] = [
        Self::Device,
        Self::GrantActedOn,
        Self::Mint,
        Self::Renewal,
        Self::Keys,
        Self::Update,
        Self::UpdateActedOn,
    ];

    fn program(self) -> &'static str {
        match self {
            Self::Grant | Self::GrantActedOn | Self::Mint | Self::Renewal => REFRESH_TOKEN,
            Self::Look => CHECK_TOKEN,
            Self::Read | Self::Keys | Self::Update | Self::UpdateActedOn => DATA_SOURCES,
            Self::Device => SETUP_OAUTH,
        }
    }

    fn most_memory(self) -> u64 {
        if self.program() == DATA_SOURCES {
            ROOMY
        } else {
            LEAN
        }
    }

    /// What stands in the first line of the request that is answered badly.
    fn spoilt(self) -> &'static str {
        match self {
            Self::Grant | Self::GrantActedOn | Self::Renewal => "POST /v1/access_token",
            Self::Mint => "POST /v1/applications/",
            Self::Look => "GET /v1/dataSources",
            Self::Read => "GET /v1/dataSources/",
            Self::Keys => "/verificationjwk",
            Self::Update | Self::UpdateActedOn => "PUT /v1/dataSources/",
            Self::Device => "/device/authorize",
        }
    }

    fn acts(self) -> bool {
        matches!(self, Self::GrantActedOn | Self::UpdateActedOn)
    }

    fn hand(self) -> Hand {
        match self {
            Self::Grant => Hand::REFRESH_TOKEN,
            Self::GrantActedOn => Hand::ALL_RUNGS,
            Self::Mint => Hand::PERSONAL_ACCESS_TOKEN,
            Self::Renewal => Hand::INTEGRATION,
            _ => Hand {
                access_token: Is::Live,
                ..Hand::ALL_RUNGS
            },
        }
    }

    fn arguments<'a>(self, id: &'a str, kind: &Kind) -> Vec<&'a str> {
        match self {
            Self::Grant => vec!["--deadline=2s"],
            Self::GrantActedOn | Self::Mint | Self::Renewal => vec![],
            Self::Look => vec![],
            // What is too large is not asked for again, and is told of.
            Self::Read if kind.looks == Looks::Bad => vec!["show", id, "--deadline=3s"],
            Self::Read | Self::Keys => vec!["show", id, "--deadline=10s"],
            Self::Update | Self::UpdateActedOn => vec!["extend", id, "--deadline=30s"],
            Self::Device => vec!["--device", "--reauthorize"],
        }
    }
}

/// A program met a server.
struct Met {
    play: Play,
    peak: u64,
}

/// Has `play` meet a server of this kind, and asserts what holds whatever the kind.
fn meet(play: Play, kind: &Kind) -> Met {
    let name = format!("{play:?}: {}", kind.name);
    let reserved = Reserved::new();
    let sandbox = Sandbox::builder().policy(Policy {
        rotate: true,
        reuse: Reuse::RevokeGrant,
        jws_issuer: Some(format!("{}/idb", reserved.origin())),
        ..Policy::default()
    });
    let story = Story::with_hand_in(sandbox.start(), play.hand());
    let id = story.sandbox.register_data_source(&json!({
        "audience": "AppOne",
        "subject": "callAudioData",
        "nonce": "a nonce",
        "schemaId": "5397013b-7920-4ffc-807c-e8a3e0a18f43",
        "url": "https://receiver.example.com/in",
        "tokenLifetimeMinutes": 60,
    }));
    let behind = Behind {
        address: story.sandbox.address(),
        spoilt: play.spoilt(),
        acts: play.acts(),
    };
    let server = reserved.serve(&kind.conduct, Some(behind));
    let before = story.env();
    let config = story.read("token-config.json");

    let mut command = story.command_within(play.program(), play.most_memory());
    command
        .args(play.arguments(&id, kind))
        .env("WEBEX_API_BASE_URL", server.base_url());
    let run = story.run_within(play.most_memory(), &mut command);

    let told = run.told;
    let all = format!("{}{}", told.stdout, told.stderr);
    assert_no_piece(&all, BAIT);
    if play == Play::GrantActedOn {
        told.exits(0);
        assert!(story.sandbox.is_live(&story.access_token()), "{name}");
    } else {
        assert_eq!(story.env(), before, "{name}");
    }
    assert_eq!(story.read("token-config.json"), config, "{name}");
    assert_expected(play, kind, &told);
    for entry in fs::read_dir(story.folder()).expect("the folder") {
        let file = entry.expect("an entry").file_name();
        let file = file.to_string_lossy();
        let is_left = file.contains(".tmp.") || file.contains(".rescue") || file == "core";
        assert!(!is_left, "{name}: {file}");
    }
    assert_next_run(play, &story, &told, &name);
    Met {
        play,
        peak: run.peak,
    }
}

/// How it ended, in one line that says what to do.
#[track_caller]
fn assert_expected(play: Play, kind: &Kind, told: &Told) {
    let all = format!("{}{}", told.stdout, told.stderr);
    let errors: Vec<_> = all.lines().filter(|it| it.starts_with("error: ")).collect();
    let code = match (play, kind.looks) {
        (Play::GrantActedOn, _) => 0,
        // That the JWS is not checked is a remark.
        (Play::Keys, _) => 0,
        (Play::Look, Looks::Valid | Looks::TooLarge) => 0,
        (Play::Read, Looks::TooLarge | Looks::LargeGarbage) => 1,
        // Whether it was done is looked for, and it was.
        (Play::UpdateActedOn, _) => 0,
        _ => 75,
    };
    told.exits(code);
    if code != 0 {
        let error = errors
            .first()
            .unwrap_or_else(|| panic!("{}: no error: {}", kind.name, all));
        let is_told = if code == 75 {
            error.contains("; run this again later")
        } else {
            error.ends_with("the answer is over 32 MiB")
        };
        assert!(is_told, "{}: {error}", kind.name);
        assert_eq!(errors.len(), 1, "{}", told.stderr);
    }
    if play == Play::Keys {
        told.says("the JWS is not checked: ");
    }
}

/// A later run, with nobody in between, ends with a token, and tells of an answer that was lost.
#[track_caller]
fn assert_next_run(play: Play, story: &Story, told: &Told, name: &str) {
    if play.program() != REFRESH_TOKEN {
        return;
    }
    let next = story.refresh_token(&["--json"]);
    next.exits(0);
    assert!(story.sandbox.is_live(&story.access_token()), "{name}");
    assert_eq!(story.sandbox.counts().reused_refresh_tokens, 0, "{name}");
    if play == Play::Grant || play == Play::Renewal {
        let is_doubtful = told.stderr.contains(": doubtful (");
        assert_eq!(
            next.warns("earlier run"),
            is_doubtful,
            "{name}: {}",
            next.stdout
        );
    }
}

/// Has every play meet every kind that it is to meet, many at a time.
fn meet_all(cast: &[(Play, &Kind)]) -> Vec<Met> {
    let next = AtomicUsize::new(0);
    let met = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while let Some((play, kind)) = cast.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let one = meet(*play, kind);
                    met.lock().expect("nobody panics").push(one);
                }
            });
        }
    });
    met.into_inner().expect("nobody has panicked")
}

/// Whether this is part of every test run: it takes no minute, and no processor for itself.
fn is_quick(play: Play, kind: &Kind) -> bool {
    match play {
        // It asks again for a minute, unless the answer is one.
        Play::Device => kind.is_answer,
        _ if kind.lasts == Lasts::Busily => false,
        Play::Grant | Play::Read | Play::Keys => true,
        _ => kind.lasts == Lasts::Briefly,
    }
}

#[test]
fn no_answer_is_waited_for_for_ever_or_believed() {
    let kinds = servers::all();
    let mut cast = Vec::new();
    for (at, kind) in kinds.iter().enumerate() {
        let main = Play::MAIN.into_iter();
        let others = Play::OTHERS.into_iter().enumerate();
        let others = others.filter(|(which, play)| {
            let is_next = at % Play::OTHERS.len() == *which;
            torture::size(is_next || *play == Play::Device, true)
        });
        let plays = main.chain(others.map(|(_, play)| play));
        let plays = plays.filter(|play| torture::size(is_quick(*play, kind), true));
        // Who has acted and says the opposite is believed.
        let plays = plays.filter(|play| !(play.acts() && kind.denies));
        cast.extend(plays.map(|play| (play, kind)));
    }
    // What takes longest goes first.
    cast.sort_by_key(|(_, kind)| kind.lasts == Lasts::Briefly);
    let met = meet_all(&cast);
    let peak = |most: u64| {
        let of = met.iter().filter(|met| met.play.most_memory() == most);
        of.map(|met| met.peak).max().unwrap_or(0)
    };
    print(&format!(
        "hostile: {} runs of 4 programs against {} kinds of server, all ended by themselves, 0 tokens \
         lost, at most {} MiB ({} MiB with lists)",
        met.len(),
        kinds.len(),
        peak(LEAN),
        peak(ROOMY),
    ));
}

#[expect(clippy::print_stdout, reason = "the figures of this proof")]
fn print(figures: &str) {
    println!("{figures}");
}
