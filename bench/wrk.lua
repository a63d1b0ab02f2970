-- POST /predict with a thousand different flowers, or the lines of the file $BODIES, in turn;
-- figures as JSON on stderr.
local requests, number = {}, 0

function init(args)
  math.randomseed(7)
  local headers = { ["Content-Type"] = "application/json" }
  local file = os.getenv("BODIES")
  if file then
    for body in io.lines(file) do
      requests[#requests + 1] = wrk.format("POST", "/predict", headers, body)
    end
    return
  end
  for i = 1, 1000 do
    local body = string.format(
      '{"features":[%.1f,%.1f,%.1f,%.1f]}',
      4.3 + 3.6 * math.random(), 2.0 + 2.4 * math.random(),
      1.0 + 5.9 * math.random(), 0.1 + 2.4 * math.random())
    requests[i] = wrk.format("POST", "/predict", headers, body)
  end
end

function request()
  number = number % #requests + 1
  return requests[number]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.stderr:write(string.format(
    '{"requests":%d,"seconds":%f,"p50":%f,"p99":%f,"errors":%d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
