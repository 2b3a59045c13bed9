-- Prints what bench.sh needs of a run in one line: requests, seconds, failed requests, p95 in ms.
function done(summary, latency)
   local e = summary.errors
   local failed = e.connect + e.read + e.write + e.status + e.timeout
   io.write(string.format("result %d %.6f %d %.3f\n", summary.requests, summary.duration / 1e6, failed,
      latency:percentile(95) / 1e3))
end
