-- POST /orders by many customers, or GET /orders/{id}: wrk -s orders.lua URL -- TOKENS LINES [get]
-- TOKENS has a token a line. LINES has a body a line; for get, "number of the token's line, space, order id".
local function read_lines(path)
    local lines = {}
    for line in io.lines(path) do lines[#lines + 1] = line end
    return lines
end

local requests = {}
local next_request = 0

function init(arguments)
    local tokens, lines = read_lines(arguments[1]), read_lines(arguments[2])
    local reads = arguments[3] == "get"
    for number, line in ipairs(lines) do
        if reads then
            local token, id = line:match("^(%d+) (.+)$")
            requests[number] = wrk.format("GET", "/orders/" .. id,
                { ["Authorization"] = "Bearer " .. tokens[tonumber(token)] })
        else
            requests[number] = wrk.format("POST", "/orders", {
                ["Authorization"] = "Bearer " .. tokens[number % #tokens + 1],
                ["Content-Type"] = "application/json",
            }, line)
        end
    end
    next_request = math.random(#requests)
end

function request()
    next_request = next_request % #requests + 1
    return requests[next_request]
end
