-- The same load for the echo: wrk -s echo.lua URL -- LINES [get]
local requests = {}
local next_request = 0

function init(arguments)
    if arguments[2] == "get" then
        requests[1] = wrk.format("GET", "/echo/019abcde-0000-7000-8000-000000000000")
        return
    end
    for line in io.lines(arguments[1]) do
        requests[#requests + 1] = wrk.format("POST", "/echo", { ["Content-Type"] = "application/json" }, line)
    end
end

function request()
    next_request = next_request % #requests + 1
    return requests[next_request]
end
