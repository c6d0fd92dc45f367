"""Users that an operator makes with the command line, and what guards their tokens and log-ins."""

import re

import jwt

from client import PASSWORD, Client, expect, expect_problem, item, order_body, stock_shelves
from server import make_signing_key, run_quittance


def create_user(server, email, role, password=""):
    return run_quittance("user", "create", "--data", server.data, "--email", email, "--role", role,
                         stdin=password + "\n" if password else "")


def test_an_admin_with_a_given_password(make_server):
    server = make_server()
    server.start().stop()
    created = create_user(server, "boss@example.com", "ADMIN", "seven quiet umbrellas")
    assert created.returncode == 0, created.stderr
    assert "seven quiet umbrellas" not in created.stdout + created.stderr
    server.start()
    admin = Client(server.url).login("boss@example.com", "seven quiet umbrellas")
    assert admin.user["role"] == "ADMIN"
    stock_shelves(admin)


def test_a_password_is_generated_when_none_is_given(make_server):
    server = make_server()
    server.start().stop()
    created = create_user(server, "boss@example.com", "ADMIN")
    assert created.returncode == 0, created.stderr
    password = re.search(r"^password: (\S+)$", created.stdout, re.MULTILINE).group(1)
    assert len(password) >= 12
    server.start()
    assert Client(server.url).login("boss@example.com", password).user["role"] == "ADMIN"


def test_a_taken_address_and_a_weak_password_are_refused(make_server):
    server = make_server()
    server.start().stop()
    assert create_user(server, "boss@example.com", "ADMIN", "seven quiet umbrellas").returncode == 0
    again = create_user(server, "boss@example.com", "ADMIN", "eight quiet umbrellas")
    assert again.returncode != 0 and "already" in again.stderr
    weak = create_user(server, "other@example.com", "ADMIN", "password")
    assert weak.returncode != 0 and "password" in weak.stderr.lower()


def test_a_service_may_set_prices_and_statuses(make_server):
    server = make_server()
    server.start().stop()
    created = create_user(server, "till@example.com", "SERVICE", "seven quiet umbrellas")
    assert created.returncode == 0, created.stderr
    server.start()
    stock_shelves(Client(server.url).login(*server.admin_credentials()))
    service = Client(server.url).login("till@example.com", "seven quiet umbrellas")
    order = service.place_order(item(unitPrice=7, currency="EUR", quantity=3))
    assert order["totalAmount"] == 21
    problem = expect_problem(service.post("/orders", order_body(item(unitPrice=7))), 422)
    assert [fault["pointer"] for fault in problem["errors"]] == ["/items/0/currency"]
    customer = Client(server.url).register()
    bought = customer.paid_order()
    assert expect(service.set_status(bought["id"], "SHIPPED"), 200).json()["status"] == "SHIPPED"


# One address cannot keep all others from signing in. The tests' own has no limit, so that they speak as a proxy.
BEHIND_A_PROXY = {"TRUSTED_PROXY_HOPS": "1"}

def attempts(server, count, **headers):
    """The statuses of so many log-ins in a row, each of a user of its own, whom nobody knows."""
    visitor = Client(server.url)
    return [visitor.post("/users/login", {"email": f"nobody-{number}@example.com", "password": PASSWORD},
                         headers=headers).status_code for number in range(count)]


def test_an_address_may_try_twenty_log_ins_and_then_five_a_second(make_server):
    server = make_server(environment=BEHIND_A_PROXY).start()
    somebody = {"X-Forwarded-For": "203.0.113.9"}
    statuses = attempts(server, 60, **somebody)
    refused = statuses.count(429)
    assert set(statuses) == {401, 429} and statuses[:20] == [401] * 20, statuses
    # It took a while, in which some more were let through.
    assert refused >= 10, statuses
    answer = Client(server.url).post("/users", {"name": "Ada", "email": "ada@example.com", "password": PASSWORD},
                                     headers=somebody)
    if answer.status_code == 429:
        assert 1 <= int(answer.headers["Retry-After"]) <= 4
    invented = {"X-Forwarded-For": "198.51.100.77, 203.0.113.9"}
    assert 429 in attempts(server, 30, **invented), "anybody could choose an address"


def test_without_a_proxy_what_a_client_says_of_its_address_is_ignored(make_server):
    server = make_server().start()
    assert set(attempts(server, 40, **{"X-Forwarded-For": "203.0.113.9"})) == {401}


def test_behind_a_proxy_it_is_the_address_that_the_proxy_saw(make_server):
    server = make_server(environment={"LOGIN_RATE": "1", **BEHIND_A_PROXY}).start()
    for client in ("203.0.113.9", "203.0.113.10", "2001:db8::1"):
        statuses = attempts(server, 6, **{"X-Forwarded-For": f"198.51.100.7, {client}"})
        assert statuses[:4] == [401] * 4 and 429 in statuses, (client, statuses)


# Keys

def key_id(client):
    return jwt.get_unverified_header(client.token)["kid"]


def test_a_signing_key_is_changed_without_anybody_noticing(make_server, tmp_path):
    old, new = (str(make_signing_key(tmp_path / name)) for name in ("old.pem", "new.pem"))
    server = make_server(environment={"JWT_SIGNING_KEY_FILE": old}).start()
    customer = Client(server.url).register()
    published = []
    for files in ([old, new], [new, old]):
        server.stop()
        server.environment["JWT_SIGNING_KEY_FILE"] = ",".join(files)
        server.start()
        published.append({key["kid"] for key in customer.get("/.well-known/jwks.json").json()["keys"]})
        expect(customer.get("/users/me"), 200)
    assert published[0] == published[1] and len(published[0]) == 2
    renewed = Client(server.url).login(customer.email)
    assert {key_id(customer), key_id(renewed)} == published[0]

    server.stop()
    server.environment["JWT_SIGNING_KEY_FILE"] = new
    server.start()
    expect(renewed.get("/users/me"), 200)
    expect_problem(customer.get("/users/me"), 401)
    expect(customer.post("/users/refresh", {"refreshToken": customer.refresh_token}), 200)
