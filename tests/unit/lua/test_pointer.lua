-- Run by test_script_task, as a handler.
local pointer = require "pointer"

local function fails(text, f, ...)
  local ok, why = pcall(f, ...)
  assert(not ok and tostring(why):find(text, 1, true), tostring(why) .. " does not hold " .. text)
end

-- RFC 6901, section 5.
local document = json.decode('{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\\\j":5,"k\\"l":6," ":7,"m~n":8}')
local wanted = {["/foo/0"] = "bar", ["/foo/1"] = "baz", ["/"] = 0, ["/a~1b"] = 1, ["/c%d"] = 2, ["/e^f"] = 3,
  ["/g|h"] = 4, ["/i\\j"] = 5, ["/k\"l"] = 6, ["/ "] = 7, ["/m~0n"] = 8}
for path, value in pairs(wanted) do
  assert(pointer.get(document, path) == value, path)
end
assert(pointer.get(document, "") == document)
assert(pointer.get(document, "/foo") == document.foo)
for _, path in ipairs({"/foo/2", "/foo/-", "/foo/01", "/foo/x", "/foo/0/deep", "/nothing/there"}) do
  assert(pointer.get(document, path) == nil, path)
end
assert(pointer.get("text", "/x") == nil and pointer.get(nil, "") == nil)
assert(#pointer.split("/a//b") == 3 and pointer.split("/~01")[1] == "~1")

fails("does not begin with /", pointer.get, {}, "foo")
fails("~0 or ~1", pointer.get, {}, "/a~2")
fails("~0 or ~1", pointer.get, {}, "/a~")
fails("a string is needed, not a number", pointer.get, {}, 5)

-- set
local t = {}
pointer.set(t, "/user/name", "Ada")
pointer.set(t, "/user/tags/-", "x")
pointer.set(t, "/user/tags/-", "y")
pointer.set(t, "/user/tags/0", "z")
pointer.set(t, "/list/0", 1)
pointer.set(t, "/a~1b", true)
assert(json.encode(t) == '{"a/b":true,"list":[1],"user":{"name":"Ada","tags":["z","y"]}}', json.encode(t))
local numbered = {codes = {x = 1}}
pointer.set(numbered, "/codes/404", "missing")
assert(json.encode(numbered) == '{"codes":{"404":"missing","x":1}}', json.encode(numbered))
fails("behind the array's end", pointer.set, {l = {1}}, "/l/5", 1)
fails("nothing can be put under 'a'", pointer.set, {a = 5}, "/a/b", 1)
fails("whole document", pointer.set, {}, "", 1)
fails("must be a table", pointer.set, "x", "/a", 1)

-- remove
assert(pointer.remove(t, "/user/tags/0") == "z" and #t.user.tags == 1 and t.user.tags[1] == "y")
assert(pointer.remove(t, "/user/name") == "Ada" and t.user.name == nil)
assert(pointer.remove(t, "/user/name") == nil and pointer.remove(t, "/no/such/place") == nil)
pointer.set(t, "/list", nil)
assert(t.list == nil and pointer.remove(t, "") == nil)

-- On a message that came: what is not touched keeps its bytes.
local message = json.decode('{"big":12345678901234567890, "l":[1.0, {"x":null}]}')
assert(pointer.get(message, "/l/1/x") == json.null)
pointer.set(message, "/l/1/y", 2)
assert(json.encode(message) == '{"big":12345678901234567890, "l":[1.0, {"x":null,"y":2}]}', json.encode(message))
return "passed"
