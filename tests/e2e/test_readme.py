"""What the README says to paste works as it stands."""

import json
import re
import subprocess

from server import REPOSITORY

DEMO_START = "API=http://127.0.0.1:8080"
DEMO_PASSWORD = "PASSWORD='...'"


def quick_start():
    """The shell blocks of the quick start from the first call on, as one text."""
    section = (REPOSITORY / "README.md").read_text().split("\n## Quick start\n")[1].split("\n## ")[0]
    text = "\n".join(re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))
    assert text.count(DEMO_START) == text.count(DEMO_PASSWORD) == 1
    return text[text.index(DEMO_START):]


def printed_values(text):
    """The JSON values in a text, one after the other."""
    decoder, values = json.JSONDecoder(), []
    while text := text.lstrip():
        value, end = decoder.raw_decode(text)
        values.append(value)
        text = text[end:]
    return values


def test_the_quick_start_works_when_it_is_pasted(make_server):
    server = make_server().start()
    _, password = server.admin_credentials()
    script = quick_start().replace(DEMO_START, f"API={server.url}")
    script = script.replace(DEMO_PASSWORD, f"PASSWORD='{password}'")
    done = subprocess.run(["bash", "-eu", "-o", "pipefail", "-c", script], text=True, capture_output=True, timeout=60,
                          check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    (user, me, products, first, events, payments, payment, declined, again, canceled, ended, statuses, logged_out,
     product, price, shipped, refund, refunded, balances, entries, keys, live, ready, series) = printed_values(done.stdout)
    assert me == user and user["email"] == "ada@example.com"
    assert {"coffee-beans-1kg", "ceramic-mug"} <= {each["id"] for each in products["data"]}
    assert first["status"] == "PAID" and first["totalAmount"] > 0
    assert [event["status"] for event in events["data"]][-1] == "PAID"
    assert [payment["status"] for payment in payments["data"]] == ["CAPTURED"]
    assert payment == {"status": "CAPTURED", "capturedAmount": first["totalAmount"]}
    assert declined["status"] == "PAYMENT_FAILED" and declined["failure"]["code"] == "card_declined"
    assert again == "PROCESSING" and canceled == "CANCELED"
    assert ended == {"status": "CANCELED", "paymentStatus": "REFUNDED", "refundedAmount": 1250}
    assert statuses == ["CANCELED", "PAID"]
    assert logged_out == 204
    assert product["id"] == "tea-pot" and price == 3900
    assert shipped == "SHIPPED" and "status" in refund
    assert refunded == {"status": "SHIPPED", "paymentStatus": "PARTIALLY_REFUNDED", "refundedAmount": 500}
    assert balances and entries == 4
    assert keys == 1 and live["status"] and ready["status"] and series > 5
