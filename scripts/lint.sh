#!/usr/bin/env bash
# Checks what can be checked without running the programs. Says all that is wrong, not only the first.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

failed=()
check() {
    local name=$1
    shift
    echo "==> $name"
    "$@" || failed+=("$name")
}

format() {
    find src tests bench -name '*.[ch]pp' -print0 | xargs -0 clang-format-14 --dry-run --Werror
}

# Only the configuration is needed, for the compile commands, and the headers that the build generates.
tidy() {
    {
        cmake --preset release --log-level=WARNING && cmake --build --preset release --target pubsub_proto_headers
    } > build/lint-configure.log 2>&1 || {
        cat build/lint-configure.log
        return 1
    }
    scripts/clang_tidy.py build/release "${JOBS:-$(nproc)}"
}

mkdir -p build
check "format (mend it with 'make format')" format
check "scripts" shellcheck scripts/*.sh .ci/run
check "descriptions of the HTTP calls and the events" scripts/check_descriptions.py
check "code" tidy

if ((${#failed[@]} > 0)); then
    printf 'lint: FAILED: %s\n' "${failed[@]}" >&2
    exit 1
fi
echo "lint: passed"
