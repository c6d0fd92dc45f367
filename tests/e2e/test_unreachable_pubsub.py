"""Pub/Sub out of reach under load: orders are taken, wait, and are paid once it is back."""

import time

import pytest

from client import Client, item, order_body, expect, stock_shelves
from metrics import metrics_of
from server import LoadDriver
from services import make_services, make_unordered
from tcp_proxy import TcpProxy
from waiting import wait_until

AWAY_SECONDS = 10
# The emulator delivers again what was on lease over a line that broke when it comes to it.
SETTLE_SECONDS = 600
# Each has one order under way. Few, because what is taken while Pub/Sub is away is published afterwards.
CLIENTS = 4


@pytest.fixture
def line(emulator):
    proxy = TcpProxy(emulator.port)
    yield proxy
    proxy.close()


def backlog(server):
    """Events that wait for their publication, and the age of the oldest in seconds."""
    found = metrics_of(server)
    return [found[f'{name}{{service="order"}}'] for name in ("outbox_rows", "outbox_oldest_age_seconds")]


@pytest.mark.parametrize("how", ["cut", "silent"])
def test_pubsub_out_of_reach_under_load(how, line, make_server, emulator, database_server, tmp_path):
    database, name = database_server("postgresql"), f"unreachable_{how}"
    project = emulator.new_project(f"unreachable-{how}")
    make_unordered(project)
    urls = database.make_shop(name)
    bus = {**project, "PUBSUB_EMULATOR_HOST": f"127.0.0.1:{line.port}"}
    orders, payments = make_services(make_server, bus, urls)
    orders.start()
    payments.start()
    stock_shelves(Client(orders.url).login(*orders.admin_credentials()))
    customer = Client(orders.url).register("Ada Byron")
    ids_file = tmp_path / "ids"
    load = LoadDriver(tmp_path, "--url", orders.url, "--clients", CLIENTS, "--users", CLIENTS, "--seconds",
                      600, "--tolerate-disconnects", "--ids-file", ids_file)
    wait_until(lambda: ids_file.exists() and ids_file.stat().st_size > 0, 20, "the first order")
    time.sleep(2)

    (line.cut if how == "cut" else line.fall_silent)()
    time.sleep(AWAY_SECONDS / 2)
    rows, age_seconds = backlog(orders)
    waiting = expect(customer.post("/orders", order_body(item())), 201).json()
    time.sleep(AWAY_SECONDS / 2)
    assert customer.order(waiting["id"])["status"] == "PENDING"
    rows_later, age_seconds_later = backlog(orders)
    assert 0 < rows < rows_later and 0 < age_seconds < age_seconds_later
    assert age_seconds_later > AWAY_SECONDS / 2, "older than what was taken while Pub/Sub was away"
    line.restore()
    back = time.monotonic()
    customer.wait_for_order(waiting["id"], seconds=SETTLE_SECONDS, status="PAID")
    delay = time.monotonic() - back
    report = load.stop()
    assert report["errors"] == 0, report["errorsByKind"]

    ids = set(ids_file.read_text().split()) | {waiting["id"]}
    unpaid = "SELECT COUNT(*) FROM orders WHERE status <> 'PAID'"
    wait_until(lambda: database.sql(unpaid, f"{name}_orders") == [["0"]], SETTLE_SECONDS,
               "every order to be PAID")
    stored = {row[0] for row in database.sql("SELECT id FROM orders", f"{name}_orders")}
    assert ids <= stored, f"lost: {sorted(ids - stored)[:10]}"
    wait_until(lambda: backlog(orders) == [0, 0], 10, "the metrics to say that nothing waits any more")
    charges = database.sql("SELECT order_id FROM payments WHERE captured_amount > 0", f"{name}_payments")
    assert len(charges) == len({row[0] for row in charges}) == len(stored), "not charged exactly once"
    listed = emulator.quittance("dead-letters", "list", environment={**project, **urls})
    assert (listed.returncode, listed.stdout) == (0, "")
    assert orders.is_running() and payments.is_running()
    print(f"{how}: {len(stored)} orders, all PAID; one placed while Pub/Sub was away {delay:.1f} s after its "
          f"return, the last after {time.monotonic() - back:.1f} s")
