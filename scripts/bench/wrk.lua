-- Prints what bench.sh needs of a run in one line: requests, seconds, failed requests.
function done(summary)
   local e = summary.errors
   local failed = e.connect + e.read + e.write + e.status + e.timeout
   io.write(string.format("result %d %.6f %d\n", summary.requests, summary.duration / 1e6, failed))
end
