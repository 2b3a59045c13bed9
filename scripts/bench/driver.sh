# The lab's load driver held against wrk, over a server that has nothing behind it. Sourced by
# bench.sh. With a fixed time for an answer both must get the same; with none, each shows its ceiling
# beside a server on the same cores.

start_fixed_answer() {
    local port
    port=$(free_port)
    fixed_url=http://127.0.0.1:$port
    start TERM "$work/fixed_answer.log" "$fixed_answer" --listen "127.0.0.1:$port" --delay 20ms
    await fixed_answer "$started" curl -sf -o /dev/null "$fixed_url/noop"
}

cell_driver() {
    local server
    start_fixed_answer
    server=$started
    measure_drivers fixed "$fixed_url/"
    record_ratio driver_to_wrk drive_fixed.rate wrk_fixed.rate
    measure_drivers immediate "$fixed_url/noop"
    stop "$server"
}

# measure_drivers NAME URL: records drive_NAME.rate and wrk_NAME.rate. Both warm up for a second.
measure_drivers() {
    local name=$1 url=$2 result requests took rate driver
    run_wrk 1 "$url" >/dev/null
    result=$(run_wrk "$seconds" "$url")
    read -r requests took <<<"$result"
    record "wrk_$name.rate" "$(calculate "$requests / $took")"
    record_driver "wrk_$name" "$took"
    rate=$(timed "$drive" "$url" --users 20 --seconds "$seconds" | sed -n 's|^requests/s ||p')
    record "drive_$name.rate" "$rate"
    # Its warm-up counts as well: its CPU time is that of the whole process.
    record_driver "drive_$name" "$seconds + 1"
    for driver in wrk drive; do
        say "$(printf '  %-20s %10.1f a second; driver at %.0f %% of a core' "${driver}_$name" \
            "$(latest "${driver}_$name.rate")" "$(latest "${driver}_$name.driver_percent")")"
    done
}

# The rows of the report.
driver_rows() {
    row 12 driver_to_wrk 'at least' 0.95 '' \
        "the lab's driver / \`wrk -t1 -c20\`, answers of 20 ms, 20 clients"
    row 12 drive_immediate.rate '' '' '/s' "the lab's driver, immediate answers, 20 clients"
    row 12 wrk_immediate.rate '' '' '/s' '`wrk -t1 -c20`, the same'
}
