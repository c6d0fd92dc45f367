#!/usr/bin/env bash
# Runs all tests of build/release. At the end, where it is seen, says what was measured, why tests failed and what
# was not tested.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

ctest --test-dir build/release --output-on-failure --no-tests=error
status=$?
log=build/release/Testing/Temporary/LastTest.log
if ((status != 0)); then
    echo "==> what the failed tests said (all of it is in $log)"
    grep --extended-regexp --before-context=2 --after-context=12 \
        ': Failure$|^E  |^terminate called|what\(\):|^FAILED |\[  FAILED  \]' "$log" | tail --lines=150
fi
echo '==> figures of this run:'
grep --only-matching --no-filename 'measured: .*' "$log"
if missing=$(grep --only-matching --no-filename 'NOT TESTED.*' "$log" | sort | uniq --count); then
    printf '==> left out here:\n%s\n' "$missing" >&2
fi
exit "$status"
