"""The way of an order over two programs that share nothing but Pub/Sub."""

import json
import subprocess
import time
import uuid

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from client import Client, expect, expect_problem, item, stock_shelves
from databases import PASSWORD
from node_programs import finish_node, start_node
from server import PAYMENT_SERVICE, run_quittance
from services import PUSH, make_services, switch_push_on
from waiting import wait_until


def buyer_of(orders):
    stock_shelves(Client(orders.url).login(*orders.admin_credentials()))
    return Client(orders.url).register("Ada Byron")


def payments_of(payments, buyer, order_id):
    """What the payment service tells this buyer; waits for keys that are being fetched."""
    client = Client(payments.url)

    def answered():
        answer = client.get(f"/payments?orderId={order_id}", token=buyer.token)
        return answer if answer.status_code != 503 else None
    return expect(wait_until(answered, 10, "the keys of tokens"), 200).json()["data"]


@pytest.mark.parametrize("engine, delivery",
                         [("postgresql", "pull"), ("mariadb", "pull"), ("mysql", "pull"), ("postgresql", "push")])
def test_the_whole_way_of_an_order(make_server, emulator, database_server, engine, delivery):
    name = f"two-services-{engine}-{delivery}"
    databases = database_server(engine).make_shop(name.replace("-", "_"))
    orders, payments = make_services(make_server, emulator.new_project(name), databases, delivery)
    orders.start()
    payments.start()
    buyer = buyer_of(orders)

    paid = buyer.wait_for_order(buyer.place_order(item(quantity=2))["id"], seconds=20, status="PAID")
    assert paid["paymentStatus"] == "CAPTURED"
    [payment] = payments_of(payments, buyer, paid["id"])
    assert payment["capturedAmount"] == paid["totalAmount"]
    stranger = Client(orders.url).register("Grace Hopper")
    assert payments_of(payments, stranger, paid["id"]) == []

    declined = buyer.place_order(method="pm_card_chargeDeclined")
    failed = buyer.wait_for_order(declined["id"], seconds=20, status="PAYMENT_FAILED")
    assert failed["failure"]["code"] == "card_declined"
    expect(buyer.post(f"/orders/{declined['id']}/payment", {"paymentMethod": "pm_card_visa"}), 202)
    buyer.wait_for_order(declined["id"], seconds=20, status="PAID")

    expect(buyer.set_status(declined["id"], "CANCELED"), 200)
    refunded = buyer.wait_for_order(declined["id"], seconds=20, paymentStatus="REFUNDED")
    assert refunded["status"] == "CANCELED" and refunded["refundedAmount"] == refunded["totalAmount"]
    attempts = payments_of(payments, buyer, declined["id"])
    assert sorted(payment["status"] for payment in attempts) == ["FAILED", "REFUNDED"]


def test_a_hundred_orders_are_paid_over_push(make_server, emulator):
    orders, payments = make_services(make_server, emulator.new_project("many-pushes"), delivery="push")
    orders.start()
    payments.start()
    buyer = buyer_of(orders)
    begin = time.monotonic()
    placed = [buyer.place_order()["id"] for _ in range(100)]
    for order_id in placed:
        buyer.wait_for_order(order_id, seconds=60, status="PAID")
        assert [entry["status"] for entry in buyer.history(order_id)] == ["PENDING", "PROCESSING", "PAID"]
    print(f"100 orders placed and paid over push in {time.monotonic() - begin:.1f} s")


def test_the_all_in_one_can_be_pushed_to(make_server, emulator):
    bus = emulator.new_project("all-in-one")
    shop = make_server("shop", {**bus, **PUSH})
    switch_push_on(bus, shop, shop)
    shop.start()
    buyer = buyer_of(shop)
    buyer.wait_for_order(buyer.place_order()["id"], seconds=20, status="PAID")
    series = 'http_requests_total{method="POST",route="/pubsub/push",status="204"}'
    assert series in Client(shop.url).get("/metrics").text


def test_orders_wait_for_a_service_that_push_cannot_reach(make_server, emulator):
    orders, payments = make_services(make_server, emulator.new_project("away"), delivery="push")
    orders.start()
    buyer = buyer_of(orders)
    order = buyer.place_order()
    buyer.wait_for_order(order["id"], seconds=20, status="PROCESSING")
    payments.start()
    buyer.wait_for_order(order["id"], seconds=60, status="PAID")


def test_push_and_pull_can_be_switched(make_server, emulator):
    bus = emulator.new_project("switched")
    orders, payments = make_services(make_server, bus)
    assert emulator.quittance("pubsub", "check", "--min-backoff", "0.1", environment=bus).returncode == 0
    switch_push_on(bus, orders, payments)
    check = emulator.quittance("pubsub", "check", "--min-backoff", "0.1", environment=bus)
    assert check.returncode == 3 and f"pushed to {payments.url}/pubsub/push" in check.stdout
    assert "quittance pubsub push off" in check.stdout
    orders.spawn()
    assert orders.process.wait(20) == 2
    assert "PUBSUB_DELIVERY=push" in orders.log()

    pushed = {**bus, "PUBSUB_DELIVERY": "push"}
    check = emulator.quittance("pubsub", "check", "--min-backoff", "0.1", environment=pushed)
    assert check.returncode == 0, check.stdout
    provisioned = emulator.quittance("pubsub", "provision", "--min-backoff", "0.2", environment=pushed)
    assert "changed subscription" in provisioned.stdout
    check = emulator.quittance("pubsub", "check", "--min-backoff", "0.2", environment=pushed)
    assert check.returncode == 0, "provisioning must leave the endpoints alone: " + check.stdout
    check = emulator.quittance("pubsub", "check", "--min-backoff", "0.2", "--pubsub-push-service-account",
                               "pusher@example.com", environment=pushed)
    assert check.returncode == 3 and "pusher@example.com" in check.stdout

    off = emulator.quittance("pubsub", "push", "off", environment=bus)
    assert off.returncode == 0, off.stderr
    check = emulator.quittance("pubsub", "check", "--min-backoff", "0.2", environment=pushed)
    assert check.returncode == 3 and "quittance pubsub push on" in check.stdout
    orders.start()
    payments.start()
    buyer = buyer_of(orders)
    buyer.wait_for_order(buyer.place_order()["id"], seconds=20, status="PAID")


def test_the_payment_service_may_start_first_and_outlive_the_other(make_server, emulator):
    orders, payments = make_services(make_server, emulator.new_project("first"))
    payments.spawn()
    early = Client(payments.url)
    wait_until(lambda: "ready" in payments.log(), 20, "the payment service to listen")
    ready = early.get("/health/ready")
    assert ready.status_code == 503
    assert f"{orders.url}/.well-known/jwks.json" in ready.json()["reasons"][0]

    orders.start()
    buyer = buyer_of(orders)
    wait_until(payments.is_ready, 20, "the keys of tokens to be fetched")
    order = buyer.paid_order()
    orders.stop()
    [payment] = payments_of(payments, buyer, order["id"])
    assert payment["status"] == "CAPTURED"


def test_without_keys_a_token_is_neither_good_nor_bad(make_server, emulator):
    orders, _ = make_services(make_server, emulator.new_project("neither"))
    orders.start()
    buyer = buyer_of(orders)
    nobody = {**emulator.environment, "GOOGLE_CLOUD_PROJECT": "neither",
              "JWKS_URL": "http://127.0.0.1:1/.well-known/jwks.json"}
    payments = make_server("keyless", nobody, command=[PAYMENT_SERVICE], demo=False).spawn()
    wait_until(lambda: "ready" in payments.log(), 20, "the payment service to listen")
    answer = Client(payments.url).get(f"/payments?orderId={uuid.uuid4()}", token=buyer.token)
    expect_problem(answer, 503)
    assert int(answer.headers["Retry-After"]) >= 1
    expect_problem(Client(payments.url).get(f"/payments?orderId={uuid.uuid4()}"), 401)


def test_services_with_a_database_server_keep_nothing_in_a_folder(make_server, emulator, database_server,
                                                                  tmp_path):
    bus = {**emulator.new_project("folderless"), "JWT_SIGNING_KEY_FILE": new_key(tmp_path / "key.pem")}
    orders, payments = make_services(make_server, bus, database_server("postgresql").make_shop("folderless"))
    orders.start()
    payments.start()
    buyer_of(orders).paid_order()
    assert not orders.data.exists() and not payments.data.exists()


@pytest.mark.parametrize("engine", ["postgresql", "mariadb", "mysql"])
def test_services_find_their_databases_by_a_socket_as_on_cloud_run(make_server, emulator, database_server, tmp_path,
                                                                   engine):
    database, name = database_server(engine), f"sockets_{engine}"
    database.make_shop(name)
    environment = {**emulator.new_project(f"sockets-{engine}"), **database.parts_for_socket(),
                   "JWT_SIGNING_KEY_FILE": new_key(tmp_path / "key.pem")}
    orders, payments = make_services(make_server, environment)
    orders.environment["DB_NAME"], payments.environment["DB_NAME"] = f"{name}_orders", f"{name}_payments"
    orders.start()
    payments.start()
    order = buyer_of(orders).paid_order()
    assert database.sql("SELECT order_id FROM payments", f"{name}_payments") == [[order["id"]]]
    assert PASSWORD not in orders.log() + payments.log()


def test_a_cloud_sql_instance_is_looked_for_in_its_folder(tmp_path):
    environment = {"INSTANCE_CONNECTION_NAME": "shop:europe-west1:main", "DB_USER": "shop", "DB_PASSWORD": "",
                   "DB_NAME": "payments", "JWKS_URL": "http://127.0.0.1:1/", "GOOGLE_CLOUD_PROJECT": "shop",
                   "PUBSUB_EMULATOR_HOST": "127.0.0.1:1"}
    ended = run_quittance("--data", tmp_path / "data", "--port", 0, environment=environment,
                          program=PAYMENT_SERVICE)
    assert ended.returncode == 2
    assert "postgresql://shop@/payments?host=/cloudsql/shop:europe-west1:main cannot be opened" in ended.stderr


def new_key(file):
    subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
                    file], check=True, capture_output=True)
    file.chmod(0o600)
    return str(file)


def test_a_new_signing_key_is_known_without_a_restart(make_server, emulator, tmp_path):
    orders, payments = make_services(make_server, emulator.new_project("rotation"))
    orders.environment["JWT_SIGNING_KEY_FILE"] = new_key(tmp_path / "old.pem")
    orders.start()
    payments.start()
    buyer = buyer_of(orders)
    order = buyer.paid_order()
    old_token = buyer.token

    orders.stop()
    orders.environment["JWT_SIGNING_KEY_FILE"] = new_key(tmp_path / "new.pem")
    orders.start()
    buyer.login(buyer.email)
    assert jwt.get_unverified_header(buyer.token)["kid"] != jwt.get_unverified_header(old_token)["kid"]
    assert len(payments_of(payments, buyer, order["id"])) == 1

    forged = jwt.encode({}, ec.generate_private_key(ec.SECP256R1()), "ES256",
                        headers={"typ": "at+jwt", "kid": "made up"})
    expect_problem(Client(payments.url).get(f"/payments?orderId={order['id']}", token=forged), 401)


def test_googles_client_can_be_the_order_service(make_server, emulator, tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    keys = tmp_path / "jwks.json"
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    keys.write_text(json.dumps({"keys": [{**public, "kid": "another-shop"}]}))
    bus = emulator.new_project("another-order-service")
    payments = make_server("payments", bus, command=[PAYMENT_SERVICE, "--jwks-file", keys],
                           demo=False).start()

    order_id, user_id = str(uuid.uuid4()), str(uuid.uuid4())
    shop = start_node("play_order_service.js", bus, order_id, user_id, "2500")
    updates = [json.loads(line) for line in finish_node(shop).splitlines()]
    for update in updates:
        assert update["attributes"]["ce-type"] == "quittance.payment.updated.v1"
        assert update["orderingKey"] == update["data"]["orderId"] == order_id
    declined, paid = [next(update["data"] for update in updates if update["data"]["paymentStatus"] == status)
                      for status in ("FAILED", "CAPTURED")]
    assert (declined["failure"]["code"], declined["capturedAmount"]) == ("card_declined", 0)
    assert (paid["capturedAmount"], paid["currency"]) == (2500, "EUR")
    assert paid["sequence"] > declined["sequence"]

    now = int(time.time())
    token = jwt.encode({"iss": "quittance", "aud": "quittance", "sub": user_id, "role": "CUSTOMER",
                        "iat": now, "nbf": now, "exp": now + 900}, key, "ES256",
                       headers={"typ": "at+jwt", "kid": "another-shop"})
    listed = expect(Client(payments.url).get(f"/payments?orderId={order_id}", token=token), 200).json()["data"]
    assert {payment["id"]: payment["status"] for payment in listed} == {
        declined["paymentId"]: "FAILED", paid["paymentId"]: "CAPTURED"}


@pytest.mark.parametrize("environment, arguments, missing", [
    ({}, [], "JWKS_URL"),
    ({}, ["--jwks-file", "no-such-file.json"], "no-such-file.json"),
    ({"PUBSUB_DELIVERY": "push"}, [], "PUBSUB_PUSH_AUTH"),
    ({"PUBSUB_DELIVERY": "push", "PUBSUB_PUSH_AUTH": "oidc"}, [], "PUBSUB_PUSH_AUDIENCE"),
    ({"DB_USER": "shop", "DB_NAME": "payments", "DB_HOST": "127.0.0.1", "DB_PASSWORD": "", "DB_SSLMODE": "perhaps"},
     [], "sslmode"),
    ({"DB_USER": "shop", "DB_NAME": "payments", "DB_HOST": "127.0.0.1", "DB_PASSWORD": "", "DB_ENGINE": "mysql"},
     ["--db-sslmode", "require"], "DB_SSLROOTCERT"),
    ({"BUS": "embedded"}, [], "pubsub")])
def test_what_is_missing_is_said_at_the_start(emulator, tmp_path, environment, arguments, missing):
    settings = {**emulator.environment, **environment}
    if missing != "JWKS_URL":
        settings["JWKS_URL"] = "http://127.0.0.1:1/"
    ended = run_quittance(*arguments, "--data", tmp_path / "data", "--port", "0", environment=settings,
                          program=PAYMENT_SERVICE)
    assert ended.returncode == 2 and missing in ended.stderr, ended.stderr


def test_push_is_not_switched_to_an_address_that_pubsub_cannot_post_to():
    for url, account, missing in [("http://shop.example.com", "pusher@example.com", "https://"),
                                  ("https://shop.example.com", "", "PUBSUB_PUSH_SERVICE_ACCOUNT")]:
        ended = run_quittance("pubsub", "push", "on", "--google-cloud-project", "shop", "--order-service", url,
                              "--payment-service", url, "--pubsub-push-service-account", account,
                              environment={"PUBSUB_EMULATOR_HOST": ""})
        assert ended.returncode == 2 and missing in ended.stderr, ended.stderr
