-- Expectations: each raises an error that says where and what, or gives back the value that it looked at.
--
--     local expect = require "expect"
--     expect.has(message, {type = "subscribe", channel = expect.any})     -- a subset, at any depth
--     local id = expect.type(message.id, "integer", "id")
--     expect.equal(message.total, 3, "total")
--     expect.match(message.email, "^[^@]+@[^@]+$", "email")
--     expect.one_of(message.side, {"buy", "sell"}, "side")
local expect = {}

local function is_array(v)
  return #v > 0
end

local function show(v, depth)
  if v == json.null then
    return "null"
  elseif type(v) == "string" then
    local s = #v > 60 and v:sub(1, 60) .. "…" or v
    return string.format("%q", s)
  elseif type(v) == "table" then
    if depth > 2 then
      return "{…}"
    end
    local names, parts = {}, {}
    for name in pairs(v) do
      names[#names + 1] = name
      if #names > 100 then
        break
      end
    end
    if not is_array(v) then
      table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
    end
    for i, name in ipairs(names) do
      if i > 6 then
        parts[i] = "…"
        break
      end
      parts[i] = (is_array(v) and "" or tostring(name) .. " = ") .. show(v[name], depth + 1)
    end
    return "{" .. table.concat(parts, ", ") .. "}"
  end
  return tostring(v)
end

local function kind(v)
  if v == json.null then
    return "null"
  elseif type(v) == "table" then
    return is_array(v) and "array" or "object"
  end
  return math.type(v) or type(v)
end

local function fail(what, text)
  error("expected " .. (what or "the value") .. " " .. text, 0)
end

-- In has(): any value, but one. A function, because all connections share it.
function expect.any()
  error("expect.any stands for a value: it is not called", 2)
end

local function below(what, name)
  if type(name) == "number" then
    name = "[" .. name .. "]"
    return what and what .. name or name
  end
  return what and what .. "." .. tostring(name) or tostring(name)
end

local function compare(actual, wanted, what, exact, depth)
  if depth > 200 then
    fail(what, "to be nested less deep")
  end
  if rawequal(wanted, expect.any) then
    if actual == nil then
      fail(what, "to be there")
    end
    return
  end
  if type(wanted) ~= "table" or type(actual) ~= "table" then
    if actual ~= wanted then
      fail(what, "to be " .. show(wanted, 0) .. ", not " .. show(actual, 0))
    end
    return
  end
  if #wanted ~= #actual and (exact or is_array(wanted)) then
    fail(what, "to have " .. #wanted .. " elements, not " .. #actual)
  end
  for name, value in pairs(wanted) do
    compare(actual[name], value, below(what, name), exact, depth + 1)
  end
  if exact then
    for name, value in pairs(actual) do
      if wanted[name] == nil then
        fail(below(what, name), "to be missing, not " .. show(value, 0))
      end
    end
  end
end

-- Equal, at any depth. 1 and 1.0 are equal.
function expect.equal(actual, wanted, what)
  compare(actual, wanted, what, true, 1)
  return actual
end

-- actual holds all that wanted has, at any depth; arrays are as long as wanted's.
function expect.has(actual, wanted, what)
  compare(actual, wanted, what, false, 1)
  return actual
end

-- The kind of a value: "string", "number", "integer", "float", "boolean", "null", "nil", "array", "object" (an empty
-- table is either), "table".
function expect.type(actual, wanted, what)
  local found = kind(actual)
  local empty = type(actual) == "table" and next(actual) == nil
  if not (found == wanted or type(actual) == wanted and found ~= "null" or empty and wanted == "array") then
    fail(what, "to be of type " .. tostring(wanted) .. ", not " .. found)
  end
  return actual
end

-- A string that a Lua pattern finds something in.
function expect.match(actual, pattern, what)
  if type(actual) ~= "string" or not actual:find(pattern) then
    fail(what, "to match " .. show(pattern, 0) .. ", not to be " .. show(actual, 0))
  end
  return actual
end

function expect.one_of(actual, list, what)
  for _, value in ipairs(list) do
    if actual == value then
      return actual
    end
  end
  fail(what, "to be one of " .. show(list, 0) .. ", not " .. show(actual, 0))
end

-- There, and not null.
function expect.present(actual, what)
  if actual == nil or actual == json.null then
    fail(what, "to be there")
  end
  return actual
end

function expect.absent(actual, what)
  if actual ~= nil and actual ~= json.null then
    fail(what, "to be missing, not " .. show(actual, 0))
  end
end

return expect
