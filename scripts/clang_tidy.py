#!/usr/bin/python3
"""Runs clang-tidy over the .cpp files of src/ that a build folder compiles, tests left out. A file that
passed is not looked at again until something that it is made of changes: its text, a header of ours,
its compile command, .clang-tidy or clang-tidy itself.

Usage: clang_tidy.py BUILD_FOLDER [JOBS]"""

import concurrent.futures
import functools
import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"
CLANG_TIDY = "clang-tidy-14"
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
# What GCC understands and Clang does not; the files of a precompiled header are GCC's own.
GCC_ONLY = {"-fpch-preprocess", "-Wno-tsan", "-Wno-maybe-uninitialized", "-Winvalid-pch"}


def clang_arguments(command):
    """The options of a GCC compile command that matter for reading the code."""
    words = iter(shlex.split(command))
    kept = []
    for word in words:
        if word in ("-o", "-c", "-include", "-MF", "-MT"):
            next(words)
        elif word == "-isystem":
            kept += [word, next(words)]
        elif word.startswith(("-I", "-D", "-std=", "-W", "-f")) and word not in GCC_ONLY:
            kept.append(word)
    return kept + ["-Wno-unknown-warning-option"]


@functools.lru_cache(maxsize=None)
def included(path):
    """The headers of ours that a file includes by itself."""
    found = (SOURCE / name for name in INCLUDE.findall(path.read_text(encoding="utf-8")))
    return tuple(header for header in found if header.is_file())


def with_headers(path):
    """The file and every header of ours behind it."""
    seen = {path}
    waiting = [path]
    while waiting:
        for header in included(waiting.pop()):
            if header not in seen:
                seen.add(header)
                waiting.append(header)
    return sorted(seen)


def fingerprint(path, arguments, tool):
    digest = hashlib.sha256()
    for part in [tool, (ROOT / ".clang-tidy").read_text(encoding="utf-8"), *arguments]:
        digest.update(part.encode() + b"\0")
    for part in with_headers(path):
        digest.update(str(part.relative_to(ROOT)).encode() + b"\0" + part.read_bytes() + b"\0")
    return digest.hexdigest()


def examine(path, arguments, passed):
    """Empty when the file is fine, else what is wrong with it."""
    if passed.exists():
        return ""
    run = subprocess.run([CLANG_TIDY, "--quiet", str(path), "--", *arguments], cwd=ROOT, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if run.returncode == 0:
        passed.touch()
        return ""
    noise = re.compile(r"^\d+ warnings? generated", re.MULTILINE)
    return run.stdout + "".join(line for line in run.stderr.splitlines(True) if not noise.match(line))


def main():
    build = ROOT / sys.argv[1]
    jobs = int(sys.argv[2]) if len(sys.argv) > 2 else os.cpu_count()
    cache = ROOT / "build" / "clang-tidy"
    cache.mkdir(parents=True, exist_ok=True)
    tool = subprocess.run([CLANG_TIDY, "--version"], capture_output=True, text=True, check=True).stdout

    commands = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))
    files = {}
    for entry in commands:
        path = pathlib.Path(entry["file"])
        if SOURCE in path.parents and not path.name.endswith("_test.cpp"):
            files[path] = clang_arguments(entry["command"])

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        complaints = pool.map(
            lambda item: examine(*item, cache / fingerprint(*item, tool)), sorted(files.items()))
        faulty = [complaint for complaint in complaints if complaint]
    for complaint in faulty:
        print(complaint)
    print(f"clang-tidy: {len(files)} files, {len(faulty)} with faults")
    return 1 if faulty else 0


if __name__ == "__main__":
    sys.exit(main())
