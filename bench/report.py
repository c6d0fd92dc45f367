"""Turns results into docs/benchmarks.md and its charts."""

import pathlib
import platform
import re
import statistics
import subprocess

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
PAGE = REPOSITORY / "docs/benchmarks.md"
NOTES = REPOSITORY / "bench/notes.md"
CHARTS = REPOSITORY / "docs/benchmarks"


def machine():
    def first_line(*command):
        done = subprocess.run(command, text=True, capture_output=True, check=False)
        return (done.stdout or done.stderr).splitlines()[0]

    cpu = pathlib.Path("/proc/cpuinfo").read_text()
    memory = pathlib.Path("/proc/meminfo").read_text()
    return {
        "processor": re.search(r"^model name\s*: (.*)$", cpu, re.MULTILINE).group(1),
        "cores": len(re.findall(r"^processor\s*:", cpu, re.MULTILINE)),
        "memory": f"{int(re.search(r'^MemTotal: +([0-9]+)', memory).group(1)) / 2**20:.0f} GiB",
        "kernel": platform.release(),
        "compiler": first_line("c++", "--version"),
        "PostgreSQL": first_line("psql", "--version"),
        "revision": first_line("git", "-C", str(REPOSITORY), "rev-parse", "--short", "HEAD"),
    }


def one_line(figures):
    shown = ("perSecond", "acceptedPerSecond", "paidPerSecond", "busy", "latencyMs", "paidAfterMs", "ratio",
             "pageMs", "startMs", "processorSeconds")
    return "  ".join(f"{name} {_short(figures[name])}" for name in shown if name in figures)


def _short(value):
    if isinstance(value, dict):
        return "/".join(_short(one) for one in value.values())
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


class Figures:
    """The runs of one scenario; a figure is named by its path, such as "latencyMs.p99"."""

    def __init__(self, runs):
        self._runs = runs

    def values(self, path):
        found = []
        for value in self._runs:
            for name in path.split("."):
                value = value[name]
            found.append(value)
        return found

    def median(self, path):
        return statistics.median(self.values(path))

    def text(self, path, digits=0):
        """The median, and how far the runs lie apart."""
        values = self.values(path)
        return (f"{statistics.median(values):,.{digits}f} "
                f"({min(values):,.{digits}f}–{max(values):,.{digits}f})").replace(",", " ")


def _row(name, figure, target, ratio, held):
    """`ratio` is the measured value in parts of the target."""
    return f"| {name} | {figure} | {target} | {'yes' if held else f'**no**, {ratio:.2f} of it'} |"


def _below(name, figures, path, limit, unit, digits=0):
    median = figures.median(path)
    return _row(name, f"{figures.text(path, digits)} {unit}", f"< {limit} {unit}", median / limit, median < limit)


def _at_least(name, figures, path, limit, unit="", digits=0):
    median = figures.median(path)
    return _row(name, f"{figures.text(path, digits)}{unit}", f"≥ {limit}{unit}", median / limit, median >= limit)


def _share(name, figures, whole, limit):
    """Of a limit that was measured in the same run."""
    ratio = figures.median("perSecond") / whole.median("perSecond")
    return _row(name, f"{ratio:.2f} ({figures.text('perSecond')}/s of {whole.text('perSecond')}/s)",
                f"≥ {limit:.2f}", ratio / limit, ratio >= limit)


def _target_rows(results):
    figures = {name: Figures(runs) for name, runs in results["runs"].items()}
    post, steady, many = figures["POST /orders"], figures["open loop, 1000/s"], figures["many stored"]
    stored = f"{results['plan']['stored_orders']:,}".replace(",", " ")
    return [
        _share("`POST /orders`, PostgreSQL, 128 connections, of the raw rate of the database", post,
               figures["raw database"], 0.4),
        _below("— its p99", post, "latencyMs.p99", 50, "ms", 1),
        _share("`GET /orders/{id}`, PostgreSQL, of the HTTP echo", figures["GET /orders/{id}"],
               figures["echo GET"], 0.5),
        _at_least("order → PAID, all-in-one on PostgreSQL", figures["paid, PostgreSQL"], "paidPerSecond", 4000,
                  "/s"),
        _at_least("order → PAID, two services on PostgreSQL, Google's emulator", figures["paid, two services"],
                  "paidPerSecond", 2000, "/s"),
        _at_least("order → PAID, all-in-one on SQLite", figures["paid, SQLite"], "paidPerSecond", 6000, "/s"),
        _below("1 000 orders/s, PostgreSQL: `POST` p99", steady, "latencyMs.p99", 20, "ms", 1),
        _below("— order → PAID p99", steady, "paidAfterMs.p99", 150, "ms"),
        _at_least(f"{stored} orders stored: rate of that on an empty database", many, "ratio", 0.8, digits=2),
        _below("— list page p99 at any depth", many, "pageMs.p99", 10, "ms", 1),
        _below("three times what it carries: p99 of the accepted", figures["overload"], "latencyMs.p99", 250,
               "ms"),
        _below("— memory at its peak", figures["overload"], "memoryPeak.quittance", 200, "MiB"),
        _below("start → ready, existing data", figures["start"], "startMs", 50, "ms"),
        *_memory_rows(figures, "idle", "memoryIdle", 30),
        *_memory_rows(figures, "at full load", "memoryPeak", 120),
    ]


def _memory_rows(figures, moment, path, limit):
    for scenario, program in (("paid, SQLite", "quittance"), ("paid, PostgreSQL", "quittance"),
                              ("paid, two services", "order-service"), ("paid, two services", "payment-service")):
        yield _below(f"resident memory {moment}: `{program}`, {scenario.removeprefix('paid, ')}",
                     figures[scenario], f"{path}.{program}", limit, "MiB", 1)


def _limit_rows(results):
    figures = {name: Figures(runs) for name, runs in results["runs"].items()}
    for name, what in (("raw database", "orders inserted a second, by two connections in batches of 256"),
                       ("echo POST", "requests a second, the body sent back"),
                       ("echo GET", "requests a second, answered with a fixed text"),
                       ("raw bus", "messages a second through the embedded bus, one publisher and one consumer")):
        yield f"| {name} | {figures[name].text('perSecond')} | {what} |"


def _processor_rows(results):
    for name in ("paid, SQLite", "paid, PostgreSQL", "paid, two services"):
        for program in results["runs"][name][0]["processorSeconds"]:
            runs = Figures(results["runs"][name])
            micros = [seconds / paid * 1e6 for seconds, paid in
                      zip(runs.values(f"processorSeconds.{program}"), runs.values("paid"))]
            share = [seconds / wall for seconds, wall in
                     zip(runs.values(f"processorSeconds.{program}"), runs.values("wallSeconds"))]
            yield (f"| {name} | {program} | {statistics.median(micros):.0f} µs "
                   f"| {statistics.median(share):.2f} cores |")


def _profile_rows(profile):
    """The libraries first, then the functions with the largest shares."""
    for share, library in profile["libraries"][:8]:
        yield f"| {share:.1f} % | all of `{library}` |"
    for share, library, symbol, *_ in profile["functions"][:12]:
        name = re.sub(r"^\[[.k]\] ", "", symbol)
        name = re.sub(r"<.*", "<…>", name)
        yield f"| {share:.1f} % | `{name}` in `{library}` |"


def _open_loop(results):
    """The rates and their figures, slowest first."""
    found = [(re.fullmatch(r"open loop, (\d+)/s", name), Figures(runs)) for name, runs in results["runs"].items()]
    return sorted(((int(name.group(1)), figures) for name, figures in found if name), key=lambda one: one[0])


def _open_loop_rows(results):
    for rate, figures in _open_loop(results):
        shares = [busy / (busy + accepted) for busy, accepted in
                  zip(figures.values("busy"), figures.values("accepted"))]
        micros = [used / paid * 1e6 for used, paid in
                  zip(figures.values("processorSeconds.quittance"), figures.values("paid"))]
        yield (f"| {rate} | {figures.median('latencyMs.p50'):.1f} · {figures.median('latencyMs.p99'):.1f} "
               f"| {figures.median('paidAfterMs.p50'):.0f} · {figures.median('paidAfterMs.p99'):.0f} "
               f"| {statistics.median(shares) * 100:.2f} % | {statistics.median(micros):.0f} µs |")


def _chart(results):
    """Latency against the arrival rate, from the open-loop scenarios."""
    CHARTS.mkdir(exist_ok=True)
    rows = [[rate, figures.median("latencyMs.p50"), figures.median("latencyMs.p99"),
             figures.median("paidAfterMs.p50"), figures.median("paidAfterMs.p99")]
            for rate, figures in _open_loop(results)]
    data = "\n".join(" ".join(f"{value:.3f}" for value in row) for row in rows)
    titles = ("POST p50", "POST p99", "PAID p50", "PAID p99")
    plots = ", ".join(f"$data using 1:{column} with linespoints linewidth 2 title '{title}'"
                      for column, title in enumerate(titles, start=2))
    script = (f"set terminal svg size 760,420 background 'white'\nset output '{CHARTS / 'latency.svg'}'\n"
              "set xlabel 'orders a second, at fixed times'\nset ylabel 'ms'\nset logscale y\nset grid\n"
              f"set key left top\n$data << EOD\n{data}\nEOD\nplot {plots}\n")
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def write(results):
    _chart(results)
    runs = max(map(len, results["runs"].values()))
    facts = "\n".join(f"- {name}: {value}" for name, value in results["machine"].items())
    PAGE.write_text(f"""# Benchmarks

`make bench` wrote this page. Everything runs on one machine, load generator and database included; each figure is the median of {runs} runs, with the lowest and the highest beside it. Every accepted order was looked up afterwards: a scenario with one that is missing or not PAID fails.

{facts}

PostgreSQL has fsync, synchronous_commit and full_page_writes on. The load comes from 1 000 customers, who order 1 to 5 of 1 000 products. `wrk` measures the ceilings of `POST` and `GET` (closed loop, 128 connections, two threads); the load driver of `bench/` measures the rest. With a fixed arrival rate latencies count from the moment at which an order was due, so that nothing hides in a queue.

## Targets

| scenario | measured | target | held |
|---|---|---|---|
{chr(10).join(_target_rows(results))}

Over the emulator the two services use subscriptions without order: with it the emulator slows down with every ordering key, and each order is one. It has ten seconds to warm up, in which Java compiles it, and 4 GiB of heap. Its share of the processor is below. The raw rate is that of the same rows through the same statements from two connections, with nothing else running. For `POST /orders` alone the broker is frozen: what follows an order waits in the outbox.

## Limits

What the parts do alone, in the same run.

| limit | a second | what |
|---|---|---|
{chr(10).join(_limit_rows(results))}

## Latency against load

All-in-one on PostgreSQL, {results['plan']['seconds']} s at each rate, {results['plan']['long_seconds']} s at 1 000 a second.

![Latency against load](benchmarks/latency.svg)

| orders a second | `POST` p50 · p99, ms | order → PAID p50 · p99, ms | refused | `quittance`, for each order |
|---|---|---|---|---|
{chr(10).join(_open_loop_rows(results))}

## Where the processor goes

Processor time for each order that was carried to PAID, checking it afterwards included.

| scenario | program | for each order | on average |
|---|---|---|---|
{chr(10).join(_processor_rows(results))}

The top of the profile of the all-in-one on PostgreSQL while it carries orders, by `perf`, without PostgreSQL's own processes:

| share | where |
|---|---|
{chr(10).join(_profile_rows(results["runs"]["profile"][0]))}

{NOTES.read_text()}""")
