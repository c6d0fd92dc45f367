#!/usr/bin/env bash
# Installs into build/npm: the definitions of Google's interfaces, which the build generates code from, and the
# official clients of Pub/Sub and Stripe, which tests talk to ours with. Does nothing, quickly, when they are
# there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

packages=(google-proto-files@5.0.3 @google-cloud/pubsub@5.3.1 stripe@18.5.0)

missing=()
for package in "${packages[@]}"; do
    manifest=build/npm/node_modules/${package%@*}/package.json
    if ! grep --quiet --no-messages "\"version\": \"${package##*@}\"" "$manifest"; then missing+=("$package"); fi
done
if ((${#missing[@]} == 0)); then exit 0; fi

echo "setup: installing ${missing[*]} into build/npm"
mkdir -p build/npm
npm install --prefix build/npm --no-save --no-package-lock --no-audit --no-fund --ignore-scripts \
    --loglevel=error "${packages[@]}" < /dev/null
