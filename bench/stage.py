"""What a scenario is played on: servers, services, customers, and an account of who used the processor."""

import contextlib
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests/e2e"))

# pylint: disable=wrong-import-position
from client import Client  # noqa: E402
from databases import DatabaseServer  # noqa: E402
from emulator import Emulator  # noqa: E402
from forging import Forger  # noqa: E402
from server import LOAD_DRIVER, ORDER_SERVICE, PAYMENT_SERVICE, PROGRAMS, Server, free_port  # noqa: E402
from services import keys_of, make_unordered  # noqa: E402

LIMITS = PROGRAMS / "limits"
CUSTOMERS = 1000
PRODUCTS = 1000
BODIES = 4096
TICKS = os.sysconf("SC_CLK_TCK")
# Durable as PostgreSQL is by itself; only sized for a server and not for a laptop.
POSTGRESQL_SETTINGS = {"shared_buffers": "1GB", "max_wal_size": "8GB", "fsync": "on",
                       "synchronous_commit": "on", "full_page_writes": "on"}
# It keeps every message, acknowledged or not, and does nothing but collect garbage when its heap is full.
EMULATOR_HEAP = "4g"


def processor_seconds(pid):
    """Of a process and all that it has started, the ended ones included."""
    def of_one(one):
        fields = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:15]))

    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        with contextlib.suppress(OSError):
            total += of_one(one)
            for task in pathlib.Path(f"/proc/{one}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
    return total / TICKS


def memory_megabytes(pid, field="VmRSS"):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE).group(1)) / 1024


class Stage(contextlib.ExitStack):
    """Everything on it ends with it."""

    def __init__(self):
        super().__init__()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="quittance-bench-"))
        self.callback(shutil.rmtree, self.folder)
        self.watched = {}
        self.orders = None
        self.admin = None
        self.customers = []
        self.forger = None

    def postgresql(self):
        server = DatabaseServer("postgresql", free_port(), POSTGRESQL_SETTINGS)
        self.callback(server.end)
        self.watched["database"] = server.process.pid
        return server

    def emulator(self):
        emulator = Emulator(EMULATOR_HEAP)
        self.callback(emulator.stop)
        self.watched["emulator"] = emulator.process.pid
        return emulator

    def start(self, name, environment, **options):
        server = Server(self.folder / name, environment, **options).start()
        self.callback(server.stop)
        self.watched[name] = server.process.pid
        return server

    def all_in_one(self, environment=None):
        self.orders = self.start("quittance", environment)
        return self.orders

    def order_service(self, environment):
        self.orders = self.start("order-service", environment, command=(ORDER_SERVICE,))
        return self.orders

    def payment_service(self, environment):
        return self.start("payment-service", {**environment, **keys_of(self.orders)},
                          command=(PAYMENT_SERVICE,), demo=False)

    def echo(self):
        """The HTTP server alone; its address."""
        port = free_port()
        process = subprocess.Popen([LIMITS, "echo", "--port", str(port)])
        self.callback(process.wait)
        self.callback(process.terminate)
        self.watched["echo"] = process.pid
        time.sleep(0.5)
        return f"http://127.0.0.1:{port}"

    def two_services(self):
        """Over the emulator, each on a database of its own. The subscriptions are unordered: for ordered ones
        the emulator searches all keys that it has seen, and every order is one."""
        databases = self.postgresql().make_shop("shop")
        bus = self.emulator().environment
        make_unordered(bus)
        self.order_service({**bus, "DATABASE_URL": databases["DATABASE_URL"]})
        self.payment_service({**bus, "DATABASE_URL": databases["PAYMENTS_DATABASE_URL"]})

    def fill(self):
        """A catalogue of a thousand products, and tokens of a thousand customers."""
        admin = Client(self.orders.url).login(*self.orders.admin_credentials())
        chance = random.Random(1)
        skus = [f"bench-{number:04}" for number in range(PRODUCTS)]
        for sku in skus:
            product = {"name": f"Product {sku}", "unitPrice": chance.randint(100, 9999), "currency": "EUR",
                       "active": True}
            assert admin.request("PUT", f"/products/{sku}", json=product).status_code == 201
        self.forger = Forger(admin.token, self.orders.signing_key_file())
        self.customers = [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(CUSTOMERS)]
        bodies = []
        for _ in range(BODIES):
            items = [{"productId": sku, "quantity": chance.randint(1, 3)}
                     for sku in chance.sample(skus, chance.randint(1, 5))]
            bodies.append(json.dumps({"items": items, "paymentMethod": "pm_card_visa"}))
        self.bodies_file().write_text("\n".join(bodies) + "\n")
        self.admin = admin

    def tokens_file(self):
        """With tokens that are good for a quarter of an hour from now: no service accepts a longer life."""
        end = int(time.time()) + 15 * 60
        tokens = [self.forger.sign(sub=customer, role="CUSTOMER", exp=end) for customer in self.customers]
        file = self.folder / "tokens"
        file.write_text("\n".join(tokens) + "\n")
        return file

    def bodies_file(self):
        return self.folder / "bodies"

    def reads_file(self, owners_and_orders):
        """For `orders.lua`: whose token reads which order."""
        token_numbers = {customer: number for number, customer in enumerate(self.customers, start=1)}
        file = self.folder / "reads"
        file.write_text("".join(f"{token_numbers[owner]} {order}\n" for owner, order in owners_and_orders))
        return file

    @contextlib.contextmanager
    def profiled(self, pid):
        """Yields a dictionary which the end of the block fills with the shares of libraries and functions."""
        data, found = self.folder / "perf.data", {}
        perf = subprocess.Popen(["perf", "record", "--quiet", "-F", "499", "-o", data, "-p", str(pid)])
        try:
            yield found
        finally:
            perf.send_signal(signal.SIGINT)
            perf.wait()
        for name, keys in {"libraries": "dso", "functions": "dso,symbol"}.items():
            text = subprocess.run(["perf", "report", "--stdio", "--quiet", "--no-children", "-i", data, "--sort", keys,
                                   "--field-separator", "\t"], text=True, capture_output=True, check=True).stdout
            lines = [line.split("\t") for line in text.splitlines() if line.strip() and not line.startswith("#")]
            found[name] = [[float(share.strip().rstrip("%")), *map(str.strip, rest)] for share, *rest in lines[:20]]

    @contextlib.contextmanager
    def account(self, into):
        """Notes in `into` how many processor seconds each program used inside the block."""
        def seconds():
            ended = resource.getrusage(resource.RUSAGE_CHILDREN)
            return {**{name: processor_seconds(pid) for name, pid in self.watched.items()},
                    "load generator": ended.ru_utime + ended.ru_stime}

        before, begin = seconds(), time.monotonic()
        yield
        into["wallSeconds"] = time.monotonic() - begin
        into["processorSeconds"] = {name: used - before[name] for name, used in seconds().items()}

    def load(self, *arguments):
        """One run of the load driver; fails unless every order is accounted for."""
        report_file = self.folder / "load.json"
        report_file.unlink(missing_ok=True)
        figures = {}
        # Who sends at fixed times must not wait for a processor; elsewhere it would have its own.
        first = ["nice", "-n", "-10"] if "--rate" in arguments else []
        with self.account(figures):
            done = subprocess.run(
                [*first, LOAD_DRIVER, "--url", self.orders.url, "--tokens-file", self.tokens_file(),
                 "--product-count", str(PRODUCTS), "--json", report_file, *map(str, arguments)],
                text=True, capture_output=True, check=False)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{self.orders.last_log()}"
        return {**json.loads(report_file.read_text()), **figures}

    def wrk(self, url, script, *arguments, connections=128, seconds=10):
        figures = {}
        with self.account(figures):
            done = subprocess.run(
                ["wrk", "-t2", f"-c{connections}", f"-d{seconds}s", "--latency", "-s",
                 REPOSITORY / "bench/wrk" / script, url, "--", *map(str, arguments)],
                text=True, capture_output=True, check=True)
        return {**figures, **parse_wrk(done.stdout)}


def parse_wrk(text):
    def number(pattern, default=None):
        found = re.search(pattern, text, re.MULTILINE)
        return float(found.group(1)) if found else default

    def milliseconds(share):
        value, unit = re.search(rf"^\s+{share}%\s+([\d.]+)(us|ms|s)$", text, re.MULTILINE).groups()
        return float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]

    errors = int(number(r"^\s+Non-2xx or 3xx responses: (\d+)", 0))
    socket_errors = re.search(r"^\s+Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text,
                              re.MULTILINE)
    return {"perSecond": number(r"^Requests/sec:\s+([\d.]+)"), "requests": int(number(r"^\s+(\d+) requests in")),
            "errors": errors + (sum(map(int, socket_errors.groups())) if socket_errors else 0),
            "latencyMs": {"p50": milliseconds(50), "p99": milliseconds(99)}}


def limit(*arguments):
    done = subprocess.run([LIMITS, *map(str, arguments)], text=True, capture_output=True, check=True)
    return json.loads(done.stdout)
