-- POST /orders of three random products each, signed in: BENCH_TOKEN, of the first BENCH_PRODUCTS.
dofile((os.getenv("BENCH_SCRIPTS")) .. "/wrk.lua")

local third = math.floor(tonumber(os.getenv("BENCH_PRODUCTS")) / 3)
local line = '{"product_id":%d,"quantity":1}'
local body = '{"lines":[' .. line .. "," .. line .. "," .. line .. "]}"

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer " .. os.getenv("BENCH_TOKEN")

function request()
   local a, b, c = math.random(third), math.random(third) + third, math.random(third) + 2 * third
   return wrk.format(nil, nil, nil, body:format(a, b, c))
end
