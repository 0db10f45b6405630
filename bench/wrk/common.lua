-- Shared by the request scripts. One wrk thread only (-t1): a thread has one Lua state, and the pool of a script
-- stands for the connections' own states.
-- Environment: OA_LIB = this file, OA_BASIC = base64(id:secret) ('' = none).
local M = {}
M.basic = os.getenv("OA_BASIC") or ""

function M.enc(s)
  return (s:gsub("[^%w%-_%.~]", function(c) return string.format("%%%02X", string.byte(c)) end))
end

function M.lines(path)
  local t = {}
  for l in io.lines(path) do if l ~= "" then t[#t + 1] = l end end
  return t
end

function M.headers()
  local h = { ["Content-Type"] = "application/x-www-form-urlencoded", ["Accept"] = "application/json" }
  if M.basic ~= "" then h["Authorization"] = "Basic " .. M.basic end
  return h
end

-- a FIFO queue
function M.queue(t) return { t = t, head = 1, tail = #t } end
function M.pop(q)
  if q.head > q.tail then return nil end
  local v = q.t[q.head]; q.t[q.head] = nil; q.head = q.head + 1; return v
end
function M.peek(q) return q.t[q.head] end
function M.push(q, v) q.tail = q.tail + 1; q.t[q.tail] = v end

-- the first answer that was not the wanted one, for whoever has to find out why
function M.remember(status, body) if not refused then refused = status .. " " .. body:sub(1, 200) end end

-- one line of JSON per run; ok = answers with status 200 that also had the wanted content
M.threads = {}
function M.setup(thread) table.insert(M.threads, thread) end
function M.done(summary, latency)
  local t, e = M.threads[1], summary.errors
  print(string.format('RESULT {"ok": %d, "bad": %d, "broken": %d, "seconds": %.6f, "p50": %.3f, "p99": %.3f, "refused": %q}',
    t:get("n_ok"), t:get("n_bad") + t:get("n_dry"), e.connect + e.read + e.write + e.timeout, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, (t:get("refused") or ""):gsub("[%c\"\\]", "'")))
end
return M
