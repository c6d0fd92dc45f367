// The batcher over database sessions.
#pragma once

#include "core/batcher.hpp"
#include "db/database.hpp"

namespace quittance::db {

using Scheduler = BatchScheduler<Session>;

template <class Request, class Response>
using Lane = Batcher<Session, Request, Response>;

}  // namespace quittance::db
