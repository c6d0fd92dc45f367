"""Database servers whose limits are low: batches become smaller, and a request that fits no statement is answered."""

import pytest

from client import Client, expect, expect_problem, item, order_body, stock_shelves
from databases import DatabaseServer
from metrics import metrics_of
from server import LoadDriver, free_port, run_quittance
from waiting import wait_until

LOAD_SECONDS = 5
DRAIN_SECONDS = 120
CLIENTS = 64
# Of MySQL and MariaDB: more than an order needs, and less than 64 of them, or one with 100 long lines.
PACKET_BYTES = 24 * 1024
LOW_IN_POSTGRESQL = {"work_mem": "64kB", "max_locks_per_transaction": 10, "max_connections": 20}


@pytest.fixture(params=["mysql", "mariadb", "postgresql"])
def limited(request):
    settings = LOW_IN_POSTGRESQL if request.param == "postgresql" else None
    server = DatabaseServer(request.param, free_port(), settings)
    yield server
    server.end()


def test_low_limits_make_small_batches_and_lose_nothing(limited, make_server, tmp_path):
    shop = limited.make_shop("limits")
    assert run_quittance("migrate", environment=shop).returncode == 0
    if limited.engine != "postgresql":
        limited.sql(f"SET GLOBAL max_allowed_packet = {PACKET_BYTES}")
    server = make_server(environment=shop).start()
    admin = Client(server.url).login(*server.admin_credentials())
    stock_shelves(admin)
    expect(admin.put("/products/long", {"name": "Ü" * 200, "unitPrice": 100, "currency": "EUR"}), 201)
    ids_file = tmp_path / "ids"
    load = LoadDriver(tmp_path, "--url", server.url, "--clients", CLIENTS, "--users", CLIENTS, "--seconds", LOAD_SECONDS,
                      "--ids-file", ids_file)
    report = load.finish(120)
    # Small batches are slow, so some requests find too many ahead of them.
    assert set(report["errorsByKind"]) <= {"status 503"}, report["errorsByKind"]
    assert report["missing"] == 0, report
    stored = len(ids_file.read_text().split())
    assert stored > 10 * CLIENTS
    paid = "SELECT COUNT(*) FROM orders WHERE status = 'PAID'"
    wait_until(lambda: limited.sql(paid, "limits_orders") == [[str(stored)]], DRAIN_SECONDS, "every order to be PAID")

    customer = Client(server.url).register()
    answer = customer.post("/orders", order_body(*[item("long") for _ in range(100)]))
    if limited.engine == "postgresql":
        assert answer.status_code == 201, answer.text
    else:
        expect_problem(answer, 503)
    # What came behind it is not held up.
    customer.paid_order()
    assert sum(value for name, value in metrics_of(server).items()
               if name.startswith("payment_events_returned_total")) == 0
