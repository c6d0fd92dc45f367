#!/usr/bin/env bash
# Starts the all-in-one program on an empty data folder, places three orders as a customer would, and fails
# loudly when one of them does not end as it must. Leaves nothing behind.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

program=${QUITTANCE:-build/release/bin/quittance}
start_seconds=20
settle_seconds=20
work=$(mktemp -d)
server_pid=
token=
status=
body=

fail() {
    printf '\ndemo: FAILED: %s\n' "$*" >&2
    if [[ -s $work/server.log ]]; then
        echo "demo: the server's last words:" >&2
        tail -n 20 "$work/server.log" >&2
    fi
    exit 1
}

clean_up() {
    local code=$?
    trap - EXIT
    if [[ -n $server_pid ]] && kill -TERM "$server_pid" 2> /dev/null; then wait "$server_pid" || true; fi
    rm -rf "$work"
    exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A port that nobody listens on. Another program may still take it first; then the server refuses to start.
free_port() {
    local port
    for _ in {1..50}; do
        port=$((20000 + RANDOM % 12000))
        if ! (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then
            echo "$port"
            return
        fi
    done
    return 1
}

start_server() {
    local port
    port=$(free_port) || fail "no free port was found"
    api=http://127.0.0.1:$port
    printf '\n$ quittance serve --demo --data %s --port %s &\n' "$work/data" "$port"
    "$program" serve --demo --data "$work/data" --port "$port" > "$work/server.out" 2> "$work/server.log" &
    server_pid=$!
    local deadline=$((SECONDS + start_seconds))
    until curl --silent --fail --output /dev/null --max-time 2 "$api/health/ready"; do
        kill -0 "$server_pid" 2> /dev/null || fail "the server ended by itself"
        ((SECONDS < deadline)) || fail "the server is not ready after $start_seconds s"
        sleep 0.05
    done
    sed 's/password: .*/password: (printed once, hidden here)/' "$work/server.out"
}

# call METHOD PATH [BODY]: sends a request; leaves the answer in `status` and `body`.
call() {
    local method=$1 path=$2
    local arguments=(--silent --show-error --max-time 10 --request "$method")
    if [[ -n $token ]]; then arguments+=(--header "Authorization: Bearer $token"); fi
    if [[ -n ${3:-} ]]; then arguments+=(--header 'Content-Type: application/json' --data "$3"); fi
    status=$(curl "${arguments[@]}" --output "$work/body" --write-out '%{http_code}' "$api$path") ||
        fail "$method $path was not answered"
    body=$(< "$work/body")
}

# show METHOD PATH [BODY]: the same, printed for people. `filter` shortens what is printed.
filter=.
show() {
    local command="curl -X $1 \"\$API$2\""
    if [[ -n $token ]]; then command+=" -H \"Authorization: Bearer \$TOKEN\""; fi
    if [[ -n ${3:-} ]]; then command+=" -H 'Content-Type: application/json' -d '$3'"; fi
    printf '\n$ %s\n' "$command"
    call "$@"
    echo "HTTP $status"
    jq --compact-output "$filter" "$work/body"
}

expect() {
    [[ $status == "$1" ]] || fail "HTTP $1 was expected, not $status: $body"
}

# await ORDER MEMBER WANTED: waits until a member of the order has one of the values (a|b).
await() {
    local deadline=$((SECONDS + settle_seconds)) value
    while true; do
        call GET "/orders/$1"
        expect 200
        value=$(jq --raw-output ".$2" <<< "$body")
        if [[ $value =~ ^($3)$ ]]; then
            echo "  ... $2: $value"
            return
        fi
        ((SECONDS < deadline)) || fail "the $2 of order $1 is $value, not $3, after $settle_seconds s"
        sleep 0.05
    done
}

place_order() {
    show POST /orders "$1"
    expect 201
    [[ $(jq --raw-output .status <<< "$body") == PENDING ]] || fail "a new order is PENDING"
    order=$(jq --raw-output .id <<< "$body")
}

# history ORDER STATUS...: shows the order's history, which must hold these statuses in this order.
history() {
    local order=$1
    shift
    filter='.data[] | [.createdAt, .status, .paymentStatus, .actor, .reason]' show GET "/orders/$order/events"
    expect 200
    local seen
    seen=$(jq --raw-output 'reduce .data[].status as $next ([]; if .[-1] == $next then . else . + [$next] end)
        | join(" ")' <<< "$body")
    [[ $seen =~ ^($*)$ ]] || fail "the history of order $order is '$seen', not '$*'"
}

[[ -x $program ]] || fail "$program is not there; run 'make build' first"
echo "== The shop opens"
start_server

echo
echo "== A customer signs up and signs in"
show POST /users '{"name":"Ada Byron","email":"ada@example.com","password":"three blue kettles"}'
expect 201
filter='.token = "..." | .refreshToken = "..."' \
    show POST /users/login '{"email":"ada@example.com","password":"three blue kettles"}'
expect 200
token=$(jq --raw-output .token <<< "$body")
filter='.data[]' show GET /products
expect 200

echo
echo "== 1. An order that is paid"
place_order '{"items":[{"productId":"coffee-beans-1kg","quantity":2}],"paymentMethod":"pm_card_visa"}'
await "$order" status PAID
filter='.data[]' show GET "/payments?orderId=$order"
expect 200
[[ $(jq --raw-output '[.data[].status] | join(" ")' <<< "$body") == CAPTURED ]] ||
    fail "one payment, CAPTURED, was expected"
history "$order" PENDING PROCESSING PAID

echo
echo "== 2. An order whose card is declined, and that is then paid with another"
place_order '{"items":[{"productId":"ceramic-mug","quantity":1}],"paymentMethod":"pm_card_chargeDeclined"}'
await "$order" status PAYMENT_FAILED
show POST "/orders/$order/payment" '{"paymentMethod":"pm_card_visa"}'
expect 202
await "$order" status PAID
history "$order" PENDING PROCESSING PAYMENT_FAILED PROCESSING PAID

echo
echo "== 3. An order that is canceled; what was paid for it goes back by itself"
place_order '{"items":[{"productId":"pour-over-kettle","quantity":1}],"paymentMethod":"pm_card_visa"}'
show PATCH "/orders/$order/status" '{"status":"CANCELED"}'
expect 200
await "$order" status CANCELED
await "$order" paymentStatus 'REFUNDED|CANCELED'
# The cancellation may come before the payment was asked for, or after it was made.
history "$order" 'PENDING( PROCESSING)?( PAID)? CANCELED'

echo
echo "== The shop closes"
kill -TERM "$server_pid"
wait "$server_pid" || fail "the server ended with code $?"
server_pid=
echo "demo: all three orders ended as they must."
