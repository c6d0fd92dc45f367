#!/usr/bin/env bash
# Installs what scripts/packages.txt names, and what comes from npm and PyPI. Does nothing, quickly, when all of it
# is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mapfile -t wanted < <(sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' scripts/packages.txt)
# Debian's npm is old and brings hundreds of packages: only where there is no other.
if ! command -v npm > /dev/null; then wanted+=(nodejs npm); fi
# For the Pub/Sub emulator; any Java will do.
if ! command -v java > /dev/null; then wanted+=(default-jre-headless); fi

if ! command -v dpkg-query > /dev/null; then
    {
        echo "setup: this system has no dpkg; the build is made for Debian 12 (bookworm)."
        echo "setup: install the counterparts of these packages yourself, then go on with 'make build':"
        printf '  %s\n' "${wanted[@]}"
    } >&2
    exit 1
fi

declare -A installed=()
while read -r status package; do
    if [[ $status == installed ]]; then installed[$package]=yes; fi
done < <(dpkg-query --show --showformat='${db:Status-Status} ${Package}\n' "${wanted[@]}" 2> /dev/null)

missing=()
for package in "${wanted[@]}"; do
    if [[ -z ${installed[$package]:-} ]]; then missing+=("$package"); fi
done
# Not Debian's, and needed by tests only.
if [[ -z $(dpkg-query --show --showformat='${db:Status-Status}' google-cloud-cli-pubsub-emulator 2> /dev/null) ]]; then
    echo "setup: google-cloud-cli-pubsub-emulator is missing; 'make test' leaves out what needs it, and says so" >&2
fi
other_packages() {
    scripts/npm_packages.sh
    scripts/python_packages.sh
}
if ((${#missing[@]} == 0)); then
    other_packages
    exit
fi

# shellcheck source=/dev/null
release=$(. /etc/os-release 2> /dev/null && echo "${ID:-unknown} ${VERSION_ID:-unknown}" || echo unknown)
if [[ $release != "debian 12" ]]; then
    {
        echo "setup: this system calls itself '$release'; only Debian 12 is supported."
        echo "setup: missing are the following, or their counterparts here; install them, then 'make build':"
        printf '  %s\n' "${missing[@]}"
    } >&2
    exit 1
fi

privileged=()
if ((EUID != 0)); then
    if ! command -v sudo > /dev/null; then
        echo "setup: run 'make setup' as root, or install sudo. Missing: ${missing[*]}" >&2
        exit 1
    fi
    # Without a terminal a password prompt would wait for ever.
    if [[ -t 0 ]]; then privileged=(sudo); else privileged=(sudo --non-interactive); fi
fi

apt_get() {
    "${privileged[@]}" env DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes \
        -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 "$@" < /dev/null
}

echo "setup: installing ${missing[*]}"
apt_get update
apt_get install --no-install-recommends "${missing[@]}"
other_packages
