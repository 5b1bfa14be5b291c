//! Lists that are as large as a reply may be, and larger in memory.

use std::sync::Arc;

use super::{ROOMY, servers};
use crate::support::raw_server::{Behind, Conduct, Piece, Reserved};
use crate::support::{DATA_SOURCES, Hand, Is, Story, torture};

/// A little less than the most that is read of a reply.
const MOST: usize = 31 << 20;

/// A list of this, over and over.
fn list_of(item: &str) -> String {
    let items = vec![item; MOST / (item.len() + 1)].join(",");
    format!("{{\"items\":[{items}]}}")
}

/// A list of one object, with these fields.
fn list_with(fields: &str) -> String {
    format!("{{\"items\":[{{{fields}}}]}}")
}

/// What `data-sources` says of such a list, within its memory.
#[track_caller]
fn assert_told(list: &str, arguments: &[&str], code: i32, says: &str) {
    let story = Story::with_hand(Hand {
        access_token: Is::Live,
        ..Hand::REFRESH_TOKEN
    });
    let behind = Behind {
        address: story.sandbox.address(),
        spoilt: "GET /v1/dataSources",
        acts: false,
    };
    let answer = servers::answer("200 OK", "", list.as_bytes());
    let conduct = Conduct::answering(vec![Piece::Bytes(answer)]);
    let server = Reserved::new().serve(&Arc::new(conduct), Some(behind));
    let mut command = story.command_within(DATA_SOURCES, ROOMY);
    command
        .args(arguments)
        .env("WEBEX_API_BASE_URL", server.base_url());
    let run = story.run_within(ROOMY, &mut command);
    run.told.exits(code).says(says);
}

#[test]
fn a_list_that_would_not_fit_into_memory_is_not_read_into_it() {
    const ID: &str = "6d964dd2-a439-4e9a-a3f0-fef2c1dc7315";
    const ENDLESS: &str = "more than 100000 items; run this again later";
    let numbers = list_with(&format!(
        "\"id\":[{}0]",
        "0,".repeat(torture::size(MOST / 5, MOST / 2))
    ));
    for list in [list_of("{}"), list_of("0")] {
        assert_told(&list, &["list"], 75, ENDLESS);
    }
    assert_told(&list_of("[]"), &["extend", "--all"], 75, ENDLESS);
    assert_told(&numbers, &["show", ID], 75, "not what was asked for");
    if torture::is_on() {
        assert_told(&numbers, &["list"], 0, "");
        let names = (0..3_000_000).map(|name| format!("\"{name:x}\":0,"));
        let fields = list_with(&(names.collect::<String>() + "\"\":0"));
        assert_told(&fields, &["list"], 0, "");
        let jws = "e".repeat(1000);
        let source = format!("{{\"id\":\"{ID}\",\"status\":\"active\",\"jwsToken\":\"{jws}\"}}");
        assert_told(&list_of(&source), &["list", "--json"], 0, ID);
    }
}
