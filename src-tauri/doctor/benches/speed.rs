//! How fast the doctor is: one step with twenty targets, and a month of them in a noisy world.
//! Budgets: a step below 1.5 microseconds, thirty days in under ten seconds.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use doctor::{Doctor, Event, LedgerFound, Now, Policy};

#[path = "../../../tests/support/world.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the stories, which use the rest of it")]
mod world;

use world::World;
use world::given::given;

/// Host, Docker, both servers, eight containers and a service in each.
fn twenty_targets() -> World {
    let mut world = World::new(7);
    for line in ["docker", "ollama", "mlx"] {
        given(&mut world, line).expect("a line that the world knows");
    }
    for n in 0..8 {
        given(&mut world, &format!("container c{n}: critical")).expect("a container");
        given(&mut world, &format!("service s{n}: in container c{n}, needs ollama"))
            .expect("a service");
    }
    world
}

/// An hour of ordinary health, as the doctor is told it.
fn hour() -> (World, Vec<(Event, Now)>) {
    let mut world = twenty_targets();
    world.begin(LedgerFound::None);
    world.run_until(10 * 60_000);
    world.heard = Some(Vec::new());
    world.begin(LedgerFound::None);
    world.run_until(70 * 60_000);
    let heard = world.heard.take().unwrap_or_default();
    (world, heard)
}

fn begun(world: &World, first: Now) -> Doctor {
    Doctor::new(Policy::default(), world.roster.clone(), world.doctor_seed, first)
}

/// Every event of the hour, and after each the question when to wake next.
fn step(criterion: &mut Criterion) {
    let (world, heard) = hour();
    let first = heard[0].1;
    let mut group = criterion.benchmark_group("step");
    group.throughput(Throughput::Elements(u64::try_from(heard.len()).unwrap_or(0)));
    group.bench_function("an hour of health, 20 targets", |bencher| {
        bencher.iter_batched(
            || (begun(&world, first), heard.clone()),
            |(mut doctor, heard)| {
                for (event, now) in heard {
                    black_box(doctor.handle(event, now));
                    black_box(doctor.next_wake());
                }
                doctor
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
    let mut doctor = begun(&world, first);
    for (event, now) in &heard {
        doctor.handle(event.clone(), *now);
    }
    let now = doctor.now();
    criterion.bench_function("tick/20 targets, nothing due", |bencher| {
        bencher.iter(|| {
            black_box(doctor.handle(Event::Tick, now));
            black_box(doctor.next_wake())
        });
    });
}

fn month(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("month");
    group.sample_size(10).measurement_time(Duration::from_secs(20));
    group.bench_function("30 days of health, 20 targets, with its world", |bencher| {
        bencher.iter(|| {
            let mut world = twenty_targets();
            (world.watched, world.telling) = (false, false);
            world.begin(LedgerFound::None);
            world.run_until(30 * 86_400_000);
            world.story_ms()
        });
    });
    group.finish();
}

criterion_group!(benches, step, month);
criterion_main!(benches);
