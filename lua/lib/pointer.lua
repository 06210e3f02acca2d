-- JSON Pointer (RFC 6901): "/user/roles/0" names a value in a JSON document. Places in arrays count from 0, as in JSON.
--
--     local pointer = require "pointer"
--     local name = pointer.get(message, "/user/name")             -- nil when there is none
--     pointer.set(message, "/user/tags/-", "new")                 -- "-" is the place after the last
--     pointer.remove(message, "/user/password")
local pointer = {}

-- The tokens of a pointer, unescaped: "/a~1b/0" gives {"a/b", "0"}; "" (the whole document) gives {}.
function pointer.split(path)
  if type(path) ~= "string" then
    error("pointer: a string is needed, not a " .. type(path), 2)
  end
  if path ~= "" and path:sub(1, 1) ~= "/" then
    error("pointer: '" .. path .. "' does not begin with /", 2)
  end
  if path:find("~[^01]") or path:find("~$") then
    error("pointer: '" .. path .. "' has a ~ that is not ~0 or ~1", 2)
  end
  local tokens = {}
  for token in path:gmatch("/([^/]*)") do
    tokens[#tokens + 1] = (token:gsub("~1", "/"):gsub("~0", "~"))
  end
  return tokens
end

-- The key that a token means in this table: a position in an array, else a name.
local function key_of(t, token)
  local n = #t
  if token == "-" and (n > 0 or next(t) == nil) then
    return n + 1
  end
  if (token == "0" or token:find("^[1-9]%d*$")) and (n > 0 or (next(t) == nil and token == "0")) then
    return tonumber(token) + 1
  end
  return token
end

-- The value that the pointer names in the document; nil when there is none.
function pointer.get(document, path)
  local value = document
  for _, token in ipairs(pointer.split(path)) do
    if type(value) ~= "table" then
      return nil
    end
    value = value[key_of(value, token)]
  end
  return value
end

local function parent_of(document, tokens, path, make)
  local t = document
  for i = 1, #tokens - 1 do
    local key = key_of(t, tokens[i])
    local child = t[key]
    if child == nil and make then
      child = {}
      t[key] = child
    end
    if type(child) ~= "table" then
      if not make then
        return nil
      end
      error("pointer: nothing can be put under '" .. tokens[i] .. "' in '" .. path .. "'", 3)
    end
    t = child
  end
  return t
end

-- Puts value where the pointer says; objects that are missing on the way are made. nil removes, as pointer.remove does.
function pointer.set(document, path, value)
  local tokens = pointer.split(path)
  if #tokens == 0 then
    error("pointer: the whole document cannot be replaced", 2)
  end
  if type(document) ~= "table" then
    error("pointer: the document must be a table, not a " .. type(document), 2)
  end
  if value == nil then
    return pointer.remove(document, path)
  end
  local t = parent_of(document, tokens, path, true)
  local key = key_of(t, tokens[#tokens])
  if type(key) == "number" and key > #t + 1 then
    error("pointer: '" .. path .. "' is behind the array's end", 2)
  end
  t[key] = value
end

-- Removes what the pointer names and returns it; later elements of an array move up. nil when there is none.
function pointer.remove(document, path)
  local tokens = pointer.split(path)
  if #tokens == 0 or type(document) ~= "table" then
    return nil
  end
  local t = parent_of(document, tokens, path, false)
  if t == nil then
    return nil
  end
  local key = key_of(t, tokens[#tokens])
  local old = t[key]
  if old ~= nil then
    if type(key) == "number" and #t > 0 then
      table.remove(t, key)
    else
      t[key] = nil
    end
  end
  return old
end

return pointer
