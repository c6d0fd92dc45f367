"""Programs on Google's own Pub/Sub client."""

import contextlib
import os
import shutil
import subprocess

from server import REPOSITORY

NODE_MODULES = REPOSITORY / "build/npm/node_modules"
SCRIPTS = REPOSITORY / "tests/e2e/node"


def start_node(script, environment, *arguments, stdout=subprocess.PIPE):
    assert shutil.which("node") and NODE_MODULES.exists(), "node or its packages are missing: run make setup"
    return subprocess.Popen(["node", SCRIPTS / script, *arguments], text=True, stdin=subprocess.DEVNULL,
                            stdout=stdout, stderr=subprocess.PIPE,
                            env={**os.environ, **environment, "NODE_PATH": str(NODE_MODULES)})


def finish_node(process):
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return output


@contextlib.contextmanager
def running_node(script, environment):
    """A program that says when it is ready, and runs until it is ended."""
    process = start_node(script, environment)
    try:
        assert process.stdout.readline() == '"ready"\n', process.stderr.read()
        yield
        assert process.poll() is None, process.stderr.read()
    finally:
        process.kill()
        process.communicate()
