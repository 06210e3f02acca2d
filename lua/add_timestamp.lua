-- Adds the time at which the gateway saw the message (RFC 3339, UTC, milliseconds).
--
--     transform:
--       outgoing: ./lua/add_timestamp.lua
msg.gateway_time = now()
