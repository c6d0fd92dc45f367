"""Pub/Sub as others see it: Google's own Node client, and the operator's command line."""

import json
import uuid

import pytest
import requests

from client import Client, expect, item, order_body, stock_shelves
from emulator import Emulator
from node_programs import finish_node, running_node, start_node
from server import ORDER_SERVICE, QUITTANCE, run_quittance
from waiting import wait_until


@pytest.fixture
def own_emulator():
    running = Emulator()
    yield running
    running.stop()


@pytest.fixture
def pubsub_shop(make_server, own_emulator):
    return make_server("pubsub", own_emulator.environment).start()


def new_buyer(server):
    stock_shelves(Client(server.url).login(*server.admin_credentials()))
    return Client(server.url).register("Ada Byron")


@pytest.fixture
def buyer(pubsub_shop):
    return new_buyer(pubsub_shop)


def publish_update(emulator, event_type, data):
    """Returns the id of the event."""
    event_id = str(uuid.uuid4())
    finish_node(start_node("publish_order_update.js", emulator.environment, event_id, event_type, json.dumps(data)))
    return event_id


def test_googles_client_reads_our_events(buyer, own_emulator):
    reader = start_node("read_payment_events.js", own_emulator.environment)
    assert json.loads(reader.stdout.readline()) == "ready"
    order = expect(buyer.post("/orders", order_body(item(quantity=2))), 201).json()
    message = json.loads(finish_node(reader).splitlines()[-1])
    attributes = message["attributes"]
    assert message["orderingKey"] == order["id"]
    assert attributes["ce-type"] == "quittance.order.created.v1"
    assert attributes["ce-specversion"] == "1.0"
    assert attributes["content-type"] == "application/json"
    assert attributes["ce-source"] and attributes["ce-time"].endswith("Z")
    assert str(uuid.UUID(attributes["ce-id"])) == attributes["ce-id"]
    data = json.loads(message["data"])
    assert (data["orderId"], data["amount"], data["currency"]) == (order["id"], 2500, "EUR")


def test_googles_client_can_be_the_payment_service(make_server, own_emulator):
    buyer = new_buyer(make_server("orders", own_emulator.environment, command=[ORDER_SERVICE]).start())
    with running_node("play_payment_service.js", own_emulator.environment):
        paid = buyer.paid_order(item(quantity=2))
        assert paid["paymentStatus"] == "CAPTURED"
        declined = buyer.place_order(method="pm_card_chargeDeclined")
        failed = buyer.wait_for_order(declined["id"], status="PAYMENT_FAILED")
        assert failed["failure"]["code"] == "another_bank_says_no"
        expect(buyer.post(f"/orders/{declined['id']}/payment", {"paymentMethod": "pm_card_visa"}), 202)
        buyer.wait_for_order(declined["id"], status="PAID", paymentStatus="CAPTURED")


def test_a_dead_letter_is_listed_shown_and_sent_again(buyer, pubsub_shop, own_emulator):
    event_id = publish_update(own_emulator, "quittance.payment.updated.v9", {"orderId": "somewhere"})

    def letters():
        listed = own_emulator.quittance("dead-letters", "list", "--data", pubsub_shop.data)
        assert listed.returncode == 0, listed.stderr
        return [json.loads(line) for line in listed.stdout.splitlines()]
    [letter] = wait_until(letters, 30, "the dead letter")
    assert letter["id"] == event_id and letter["topic"] == "order-updates"
    assert letter["reason"] == 'The type "quittance.payment.updated.v9" is not known on the topic order-updates.'
    assert [letter["id"] for letter in letters()] == [event_id], "looking must not take it away"

    shown = own_emulator.quittance("dead-letters", "show", event_id, "--data", pubsub_shop.data)
    assert json.loads(json.loads(shown.stdout)["data"]) == {"orderId": "somewhere"}

    log_before = pubsub_shop.log().count(event_id)
    replayed = own_emulator.quittance("dead-letters", "replay", event_id, "--data", pubsub_shop.data)
    assert replayed.returncode == 0, replayed.stderr
    wait_until(lambda: pubsub_shop.log().count(event_id) > log_before, 30, "the letter to come and fail again")
    unknown = own_emulator.quittance("dead-letters", "show", "nothing", "--data", pubsub_shop.data)
    assert unknown.returncode == 2 and "nothing" in unknown.stderr


def test_a_shop_without_its_topics_says_what_to_do(make_server, own_emulator):
    server = make_server("lost", {**own_emulator.environment, "GOOGLE_CLOUD_PROJECT": "another"})
    server.spawn()
    assert server.process.wait(20) == 2
    assert "projects/another/topics/payment-events" in server.log()
    assert "quittance pubsub provision" in server.log()


def test_check_tells_what_is_missing(own_emulator):
    good = own_emulator.quittance("pubsub", "check", "--min-backoff", "0.1")
    assert good.returncode == 0, good.stdout + good.stderr
    bad = own_emulator.quittance("pubsub", "check", "--google-cloud-project", "another")
    assert bad.returncode == 3
    assert "dead letters of payment-events would be lost" in bad.stdout


def test_googles_client_sees_what_was_provisioned(own_emulator):
    bus = {**own_emulator.environment, "GOOGLE_CLOUD_PROJECT": "provisioned"}
    provisioned = own_emulator.quittance("pubsub", "provision", environment=bus)
    assert provisioned.returncode == 0, provisioned.stderr
    seen = json.loads(finish_node(start_node("describe_project.js", bus)))

    main = {"payment-service-sub": "payment-events", "order-service-sub": "order-updates"}
    of_dead_letters = {f"{topic}-dead-letter-sub": f"{topic}-dead-letter" for topic in main.values()}
    assert seen["topics"] == sorted([*main.values(), *of_dead_letters.values()])
    assert seen["subscriptions"].keys() == {*main, *of_dead_letters}
    for name, topic in {**main, **of_dead_letters}.items():
        settings = seen["subscriptions"][name]
        assert settings["topic"] == f"projects/provisioned/topics/{topic}"
        assert settings["messageRetentionDuration"] == in_seconds(7 * 24 * 3600)
        assert settings["expirationPolicy"] == {"ttl": None}, "it must never expire"
        assert settings["ackDeadlineSeconds"] == 60
        assert settings["pushConfig"]["pushEndpoint"] == ""
    for name, topic in main.items():
        settings = seen["subscriptions"][name]
        assert settings["enableMessageOrdering"]
        assert settings["deadLetterPolicy"] == {
            "deadLetterTopic": f"projects/provisioned/topics/{topic}-dead-letter", "maxDeliveryAttempts": 10}
        assert settings["retryPolicy"] == {"minimumBackoff": in_seconds(10), "maximumBackoff": in_seconds(600)}


def test_a_filter_is_named_because_it_loses_messages(own_emulator):
    assert own_emulator.quittance("pubsub", "provision", "--google-cloud-project", "filtered").returncode == 0
    subscription = f"http://127.0.0.1:{own_emulator.port}/v1/projects/filtered/subscriptions/payment-service-sub"
    settings = requests.get(subscription, timeout=30).json()
    requests.delete(subscription, timeout=30).raise_for_status()
    filtered = {**settings, "filter": 'attributes.colour = "red"'}
    requests.put(subscription, json=filtered, timeout=30).raise_for_status()
    check = own_emulator.quittance("pubsub", "check", "--google-cloud-project", "filtered")
    assert check.returncode == 3
    assert 'payment-service-sub: filter is attributes.colour = "red", not none' in check.stdout


def in_seconds(seconds):
    """A duration as Google's client reads it."""
    return {"seconds": str(seconds), "nanos": 0}


def test_a_flag_wins_over_the_environment(own_emulator):
    provisioned = own_emulator.quittance("pubsub", "provision", "--google-cloud-project", "another")
    assert "created topic payment-events" in provisioned.stdout, provisioned.stdout
    check = own_emulator.quittance("pubsub", "check", "--google-cloud-project", "another")
    assert check.returncode == 0, check.stdout


def test_pubsub_without_a_project_says_what_is_missing():
    result = run_quittance("pubsub", "check", environment={"GOOGLE_CLOUD_PROJECT": ""})
    assert result.returncode == 2 and "GOOGLE_CLOUD_PROJECT" in result.stderr


@pytest.mark.parametrize("program, arguments", [
    (QUITTANCE, ["serve", "--port", 0]), (QUITTANCE, ["pubsub", "provision"]), (ORDER_SERVICE, ["--port", 0])],
    ids=["serve", "provision", "order-service"])
def test_pubsub_without_credentials_says_how_to_get_some(tmp_path, program, arguments):
    nobody = {"BUS": "pubsub", "GOOGLE_CLOUD_PROJECT": "shop", "PUBSUB_EMULATOR_HOST": "",
              "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "no-such-key.json"), "HOME": str(tmp_path),
              "CLOUDSDK_CONFIG": str(tmp_path)}
    data = [] if "pubsub" in arguments else ["--data", tmp_path / "data"]
    ended = run_quittance(*arguments, *data, environment=nobody, program=program)
    assert ended.returncode == 2
    assert "there are no Google credentials for Pub/Sub" in ended.stderr
    for way_out in ("GOOGLE_APPLICATION_CREDENTIALS", "gcloud auth application-default login", "PUBSUB_EMULATOR_HOST"):
        assert way_out in ended.stderr


def test_orders_placed_while_pubsub_is_away_are_paid_when_it_is_back(buyer, own_emulator):
    own_emulator.freeze()
    orders = [expect(buyer.post("/orders", order_body()), 201).json() for _ in range(5)]
    for order in orders:
        assert buyer.order(order["id"])["status"] == "PENDING"
    own_emulator.thaw()
    for order in orders:
        buyer.wait_for_order(order["id"], seconds=120, status="PAID")


def test_a_shop_carries_on_after_pubsub_was_made_anew(buyer, own_emulator):
    own_emulator.stop()
    own_emulator.restart()
    order = expect(buyer.post("/orders", order_body()), 201).json()
    buyer.wait_for_order(order["id"], seconds=120, status="PAID")
