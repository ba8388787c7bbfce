-- Counts a request in a sliding window, unless it is over the limit.
-- KEYS[1] is whose requests these are, ARGV the limit and the window's length in ms.
-- Answers whether it is allowed (1 or 0), how many are left, and the ms until the
-- window ends. The time is the server's, so that all processes have the same one.
local limit, length = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local window = math.floor(now / length)
local left = length - (now - window * length)

local known = redis.call('HMGET', KEYS[1], 'window', 'count', 'before')
local at, count, before = tonumber(known[1]), tonumber(known[2]) or 0, tonumber(known[3]) or 0
if at ~= window then
  before = at == window - 1 and count or 0
  count = 0
end
local rate = math.floor(before * left / length + count + 0.5)
if rate + 1 > limit then
  return {0, limit - rate, left}
end
redis.call('HSET', KEYS[1], 'window', window, 'count', count + 1, 'before', before)
redis.call('PEXPIRE', KEYS[1], 2 * length)
return {1, limit - rate - 1, left}
