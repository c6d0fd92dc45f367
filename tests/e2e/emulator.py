"""Google's Pub/Sub emulator, for shops whose services talk over it."""

import os
import shutil
import signal
import subprocess
import time

import pytest

from server import free_port, run_quittance

START_SECONDS = 90


def _jar():
    files = subprocess.run(["dpkg", "-L", "google-cloud-cli-pubsub-emulator"], text=True, capture_output=True,
                           check=False).stdout.split()
    return next((file for file in files if file.endswith(".jar")), None)


def require_emulator():
    """Skips the test where there is no emulator; under CI=true that is a failure."""
    if _jar() and shutil.which("java"):
        return
    reason = "google-cloud-cli-pubsub-emulator or java is missing"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(f"NOT TESTED over Pub/Sub: {reason}")


class Emulator:
    """Listens on 127.0.0.1 until stopped, with our topics and subscriptions in it."""

    def __init__(self, heap="512m"):
        require_emulator()
        self.heap = heap
        self.port = free_port()
        self.process = None
        self.environment = self._environment_of("shop")
        self.restart()

    def _environment_of(self, project):
        return {"BUS": "pubsub", "GOOGLE_CLOUD_PROJECT": project,
                "PUBSUB_EMULATOR_HOST": f"127.0.0.1:{self.port}"}

    def new_project(self, name):
        """Topics and subscriptions that nobody else uses; the environment for programs that do."""
        environment = self._environment_of(name)
        provisioned = self.quittance("pubsub", "provision", "--min-backoff", "0.1", environment=environment)
        assert provisioned.returncode == 0, provisioned.stderr
        return environment

    def restart(self):
        """Starts it, empty, and makes what our services need."""
        self.process = subprocess.Popen(
            ["java", f"-Xmx{self.heap}", "-jar", _jar(), "--host=127.0.0.1", f"--port={self.port}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.provision()
        except BaseException:
            self.stop()
            raise

    def quittance(self, *arguments, stdin="", environment=None):
        return run_quittance(*arguments, stdin=stdin, seconds=60,
                             environment=environment or self.environment)

    def provision(self):
        end = time.monotonic() + START_SECONDS
        while True:
            result = self.quittance("pubsub", "provision", "--min-backoff", "0.1")
            if result.returncode == 0:
                return
            assert time.monotonic() < end, result.stderr
            time.sleep(0.2)

    def freeze(self):
        """Nothing answers any more, and nothing is lost."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        self.process.kill()
        self.process.wait()
