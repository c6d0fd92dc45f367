"""Database servers whose limits are low: batches become smaller, and a request that fits no statement is answered."""

import pytest

from client import Client, expect_problem, item, order_body, stock_shelves
from databases import DatabaseServer
from metrics import metrics_of
from server import LoadDriver, free_port, run_quittance

LOAD_SECONDS = 5
CLIENTS = 64
# Of MySQL and MariaDB: more than an order needs, and less than 64 of them, or one with 100 long lines.
PACKET_BYTES = 24 * 1024
LOW_IN_POSTGRESQL = {"work_mem": "64kB", "temp_file_limit": 0, "max_locks_per_transaction": 10, "max_connections": 20}


@pytest.fixture(params=["mysql", "mariadb", "postgresql"])
def limited(request):
    settings = LOW_IN_POSTGRESQL if request.param == "postgresql" else None
    server = DatabaseServer(request.param, free_port(), settings)
    yield server
    server.remove()


def test_low_limits_make_small_batches_and_lose_nothing(limited, make_server, tmp_path):
    shop = limited.make_shop("limits")
    assert run_quittance("migrate", environment=shop).returncode == 0
    if limited.engine != "postgresql":
        limited.sql(f"SET GLOBAL max_allowed_packet = {PACKET_BYTES}")
    server = make_server(environment=shop).start()
    stock_shelves(Client(server.url).login(*server.admin_credentials()))
    ids_file = tmp_path / "ids"
    load = LoadDriver(tmp_path, "--url", server.url, "--clients", CLIENTS, "--users", CLIENTS, "--seconds", LOAD_SECONDS,
                      "--ids-file", ids_file)
    report = load.finish(120)
    assert report["errors"] == 0, report["errorsByKind"]
    assert report["unpaid"] == report["missing"] == 0, report
    assert len(ids_file.read_text().split()) > 10 * CLIENTS

    customer = Client(server.url).register()
    large = order_body(*[item("test-mug", quantity=1 + index) for index in range(100)])
    large["paymentMethod"] = "pm_card_visa"
    answer = customer.post("/orders", large)
    if limited.engine == "postgresql":
        assert answer.status_code == 201, answer.text
    else:
        expect_problem(answer, 503)
    # What came behind it is not held up.
    customer.paid_order()
    assert sum(value for name, value in metrics_of(server).items()
               if name.startswith("payment_events_returned_total")) == 0
