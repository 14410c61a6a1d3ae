-- Takes tokens from a bucket, as limits.Buckets.Take does, and some more in advance.
-- KEYS[1] the bucket: t tokens, a time of them in seconds.
-- ARGV: rate in tokens a second, burst, tokens that must be there, tokens to take,
-- tokens to take besides as far as they are there.
-- Returns whether they were taken, what was taken besides, and the tokens left.
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local need, take, more = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1e6
local kept = redis.call('HMGET', KEYS[1], 't', 'a')
local tokens, at = tonumber(kept[1]) or burst, tonumber(kept[2]) or now
if now > at then -- a clock that is set back gives nothing
  tokens = tokens + (now - at) * rate
  at = now
end
tokens = math.min(burst, tokens)
local ok = tokens + 1e-6 >= need
if ok then
  more = math.max(0, math.floor(math.min(more, tokens - take)))
  tokens = tokens - take - more
else
  more = 0
end
redis.call('HSET', KEYS[1], 't', string.format('%.6f', tokens), 'a', string.format('%.6f', at))
-- A bucket that is full again is one that is not there.
redis.call('PEXPIRE', KEYS[1], math.ceil(math.min(math.max((burst - tokens) / rate, 0) + 1, 30 * 86400) * 1000))
return {ok and 1 or 0, more, string.format('%.6f', tokens)}
