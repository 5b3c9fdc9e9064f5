"""The queue's state in Redis, and every step that changes it: each is one script, so none is ever half done.

    queue:message:<id>           a message until it is acknowledged: queue, tenant, task, cost, at, tries, holder, body
    queue:<queue>:waiting:<t>    ids of what waits for the tenant t, in order
    queue:<queue>:tenants        the tenants for whom something waits
    queue:<queue>:turns          those whose turn somebody may take, by the virtual time at which it begins
    queue:<queue>:time           the virtual time: when the turn that was taken last began
    queue:<queue>:finish         by tenant, when its last turn ends; forgotten whenever the queue is idle
    queue:<queue>:later          ids of what is to wait first, by the millisecond from which it may be had
    queue:<queue>:running        ids of what was handed out, by the millisecond at which it was
    queue:<queue>:served:<five>  what was done in those five minutes: by tenant, seconds and number
    queue:held:<consumer>        the ids that a consumer has
    queue:consumers              consumers, by the millisecond at which they last said that they live
    queue:workers                what each consumer says of itself, as JSON
    queue:weights queue:seconds  by tenant, the weight; by task, the moving average of its seconds

A turn is taken by BZPOPMIN, which waits for one, and then `TAKE` hands out the tenant's first message. Who dies in
between has lost a turn and no message. `TICK` finds that there are fewer turns than tenants, and gives it again.

Start-time fair queueing: a turn begins where the tenant's last one ended, or now if it had none, and lasts the
message's cost divided by the tenant's weight. So tenants for whom something waits are served alike, by weight, and
none is ever ahead by more than one message.
Source: Goyal, Vin and Cheng, Start-time Fair Queueing, SIGCOMM 1996.
"""

NOBODY = "-"  # the tenant of what is nobody's

KEPT_S = 4_200  # what was served is shown for an hour
SPAN_MS = 300_000

COMMON = f"""
local NOBODY, SPAN_MS, KEPT_S = '{NOBODY}', {SPAN_MS}, {KEPT_S}
"""

COMMON += """
local function now_ms()
  local at = redis.call('TIME')
  return at[1] * 1000 + math.floor(at[2] / 1000)
end

local function of(queue, what) return 'queue:' .. queue .. ':' .. what end
local function message(id) return 'queue:message:' .. id end
local function held(consumer) return 'queue:held:' .. consumer end
local function number(value, default) return tonumber(value or '') or default end

-- Among turns that begin together, who came first is first. A tenth of a millisecond at most.
local function arrival(queue)
  return redis.call('INCR', of(queue, 'arrivals')) % 100000 * 1e-9
end

local function give_turn(queue, tenant)
  local time = number(redis.call('GET', of(queue, 'time')), 0)
  local finish = number(redis.call('HGET', of(queue, 'finish'), tenant), 0)
  redis.call('ZADD', of(queue, 'turns'), 'NX', math.max(time, finish) + arrival(queue), tenant)
end

local function line_up(queue, tenant, id)
  redis.call('RPUSH', of(queue, 'waiting:' .. tenant), id)
  redis.call('SADD', of(queue, 'tenants'), tenant)
  give_turn(queue, tenant)
end

-- To the front, with a turn at once: it was handed out before. What it cost then is thereby given back.
local function line_up_again(queue, tenant, id)
  redis.call('LPUSH', of(queue, 'waiting:' .. tenant), id)
  redis.call('SADD', of(queue, 'tenants'), tenant)
  local time = number(redis.call('GET', of(queue, 'time')), 0)
  redis.call('ZADD', of(queue, 'turns'), 'LT', time, tenant)
end

local function put(queue, id, tenant, task, cost_s, due_ms, body)
  if redis.call('EXISTS', message(id)) == 1 then return 0 end  -- the publisher's connection broke, and it tried again
  local now = now_ms()
  redis.call('HSET', message(id), 'queue', queue, 'tenant', tenant, 'task', task, 'cost', cost_s, 'at', now,
             'tries', 0, 'holder', '', 'body', body)
  if number(due_ms, 0) > now then
    redis.call('ZADD', of(queue, 'later'), due_ms, id)
  else
    line_up(queue, tenant, id)
  end
  return 1
end

local function is_idle(queue)
  return redis.call('SCARD', of(queue, 'tenants')) == 0 and redis.call('HLEN', of(queue, 'running')) == 0
end

local function rest(queue)  -- who did much before an idle time isn't behind after it
  if is_idle(queue) then redis.call('DEL', of(queue, 'time'), of(queue, 'finish')) end
end

local function forget_line(queue, tenant)
  redis.call('SREM', of(queue, 'tenants'), tenant)
  redis.call('ZREM', of(queue, 'turns'), tenant)
end

-- The message is its consumer's no longer, and waits again.
local function give_back(consumer, id, is_untried)
  if redis.call('SREM', held(consumer), id) == 0 then return 0 end
  local of_it = redis.call('HMGET', message(id), 'queue', 'tenant')
  if not of_it[1] then return 0 end
  redis.call('HDEL', of(of_it[1], 'running'), id)
  redis.call('HSET', message(id), 'holder', '')
  if is_untried then redis.call('HINCRBY', message(id), 'tries', -1) end
  line_up_again(of_it[1], of_it[2], id)
  return 1
end

-- Those of the last hour, the newest first.
local function served_keys(queue)
  local keys, span = {}, math.floor(now_ms() / SPAN_MS)
  for back = 0, math.ceil(KEPT_S * 1000 / SPAN_MS) do
    keys[#keys + 1] = of(queue, 'served:' .. string.format('%d', span - back))
  end
  return keys
end

local function served(queue, tenant, seconds)
  local key = served_keys(queue)[1]
  redis.call('HINCRBYFLOAT', key, 'seconds:' .. tenant, seconds)
  redis.call('HINCRBY', key, 'number:' .. tenant, 1)
  redis.call('EXPIRE', key, KEPT_S)
end
"""

# queue, id, tenant, task, cost in seconds or "", due in ms or "", body
PUT = "return put(unpack(ARGV))"

# queue, consumer, tenant and beginning of the turn that was taken, or "" for the next one
TAKE = """
local queue, consumer, tenant, start = unpack(ARGV)
if tenant == '' then
  local turn = redis.call('ZPOPMIN', of(queue, 'turns'))
  if not turn[1] then return nil end
  tenant, start = turn[1], turn[2]
end
local line = of(queue, 'waiting:' .. tenant)
local id, found
repeat
  id = redis.call('LPOP', line)
  found = id and redis.call('HMGET', message(id), 'task', 'cost', 'body')
until not id or found[3]
if redis.call('LLEN', line) == 0 then forget_line(queue, tenant) end
if not id then return nil end

local cost_s = number(found[2], nil) or number(redis.call('HGET', 'queue:seconds', found[1]), 1)
local weight = number(redis.call('HGET', 'queue:weights', tenant), 1)
local time = number(redis.call('GET', of(queue, 'time')), 0)
local finish = start + math.max(cost_s, 0.001) / math.max(weight, 0.001)
if tonumber(start) > time then redis.call('SET', of(queue, 'time'), start) end
redis.call('HSET', of(queue, 'finish'), tenant, finish)
if redis.call('EXISTS', line) == 1 then redis.call('ZADD', of(queue, 'turns'), finish, tenant) end

local now = now_ms()
redis.call('ZADD', 'queue:consumers', 'NX', now, consumer)
redis.call('SADD', held(consumer), id)
redis.call('HSET', of(queue, 'running'), id, now)
redis.call('HSET', message(id), 'holder', consumer)
return {id, found[3], redis.call('HINCRBY', message(id), 'tries', 1)}
"""

# queue, tenant of a turn that was taken for nothing
RETURN_TURN = "if redis.call('EXISTS', of(ARGV[1], 'waiting:' .. ARGV[2])) == 1 then give_turn(ARGV[1], ARGV[2]) end"

# consumer, id. Returns whether it was still the consumer's.
ACKNOWLEDGE = """
local consumer, id = unpack(ARGV)
local of_it = redis.call('HMGET', message(id), 'queue', 'tenant', 'task', 'holder')
local queue, tenant = of_it[1], of_it[2]
local was_held = redis.call('SREM', held(consumer), id)
if not queue then return was_held end
if was_held == 0 then
  -- It was thought dead, and its message handed back. Where nobody has taken that yet, it is done all the same.
  if of_it[4] ~= '' then return 0 end
  redis.call('LREM', of(queue, 'waiting:' .. tenant), 1, id)
  redis.call('DEL', message(id))
  if redis.call('EXISTS', of(queue, 'waiting:' .. tenant)) == 0 then forget_line(queue, tenant) end
  return 0
end
local now = now_ms()
local seconds = (now - number(redis.call('HGET', of(queue, 'running'), id), now)) / 1000
local average = number(redis.call('HGET', 'queue:seconds', of_it[3]), seconds)
redis.call('HSET', 'queue:seconds', of_it[3], average + 0.2 * (seconds - average))
redis.call('HDEL', of(queue, 'running'), id)
redis.call('DEL', message(id))
served(queue, tenant, seconds)
rest(queue)
return 1
"""

# consumer, id, "1" where it was handed out and never begun
GIVE_BACK = "return give_back(ARGV[1], ARGV[2], ARGV[3] == '1')"

# consumer, what it says of itself, ms after which a silent one is dead, queues. Returns the ids that it has.
TICK = """
local consumer, says, gone_ms = ARGV[1], ARGV[2], tonumber(ARGV[3])
local now = now_ms()
redis.call('ZADD', 'queue:consumers', now, consumer)
redis.call('HSET', 'queue:workers', consumer, says)

-- While nobody looked (Redis was away, or every worker) nobody could say that they live: give them time to.
if now - number(redis.call('GET', 'queue:looked'), 0) > gone_ms / 2 then
  redis.call('SET', 'queue:patience', now + gone_ms)
end
redis.call('SET', 'queue:looked', now)

for n = 4, #ARGV do
  local queue = ARGV[n]
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', of(queue, 'later'), '-inf', now, 'LIMIT', 0, 1000)) do
    redis.call('ZREM', of(queue, 'later'), id)
    local tenant = redis.call('HGET', message(id), 'tenant')
    if tenant then line_up(queue, tenant, id) end
  end
  if redis.call('ZCARD', of(queue, 'turns')) < redis.call('SCARD', of(queue, 'tenants')) then
    for _, tenant in ipairs(redis.call('SMEMBERS', of(queue, 'tenants'))) do give_turn(queue, tenant) end
  end
end

if now > number(redis.call('GET', 'queue:patience'), 0) then
  for _, dead in ipairs(redis.call('ZRANGEBYSCORE', 'queue:consumers', '-inf', now - gone_ms)) do
    for _, id in ipairs(redis.call('SMEMBERS', held(dead))) do give_back(dead, id, false) end
    redis.call('DEL', held(dead))
    redis.call('ZREM', 'queue:consumers', dead)
    redis.call('HDEL', 'queue:workers', dead)
  end
end
return redis.call('SMEMBERS', held(consumer))
"""

# consumer that has nothing any more
LEAVE = """
if redis.call('SCARD', held(ARGV[1])) > 0 then return 0 end
redis.call('ZREM', 'queue:consumers', ARGV[1])
redis.call('HDEL', 'queue:workers', ARGV[1])
return 1
"""

# queue. Returns, for each tenant for whom something waits, its number and the ms at which the first was published;
# then the tenants of what waits for a time; then what is running, as tenant, task and ms.
LOOK = """
local queue = ARGV[1]
local lines, later, running = {}, {}, {}
for _, tenant in ipairs(redis.call('SMEMBERS', of(queue, 'tenants'))) do
  local line = of(queue, 'waiting:' .. tenant)
  local first = redis.call('LINDEX', line, 0)
  local at = first and redis.call('HGET', message(first), 'at') or '0'
  lines[#lines + 1] = {tenant, redis.call('LLEN', line), at}
end
for _, id in ipairs(redis.call('ZRANGE', of(queue, 'later'), 0, -1)) do
  later[#later + 1] = redis.call('HGET', message(id), 'tenant') or NOBODY
end
local handed_out = redis.call('HGETALL', of(queue, 'running'))
for n = 1, #handed_out, 2 do
  local of_it = redis.call('HMGET', message(handed_out[n]), 'tenant', 'task')
  running[#running + 1] = {of_it[1] or NOBODY, of_it[2] or '', handed_out[n + 1]}
end
return {lines, later, running}
"""

# queue, the most to forget at once. Returns how many waited.
PURGE = """
local queue, most = ARGV[1], tonumber(ARGV[2])
local ids = redis.call('ZPOPMIN', of(queue, 'later'), most)
local count = 0
for n = 1, #ids, 2 do count = count + redis.call('DEL', message(ids[n])) end
for _, tenant in ipairs(redis.call('SMEMBERS', of(queue, 'tenants'))) do
  while count < most do
    local id = redis.call('LPOP', of(queue, 'waiting:' .. tenant))
    if not id then
      forget_line(queue, tenant)
      break
    end
    count = count + redis.call('DEL', message(id))
  end
end
rest(queue)
return count
"""

# queue, tenant, the most to forget at once. Returns how many there were.
FORGET = """
local queue, tenant, most = ARGV[1], ARGV[2], tonumber(ARGV[3])
local ids = redis.call('LPOP', of(queue, 'waiting:' .. tenant), most) or {}
local function theirs(id) return redis.call('HGET', message(id), 'tenant') == tenant end
for _, id in ipairs(redis.call('ZRANGE', of(queue, 'later'), 0, -1)) do
  if theirs(id) and redis.call('ZREM', of(queue, 'later'), id) == 1 then ids[#ids + 1] = id end
end
for _, id in ipairs(redis.call('HKEYS', of(queue, 'running'))) do
  if theirs(id) and redis.call('HDEL', of(queue, 'running'), id) == 1 then
    redis.call('SREM', held(redis.call('HGET', message(id), 'holder')), id)
    ids[#ids + 1] = id
  end
end
for _, id in ipairs(ids) do redis.call('DEL', message(id)) end
if redis.call('EXISTS', of(queue, 'waiting:' .. tenant)) == 0 then
  forget_line(queue, tenant)
  redis.call('HDEL', of(queue, 'finish'), tenant)
  redis.call('HDEL', 'queue:weights', tenant)
  for _, key in ipairs(served_keys(queue)) do
    redis.call('HDEL', key, 'seconds:' .. tenant, 'number:' .. tenant)
  end
  rest(queue)
end
return #ids
"""

# list and message of the transport that was used before, and what PUT takes
ADOPT_WAITING = """
local list, raw = ARGV[1], ARGV[2]
if redis.call('LREM', list, -1, raw) == 0 then return 0 end
return put(unpack(ARGV, 3))
"""

# tag of what a worker of that transport held, and what PUT takes
ADOPT_HELD = """
local tag = ARGV[1]
redis.call('ZREM', 'unacked_index', tag)
if redis.call('HDEL', 'unacked', tag) == 0 then return 0 end
return put(unpack(ARGV, 2))
"""
