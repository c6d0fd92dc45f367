"""Refunds, captures by hand, and the books, as a shop sees them."""

import json
import random
import threading
import time
import uuid

from client import Client, expect, expect_problem, stock_shelves
from server import run_quittance

RACES = 500
RACERS = 10


def payment_of(client, order):
    payments = expect(client.get(f"/payments?orderId={order['id']}"), 200).json()["data"]
    assert len(payments) == 1, payments
    return expect(client.get(f"/payments/{payments[0]['id']}"), 200).json()


def assert_books_hold(shop):
    result = run_quittance("ledger", "verify", "--data", shop.data)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "all is as it was posted" in result.stdout


def test_parts_go_back_until_the_order_is_refunded(shop, admin, customer):
    order = customer.paid_order()
    assert order["capturedAmount"] == 1250
    path = f"/orders/{order['id']}/refunds"
    answer = expect(admin.post(path, {"amount": 250, "reason": "chipped"}), 202)
    assert answer.json()["status"] == "PAID"
    order = customer.wait_for_order(order["id"], paymentStatus="PARTIALLY_REFUNDED")
    assert (order["refundedAmount"], order["status"]) == (250, "PAID")
    expect(admin.post(path), 202)
    order = customer.wait_for_order(order["id"], status="REFUNDED")
    assert (order["refundedAmount"], order["paymentStatus"]) == (1250, "REFUNDED")
    reasons = [entry["reason"] for entry in customer.history(order["id"])]
    assert "refund of 2.50 EUR requested: chipped" in reasons
    assert "refund of 10.00 EUR made" in reasons
    refunds = payment_of(customer, order)["refunds"]
    assert [(refund["status"], refund["amount"]) for refund in refunds] == [("SUCCEEDED", 250),
                                                                            ("SUCCEEDED", 1000)]
    expect_problem(admin.post(path, {"amount": 1}), 409)
    assert_books_hold(shop)


def test_refunds_at_once_never_exceed_what_was_paid(shop, admin, customer):
    order = customer.paid_order()
    accepted = []

    def ask():
        client = admin.twin()
        for _ in range(5):
            answer = client.post(f"/orders/{order['id']}/refunds", {"amount": 100})
            assert answer.status_code in (202, 409), answer.text
            accepted.append(answer.status_code == 202)
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(accepted) == 40 and sum(accepted) == 12
    customer.wait_for_order(order["id"], refundedAmount=1200, paymentStatus="PARTIALLY_REFUNDED")
    assert_books_hold(shop)


def test_a_refund_with_a_key_is_made_once(admin, customer):
    order = customer.paid_order()
    path = f"/orders/{order['id']}/refunds"
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first = expect(admin.post(path, {"amount": 400}, headers=key), 202)
    assert "Idempotency-Replayed" not in first.headers
    again = expect(admin.post(path, {"amount": 400}, headers=key), 202)
    assert again.headers["Idempotency-Replayed"] == "true"
    expect_problem(admin.post(path, {"amount": 500}, headers=key), 422)
    customer.wait_for_order(order["id"], refundedAmount=400)
    time.sleep(0.5)
    assert customer.order(order["id"])["refundedAmount"] == 400


def test_only_an_admin_refunds(customer, stranger):
    order = customer.paid_order()
    for who in (customer, stranger):
        expect_problem(who.post(f"/orders/{order['id']}/refunds", {"amount": 1}), 403)


def test_money_is_taken_by_hand(make_server):
    server = make_server(environment={"PAYMENT_CAPTURE": "manual"})
    server.start()
    admin = Client(server.url).login(*server.admin_credentials())
    stock_shelves(admin)
    customer = Client(server.url).register()
    order = customer.place_order()
    order = customer.wait_for_order(order["id"], paymentStatus="AUTHORIZED")
    assert (order["status"], order["capturedAmount"]) == ("PROCESSING", 0)
    payment = payment_of(customer, order)
    expect_problem(customer.post(f"/payments/{payment['id']}/capture"), 403)
    expect_problem(admin.post(f"/payments/{payment['id']}/capture", {"amount": 1251}), 409)
    expect(admin.post(f"/payments/{payment['id']}/capture", {"amount": 1000}), 202)
    order = customer.wait_for_order(order["id"], status="PAID")
    assert order["capturedAmount"] == 1000
    expect(admin.post(f"/orders/{order['id']}/refunds"), 202)
    order = customer.wait_for_order(order["id"], status="REFUNDED")
    assert order["refundedAmount"] == 1000

    other = customer.place_order()
    customer.wait_for_order(other["id"], paymentStatus="AUTHORIZED")
    expect(admin.post(f"/payments/{payment_of(customer, other)['id']}/void"), 202)
    customer.wait_for_order(other["id"], status="PAYMENT_FAILED", paymentStatus="CANCELED")
    assert_books_hold(server)


def test_the_ledger_shows_every_movement_and_sums_to_zero(shop, admin, customer):
    order = customer.paid_order()
    expect(customer.set_status(order["id"], "CANCELED"), 200)
    customer.wait_for_order(order["id"], paymentStatus="REFUNDED")
    entries = admin.all_pages(f"/ledger/entries?orderId={order['id']}&limit=3")
    assert [(entry["movement"], entry["account"], entry["amount"]) for entry in entries] == [
        ("CAPTURE", "provider_clearing", 1250), ("CAPTURE", "sales", -1250),
        ("REFUND", "refunds", 1250), ("REFUND", "provider_clearing", -1250)]
    balances = expect(admin.get("/ledger/balances"), 200).json()["data"]
    for currency in {balance["currency"] for balance in balances}:
        assert sum(entry["balance"] for entry in balances if entry["currency"] == currency) == 0
    expect_problem(customer.get("/ledger/balances"), 403)


def test_the_operator_sees_what_is_stuck_and_what_cannot_be_compared(shop):
    stuck = run_quittance("payments", "stuck", "--data", shop.data)
    assert (stuck.returncode, stuck.stdout) == (0, "")
    retry = run_quittance("payments", "retry", str(uuid.uuid4()), "--data", shop.data)
    assert retry.returncode == 2 and "is stuck" in retry.stderr
    # The simulator forgets what it did.
    reconciled = run_quittance("reconcile", "--json", "--data", shop.data)
    assert reconciled.returncode == 2
    assert "forgets" in reconciled.stderr and "ledger verify" in reconciled.stderr


def test_orders_that_differ_from_their_payments_are_listed_and_counted(make_server, tmp_path):
    server = make_server()
    server.start()
    stock_shelves(Client(server.url).login(*server.admin_credentials()))
    order = Client(server.url).register().paid_order()
    # Older than the minute in which news may still be on its way.
    server.change("orders.db", "UPDATE orders SET updated_at = updated_at - 120000")
    server.change("payments.db", "UPDATE payments SET updated_at = updated_at - 120000")
    metrics = tmp_path / "reconcile.prom"
    command = ("reconcile", "--orders", "--data", server.data, "--metrics-file", metrics)
    agreed = run_quittance(*command)
    assert (agreed.returncode, agreed.stdout) == (
        0, "1 orders compared with their payments, 0 under way\n0 differences\n"), agreed
    assert 'quittance_reconcile_differences{kind="canceled_order_holds_money"} 0' in metrics.read_text()

    server.change("orders.db", "UPDATE orders SET status = 'CANCELED'")
    differing = run_quittance(*command, "--json")
    assert differing.returncode == 3, differing
    [difference] = json.loads(differing.stdout)["differences"]
    assert difference["kind"] == "canceled_order_holds_money" and difference["orderId"] == order["id"]
    assert 'quittance_reconcile_differences{kind="canceled_order_holds_money"} 1' in metrics.read_text()
    assert metrics.stat().st_mode & 0o777 == 0o644
    unwritable = run_quittance(*command[:-1], tmp_path / "missing" / "reconcile.prom")
    assert unwritable.returncode == 2 and "cannot be written" in unwritable.stderr


def test_a_digit_that_was_changed_in_the_ledger_is_named(make_server):
    server = make_server()
    server.start()
    admin = Client(server.url).login(*server.admin_credentials())
    stock_shelves(admin)
    customer = Client(server.url).register()
    payment = payment_of(customer, customer.paid_order())
    [(chain, seq)] = server.query(
        "payments.db", f"SELECT chain, seq FROM ledger_entries WHERE payment_id = '{payment['id']}' AND amount > 0")
    assert_books_hold(server)
    server.change("payments.db", "DROP TRIGGER ledger_entries_never_change")
    server.change("payments.db", "UPDATE ledger_entries SET amount = 1260 WHERE chain = ? AND seq = ?", chain, seq)
    result = run_quittance("ledger", "verify", "--data", server.data)
    assert result.returncode == 3, result.stdout + result.stderr
    assert f"entry_altered: entry {seq} of chain {chain} " in result.stdout
    assert f"the movement {payment['id']} version" in result.stdout and "sums to 10 EUR" in result.stdout
    assert "the ledger does not hold" in result.stdout


def test_a_payment_that_is_stuck_is_listed_until_somebody_asks_again(shop, customer):
    order = customer.paid_order()
    payment = payment_of(customer, order)
    shop.change("payments.db", "UPDATE payments SET stuck_since = 1800000000000 WHERE id = ?", payment["id"])
    stuck = run_quittance("payments", "stuck", "--data", shop.data)
    assert stuck.returncode == 3, stuck.stderr
    [listed] = map(json.loads, stuck.stdout.splitlines())
    assert (listed["paymentId"], listed["orderId"]) == (payment["id"], order["id"])
    assert (listed["status"], listed["since"]) == ("CAPTURED", "2027-01-15T08:00:00.000Z")
    retry = run_quittance("payments", "retry", payment["id"], "--data", shop.data)
    assert retry.returncode == 0 and payment["id"] in retry.stdout, retry.stderr
    stuck = run_quittance("payments", "stuck", "--data", shop.data)
    assert (stuck.returncode, stuck.stdout) == (0, "")


def test_a_cancellation_raced_against_the_capture_leaves_nothing_in_between(shop, admin, customer):
    """RACES orders are canceled while they are being paid."""
    answers = {}
    dice = random.Random(1)

    def race(share):
        client = customer.twin()
        for _ in range(share):
            order_id = client.place_order()["id"]
            time.sleep(dice.random() * 0.03)
            answers[order_id] = client.set_status(order_id, "CANCELED").status_code
    threads = [threading.Thread(target=race, args=(RACES // RACERS,)) for _ in range(RACERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(answers) == RACES // RACERS * RACERS
    outcomes = {"REFUNDED": 0, "CANCELED": 0}
    for order_id, status in answers.items():
        assert status == 200, f"{order_id} was answered with {status}: nothing here may be refused"
        end = time.monotonic() + 30
        while (order := customer.order(order_id))["paymentStatus"] not in outcomes:
            assert time.monotonic() < end, order
            time.sleep(0.05)
        assert order["status"] == "CANCELED"
        assert order["refundedAmount"] == order["capturedAmount"]
        outcomes[order["paymentStatus"]] += 1
    print(outcomes)
    assert outcomes["REFUNDED"] > 0
    assert_books_hold(shop)
