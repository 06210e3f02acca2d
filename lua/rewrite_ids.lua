-- Gives each id that the client sends a fresh one towards the upstream, and puts the client's own back into what comes
-- back, so that two clients with the same ids cannot be mixed up.
--
--     transform:
--       incoming: ./lua/rewrite_ids.lua
--       outgoing: ./lua/rewrite_ids.lua
--
-- The map lives in this connection's state; the oldest entry goes when there are too many of them.
local fields = {"id", "request_id"}
local limit = 1000

local ids = state.ids or {back = {}, order = {}, first = 1, last = 0}
state.ids = ids

local function remember(fresh, original)
    ids.last = ids.last + 1
    ids.order[ids.last] = fresh
    ids.back[fresh] = original
    if ids.last - ids.first >= limit then
        ids.back[ids.order[ids.first]] = nil
        ids.order[ids.first] = nil
        ids.first = ids.first + 1
    end
end

for _, field in ipairs(fields) do
    local id = msg[field]
    if type(id) == "string" or type(id) == "number" then
        if direction == "incoming" then
            local fresh = uuid()
            remember(fresh, id)
            msg[field] = fresh
        elseif ids.back[id] ~= nil then
            msg[field] = ids.back[id]
        end
    end
end
