#!/usr/bin/env bash
# Installs schemathesis, which tries the calls of docs/openapi.yaml, into build/python: each package in the version
# and with the content that the list names. Does nothing, quickly, when it is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

list=tests/e2e/schemathesis/requirements.txt
installed=build/python/installed.txt
if cmp --quiet "$list" "$installed"; then exit 0; fi

echo "setup: installing the packages of $list into build/python"
mkdir -p build
rm -rf build/python
/usr/bin/python3 -m venv build/python
build/python/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
    --only-binary :all: --requirement "$list" < /dev/null
cp "$list" "$installed"
