"""kill -9 at any moment loses nothing that was promised, and charges nobody twice.

KILLS (50) and SEED can be set in the environment."""

import os
import random
import time

from client import Client, expect
from server import LoadDriver
from waiting import wait_until

KILLS = int(os.environ.get("KILLS", "50"))
SEED = int(os.environ.get("SEED", str(random.SystemRandom().randrange(10**6))))
SETTLE_SECONDS = 60


def kill_again_and_again(server):
    """Kills and restarts; every fourth time it does not even get to be ready in between."""
    chance = random.Random(SEED)
    for _ in range(KILLS):
        if chance.random() < 0.25:
            time.sleep(chance.uniform(0, 0.06))
        else:
            wait_until(server.is_ready, 60, "the restarted server to be ready")
            time.sleep(chance.uniform(0, 0.6))
        assert server.is_running(), f"it ended by itself:\n{server.last_log()}"
        server.kill()
        server.spawn()
    wait_until(server.is_ready, 60, "the last start to be ready")


def unsettled(server):
    [(count,)] = server.query("orders.db", "SELECT COUNT(*) FROM orders WHERE status <> 'PAID'")
    return count


def check_databases(server, ids):
    """Every order has its history and exactly one captured payment over its total."""
    totals = dict(server.query("orders.db", "SELECT id, total_amount FROM orders"))
    assert ids <= totals.keys(), f"lost: {sorted(ids - totals.keys())[:10]}"
    gaps = server.query("orders.db", """
        SELECT o.id, o.version, COUNT(h.version), COALESCE(MAX(h.version), 0)
        FROM orders o LEFT JOIN order_history h ON h.order_id = o.id
        GROUP BY o.id HAVING COUNT(h.version) <> o.version OR COALESCE(MAX(h.version), 0) <> o.version""")
    assert gaps == [], f"orders whose history has gaps: {gaps[:10]}"
    charges = server.query("payments.db",
                    "SELECT order_id, status, captured_amount FROM payments WHERE captured_amount > 0")
    charged = {order_id: captured for order_id, _, captured in charges}
    duplicates = len(charges) - len(charged)
    assert duplicates == 0, f"{duplicates} orders were charged more than once"
    assert {status for _, status, _ in charges} == {"CAPTURED"}
    assert charged == totals, "an order's charge is missing or is not its total"
    return duplicates


def check_by_http(server, ids):
    """The same for an admin at the interface: all orders, and the payments of some."""
    admin = Client(server.url).login(*server.admin_credentials())
    orders = {order["id"]: order for order in admin.all_pages("/orders?limit=100")}
    assert ids <= orders.keys()
    assert {order["status"] for order in orders.values()} == {"PAID"}
    for order_id in random.Random(SEED).sample(sorted(ids), min(100, len(ids))):
        order = expect(admin.get(f"/orders/{order_id}"), 200).json()
        payments = admin.all_pages(f"/payments?orderId={order_id}")
        captured = [payment for payment in payments if payment["status"] == "CAPTURED"]
        assert [payment["capturedAmount"] for payment in captured] == [order["totalAmount"]]


def test_orders_survive_any_number_of_kills(make_server, tmp_path):
    server = make_server()
    server.start()
    ids_file = tmp_path / "ids"
    load = LoadDriver(tmp_path, "--url", server.url, "--clients", 16, "--users", 4, "--seconds", 600,
                      "--tolerate-disconnects", "--ids-file", ids_file)
    wait_until(lambda: ids_file.exists() and ids_file.stat().st_size > 0, 20, "the first order")
    kill_again_and_again(server)
    report = load.stop()
    answered = ids_file.read_text().split()
    ids = set(answered)
    assert len(answered) == len(ids), "an id was given to two orders"
    assert report["unresolved"] == 0

    begin = time.monotonic()
    wait_until(lambda: unsettled(server) == 0, SETTLE_SECONDS, f"every order to be PAID; seed {SEED}")
    settled_after = time.monotonic() - begin
    check_by_http(server, ids)
    server.stop()
    duplicates = check_databases(server, ids)
    print(f"measured: kills {KILLS}, orders {len(ids)}, duplicates {duplicates}, "
          f"lost answers replayed {report['replayed']}, "
          f"all PAID {settled_after:.1f} s after the load (seed {SEED})")
