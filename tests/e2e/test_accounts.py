"""Users that an operator makes with the command line."""

import re

from client import Client, expect, expect_problem, item, order_body, stock_shelves
from server import run_quittance


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
