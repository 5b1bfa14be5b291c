//! What `TokenManager::access_token` costs while the token is valid: the call, and a look at the
//! token through the guard.

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use webex_sandbox::Sandbox;
use webex_tokens::config::{Environment, Flags, Sources};
use webex_tokens::manager::TokenManager;

criterion_group!(benches, access_token);
criterion_main!(benches);

fn access_token(c: &mut Criterion) {
    let (manager, _world) = warm_manager();
    let mut group = c.benchmark_group("access_token");
    group.bench_function("one thread", |bencher| bencher.iter(|| look(&manager)));
    group.bench_function("two threads", |bencher| {
        bencher.iter_custom(|rounds| in_two_threads(&manager, rounds));
    });
    group.finish();
}

/// What is measured.
fn look(manager: &TokenManager) -> usize {
    let token = ready(manager.access_token()).expect("a valid token");
    black_box(token.expose()).len()
}

/// How long the slower of two threads takes for `rounds` looks.
fn in_two_threads(manager: &TokenManager, rounds: u64) -> Duration {
    let start = std::sync::Barrier::new(2);
    let timed = || {
        start.wait();
        let started = Instant::now();
        for _ in 0..rounds {
            black_box(look(manager));
        }
        started.elapsed()
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(timed);
        timed().max(other.join().expect("no panic"))
    })
}

/// The output of a future that need not wait.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a valid token is there at once"),
    }
}

/// A manager that holds a valid token, and what must outlive it.
fn warm_manager() -> (TokenManager, (Sandbox, tempfile::TempDir)) {
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
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let minted = runtime.block_on(manager.access_token());
    drop(minted.expect("the sandbox mints"));
    (manager, (sandbox, folder))
}
