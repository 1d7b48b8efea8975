#!/usr/bin/python3
"""A sweep: a baseline and a run for each delay, repeated, in random order.

Each repetition is one shuffled round of all delays, and each run has a cluster of its own (unless
CLUSTER names one that runs): what drifts falls on every delay alike, and a long delay, which may
cost the leader its lease, leaves nothing behind. sweep.json holds
the plan; started again, a sweep skips what is done.
"""

import argparse
import json
import os
import random
import sys
import time
from pathlib import Path

import daemons
import experiment
import parameters
import plot_results
import progress
import record
import results

# Microseconds.
SWEEPS = {"paper": [1, 10, 100, 10_000, 100_000, 1_000_000],
          "custom": [1_000, 5_000, 10_000, 25_000, 50_000, 75_000, 100_000]}
OPS, LEAST_OPS = 1000, 20
# To plan with: delayed calls for each put, and what a run takes beside its delays.
CALLS, RUN_S, PUT_S = 2, 8, 0.004


def whole_number(name, default):
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise parameters.Invalid(f"{name}={text}: a whole number above 0")
    return int(text)


def delays_in(text):
    try:
        delays = SWEEPS.get(text) or [int(one) for one in text.split(",")]
    except ValueError:
        raise parameters.Invalid(f"{text}: paper, custom, or microseconds with commas") from None
    if min(delays) < 1:
        raise parameters.Invalid(f"{text}: delays are above 0; the baseline comes by itself")
    return sorted(set(delays))


def new_plan(asked, delays):
    seed = whole_number("SEED", random.SystemRandom().randrange(1, 10**6))
    shuffle, order = random.Random(seed).shuffle, []
    for repetition in range(1, whole_number("REPEAT", 3) + 1):
        points = [{"delay_us": delay, "repetition": repetition} for delay in [0, *delays]]
        shuffle(points)
        order += points
    return {"seed": seed, "run_seconds": whole_number("RUN_SECONDS", 60), "order": order,
            "parameters": asked.as_json()}


def planned(asked, delays):
    """The plan in the results' directory; a new one if there is none."""
    file = asked.results / "sweep.json"
    if not file.exists():
        asked.results.mkdir(parents=True, exist_ok=True)
        record.write_whole(file, json.dumps(new_plan(asked, delays), indent=1) + "\n")
    try:
        plan = json.loads(file.read_text())
    except ValueError as error:
        raise RuntimeError(f"{file}: no plan of a sweep: {error}; remove it to begin another") from None
    there = sorted({point["delay_us"] for point in plan["order"]})
    if (plan["parameters"], there) != (asked.as_json(), sorted({0, *delays})):
        raise parameters.Invalid(
            f"{file} is the plan of another sweep: name another directory by RESULTS")
    return plan


def done_points(directory):
    runs, _ = results.read_all(directory, below=False)
    return [run.facts["sweep"] for run in runs if "sweep" in run.facts]


def run_for(asked, plan, delay_us):
    """The run's parameters: at long delays fewer puts, so that it ends in about run_seconds."""
    most = int(plan["run_seconds"] * 1e6 / (CALLS * delay_us)) if delay_us else asked.ops
    ops = min(asked.ops, max(LEAST_OPS, most))
    mode = "delay" if delay_us else "baseline"
    return parameters.checked(asked.with_(mode=mode, wal_delay_us=delay_us, ops=ops))


def expected_s(asked):
    return RUN_S + asked.ops * (PUT_S + CALLS * asked.wal_delay_us / 1e6)


def sweep(asked, plan):
    """Does what is left of the plan; returns how many runs failed."""
    done = done_points(asked.results)
    left = [(point, run_for(asked, plan, point["delay_us"]))
            for point in plan["order"] if point not in done]
    total, failed, took, expected = len(plan["order"]), 0, 0, 0
    for at, (point, run) in enumerate(left):
        rest = sum(expected_s(later) for _, later in left[at:]) * (took / expected if took else 1)
        print(f"\n[{total - len(left) + at + 1} of {total}, {progress.duration(rest)} left] "
              f"{results.human(point['delay_us'])}, repetition {point['repetition']}", flush=True)
        began = time.monotonic()
        try:
            with experiment.cluster_for(run) as on:
                experiment.perform(run, on, sweep=point)
        except experiment.TROUBLE as error:
            failed += 1
            print(f"FAILED: {error}", file=sys.stderr, flush=True)
            continue
        took += time.monotonic() - began
        expected += expected_s(run)
    return failed


def asked_for(name):
    """The parameters that all runs share."""
    asked = parameters.from_environment("baseline")
    asked = asked.with_(verify_delay=os.environ.get("VERIFY_DELAY") != "0")
    if not os.environ.get("OPS"):
        asked = asked.with_(ops=OPS)
    if not os.environ.get("RESULTS"):
        asked = asked.with_(results=Path("results") / f"sweep-{name if name in SWEEPS else 'list'}")
    return asked


def main():
    arguments = argparse.ArgumentParser("sweep.sh", description=__doc__.splitlines()[0])
    arguments.add_argument("delays", help="microseconds with commas, or " + ", or ".join(
        f"{name}: {', '.join(map(results.human, delays))}" for name, delays in SWEEPS.items()))
    name = arguments.parse_args().delays

    def whole_sweep():
        daemons.end_on_signals()
        asked = asked_for(name)
        delays = delays_in(name)
        experiment.refuse_wrong(
            parameters.checked(asked.with_(mode="delay", wal_delay_us=delays[-1])))
        plan = planned(asked, delays)
        print(f"{asked.results}: {len(plan['order'])} runs, seed {plan['seed']}")
        failed = sweep(asked, plan)
        plot_results.write_all(asked.results, asked.results)
        if failed:
            raise RuntimeError(f"{failed} runs failed; the same command tries them again")
    return experiment.guarded(whole_sweep, "sweep.sh")


if __name__ == "__main__":
    sys.exit(main())
