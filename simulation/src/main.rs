//! `simulate`: lives through simulated worlds and tells what went wrong in them.

use std::num::NonZero;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Parser;
use webex_sandbox::Violation;
use webex_simulation::{Figures, Kind, Plan, run};

const YEAR: Duration = Duration::from_hours(24 * 365);

/// Problems of one world that are told; the rest follow from them, mostly.
const MOST_PROBLEMS: usize = 5;

/// Lives through simulated worlds, one for each seed.
///
/// A world that broke a rule is told with its seed; `--seed` lives through the same world again. It is
/// lived through a second time before it counts: a kernel that is too busy to deliver at once what is sent
/// over loopback makes another world of it, and then the second time decides.
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
    /// Fails if fewer simulated years were lived through.
    #[arg(long, value_name = "N", default_value_t = 0)]
    at_least_years: u32,
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
    /// Worlds that broke a rule and were others the second time.
    unsteady: u64,
    figures: Figures,
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people"
)]
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
    let years = arguments.at_least_years;
    let is_short = total.figures.lasted < YEAR * years;
    if is_short {
        eprintln!("simulate: that is less than {years} years");
    }
    if total.failed == 0 && !is_short {
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
                    let lived = Lived::through(&plan, arguments.twice);
                    let mut total = total.lock().expect("no world panics");
                    lived.tell(&plan);
                    total.worlds += 1;
                    total.failed += u64::from(lived.failed());
                    total.unsteady += u64::from(lived.differs && !lived.failed());
                    total.figures.add(&lived.figures);
                }
            });
        }
    });
    total.into_inner().expect("no world panics")
}

/// How a world went.
struct Lived {
    figures: Figures,
    /// What it broke the first time, if that was another world than the second.
    before: Vec<Violation>,
    /// Whether it was another world the second time.
    differs: bool,
    /// Whether that is all that was asked.
    is_compared: bool,
}

impl Lived {
    /// Lives through a world, and again if it breaks a rule, or if asked to.
    fn through(plan: &Plan, twice: bool) -> Self {
        let mut lived = Self {
            figures: run(plan),
            before: Vec::new(),
            differs: false,
            is_compared: twice,
        };
        if twice || !lived.figures.problems.is_empty() {
            let again = run(plan);
            lived.differs = again.trace != lived.figures.trace;
            if lived.differs {
                lived.before = std::mem::replace(&mut lived.figures, again).problems;
            }
        }
        lived
    }

    fn failed(&self) -> bool {
        !self.figures.problems.is_empty() || self.differs && self.is_compared
    }

    #[expect(clippy::print_stdout, reason = "a program for people")]
    fn tell(&self, plan: &Plan) {
        if !self.failed() && !self.differs {
            return;
        }
        println!("seed {} ({:?}):", plan.seed, plan.kind);
        for problem in self.before.iter().take(MOST_PROBLEMS) {
            println!("    {problem}");
        }
        if self.differs {
            let broke = self.figures.problems.len();
            println!(
                "    it was another world the second time, in which {broke} rules were broken"
            );
        }
        for problem in self.figures.problems.iter().take(MOST_PROBLEMS) {
            println!("    {problem}");
        }
    }
}

fn summary(total: &Total) -> String {
    let figures = &total.figures;
    let unsteady = match total.unsteady {
        0 => String::new(),
        worlds => format!(", {worlds} did only in the world that a busy kernel made of it"),
    };
    format!(
        "simulate: {} worlds, {:.1} years, {} runs, {} requests, {} tokens issued, {} deaths, {} power \
         cuts, {} consents, {} doubtful tokens spent last; {} worlds broke a rule{unsteady}",
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
