-- Replaces the values of fields that look like secrets, wherever they stand in the message.
--
--     transform:
--       incoming: ./lua/redact.lua
--       outgoing: ./lua/redact.lua
--
-- A field is redacted when its name holds one of these words, whatever its case. Everything else keeps its bytes.
local words = {"password", "passwd", "secret", "token", "authorization", "cookie", "apikey", "api_key", "signature"}
local placeholder = "[redacted]"

local function is_secret(name)
    local lower = name:lower()
    for _, word in ipairs(words) do
        if lower:find(word, 1, true) then
            return true
        end
    end
    return false
end

local function redact(t)
    for name, value in pairs(t) do
        if type(name) == "string" and is_secret(name) and value ~= json.null then
            t[name] = placeholder
        elseif type(value) == "table" then
            redact(value)
        end
    end
end

redact(msg)
