"""The README's section on PostgreSQL and the emulator works when it is pasted."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

from emulator import require_emulator
from server import PROGRAMS, REPOSITORY, free_port
from test_readme import printed_values

SECONDS = 120
PORTS = ["5433", "8085", "8080", "8081"]


@pytest.fixture
def desk():
    """A folder with our programs in it, for an ordinary user: PostgreSQL refuses root."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="quittance-readme-"))
    programs = folder / "build/release/bin"
    programs.mkdir(parents=True)
    for name in ("quittance", "order-service", "payment-service"):
        shutil.copy(PROGRAMS / name, programs)
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, "postgres", "postgres")
    yield folder
    shutil.rmtree(folder)


def pasted():
    """The three blocks to paste and the line that ends it all, with ports that are free."""
    section = (REPOSITORY / "README.md").read_text().split("\n## With PostgreSQL and the emulator on your desk\n")[1]
    section = section.split("\n## ")[0]
    free = {port: str(free_port()) for port in PORTS}
    section = re.sub(rf"\b(?:{'|'.join(PORTS)})\b", lambda found: free[found[0]], section)
    blocks = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    [end] = re.findall(r"^To end it all: `(.*)`\.$", section, re.MULTILINE)
    return (*blocks, end)


def paste(folder, script):
    """Into a terminal, as far as a script can be one: with control of its jobs. Like there, a command that fails does
    not end it: a job that has ended is gone when it is waited for."""
    user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []
    process = subprocess.Popen([*user, "bash", "-u", "-o", "pipefail", "-c", "set -m\n" + script], cwd=folder,
                               text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env={**os.environ, "HOME": str(folder)})
    try:
        output, errors = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.terminate()
        output, errors = process.communicate(timeout=60)
    logs = "\n".join(file.read_text() for file in folder.glob("desk/*.log"))
    assert process.returncode == 0, f"{output}{errors}{logs}"
    return output


def test_the_two_services_on_a_desk_work_when_they_are_pasted(desk):
    require_emulator()
    start, order, push, end = pasted()
    assert order.count("sleep 2") == 1
    # A machine that runs other tests is slower than a desk.
    order = order.replace("sleep 2", "sleep 5")
    script = f"trap 'set +e\n{{ {end}; }} >&2' EXIT\n{{\n{start}}} >&2\n{order}\n{{\n{push}}} >&2\n{order}"
    user, first, first_payments, taken, second, second_payments = printed_values(paste(desk, script))
    assert user["email"] == "ada@example.com" and taken["status"] == 409
    assert first["id"] != second["id"]
    for paid, payments in ((first, first_payments), (second, second_payments)):
        assert (paid["status"], paid["paymentStatus"]) == ("PAID", "CAPTURED")
        assert [payment["status"] for payment in payments["data"]] == ["CAPTURED"]
    assert not (desk / "desk").exists(), "something is left"
