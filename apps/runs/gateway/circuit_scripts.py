"""What changes a circuit: each script is atomic, and takes Redis's own time.

A circuit is a hash. Its fields, times in ms:

    ok:<n>, failed:<n>                      how many calls ended so in the n-th bucket of time
    closed_at                               when it closed last
    open_until, opened_at, reason, trips    while it is open or half-open; trips is how often it opened in a row
    probe, lease_until                      while somebody probes
"""

NOW = """
local time = redis.call('TIME')
local key, now = KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000)
"""

ENTER = (
    NOW
    + """
local token, lease, keep = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local open_until, lease_until = unpack(redis.call('HMGET', key, 'open_until', 'lease_until'))
if not open_until then return {now, 'closed'} end
if now < tonumber(open_until) or (lease_until and now < tonumber(lease_until)) then return {now, 'open'} end
redis.call('HSET', key, 'probe', token, 'lease_until', now + lease)
redis.call('PEXPIRE', key, lease + keep)
return {now, 'probe'}
"""
)

# `answered` is how many calls ended well that nobody has reported; a verdict "ok" without a token is among them.
# Says what changed: {'opened', for how many ms, why}, {'closed', 0, ''} or {'', 0, ''}.
LEAVE = (
    NOW
    + """
local verdict, token, since, wait = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local bucket_ms, buckets, least, rate = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local cool_off, longest, patience, keep = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])
local answered = tonumber(ARGV[13])
local nothing_new = {'', 0, ''}
local open_until, closed_at, probe = unpack(redis.call('HMGET', key, 'open_until', 'closed_at', 'probe'))
local is_probe = open_until and token ~= '' and token == probe
local is_old = since < tonumber(closed_at or 0)  -- it began before the circuit closed again

if verdict == 'nothing' then
  if is_probe then redis.call('HDEL', key, 'probe', 'lease_until') end
  return nothing_new
end

local function open(reason)
  local trips = redis.call('HINCRBY', key, 'trips', 1)
  local pause = math.max(wait, math.min(longest, cool_off * 2 ^ math.min(trips - 1, 30)))
  redis.call('HSET', key, 'open_until', now + pause, 'reason', reason)
  redis.call('HSETNX', key, 'opened_at', now)
  redis.call('HDEL', key, 'probe', 'lease_until')
  redis.call('PEXPIRE', key, pause + keep)
  return {'opened', pause, reason}
end

if is_probe then
  if verdict ~= 'ok' then return open(verdict == 'key' and 'key' or 'probe') end
  redis.call('DEL', key)
  redis.call('HSET', key, 'closed_at', now)
  redis.call('PEXPIRE', key, keep)
  return {'closed', 0, ''}
end
if open_until then  -- it began before the circuit opened, so all it can say is how long to wait
  if verdict ~= 'ok' and now + wait > tonumber(open_until) then
    redis.call('HSET', key, 'open_until', now + wait)
    redis.call('PEXPIRE', key, wait + keep)
  end
  return nothing_new
end

local bucket, is_first = math.floor(now / bucket_ms), false
local function count(kind, n)
  if n > 0 and redis.call('HINCRBY', key, kind .. ':' .. bucket, n) == n then is_first = true end
end
local is_failure = verdict ~= 'ok' and not is_old
count('ok', verdict == 'ok' and token ~= '' and answered + 1 or answered)
count('failed', is_failure and 1 or 0)
if is_first then redis.call('PEXPIRE', key, keep) elseif not is_failure then return nothing_new end

local calls, failed, fields = 0, 0, redis.call('HGETALL', key)
for at = 1, #fields, 2 do
  local kind, n = string.match(fields[at], '^(%a+):(%d+)$')
  if kind and tonumber(n) <= bucket - buckets then
    redis.call('HDEL', key, fields[at])
  elseif kind then
    calls = calls + fields[at + 1]
    if kind == 'failed' then failed = failed + fields[at + 1] end
  end
end
if not is_failure then return nothing_new end
if verdict == 'key' then return open('key') end
if wait > patience then return open('wait') end
if calls >= least and failed >= calls * rate then return open('failures') end
return nothing_new
"""
)

# Says 1 if it was open.
CLOSE = (
    NOW
    + """
if redis.call('HEXISTS', key, 'open_until') == 0 then return 0 end
redis.call('DEL', key)
redis.call('HSET', key, 'closed_at', now)
redis.call('PEXPIRE', key, ARGV[1])
return 1
"""
)
