-- Tells the upstream which connection a message came from.
--
--     transform:
--       incoming: ./lua/add_client_id.lua
msg.client_id = connection.id
