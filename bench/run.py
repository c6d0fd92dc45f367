#!/usr/bin/python3
"""Plays the scenarios and writes docs/benchmarks.md with its charts. `make bench` calls it.

Usage: run.py [--runs N] [--quick] [--only NAME ...] [--resume] [--report-only]"""

import argparse
import dataclasses
import json
import pathlib
import sys
import time

import report
from scenarios import SCENARIOS

RESULTS = pathlib.Path(__file__).resolve().parents[1] / "build/bench/results.json"


@dataclasses.dataclass(frozen=True)
class Plan:
    seconds: int = 15
    long_seconds: int = 60
    stored_orders: int = 10_000_000


QUICK = Plan(seconds=5, long_seconds=10, stored_orders=200_000)


def play(names, plan, runs, results):
    """Run by run, so that what slows the machine for a while does not fall on one scenario alone."""
    for run in range(runs):
        for name in names:
            if len(results.get("runs", {}).get(name, [])) > run:
                continue
            print(f"==> {name}, run {run + 1} of {runs}", flush=True)
            begin = time.monotonic()
            figures = SCENARIOS[name](plan)
            results.setdefault("runs", {}).setdefault(name, []).append(figures)
            RESULTS.write_text(json.dumps(results, indent=1))
            print(f"    {time.monotonic() - begin:.0f} s  {report.one_line(figures)}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="short runs and small tables, to try the script")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, metavar="NAME", default=list(SCENARIOS))
    parser.add_argument("--resume", action="store_true", help="keep the results on disk, and play what is missing")
    parser.add_argument("--report-only", action="store_true", help="write the page from the results on disk")
    arguments = parser.parse_args()
    if arguments.report_only:
        report.write(json.loads(RESULTS.read_text()))
        return 0
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    plan = QUICK if arguments.quick else Plan()
    results = (json.loads(RESULTS.read_text()) if arguments.resume else
               {"machine": report.machine(), "plan": dataclasses.asdict(plan)})
    play(arguments.only, plan, arguments.runs, results)
    if set(arguments.only) == set(SCENARIOS) and not arguments.quick:
        report.write(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
