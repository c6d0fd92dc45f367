"""The programs on the tables of a large shop: audits beside a running service, and what a long outage of the
broker leaves in the outbox. Takes a quarter of an hour, so `make test-size` runs it and `make test` does not."""

import os
import subprocess
import threading
import time

import pytest
import requests

from client import Client, expect, item, order_body, stock_shelves
from server import ORDER_SERVICE, PROGRAMS, QUITTANCE, LoadDriver, run_quittance
from tcp_proxy import TcpProxy

ROWS = int(os.environ.get("QUITTANCE_TEST_ROWS", "1000000"))
OUTBOX_ROWS = 3 * ROWS
LOAD_SECONDS = 20
AWAY_SECONDS = 60
# Connections that keep a service of two cores busy, as in the benchmarks.
CLIENTS = 64
MOST_GROWTH_KB = 16 * 1024


def fill(shop, *arguments):
    subprocess.run([PROGRAMS / "fill-tables", "--orders", shop["DATABASE_URL"], "--payments",
                    shop["PAYMENTS_DATABASE_URL"], *map(str, arguments)], check=True, timeout=3600)


def let_rest(database, name):
    """Does at once what PostgreSQL would do by itself in the minutes after a filling, beside the orders."""
    for service in ("orders", "payments"):
        database.sql("VACUUM ANALYZE", f"{name}_{service}")
    database.sql("CHECKPOINT", f"{name}_orders")


class Measured:
    """A command that runs to its end: what it said, how long it took, the most memory that it had."""

    def __init__(self, *arguments, environment):
        started = time.monotonic()
        process = subprocess.Popen([QUITTANCE, *arguments], env={**os.environ, **environment}, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.code = process.returncode
        self.seconds = time.monotonic() - started
        self.megabytes = usage.ru_maxrss / 1024

    def __str__(self):
        return f"{self.seconds:.1f} s, {self.megabytes:.0f} MB; {self.output.strip().splitlines()[-1]}"


def order_rate(server, folder, seconds=LOAD_SECONDS):
    """Orders a second that are stored."""
    load = LoadDriver(folder, "--url", server.url, "--clients", CLIENTS, "--users", CLIENTS, "--seconds", seconds)
    report = load.finish(seconds + 120)
    assert report["errors"] == 0, report["errorsByKind"]
    return report["acceptedPerSecond"]


@pytest.mark.parametrize("command", [("ledger", "verify"), ("reconcile", "--orders")], ids=["ledger", "orders"])
def test_an_audit_of_a_large_shop_leaves_its_orders_their_rate(command, database_server, make_server, tmp_path):
    database, name = database_server("postgresql"), f"large_{command[0]}"
    shop = database.make_shop(name)
    server = make_server(environment=shop)
    server.start()
    stock_shelves(Client(server.url).login(*server.admin_credentials()))
    fill(shop, "--rows", ROWS)
    let_rest(database, name)
    alone = Measured(*command, environment=shop)
    assert alone.code == 0, alone
    small = database.make_shop(f"small_{command[0]}")
    assert run_quittance("migrate", environment=small).returncode == 0
    fill(small, "--rows", max(ROWS // 100, 1))
    of_small = Measured(*command, environment=small)
    assert alone.megabytes < of_small.megabytes + 16, "memory grows with the tables"

    order_rate(server, tmp_path)  # The server's caches are cold after the filling.
    before = order_rate(server, tmp_path)
    stopping = threading.Event()
    beside = []

    def audit():
        while not stopping.is_set():
            beside.append(Measured(*command, environment=shop))

    auditor = threading.Thread(target=audit)
    auditor.start()
    during = order_rate(server, tmp_path)
    stopping.set()
    auditor.join()
    after = order_rate(server, tmp_path)
    assert all(one.code == 0 for one in beside), beside[-1]
    ratio = during / ((before + after) / 2)
    print(f"{' '.join(command)}: {ROWS} orders: {alone}; of {max(ROWS // 100, 1)}: {of_small}; beside full load: "
          f"{beside[0]}; {before:.0f} orders/s before, {during:.0f} beside it, {after:.0f} after: {ratio:.2f}")
    assert ratio >= 0.9


class Readiness:
    """Asks each of the servers every half second; `unready` are the answers other than 200."""

    def __init__(self, *servers):
        self.asked, self.unready = 0, []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(servers,))
        self._thread.start()

    def _watch(self, servers):
        while not self._stopping.wait(0.5):
            for server in servers:
                answer = requests.get(f"{server.url}/health/ready", timeout=30)
                self.asked += 1
                if answer.status_code != 200:
                    self.unready.append(answer.text)

    def stop(self):
        self._stopping.set()
        self._thread.join()


def test_a_long_outage_of_the_broker_keeps_no_order_waiting(database_server, emulator, make_server):
    """That what waits is published at its usual rate afterwards is not tried: the emulator takes longer for each
    ordering key that it has met."""
    database = database_server("postgresql")
    shop = database.make_shop("outage")
    line = TcpProxy(emulator.port)
    bus = {**emulator.new_project("outage"), "PUBSUB_EMULATOR_HOST": f"127.0.0.1:{line.port}"}
    environment = {**bus, "DATABASE_URL": shop["DATABASE_URL"]}
    assert run_quittance("migrate", environment=shop).returncode == 0
    servers = [make_server(name, environment, command=[ORDER_SERVICE]) for name in ("first", "second")]
    for server in servers:
        server.start()
    stock_shelves(Client(servers[0].url).login(*servers[0].admin_credentials()))
    customer = Client(servers[0].url).register("Ada Byron")

    line.cut()
    fill(shop, "--outbox-rows", OUTBOX_ROWS)
    let_rest(database, "outage")
    memory = [server.memory_kilobytes() for server in servers]
    readiness = Readiness(*servers)
    slowest = 0.0
    end = time.monotonic() + AWAY_SECONDS
    while time.monotonic() < end:
        asked = time.monotonic()
        expect(customer.post("/orders", order_body(item())), 201)
        slowest = max(slowest, time.monotonic() - asked)
        time.sleep(0.1)
    readiness.stop()
    grown = [server.memory_kilobytes() - before for server, before in zip(servers, memory)]
    for server in servers:
        server.stop()
    line.close()
    print(f"{OUTBOX_ROWS} events waited: memory grew by {max(grown)} kB in {AWAY_SECONDS} s, an order took "
          f"{slowest * 1000:.0f} ms at most, readiness was asked {readiness.asked} times")
    assert readiness.unready == []
    assert max(grown) < MOST_GROWTH_KB
    assert slowest < 1
