#!/usr/bin/python3
"""Counts the instructions of fixed work with callgrind and compares them with the stored budget.

Usage: instruction_budget.py PROGRAM [--store]

Fails when anything costs over 5 % more than bench/instruction_budget.json says. What has become cheaper by as
much is said too: then --store writes the new figures, which are the budget from then on."""

import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

BUDGET = pathlib.Path(__file__).resolve().with_suffix(".json")
TOLERANCE = 0.05


def count(program):
    """Instructions for one of each, by name."""
    with tempfile.TemporaryDirectory(prefix="quittance-instructions-") as folder:
        folder = pathlib.Path(folder)
        data = folder / "data"
        data.mkdir()
        done = subprocess.run(
            [shutil.which("valgrind") or "valgrind", "--tool=callgrind", "--instr-atstart=no",
             f"--callgrind-out-file={folder}/out", program, data],
            text=True, capture_output=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{program} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        times = {name: int(number) for name, number in
                 (line.split("\t") for line in done.stdout.splitlines())}
        counted = {}
        for dump in folder.glob("out.*"):
            text = dump.read_text()
            trigger = re.search(r"^desc: Trigger: Client Request: (.+)$", text, re.MULTILINE)
            if trigger:
                total = int(re.search(r"^totals: (\d+)", text, re.MULTILINE).group(1))
                counted[trigger.group(1)] = round(total / times[trigger.group(1)])
        if counted.keys() != times.keys():
            sys.exit(f"callgrind wrote {sorted(counted)}, the program did {sorted(times)}")
        return counted


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--store", action="store_true", help="make what was counted the budget")
    arguments = parser.parse_args()
    counted = count(arguments.program)
    if arguments.store:
        BUDGET.write_text(json.dumps(counted, indent=1) + "\n")
    budget = json.loads(BUDGET.read_text())
    failed = False
    for name in sorted(budget.keys() | counted.keys()):
        now, allowed = counted.get(name), budget.get(name)
        if now is None or allowed is None:
            print(f"{name}: counted {now}, budget {allowed}: both have to be there")
            failed = True
            continue
        change = now / allowed - 1
        note = ""
        if change > TOLERANCE:
            note, failed = "  TOO MUCH", True
        elif change < -TOLERANCE:
            note = "  cheaper: store it with --store"
        print(f"{name:18} {now:>9} instructions, budget {allowed:>9}  {change:+.1%}{note}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
