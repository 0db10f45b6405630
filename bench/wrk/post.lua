-- one constant form body, every answer's status and content checked
-- usage: wrk -t1 -cN -s post.lua URL -- 'BODY' 'WANTED SUBSTRING'
local C = dofile(os.getenv("OA_LIB"))
C.counted = true
n_ok, n_bad, n_dry = 0, 0, 0
local req, want
function setup(t) C.setup(t) end
function init(args) want = args[2] or ""; req = wrk.format("POST", nil, C.headers(), args[1]) end
function request() return req end
function response(status, headers, body)
  if status == 200 and body:find(want, 1, true) then n_ok = n_ok + 1
  else n_bad = n_bad + 1; C.remember(status, body) end
end
function done(s, l, r) C.done(s, l) end
