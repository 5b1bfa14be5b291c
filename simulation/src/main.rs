//! `simulate`: lives through simulated worlds and tells what went wrong in them.

use std::num::NonZero;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Parser;
use webex_simulation::{Figures, Kind, Plan, run};

const YEAR: Duration = Duration::from_hours(24 * 365);

/// Problems of one world that are told; the rest follow from them, mostly.
const MOST_PROBLEMS: usize = 5;

/// Lives through simulated worlds, one for each seed.
///
/// A world that broke a rule is told with its seed; `--seed` lives through the same world again.
#[derive(Parser)]
struct Arguments {
    /// How many worlds.
    #[arg(long, value_name = "N", default_value_t = 100)]
    seeds: u64,
    /// The seed of the first.
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    from: u64,
    /// This world alone, told at length.
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Lives through each world twice, and complains where the two differ.
    #[arg(long)]
    twice: bool,
    /// Worlds of one kind only: chaos, year, deadline, or crowd.
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<Kind>,
}

fn kind(text: &str) -> Result<Kind, String> {
    match text {
        "chaos" => Ok(Kind::Chaos),
        "year" => Ok(Kind::Year),
        "deadline" => Ok(Kind::Deadline),
        "crowd" => Ok(Kind::Crowd),
        _ => Err("chaos, year, deadline or crowd".to_owned()),
    }
}

/// What all worlds together came to.
#[derive(Default)]
struct Total {
    worlds: u64,
    failed: u64,
    figures: Figures,
}

#[expect(clippy::print_stdout, reason = "a program for people")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let total = match arguments.seed {
        Some(seed) => {
            println!("{:#?}", plan(&arguments, seed));
            let total = live(&arguments, seed, 1);
            println!("{:#?}", total.figures);
            total
        }
        None => live(&arguments, arguments.from, arguments.seeds),
    };
    println!("{}", summary(&total));
    if total.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn plan(arguments: &Arguments, seed: u64) -> Plan {
    let of_kind = |kind| Plan::of_kind(kind, seed);
    arguments.kind.map_or_else(|| Plan::of(seed), of_kind)
}

/// Lives through so many worlds, one on each processor at a time.
fn live(arguments: &Arguments, from: u64, count: u64) -> Total {
    let next = AtomicU64::new(from);
    let total = Mutex::new(Total::default());
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..processors {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed - from >= count {
                        break;
                    }
                    let plan = plan(arguments, seed);
                    let figures = run(&plan);
                    let is_same = !arguments.twice || run(&plan).trace == figures.trace;
                    let mut total = total.lock().expect("no world panics");
                    tell(&plan, &figures, is_same);
                    total.worlds += 1;
                    total.failed += u64::from(!figures.problems.is_empty() || !is_same);
                    total.figures.add(&figures);
                }
            });
        }
    });
    total.into_inner().expect("no world panics")
}

#[expect(clippy::print_stdout, reason = "a program for people")]
fn tell(plan: &Plan, figures: &Figures, is_same: bool) {
    if figures.problems.is_empty() && is_same {
        return;
    }
    println!("seed {} ({:?}):", plan.seed, plan.kind);
    if !is_same {
        println!("    it was another world the second time");
    }
    for problem in figures.problems.iter().take(MOST_PROBLEMS) {
        println!("    {problem}");
    }
}

fn summary(total: &Total) -> String {
    let figures = &total.figures;
    format!(
        "simulate: {} worlds, {:.1} years, {} runs, {} requests, {} tokens issued, {} deaths, {} power \
         cuts, {} consents, {} doubtful tokens spent last; {} worlds broke a rule",
        total.worlds,
        figures.lasted.as_secs_f64() / YEAR.as_secs_f64(),
        figures.runs,
        figures.requests,
        figures.issued,
        figures.deaths,
        figures.power_cuts,
        figures.consents,
        figures.doubtful,
        total.failed,
    )
}
