#include "http/message.hpp"

#include <algorithm>

namespace quittance::http {

namespace {

const std::string* find(const std::vector<HeaderField>& fields, std::string_view name) {
    const auto found = std::ranges::find(fields, name, &HeaderField::first);
    return found == fields.end() ? nullptr : &found->second;
}

std::string_view view(const std::string* text) {
    return text == nullptr ? std::string_view() : *text;
}

}  // namespace

std::string_view to_string(Method method) {
    switch (method) {
        case Method::get: return "GET";
        case Method::head: return "HEAD";
        case Method::post: return "POST";
        case Method::put: return "PUT";
        case Method::patch: return "PATCH";
        case Method::delete_: return "DELETE";
        case Method::options: return "OPTIONS";
        case Method::trace: return "TRACE";
        case Method::connect: return "CONNECT";
        case Method::other: return "other";
    }
    return "other";
}

std::string_view reason_phrase(int status) {
    switch (status) {
        case 200: return "OK";
        case 201: return "Created";
        case 202: return "Accepted";
        case 204: return "No Content";
        case 301: return "Moved Permanently";
        case 302: return "Found";
        case 303: return "See Other";
        case 304: return "Not Modified";
        case 307: return "Temporary Redirect";
        case 308: return "Permanent Redirect";
        case 400: return "Bad Request";
        case 401: return "Unauthorized";
        case 403: return "Forbidden";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 408: return "Request Timeout";
        case 409: return "Conflict";
        case 410: return "Gone";
        case 412: return "Precondition Failed";
        case 413: return "Content Too Large";
        case 414: return "URI Too Long";
        case 415: return "Unsupported Media Type";
        case 422: return "Unprocessable Content";
        case 429: return "Too Many Requests";
        case 431: return "Request Header Fields Too Large";
        case 500: return "Internal Server Error";
        case 501: return "Not Implemented";
        case 502: return "Bad Gateway";
        case 503: return "Service Unavailable";
        case 504: return "Gateway Timeout";
        default: return "Unknown";
    }
}

std::string_view Request::header(std::string_view lower_case_name) const {
    return view(find(headers, lower_case_name));
}

bool Request::has_header(std::string_view lower_case_name) const {
    return find(headers, lower_case_name) != nullptr;
}

std::string Request::header_list(std::string_view lower_case_name) const {
    std::string list;
    for (const auto& [name, value] : headers) {
        if (name != lower_case_name) continue;
        if (!list.empty()) list += ", ";
        list += value;
    }
    return list;
}

std::string_view Request::parameter(std::string_view name) const {
    return view(find(parameters, name));
}

const std::string* Request::query_value(std::string_view name) const {
    return find(query, name);
}

Response json_response(int status, std::string body) {
    return {.status = status, .headers = {}, .body = std::move(body), .content_type = "application/json"};
}

Response no_content() {
    return {.status = 204, .headers = {}, .body = {}, .content_type = {}};
}

}  // namespace quittance::http
