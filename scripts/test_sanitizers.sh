#!/usr/bin/env bash
# Builds and runs the C++ tests, and the all-in-one under bad input, once under each sanitizer preset.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1 second_deadlock_stack=1}

# Tests against servers are left out: the clients' libraries (gRPC, libpq, libmariadb) are not built with
# sanitizers, which then report what is not there.
export GTEST_FILTER=${GTEST_FILTER:--PubsubBus/*}

# GCC 12's thread sanitizer cannot start where the kernel randomizes addresses widely.
fixed_addresses=()
if setarch --addr-no-randomize true 2> /dev/null; then fixed_addresses=(setarch --addr-no-randomize); fi

for preset in asan-ubsan tsan; do
    echo "==> $preset"
    cmake --preset "$preset" --log-level=WARNING
    cmake --build --preset "$preset" --parallel "${JOBS:-$(nproc)}"
    "${fixed_addresses[@]}" ctest --test-dir "build/$preset" --output-on-failure --no-tests=error \
        --label-exclude '^(e2e|servers)$'
    # And the program as a whole, on the embedded default.
    QUITTANCE_BIN=$PWD/build/$preset/bin PYTHONDONTWRITEBYTECODE=1 "${fixed_addresses[@]}" \
        /usr/bin/python3 -m pytest -q tests/e2e/test_flow.py tests/e2e/test_bad_input.py \
        -k 'not postgresql and not mariadb and not mysql'
done
