-- Deep merge of JSON values and tables.
--
--     local merge = require "merge"
--     local answer = merge.deep({type = "ack", meta = {by = "mock"}}, message)   -- a new table; later ones win
--     merge.into(state, {profile = {name = "Ada"}})                              -- changes state
--     state.doc = merge.patch(state.doc, message.patch)                          -- RFC 7396: null removes
--
-- Objects are merged name by name. Anything else, arrays too, is taken as it is, and is then the same table in both.
local merge = {}

-- An empty table may be either: it counts as an object, unless the other side says otherwise.
local function is_object(v)
  return type(v) == "table" and #v == 0
end

local function is_plain_object(v)
  return is_object(v) and next(v) ~= nil
end

local function merge_into(target, source, depth)
  if depth > 200 then
    error("merge: nested more than 200 deep", 0)
  end
  for name, value in pairs(source) do
    local old = target[name]
    if is_plain_object(value) and is_plain_object(old) then
      merge_into(old, value, depth + 1)
    else
      target[name] = value
    end
  end
  return target
end

local function copy_objects(v, depth)
  if not is_plain_object(v) then
    return v
  end
  if depth > 200 then
    error("merge: nested more than 200 deep", 0)
  end
  local copy = {}
  for name, value in pairs(v) do
    copy[name] = copy_objects(value, depth + 1)
  end
  return copy
end

local function check(v, position, name)
  if not is_object(v) then
    error("merge." .. name .. ": argument " .. position .. " must be an object, not a " .. type(v), 3)
  end
end

-- Merges source into target and returns target.
function merge.into(target, source)
  check(target, 1, "into")
  check(source, 2, "into")
  return merge_into(target, copy_objects(source, 1), 1)
end

-- A new object from all arguments, from left to right. None of them is changed.
function merge.deep(...)
  local result = {}
  for i = 1, select("#", ...) do
    local source = select(i, ...)
    check(source, i, "deep")
    merge_into(result, copy_objects(source, 1), 1)
  end
  return result
end

local function patch(target, p, depth)
  if not is_object(p) then
    return p
  end
  if depth > 200 then
    error("merge: nested more than 200 deep", 0)
  end
  local result = {}
  if is_object(target) then
    for name, value in pairs(target) do
      result[name] = value
    end
  end
  for name, value in pairs(p) do
    if value == json.null then
      result[name] = nil
    else
      result[name] = patch(result[name], value, depth + 1)
    end
  end
  return result
end

-- JSON Merge Patch (RFC 7396): what target becomes. Neither argument is changed.
function merge.patch(target, p)
  if type(p) == "table" and next(p) == nil and type(target) == "table" and not is_object(target) then
    return {} -- an object in place of an array
  end
  return patch(target, p, 1)
end

return merge
