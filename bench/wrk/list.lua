-- every request takes one line of a file (already a form body): one-time things, such as codes that were made
-- beforehand or tokens at first sight. A dry file spoils the run; with OA_AGAIN it begins anew instead.
-- usage: wrk -t1 -cN -s list.lua URL -- BODIES 'WANTED SUBSTRING'
local C = dofile(os.getenv("OA_LIB"))
C.counted = true
n_ok, n_bad, n_dry = 0, 0, 0
local again = os.getenv("OA_AGAIN")
local q, want, hdr, first = nil, "", nil, true
function setup(t) C.setup(t) end
function init(args) q = C.queue(C.lines(args[1])); want = args[2] or ""; hdr = C.headers() end
function request()
  local b
  if first then first = false; b = C.peek(q) else b = C.pop(q) end
  if b and again then C.push(q, b) end
  if not b then n_dry = n_dry + 1; b = "grant_type=dry"; C.remember(0, "the list is dry: more must be made beforehand") end
  return wrk.format("POST", nil, hdr, b)
end
function response(status, headers, body)
  if status == 200 and (want == "" or body:find(want, 1, true)) then n_ok = n_ok + 1
  elseif n_dry == 0 then n_bad = n_bad + 1; C.remember(status, body) end
end
function done(s, l, r) C.done(s, l) end
