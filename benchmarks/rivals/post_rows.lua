-- wrk posts the bodies of a folder in turn: wrk -s post_rows.lua URL -- FOLDER COUNT
-- At the end: one line of JSON; latencies in microseconds.
local bodies = {}
local turn = 0

function init(args)
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/json"
    for number = 0, tonumber(args[2]) - 1 do
        local file = assert(io.open(args[1] .. "/" .. number .. ".json", "rb"))
        bodies[#bodies + 1] = wrk.format(nil, nil, nil, file:read("*a"))
        file:close()
    end
end

function request()
    turn = turn % #bodies + 1
    return bodies[turn]
end

function done(summary, latency)
    local e = summary.errors
    io.write(string.format(
        '{"requests": %d, "microseconds": %d, "p50": %f, "p99": %f, "failed": %d}\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        e.connect + e.read + e.write + e.status + e.timeout))
end
