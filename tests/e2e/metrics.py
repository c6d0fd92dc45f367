"""What a server says at /metrics."""

import re

import requests


def samples(text):
    """The samples of Prometheus' text format, as {name{labels}: value}; fails on a line that is none."""
    label = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
    name = rf"[a-zA-Z_:][a-zA-Z0-9_:]*(?:\{{(?:{label}(?:,{label})*,?)?\}})?"
    sample = re.compile(rf"^({name}) (\S+)(?: -?\d+)?$")
    found = {}
    for line in text.splitlines():
        if not line or re.match(r"^# (HELP|TYPE) [a-zA-Z_:][a-zA-Z0-9_:]*( .*)?$", line):
            continue
        match = sample.match(line)
        assert match, f"not a sample: {line!r}"
        assert match.group(1) not in found, f"twice: {line!r}"
        found[match.group(1)] = float(match.group(2))
    return found


def metrics_of(server):
    return samples(requests.get(f"{server.url}/metrics", timeout=30).text)
