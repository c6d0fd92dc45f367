"""What customers and admins do all day."""

import threading
import time
import uuid

import jwt
import pytest

from client import FAN, MUG, PASSWORD, TEA, Client, expect, expect_problem, item, order_body
from waiting import wait_until

ENGINES = ["sqlite", "postgresql", "mariadb", "mysql"]


def in_parallel(count, work):
    """Runs work(index) in `count` threads that begin in the same instant; returns the results in order."""
    gate = threading.Barrier(count)
    results = [None] * count

    def run(index):
        gate.wait()
        results[index] = work(index)
    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def statuses_without_gap(customer, order):
    """The statuses of the order's history, after checking that it is complete and ends as the order is."""
    history = customer.history(order["id"])
    assert [entry["version"] for entry in history] == list(range(1, order["version"] + 1))
    assert history[-1]["status"] == order["status"]
    assert history[-1]["paymentStatus"] == order["paymentStatus"]
    times = [entry["createdAt"] for entry in history]
    assert times == sorted(times)
    return [entry["status"] for entry in history]


# Orders and their payment

def test_an_order_is_placed_and_paid(customer):
    answer = expect(customer.post("/orders", order_body(item(quantity=2), item("test-tea", 3))), 201)
    order = answer.json()
    assert answer.headers["Location"] == f"/orders/{order['id']}"
    assert answer.headers["ETag"] == '"1"'
    assert order["status"] == "PENDING" and order["paymentStatus"] == "PENDING"
    assert order["userId"] == customer.user["id"]
    assert order["currency"] == "EUR"
    assert order["totalAmount"] == 2 * MUG["unitPrice"] + 3 * TEA["unitPrice"]
    assert order["items"] == [
        {"productId": "test-mug", "name": "Mug", "quantity": 2, "unitPrice": 1250},
        {"productId": "test-tea", "name": "Tea", "quantity": 3, "unitPrice": 499}]

    paid = customer.wait_for_order(order["id"], status="PAID")
    assert paid["paymentStatus"] == "CAPTURED"
    assert paid["refundedAmount"] == 0
    assert statuses_without_gap(customer, paid) == ["PENDING", "PROCESSING", "PAID"]
    actors = [entry["actor"] for entry in customer.history(order["id"])]
    assert actors == ["customer", "system", "payment-service"]


def test_the_payment_of_an_order_can_be_seen(customer, stranger):
    order = customer.paid_order()
    [payment] = customer.get(f"/payments?orderId={order['id']}").json()["data"]
    assert payment["status"] == "CAPTURED"
    assert payment["amount"] == payment["capturedAmount"] == order["totalAmount"]
    assert payment["refundedAmount"] == 0
    assert expect(customer.get(f"/payments/{payment['id']}"), 200).json() == {**payment, "refunds": []}
    assert stranger.get(f"/payments?orderId={order['id']}").json()["data"] == []
    expect_problem(stranger.get(f"/payments/{payment['id']}"), 404)


def test_a_declined_order_can_be_paid_again(customer):
    order = customer.place_order(method="pm_card_chargeDeclinedInsufficientFunds")
    failed = customer.wait_for_order(order["id"], status="PAYMENT_FAILED")
    assert failed["paymentStatus"] == "FAILED"
    assert failed["failure"]["code"] == "insufficient_funds"
    assert failed["failure"]["detail"]

    answer = expect(customer.post(f"/orders/{order['id']}/payment", {"paymentMethod": "pm_card_visa"}), 202)
    assert answer.json()["status"] == "PROCESSING"
    assert "failure" not in answer.json()
    paid = customer.wait_for_order(order["id"], status="PAID")
    assert paid["paymentMethod"] == "pm_card_visa"
    assert "failure" not in paid
    assert statuses_without_gap(customer, paid) == [
        "PENDING", "PROCESSING", "PAYMENT_FAILED", "PROCESSING", "PAID"]
    payments = customer.get(f"/payments?orderId={order['id']}").json()["data"]
    assert sorted(payment["status"] for payment in payments) == ["CAPTURED", "FAILED"]


def test_a_paid_order_cannot_be_paid_again(customer):
    order = customer.paid_order()
    problem = expect_problem(
        customer.post(f"/orders/{order['id']}/payment", {"paymentMethod": "pm_card_visa"}), 409)
    assert "PAID" in problem["detail"]


def test_a_card_that_needs_the_customer_fails_with_a_reason(customer):
    order = customer.place_order(method="pm_card_authenticationRequired")
    failed = customer.wait_for_order(order["id"], status="PAYMENT_FAILED")
    assert failed["paymentStatus"] == "REQUIRES_ACTION"
    assert failed["failure"]["code"] == "authentication_required"


def test_amounts_without_minor_units_stay_whole(customer):
    order = customer.paid_order(item("test-fan", 3))
    assert (order["totalAmount"], order["currency"]) == (3 * FAN["unitPrice"], "JPY")


# Cancelling and shipping

def test_canceling_a_paid_order_gives_the_money_back(customer):
    order = customer.paid_order(item(quantity=3))
    answer = expect(customer.set_status(order["id"], "CANCELED"), 200)
    assert answer.json()["status"] == "CANCELED"
    refunded = customer.wait_for_order(order["id"], paymentStatus="REFUNDED")
    assert refunded["status"] == "CANCELED"
    assert refunded["refundedAmount"] == refunded["totalAmount"] == 3 * MUG["unitPrice"]
    [payment] = customer.get(f"/payments?orderId={order['id']}").json()["data"]
    assert payment["refundedAmount"] == payment["capturedAmount"] == order["totalAmount"]
    statuses_without_gap(customer, refunded)


def test_orders_canceled_at_once_keep_no_money(customer):
    # The payment is on its way while the order is canceled: whichever comes first, no money may stay.
    for _ in range(20):
        order_id = customer.place_order()["id"]
        assert expect(customer.set_status(order_id, "CANCELED"), 200).json()["status"] == "CANCELED"

        def settled():
            order = customer.order(order_id)
            return order["paymentStatus"] in ("REFUNDED", "CANCELED") and order
        order = wait_until(settled, 30, f"order {order_id} to be refunded or never charged")
        assert order["status"] == "CANCELED"
        for payment in customer.get(f"/payments?orderId={order_id}").json()["data"]:
            assert payment["status"] in ("REFUNDED", "CANCELED")
            assert payment["capturedAmount"] == payment["refundedAmount"] == order["refundedAmount"]
        assert "CANCELED" in statuses_without_gap(customer, order)


def test_a_failed_order_can_be_canceled(customer):
    order = customer.place_order(method="pm_card_chargeDeclined")
    customer.wait_for_order(order["id"], status="PAYMENT_FAILED")
    canceled = expect(customer.set_status(order["id"], "CANCELED"), 200).json()
    assert canceled["status"] == "CANCELED" and canceled["refundedAmount"] == 0
    expect_problem(customer.post(f"/orders/{order['id']}/payment", {"paymentMethod": "pm_card_visa"}), 409)


def test_an_admin_ships_and_delivers(customer, admin):
    order = customer.paid_order()
    assert expect(admin.set_status(order["id"], "SHIPPED"), 200).json()["status"] == "SHIPPED"
    assert expect(admin.set_status(order["id"], "DELIVERED"), 200).json()["status"] == "DELIVERED"
    order = customer.order(order["id"])
    assert statuses_without_gap(customer, order) == ["PENDING", "PROCESSING", "PAID", "SHIPPED", "DELIVERED"]
    assert customer.history(order["id"])[-1]["actor"] == "admin"


@pytest.mark.parametrize("steps, refused", [
    ([], "DELIVERED"), ([], "PENDING"), ([], "PAID"), (["SHIPPED"], "CANCELED"),
    (["SHIPPED", "DELIVERED"], "SHIPPED"), (["CANCELED"], "SHIPPED"), (["CANCELED"], "CANCELED")])
def test_an_illegal_step_is_refused_with_both_states(customer, admin, steps, refused):
    order = customer.paid_order()
    for step in steps:
        expect(admin.set_status(order["id"], step), 200)
    problem = expect_problem(admin.set_status(order["id"], refused), 409)
    assert (steps or ["PAID"])[-1] in problem["detail"] and refused in problem["detail"]


def test_only_one_of_many_cancelations_succeeds(customer):
    order = customer.paid_order()
    twins = [customer.twin() for _ in range(10)]
    answers = in_parallel(10, lambda index: twins[index].set_status(order["id"], "CANCELED"))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 9
    refunded = customer.wait_for_order(order["id"], paymentStatus="REFUNDED")
    assert statuses_without_gap(customer, refunded).count("CANCELED") == refunded["version"] - 3


def test_if_match_guards_a_change(customer):
    order = customer.paid_order()
    tag = customer.get(f"/orders/{order['id']}").headers["ETag"]
    assert tag == f'"{order["version"]}"'
    expect_problem(customer.set_status(order["id"], "CANCELED", **{"If-Match": '"1"'}), 412)
    assert customer.order(order["id"])["status"] == "PAID"
    answer = expect(customer.set_status(order["id"], "CANCELED", **{"If-Match": tag}), 200)
    assert answer.headers["ETag"] != tag


# Idempotency

def test_a_repeated_request_gets_the_same_answer_even_later(customer):
    key = str(uuid.uuid4())
    send = lambda: customer.post("/orders", order_body(), headers={"Idempotency-Key": key})
    first = expect(send(), 201)
    assert "Idempotency-Replayed" not in first.headers
    customer.wait_for_order(first.json()["id"], status="PAID")
    customer.set_status(first.json()["id"], "CANCELED")
    again = expect(send(), 201)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json() == first.json()
    assert again.headers["ETag"] == first.headers["ETag"]
    assert again.headers["Location"] == first.headers["Location"]


def test_a_key_cannot_be_used_for_another_order(customer):
    key = str(uuid.uuid4())
    customer.place_order(item(quantity=1), key=key)
    answer = customer.post("/orders", order_body(item(quantity=2)), headers={"Idempotency-Key": key})
    expect_problem(answer, 422)


def test_the_same_key_of_another_user_is_another_key(customer, stranger):
    key = str(uuid.uuid4())
    assert customer.place_order(key=key)["id"] != stranger.place_order(key=key)["id"]


def test_twenty_requests_at_once_with_one_key_make_one_order(customer):
    key = str(uuid.uuid4())
    before = {order["id"] for order in customer.all_pages("/orders?limit=100")}
    twins = [customer.twin() for _ in range(20)]
    answers = in_parallel(20, lambda index: twins[index].post(
        "/orders", order_body(), headers={"Idempotency-Key": key}))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert sum("Idempotency-Replayed" in answer.headers for answer in answers) == 19
    after = {order["id"] for order in customer.all_pages("/orders?limit=100")}
    assert len(after - before) == 1


# Lists

@pytest.fixture(scope="module")
def collector(shop, admin):
    """A customer with seven orders, the fifth of them canceled."""
    client = Client(shop.url).register("Collector")
    client.placed = [client.paid_order()["id"] for _ in range(7)]
    expect(client.set_status(client.placed[4], "CANCELED"), 200)
    client.wait_for_order(client.placed[4], paymentStatus="REFUNDED")
    return client


def test_a_list_is_newest_first_and_comes_in_pages(collector):
    first = collector.get("/orders?limit=3").json()
    assert [order["id"] for order in first["data"]] == collector.placed[:3:-1]
    assert first["nextCursor"]
    # An order that is placed meanwhile does not disturb the pages that follow.
    orders = collector.all_pages("/orders?limit=3")
    assert [order["id"] for order in orders] == collector.placed[::-1]
    assert collector.get("/orders?limit=100").json()["nextCursor"] is None


def test_a_list_entry_is_the_order(collector):
    assert collector.get("/orders?limit=1").json()["data"][0] == collector.order(collector.placed[-1])


def test_a_list_can_be_filtered_by_status(collector):
    canceled = collector.all_pages("/orders?status=CANCELED")
    assert [order["id"] for order in canceled] == [collector.placed[4]]
    assert len(collector.all_pages("/orders?status=PAID&limit=2")) == 6
    assert collector.all_pages("/orders?status=DELIVERED") == []


def test_an_admin_lists_everybody_or_one_user(collector, admin, customer):
    customer.place_order()
    of_all = {order["userId"] for order in admin.all_pages("/orders?limit=100")}
    assert {collector.user["id"], customer.user["id"]} <= of_all
    of_one = admin.all_pages(f"/orders?limit=100&userId={collector.user['id']}")
    assert [order["id"] for order in of_one] == collector.placed[::-1]


def test_a_customer_cannot_list_somebody_else(collector, customer):
    answer = customer.get(f"/orders?userId={collector.user['id']}")
    assert answer.status_code == 403 or answer.json()["data"] == []


@pytest.mark.parametrize("send", [
    lambda who, order: who.get(f"/orders/{order}"),
    lambda who, order: who.get(f"/orders/{order}/events"),
    lambda who, order: who.set_status(order, "CANCELED"),
    lambda who, order: who.post(f"/orders/{order}/payment", {"paymentMethod": "pm_card_visa"}),
], ids=["read", "history", "cancel", "pay"])
def test_orders_of_others_do_not_exist(customer, stranger, send):
    order = customer.place_order(method="pm_card_chargeDeclined")
    customer.wait_for_order(order["id"], status="PAYMENT_FAILED")
    expect_problem(send(stranger, order["id"]), 404)
    assert customer.order(order["id"])["status"] == "PAYMENT_FAILED"


# Catalogue

def test_an_admin_adds_and_changes_a_product(admin, visitor):
    product_id = f"vase-{uuid.uuid4().hex[:8]}"
    content = {"name": "Vase", "unitPrice": 4200, "currency": "CHF", "active": True}
    assert expect(admin.put(f"/products/{product_id}", content), 201).json() == {"id": product_id, **content}
    cheaper = {**content, "unitPrice": 3900}
    assert expect(admin.put(f"/products/{product_id}", cheaper), 200).json()["unitPrice"] == 3900
    assert expect(visitor.get(f"/products/{product_id}"), 200).json() == {"id": product_id, **cheaper}
    assert {"id": product_id, **cheaper} in visitor.all_pages("/products?limit=2")
    expect_problem(visitor.get("/products/never-sold"), 404)


def test_customers_do_not_touch_the_catalogue(customer, visitor):
    expect_problem(customer.put("/products/test-mug", {**MUG, "unitPrice": 1}), 403)
    expect_problem(visitor.put("/products/test-mug", {**MUG, "unitPrice": 1}), 401)
    assert visitor.get("/products/test-mug").json()["unitPrice"] == MUG["unitPrice"]


def test_an_order_keeps_the_price_it_was_placed_at(admin, customer):
    product = f"lamp-{uuid.uuid4().hex[:8]}"
    expect(admin.put(f"/products/{product}", {"name": "Lamp", "unitPrice": 100, "currency": "EUR"}), 201)
    order = customer.place_order(item(product))
    expect(admin.put(f"/products/{product}", {"name": "Lamp 2", "unitPrice": 200, "currency": "EUR"}), 200)
    kept = customer.order(order["id"])
    assert kept["totalAmount"] == 100 and kept["items"][0]["name"] == "Lamp"
    assert customer.place_order(item(product))["totalAmount"] == 200


def test_an_admin_may_set_a_price(admin):
    order = admin.place_order(item(unitPrice=1, currency="EUR"), item("test-tea"))
    assert order["totalAmount"] == 1 + TEA["unitPrice"]


def test_a_customer_may_not_set_a_price(customer):
    expect_problem(customer.post("/orders", order_body(item(unitPrice=1, currency="EUR"))), 403)


# Users and tokens

def test_me_is_the_holder_of_the_token(customer):
    me = expect(customer.get("/users/me"), 200).json()
    assert me == {"id": customer.user["id"], "name": "Ada Byron", "email": customer.email, "role": "CUSTOMER",
                  "createdAt": me["createdAt"]}


def test_an_e_mail_address_is_taken_once(customer, visitor):
    body = {"name": "Imposter", "email": customer.email.upper(), "password": PASSWORD}
    expect_problem(visitor.post("/users", body), 409)


def test_a_wrong_password_and_an_unknown_user_look_the_same(customer, visitor):
    wrong = visitor.post("/users/login", {"email": customer.email, "password": "not the password"})
    unknown = visitor.post("/users/login", {"email": "nobody@example.com", "password": PASSWORD})
    problems = [expect_problem(answer, 401) for answer in (wrong, unknown)]
    for problem in problems:
        del problem["requestId"]
    assert problems[0] == problems[1]


def test_refresh_tokens_rotate_and_reuse_ends_the_session(shop, admin):
    client = Client(shop.url).register()
    refresh = lambda token: client.post("/users/refresh", {"refreshToken": token}, token=None)
    first = client.refresh_token
    second = expect(refresh(first), 200).json()
    assert second["refreshToken"] != first
    expect(client.get("/users/me", token=second["token"]), 200)
    expect_problem(refresh(first), 401)
    expect_problem(refresh(second["refreshToken"]), 401)
    client.login(client.email)
    expect(refresh(client.refresh_token), 200)


def test_a_logout_ends_the_session(shop, admin):
    client = Client(shop.url).register()
    answer = expect(client.post("/users/logout", {"refreshToken": client.refresh_token}), 204)
    assert answer.content == b""
    expect_problem(client.post("/users/refresh", {"refreshToken": client.refresh_token}), 401)


def test_published_keys_verify_our_tokens(customer, visitor):
    keys = {key["kid"]: key for key in expect(visitor.get("/.well-known/jwks.json"), 200).json()["keys"]}
    header = jwt.get_unverified_header(customer.token)
    assert header["alg"] == "ES256"
    key = keys[header["kid"]]
    assert "d" not in key, "the private part of the key is published"
    public_key = jwt.PyJWK(key).key
    audience = jwt.decode(customer.token, options={"verify_signature": False})["aud"]
    claims = jwt.decode(customer.token, public_key, algorithms=["ES256"], audience=audience)
    assert claims["sub"] == customer.user["id"]
    assert 0 < claims["exp"] - time.time() <= 15 * 60


def test_repeated_wrong_passwords_lock_an_account_for_a_moment(shop, admin):
    client = Client(shop.url).register()
    attempt = lambda password: client.post("/users/login", {"email": client.email, "password": password})
    # The first delay is a second: where this machine takes longer over the next log-in, begin anew.
    for _ in range(5):
        statuses = [attempt("wrong password").status_code for _ in range(5)]
        assert set(statuses) == {401}
        locked = attempt(PASSWORD)
        if locked.status_code == 429:
            break
    expect_problem(locked, 429)
    wait = int(locked.headers["Retry-After"])
    assert 1 <= wait <= 5
    time.sleep(wait)
    expect(attempt(PASSWORD), 200)
