-- refresh_token grant with rotation: a free chain's token is taken from the pool, the new refresh token of the
-- response goes back to the pool. At most one request per chain is in flight. At the end the pool is written back,
-- so that the next run meets live tokens; those in flight are gone. With OA_PAUSE each connection rests that many
-- milliseconds before a request, at random and on the average.
-- usage: wrk -t1 -cN -s rotate.lua URL -- TOKENS   (at least N+1 lines)
local C = dofile(os.getenv("OA_LIB"))
C.counted = true
n_ok, n_bad, n_dry = 0, 0, 0
local hdr, first, tokens = nil, true, nil
function setup(t) C.setup(t) end
function init(args)
  tokens = args[1]
  local pool = C.queue(C.lines(tokens))
  chains, oldest, newest, hdr = pool.t, pool.head, pool.tail, C.headers()
  file = tokens
end
function request()
  local token = chains[oldest]
  if first then first = false -- wrk's own trial call, never sent
  elseif token then chains[oldest] = nil; oldest = oldest + 1 end
  if not token then n_dry = n_dry + 1; token = "dry" end
  return wrk.format("POST", nil, hdr, "grant_type=refresh_token&refresh_token=" .. C.enc(token))
end
function response(status, headers, body)
  local token = status == 200 and body:match('"refresh_token"%s*:%s*"([^"]+)"')
  if token and body:find('"access_token"', 1, true) then
    n_ok = n_ok + 1; newest = newest + 1; chains[newest] = token
  else n_bad = n_bad + 1; C.remember(status, body) end
end
local pause = os.getenv("OA_PAUSE")
if pause then function delay() return math.random(0, 2 * tonumber(pause)) end end
function done(s, l, r)
  C.done(s, l)
  local t = C.threads[1]
  local left, out = t:get("chains"), io.open(t:get("file"), "w")
  for i = t:get("oldest"), t:get("newest") do out:write(left[i], "\n") end
  out:close()
end
