-- Run by test_script_task, as a handler.
local expect = require "expect"

local function fails(text, f, ...)
  local ok, why = pcall(f, ...)
  assert(not ok and tostring(why) == text, tostring(why) .. "\n is not " .. text)
end

local message = json.decode('{"type":"order","n":3,"f":1.5,"user":{"id":7,"roles":["a","b"]},"none":null,"e":[]}')
assert(expect.equal(3, 3) == 3 and expect.equal(1, 1.0) == 1)
assert(expect.equal(message.user, {id = 7, roles = {"a", "b"}}) == message.user)
fails("expected n to be 4, not 3", expect.equal, message.n, 4, "n")
fails("expected the value to be \"x\", not nil", expect.equal, nil, "x")
fails("expected user.id to be 8, not 7", expect.equal, message.user, {id = 8, roles = {"a", "b"}}, "user")
fails("expected user.roles[2] to be \"c\", not \"b\"", expect.equal, message.user, {id = 7, roles = {"a", "c"}}, "user")
fails("expected user.id to be missing, not 7", expect.equal, message.user, {roles = {"a", "b"}}, "user")
fails("expected roles to have 1 elements, not 2", expect.equal, message.user.roles, {"a"}, "roles")
fails("expected none to be 5, not null", expect.equal, message.none, 5, "none")

assert(expect.has(message, {type = "order", user = {id = expect.any}, none = expect.any}) == message)
fails("expected user.name to be there", expect.has, message, {user = {name = expect.any}})
fails("expected type to be \"x\", not \"order\"", expect.has, message, {type = "x"})
fails("expected message.user to be 1, not {id = 7, roles = {\"a\", \"b\"}}", expect.has, message, {user = 1}, "message")
fails("expected the value to be {a = 1}, not \"text\"", expect.has, "text", {a = 1})

for kind, value in pairs({string = "x", integer = 1, float = 1.5, boolean = true, null = json.null, object = {a = 1},
  array = {1}, table = {}}) do
  expect.type(value, kind)
end
expect.type(1, "number")
expect.type(nil, "nil")
expect.type(message.e, "array")
expect.type({}, "object")
fails("expected n to be of type string, not integer", expect.type, 3, "string", "n")
fails("expected the value to be of type object, not array", expect.type, {1}, "object")
fails("expected the value to be of type number, not null", expect.type, json.null, "number")

assert(expect.match("a@b", "^[^@]+@[^@]+$") == "a@b")
fails("expected email to match \"@\", not to be \"x\"", expect.match, "x", "@", "email")
fails("expected the value to match \"@\", not to be 5", expect.match, 5, "@")
assert(expect.one_of("buy", {"buy", "sell"}) == "buy")
fails("expected side to be one of {\"buy\", \"sell\"}, not \"hold\"", expect.one_of, "hold", {"buy", "sell"}, "side")
assert(expect.present(false) == false)
fails("expected id to be there", expect.present, json.null, "id")
expect.absent(nil)
expect.absent(json.null)
fails("expected id to be missing, not 5", expect.absent, 5, "id")
fails("expected the value to be \"" .. ("x"):rep(60) .. "…\", not 1", expect.equal, 1, ("x"):rep(100))
local loop = {}
loop[1] = loop
local other = {}
other[1] = other
local ok, why = pcall(expect.equal, loop, other)
assert(not ok and why:find("nested less deep"), why)
assert(not pcall(expect.any))
return "passed"
