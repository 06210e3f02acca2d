-- Run by test_script_task, as a handler.
local merge = require "merge"

local function same(value, text)
  local got = json.encode(value)
  assert(got == text, "got " .. got .. ", not " .. text)
end

local function fails(text, f, ...)
  local ok, why = pcall(f, ...)
  assert(not ok and tostring(why):find(text, 1, true), tostring(why) .. " does not hold " .. text)
end

same(merge.deep({a = 1, b = {x = 1}}, {b = {y = 2}}, {a = 3}), '{"a":3,"b":{"x":1,"y":2}}')
same(merge.deep(), '{}')
same(merge.deep({a = {1, 2}}, {a = {3}}), '{"a":[3]}')
same(merge.deep({a = {x = 1}}, {a = 5}), '{"a":5}')
same(merge.deep({a = 5}, {a = {x = 1}}), '{"a":{"x":1}}')
same(merge.deep({a = {x = 1}}, {a = json.null}), '{"a":null}')
same(merge.deep(json.decode('{"a":{"n":1.0,"e":[]},"b":[1, 2]}'), {a = {z = 1}}), '{"a":{"e":[],"n":1.0,"z":1},"b":[1, 2]}')

-- Arguments stay what they were, empty objects too.
local first, second = {a = {}, o = {p = {q = 1}}}, {a = {x = 1}, o = {p = {r = 2}}}
local result = merge.deep(first, second)
result.o.p.q = 9
result.a.x = 9
same(first, '{"a":{},"o":{"p":{"q":1}}}')
same(second, '{"a":{"x":1},"o":{"p":{"r":2}}}')

local target = {profile = {name = "Ada", tags = {"x"}}}
assert(merge.into(target, {profile = {age = 36}}) == target)
same(target, '{"profile":{"age":36,"name":"Ada","tags":["x"]}}')

fails("argument 1 must be an object, not a nil", merge.into, nil, {})
fails("argument 2 must be an object, not a string", merge.deep, {}, "x")
fails("must be an object", merge.deep, {1, 2})
local loop = {}
loop.loop = loop
fails("nested more than 200 deep", merge.deep, loop)

-- RFC 7396, appendix A.
local cases = {
  {'{"a":"b"}', '{"a":"c"}', '{"a":"c"}'},
  {'{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'},
  {'{"a":"b"}', '{"a":null}', '{}'},
  {'{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'},
  {'{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'},
  {'{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'},
  {'{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'},
  {'{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'},
  {'["a","b"]', '["c","d"]', '["c","d"]'},
  {'{"a":"b"}', '["c"]', '["c"]'},
  {'{"a":"foo"}', 'null', 'null'},
  {'{"a":"foo"}', '"bar"', '"bar"'},
  {'{"e":null}', '{"a":1}', '{"a":1,"e":null}'},
  {'[1,2]', '{"a":"b","c":null}', '{"a":"b"}'},
  {'{}', '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'},
}
for _, case in ipairs(cases) do
  local before = json.decode(case[1])
  same(merge.patch(before, json.decode(case[2])), case[3])
  same(before, case[1])
end
return "passed"
