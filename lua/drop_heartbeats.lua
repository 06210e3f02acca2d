-- Keeps application heartbeats out of what follows: neither forwarded nor recorded behind this transform.
--
--     transform:
--       incoming: ./lua/drop_heartbeats.lua
local kinds = {ping = true, pong = true, heartbeat = true}

if kinds[msg.type] or kinds[msg.event] or kinds[msg.op] then
    return false
end
