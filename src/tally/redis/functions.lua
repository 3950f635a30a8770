#!lua name=sounder_v2
-- The state's functions inside Redis. A batch of touches in, message states, cell counters, account
-- and positions changed in one atomic step: everything is read and checked before anything is
-- written, because Lua does not roll back. Must never use a key outside the slot it is given.
--
-- Every packed fact is below 2^53, which a Lua number holds exactly. `message.rs` says what the
-- facts are and which of two is better; the contract suite holds the two together.

local DAY = 86400
local MINUTES_KEPT = 25 * 3600
local HOURS_KEPT = 31 * 86400
local CORRECTED_FOR = 4 * 86400
local COUNTERS = 30
-- Messages a shard should hold: a hash of that size stays a listpack.
local SHARD_MESSAGES = 64
local BITS_FIRST, BITS_MIN, BITS_MAX = 14, 10, 24

-- A message met in a batch is an array: its facts, then where it stands and belongs.
local OUTCOME, COHORT, PLACEMENT, TRACES, ARRIVAL, ROUTE = 1, 2, 3, 4, 5, 6
-- Its shard in the newest generation, and its field there.
local KEY, FIELD = 7, 8
-- Whether its facts changed; the place of the generation it was found in (0: none); its shard there
-- if that is not the newest's, or false.
local CHANGED, HOME, OLD = 9, 10, 11
-- How a message's facts are laid out. The cohort's number has the traces above its 34 bits.
local FACTS, COHORT_END = 'I5I5I7I4I4', 17179869184
local SECOND_END, NEVER = 4294967296, 4294967295
-- Counters that are no states, and the steps in which delays are counted, in seconds.
local SEEN, REGISTERED, ANSWERED, DELAYS = 17, 18, 19, 20
local DELAY_STEPS = { 10, 30, 60, 120, 300, 600, 1800, 3600, 7200 }

-- Minutes of which the positions are remembered, to be gone back to.
local TRAIL_MAX = 400
-- Notices of one kind that are kept of one connection.
local NOTICES_MAX = 200

local function decimal(number)
  return string.format('%.0f', number)
end

-- This Redis process' id, and whether it is a cluster's node. Another process that holds the same
-- state may have lost its last moments.
local run, clustered
local function run_id()
  if not run then
    local info = redis.call('INFO', 'server')
    run = string.match(info, 'run_id:(%x+)')
    clustered = string.find(info, 'redis_mode:cluster', 1, true) ~= nil
  end
  return run
end

-- True while a cluster moves our slot to another node: some keys are here and some are there, and what
-- is not here would be taken for new.
local function is_moving(base)
  run_id()
  if not clustered then return false end
  local slot = redis.call('CLUSTER', 'KEYSLOT', base)
  return string.find(redis.call('CLUSTER', 'NODES'), '[' .. decimal(slot) .. '-', 1, true) ~= nil
end

-- What an outcome counts as: the index of its counter.
local function counter_of(outcome)
  local rank = math.floor(outcome / 274877906944)
  if rank < 3 then return rank end
  local severity = math.floor(outcome / 16) % 4
  if severity < 3 then return 3 + severity end
  return 6 + math.min(15 - outcome % 16, 10)
end

-- The generations that are remembered, newest first. What is written goes into that one: the day
-- of the newest news (perhaps yet to be created) or a later one, so that it is kept long enough.
local function generations(base, seconds, newest)
  local stored, messages_max, days, list = {}, 0, {}, {}
  local flat = redis.call('HGETALL', base .. 'gens')
  for i = 1, #flat, 2 do
    stored[flat[i]] = tonumber(flat[i + 1])
    local day = tonumber(flat[i])
    if day and day >= math.floor(seconds / DAY) - 4 then days[#days + 1] = day end
  end
  table.sort(days, function(a, b) return a > b end)
  for i = 1, #days do
    local day = days[i]
    list[i] = { day = day, base = base .. 'g:' .. day .. ':', shards = 2 ^ stored[tostring(day)] }
    messages_max = math.max(messages_max, stored['n' .. day] or 0)
  end
  local today = math.floor(math.max(seconds, newest) / DAY)
  if not list[1] or list[1].day < today then
    local bits = BITS_FIRST
    if #list > 0 then
      bits = BITS_MIN
      while bits < BITS_MAX and 2 ^ bits * SHARD_MESSAGES < messages_max do bits = bits + 1 end
    end
    table.insert(list, 1, { day = today, base = base .. 'g:' .. today .. ':', shards = 2 ^ bits, new = bits })
  end
  return list
end

-- Looks a message up, newest generation first.
local function meet(list, shard, field)
  local key = list[1].base .. shard % list[1].shards
  for i = 1, #list do
    local found = i == 1 and key or list[i].base .. shard % list[i].shards
    local value = redis.call('HGET', found, field)
    if value then
      local outcome, cohort, placement, arrival, route = struct.unpack('>' .. FACTS, value)
      local traces = math.floor(cohort / COHORT_END)
      return {
        outcome, cohort % COHORT_END, placement, traces, arrival, route,
        key, field, false, i, i > 1 and found,
      }
    end
  end
  return nil, key
end

-- Notes that a message counts (by = 1) or no longer counts (by = -1) where its facts say.
local function count(deltas, message, by)
  local cell, cohort = message[PLACEMENT] % 281474976710656, message[COHORT]
  local second, state = cohort % SECOND_END, counter_of(message[OUTCOME])
  local at = math.floor(second / 60) * COUNTERS
  local delta = deltas[cell]
  if not delta then
    delta = {}
    deltas[cell] = delta
  end
  local function add(counter)
    delta[at + counter] = (delta[at + counter] or 0) + by
  end
  add(state)
  local registered, traces = cohort < SECOND_END, message[TRACES]
  if registered then
    add(REGISTERED)
    if traces % 2 == 1 then add(ANSWERED) end
  end
  if state == 3 then
    if registered or traces >= 2 then add(SEEN) end
    if cohort < 2 * SECOND_END and message[ARRIVAL] ~= NEVER then
      local delay, step = message[ARRIVAL] - second, 0
      while step < #DELAY_STEPS and delay > DELAY_STEPS[step + 1] do step = step + 1 end
      add(DELAYS + step)
    end
  end
end

-- The increments of the bucket hashes: name -> field -> by.
local function increments(deltas, seconds)
  local oldest_minute = math.floor(math.max(seconds - MINUTES_KEPT, 0) / 60)
  local oldest_hour = math.floor(math.floor(math.max(seconds - HOURS_KEPT, 0) / 60) / 60)
  local hashes = {}
  local function add(name, field, by)
    local hash = hashes[name]
    if not hash then
      hash = {}
      hashes[name] = hash
    end
    hash[field] = (hash[field] or 0) + by
  end
  for cell, delta in pairs(deltas) do
    local id = string.format('%012x', cell)
    for at, by in pairs(delta) do
      if by ~= 0 then
        local minute, counter = math.floor(at / COUNTERS), at % COUNTERS
        local hour = math.floor(minute / 60)
        -- A dropped bucket is never written again: an increment would bring it back, negative.
        if minute >= oldest_minute then
          add('m:' .. id .. ':' .. hour, (minute % 60) * COUNTERS + counter, by)
        end
        if hour >= oldest_hour then
          add('h:' .. id .. ':' .. math.floor(hour / 24), (hour % 24) * COUNTERS + counter, by)
        end
      end
    end
  end
  return hashes
end

-- Writes message states into the newest generation, and away from older ones.
local function write_messages(base, list, met)
  local today, created = list[1], 0
  for i = 1, #met do
    local message = met[i]
    if message[CHANGED] or message[HOME] ~= 1 then
      local cohort = message[TRACES] * COHORT_END + message[COHORT]
      local value = struct.pack(
        '>' .. FACTS, message[OUTCOME], cohort, message[PLACEMENT], message[ARRIVAL], message[ROUTE])
      redis.call('HSET', message[KEY], message[FIELD], value)
      if message[HOME] ~= 1 then created = created + 1 end
      if message[OLD] then redis.call('HDEL', message[OLD], message[FIELD]) end
    end
  end
  if today.new then redis.call('HSET', base .. 'gens', today.day, today.new) end
  if created > 0 then redis.call('HINCRBY', base .. 'gens', 'n' .. today.day, created) end
end

-- Writes the increments and scores every hash that changed; a cell's key is written with the first
-- hash of the cell that is new.
local function write_buckets(base, hashes, keys_of)
  local sequence = redis.call('HINCRBY', base .. 'meta', 'seq', 1)
  for name, hash in pairs(hashes) do
    local changed = false
    for field, by in pairs(hash) do
      if by ~= 0 then
        redis.call('HINCRBY', base .. name, field, by)
        changed = true
      end
    end
    if changed and redis.call('ZADD', base .. 'dirty', sequence, name) == 1 then
      local cell = string.sub(name, 3, 14)
      if keys_of[cell] then redis.call('HSET', base .. 'cells', cell, keys_of[cell]) end
    end
  end
end

-- True of an outcome after which nothing else is expected.
local function is_terminal(outcome)
  return outcome >= 824633720832
end

-- Takes the better of each fact; returns whether any was.
local function improve(message, outcome, cohort, placement, traces, arrival, route)
  local both = traces
  if traces ~= message[TRACES] and message[TRACES] ~= 0 then
    both = traces == 0 and message[TRACES] or 3
  end
  if outcome <= message[OUTCOME] and cohort >= message[COHORT] and placement >= message[PLACEMENT]
    and both == message[TRACES] and arrival >= message[ARRIVAL] and route <= message[ROUTE] then
    return false
  end
  message[OUTCOME] = math.max(message[OUTCOME], outcome)
  message[COHORT] = math.min(message[COHORT], cohort)
  message[PLACEMENT] = math.min(message[PLACEMENT], placement)
  message[TRACES] = both
  message[ARRIVAL] = math.min(message[ARRIVAL], arrival)
  message[ROUTE] = math.max(message[ROUTE], route)
  message[CHANGED] = true
  return true
end

-- Judges every touch of the blob (43 bytes each) and returns the messages met, the deltas, and how
-- many terminal states were replaced.
local function judge(list, seconds, blob, accounts)
  local horizon = math.max(seconds - CORRECTED_FOR, 0)
  local horizon_minute = math.floor(horizon / 60)
  local known, met, deltas, corrected = {}, {}, {}, 0
  local position, size, layout = 1, #blob, '>I4c8' .. FACTS .. 'I4I2'
  while position <= size do
    local shard, field, outcome, cohort, placement, arrival, route, received, part
    shard, field, outcome, cohort, placement, arrival, route, received, part, position =
      struct.unpack(layout, blob, position)
    local traces = math.floor(cohort / COHORT_END)
    cohort = cohort % COHORT_END
    local account = accounts[part + 1]
    local message, key = known[field], nil
    if not message then
      message, key = meet(list, shard, field)
      if message then
        known[field] = message
        met[#met + 1] = message
      end
    end
    if not message then
      if received < horizon or math.floor(cohort % SECOND_END / 60) < horizon_minute then
        account[2] = account[2] + 1
      else
        message = { outcome, cohort, placement, traces, arrival, route, key, field, true, 0, false }
        known[field] = message
        met[#met + 1] = message
        count(deltas, message, 1)
        account[0] = account[0] + 1
      end
    else
      local before = { unpack(message, 1, ROUTE) }
      if improve(message, outcome, cohort, placement, traces, arrival, route) then
        if is_terminal(before[OUTCOME]) and counter_of(before[OUTCOME]) ~= counter_of(message[OUTCOME]) then
          corrected = corrected + 1
        end
        count(deltas, before, -1)
        count(deltas, message, 1)
        account[0] = account[0] + 1
      else
        account[1] = account[1] + 1
      end
    end
  end
  return met, deltas, corrected
end

-- keys: the slot's base. args: clock and newest in ms, touches, number of partitions; for each its
-- name, dead and not counted records and its position (empty: unchanged); then cell ids and keys.
local function apply(keys, args)
  local base = keys[1]
  local clock = math.max(tonumber(redis.call('HGET', base .. 'meta', 'clock') or 0), tonumber(args[1]))
  local seconds = math.floor(clock / 1000)
  local partitions, accounts = tonumber(args[4]), {}
  for i = 1, partitions do accounts[i] = { [0] = 0, 0, 0 } end
  local list = generations(base, seconds, math.floor(tonumber(args[2]) / 1000))
  local met, deltas, corrected = judge(list, seconds, args[3], accounts)
  local hashes, keys_of = increments(deltas, seconds), {}
  for i = partitions * 4 + 5, #args, 2 do keys_of[args[i]] = args[i + 1] end

  write_messages(base, list, met)
  write_buckets(base, hashes, keys_of)
  redis.call('HSET', base .. 'meta', 'clock', decimal(clock))
  local answer = { 0, 0, 0, 0, 0, corrected }
  for i = 1, partitions do
    local name = args[i * 4 + 1]
    local dead, aside, place = tonumber(args[i * 4 + 2]), tonumber(args[i * 4 + 3]), args[i * 4 + 4]
    local lines = { accounts[i][0], accounts[i][1], accounts[i][2], dead, aside }
    for line = 1, 5 do
      if lines[line] > 0 then redis.call('HINCRBY', base .. 'account', name .. ':' .. line, lines[line]) end
      answer[line] = answer[line] + lines[line]
    end
    if place ~= '' then redis.call('HSET', base .. 'positions', name, place) end
  end
  return answer
end

-- Puts names on rolls with the earliest moment anybody told, and notes when connections were heard.
-- args: clock in ms, number of connections; each with its second; then for each name its roll, the
-- name, its second, and the notice or nothing.
local function beside(keys, args)
  local base, heard, connections = keys[1], keys[1] .. 'heard', tonumber(args[2])
  local clock = math.max(tonumber(redis.call('HGET', base .. 'meta', 'clock') or 0), tonumber(args[1]))
  local oldest, sequence = math.floor(clock / 1000) - HOURS_KEPT, nil
  for i = 3, 2 + connections * 2, 2 do
    if tonumber(redis.call('HGET', heard, args[i]) or 0) < tonumber(args[i + 1]) then
      redis.call('HSET', heard, args[i], args[i + 1])
    end
  end
  for i = 3 + connections * 2, #args, 4 do
    local name, second, notice = args[i], args[i + 2], args[i + 3]
    local roll, notices = base .. 'r:' .. name, base .. 'n:' .. name
    if tonumber(second) >= oldest and redis.call('ZADD', roll, 'LT', 'CH', second, args[i + 1]) == 1 then
      if notice ~= '' then
        redis.call('HSET', notices, args[i + 1], notice)
        local over = redis.call('ZCARD', roll) - NOTICES_MAX
        local gone = over > 0 and redis.call('ZPOPMIN', roll, over) or {}
        for j = 1, #gone, 2 do redis.call('HDEL', notices, gone[j]) end
      end
      sequence = sequence or redis.call('HINCRBY', base .. 'meta', 'seq', 1)
      redis.call('ZADD', base .. 'rolls', sequence, name)
    end
  end
  return redis.status_reply('OK')
end

-- Holds what recipients said where nothing later is held, and returns what is later. args: for each
-- the recipient, the scope, the word's order, and what is held of it, which begins with the order.
local function hold(keys, args)
  local later = {}
  for i = 1, #args, 4 do
    local said, order = keys[1] .. 'c:' .. args[i], args[i + 2]
    local held = redis.call('HGET', said, args[i + 1])
    local known = held and string.sub(held, 1, #order) or ''
    if known < order then
      redis.call('HSET', said, args[i + 1], args[i + 3])
    elseif known > order then
      later[#later + 1] = held
    end
  end
  return later
end

-- Takes names off rolls whose time is over. args: the clock in ms, then the rolls.
local function trim(keys, args)
  local base, oldest = keys[1], '(' .. decimal(math.floor(tonumber(args[1]) / 1000) - HOURS_KEPT)
  for i = 2, #args do
    local roll, notices = base .. 'r:' .. args[i], base .. 'n:' .. args[i]
    if redis.call('EXISTS', notices) == 1 then
      local gone = redis.call('ZRANGEBYSCORE', roll, '-inf', oldest)
      for j = 1, #gone do redis.call('HDEL', notices, gone[j]) end
    end
    redis.call('ZREMRANGEBYSCORE', roll, '-inf', oldest)
    if redis.call('EXISTS', roll) == 0 then redis.call('ZREM', base .. 'rolls', args[i]) end
  end
  return redis.status_reply('OK')
end

-- Remembers, once a minute, where the positions stand: an entry of minute M has all that was applied
-- before M. Wherever less was kept than Redis had said, the positions go back along this trail.
local function leave_trail(base, seconds)
  local trail, minute = base .. 'trail', math.floor(seconds / 60)
  if redis.call('HEXISTS', trail, minute) == 1 then return end
  redis.call('HSET', trail, minute, cjson.encode(redis.call('HGETALL', base .. 'positions')))
  local over = redis.call('HLEN', trail) - TRAIL_MAX
  if over <= 0 then return end
  local minutes = redis.call('HKEYS', trail)
  table.sort(minutes, function(a, b) return tonumber(a) < tonumber(b) end)
  for i = 1, over do redis.call('HDEL', trail, minutes[i]) end
end

-- Applies a batch, unless the slot lost something, or the positions were moved back (another epoch)
-- since the caller read them. args: the epoch where positions are moved, else nothing; then apply's.
local function apply_guarded(keys, args)
  local base, epoch = keys[1], table.remove(args, 1)
  local meta = redis.call('HMGET', base .. 'meta', 'run', 'epoch')
  if meta[1] ~= run_id() then return redis.error_reply('SOUNDERLOST another Redis') end
  if epoch ~= '' and meta[2] ~= epoch then return redis.error_reply('SOUNDERREWOUND other positions') end
  local seconds = tonumber(redis.call('TIME')[1])
  -- Before the batch, so that the entry holds nothing of its own minute.
  if epoch ~= '' then leave_trail(base, seconds) end
  redis.call('HSET', base .. 'meta', 'at', seconds)
  return apply(keys, args)
end

-- Refuses to touch a slot that lost something.
local function guarded(inner)
  return function(keys, args)
    if redis.call('HGET', keys[1] .. 'meta', 'run') ~= run_id() then
      return redis.error_reply('SOUNDERLOST another Redis')
    end
    redis.call('HSET', keys[1] .. 'meta', 'at', redis.call('TIME')[1])
    return inner(keys, args)
  end
end

-- What is known of a slot: the id of this Redis, then its meta.
local function look(keys)
  return { run_id(), redis.call('HGETALL', keys[1] .. 'meta') }
end

-- Takes a slot into use, as it is, on this Redis. args: format, slots, a new `born`, at which every
-- mirror reads the slot anew.
local function adopt(keys, args)
  local meta = keys[1] .. 'meta'
  redis.call('HSETNX', meta, 'format', args[1])
  redis.call('HSETNX', meta, 'slots', args[2])
  return redis.call('HSET', meta, 'born', args[3], 'run', run_id())
end

-- Moves the positions back to where they stood before a second of time, or, told none or one that is
-- older than the trail, to the beginning of the stream. args: that second or nothing, a new epoch.
local function rewind(keys, args)
  local base = keys[1]
  local trail, chosen = base .. 'trail', nil
  local minutes = redis.call('HKEYS', trail)
  for i = 1, #minutes do
    local minute = tonumber(minutes[i])
    if args[1] ~= '' and minute * 60 <= tonumber(args[1]) and minute > (chosen or -1) then chosen = minute end
  end
  for i = 1, #minutes do
    -- What comes after is no longer true of what will have been applied again.
    if tonumber(minutes[i]) > (chosen or -1) then redis.call('HDEL', trail, minutes[i]) end
  end
  local now = redis.call('HGETALL', base .. 'positions')
  redis.call('DEL', base .. 'positions')
  if chosen then
    local stood, current = cjson.decode(redis.call('HGET', trail, chosen)), {}
    for i = 1, #now, 2 do current[now[i]] = now[i + 1] end
    for i = 1, #stood, 2 do
      local here = current[stood[i]]
      if here then
        local place = tonumber(here) < tonumber(stood[i + 1]) and here or stood[i + 1]
        redis.call('HSET', base .. 'positions', stood[i], place)
      end
    end
  else
    redis.call('DEL', base .. 'clocks')
  end
  redis.call('HSET', base .. 'meta', 'epoch', args[2], 'loss', chosen and 'moments' or 'everything')
  return chosen or false
end

-- Notes how far partitions are, and returns the stream clock: the least of all of them. args: the
-- epoch, whether the partitions named are all there are; then each name with its ms, or nothing.
local function advance(keys, args)
  local base, clocks = keys[1], keys[1] .. 'clocks'
  if redis.call('HGET', base .. 'meta', 'epoch') ~= args[1] then
    return redis.error_reply('SOUNDERREWOUND other positions')
  end
  local named = {}
  for i = 3, #args, 2 do
    named[args[i]] = true
    if args[i + 1] == '' then
      redis.call('HSETNX', clocks, args[i], 0)
    else
      redis.call('HSET', clocks, args[i], args[i + 1])
    end
  end
  local flat, least = redis.call('HGETALL', clocks), nil
  for i = 1, #flat, 2 do
    if args[2] == 'all' and not named[flat[i]] then
      redis.call('HDEL', clocks, flat[i])
    else
      least = math.min(least or tonumber(flat[i + 1]), tonumber(flat[i + 1]))
    end
  end
  return decimal(least or 0)
end

-- Raises the stream clock; returns the generations there are, each once.
local function raise(keys, args)
  local base = keys[1]
  local clock = math.max(tonumber(redis.call('HGET', base .. 'meta', 'clock') or 0), tonumber(args[1]))
  redis.call('HSET', base .. 'meta', 'clock', decimal(clock))
  return { decimal(clock), redis.call('HGETALL', base .. 'gens') }
end

-- Takes or renews the lease; returns its fencing token, or nothing when another holds it. Tokens grow
-- also where an earlier one was lost with the state.
local function lease(keys, args)
  local base, holder = keys[1], redis.call('GET', keys[1] .. 'lease')
  if holder and holder ~= args[1] then return false end
  if not holder then
    local time = redis.call('TIME')
    local millis = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
    local token = math.max(tonumber(redis.call('GET', base .. 'fence') or 0) + 1, millis)
    redis.call('SET', base .. 'fence', decimal(token))
  end
  redis.call('SET', base .. 'lease', args[1], 'PX', args[2])
  return tonumber(redis.call('GET', base .. 'fence'))
end

-- Changes documents. args: the fencing token that must be the newest, or nothing; then for each its
-- table, its key, and either 1 and the document, or 0 and nothing.
local function save(keys, args)
  local base = keys[1]
  if args[1] ~= '' and redis.call('GET', base .. 'fence') ~= args[1] then
    return redis.error_reply('SOUNDERFENCED another evaluator')
  end
  for i = 2, #args, 4 do
    local table_key = base .. 'doc:' .. args[i]
    if args[i + 2] == '1' then
      redis.call('HSET', table_key, args[i + 1], args[i + 3])
    else
      redis.call('HDEL', table_key, args[i + 1])
    end
  end
  return redis.status_reply('OK')
end

-- Registers a function that waits for a moving slot to arrive.
local function register(name, inner)
  redis.register_function('sounder_v2_' .. name, function(keys, args)
    if is_moving(keys[1]) then return redis.error_reply('TRYAGAIN the slot is moving') end
    return inner(keys, args)
  end)
end

register('apply', apply_guarded)
register('look', look)
register('adopt', adopt)
register('rewind', rewind)
register('advance', guarded(advance))
register('raise', guarded(raise))
register('beside', guarded(beside))
register('trim', guarded(trim))
register('hold', guarded(hold))
register('lease', guarded(lease))
register('save', guarded(save))
