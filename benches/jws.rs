//! What a JWS costs, in the form that the sandbox gives it: reading it, and reading and verifying
//! it. The target is 10,000 of the latter in a second on one core.

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use webex_sandbox::Sandbox;
use webex_tokens::sources::jws::{Jws, KeySet};

criterion_group!(benches, jws);
criterion_main!(benches);

fn jws(c: &mut Criterion) {
    let (token, keys) = a_jws_and_its_keys();
    let mut group = c.benchmark_group("jws");
    group.throughput(Throughput::Elements(1));
    group.bench_function("decode", |bencher| bencher.iter(|| decode(&token)));
    group.bench_function("decode and verify", |bencher| {
        bencher.iter(|| {
            let jws = decode(&token);
            keys.verify(black_box(&token)).expect("a good signature");
            jws
        });
    });
    group.finish();
}

fn decode(token: &str) -> Jws {
    Jws::decode(black_box(token)).expect("a JWS")
}

fn a_jws_and_its_keys() -> (String, KeySet) {
    let sandbox = Sandbox::start();
    let ids = sandbox.seed_data_sources(1);
    let data_source = sandbox.data_source(&ids[0]).expect("it is registered");
    let token = data_source["jwsToken"].as_str().expect("a token");
    let keys = get(&sandbox, "/idb/oauth2/v2/keys/verificationjwk");
    let keys = KeySet::parse(keys.as_bytes()).expect("a key set");
    (token.to_owned(), keys)
}

/// What the sandbox answers.
fn get(sandbox: &Sandbox, path: &str) -> String {
    let mut stream = TcpStream::connect(sandbox.address()).expect("the sandbox listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    body.to_owned()
}
