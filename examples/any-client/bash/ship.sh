#!/usr/bin/env bash
# Ships an order with nothing but redis-cli: start it, run its activity, approve it, wait for its end.
#
#   REDIS_URL=redis://localhost:6379 bash ship.sh order-1
set -euo pipefail

readonly ID=$1 HUB=shop QUEUE=labels
readonly ME="bash-$$-$RANDOM" # this program's name as a consumer: a fresh one every time

redis() { redis-cli -u "${REDIS_URL:-redis://localhost:6379}" "$@"; }

# CRC-32 of the id stands at the end of what gzip makes of it, the lowest byte first.
crc32() { printf %s "$1" | gzip -c | tail -c8 | head -c4 | od -An -tu1 | { read -r a b c d; echo $((a + (b << 8) + (c << 16) + (d << 24))); }; }

[[ $(redis HGET "rd:{$HUB}:meta" format) == 2 ]] || { echo "hub $HUB is not there, or not of format 2" >&2; exit 1; }
partitions=$(redis HGET "rd:{$HUB}:meta" partitions)
partition=$(($(crc32 "$ID") % partitions))
base="rd:{$HUB:p$partition}:" # the keys of the order's partition

# --- A worker for the queue: first say that it is served, and see that its streams have their group.
serve() {
    local number
    redis SADD "rd:{$HUB}:queues" "$QUEUE" >/dev/null
    queues=() news=()
    for ((number = 0; number < partitions; number++)); do
        queues+=("rd:{$HUB:p$number}:tasks:$QUEUE") news+=(">")
        redis XGROUP CREATE "${queues[number]}" w 0 MKSTREAM >/dev/null 2>&1 || true # it is there already
    done
}

# Take one task, whichever partition it lies in. The reply is: stream, id, "t", the task as JSON.
take() {
    local reply
    mapfile -t reply < <(redis XREADGROUP GROUP w "$ME" COUNT 1 BLOCK 10000 STREAMS "${queues[@]}" "${news[@]}")
    stream=${reply[0]} task=${reply[1]} body=${reply[3]}
}

# answer VERB [FIELD VALUE ...]: what became of the task, written to the answers of the partition that it came from.
answer() {
    local verb=$1
    shift
    redis XADD "${stream%tasks:*}answers" '*' "$verb" "$task" queue "$QUEUE" worker "$ME" "$@" >/dev/null
}

work() {
    serve
    take
    answer heartbeat details '{"printed": "half"}'
    answer fail error PrinterJam message "the first one always jams"
    take # the next attempt: it knows what the first one has noted
    [[ $body != *'"v":'* && $body == *'"attempt":2'* && $body == *'"heartbeat":{"printed": "half"}'* ]]
    answer complete result "{\"printed_by\": \"bash\"}"
}

# --- A client.
# Where the feed is now: read on from here, and no end can be missed.
seen=$(redis XREVRANGE "${base}feed" + - COUNT 1 | head -n1)
redis XADD "rd:{$HUB}:intake" '*' instance "$ID" start ShipOrder input '"Main Street 1"' id "start-$ID" >/dev/null
work
redis XADD "rd:{$HUB}:intake" '*' instance "$ID" event Approval data '"bash"' id "approval-$ID" >/dev/null

while :; do
    status=$(redis HGET "${base}i:$ID" s)
    case $status in Completed | Failed | Terminated | Canceled) break ;; esac
    end=$(redis XREAD COUNT 100 BLOCK 10000 STREAMS "${base}feed" "${seen:-0-0}" | grep -E '^[0-9]+-[0-9]+$' | tail -n1)
    seen=${end:-$seen}
done
echo "$ID $status"
redis LINDEX "${base}h:$ID" -1
