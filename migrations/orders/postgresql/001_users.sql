-- Users, what keeps them logged in, and what slows down who guesses their passwords.
-- Times are milliseconds since 1970 in UTC. Only hashes of secrets are stored.

CREATE TABLE users (
    id uuid NOT NULL PRIMARY KEY,
    name text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 200),
    email text NOT NULL UNIQUE CHECK (octet_length(email) BETWEEN 3 AND 254),
    role text NOT NULL CHECK (role IN ('CUSTOMER', 'ADMIN', 'SERVICE')),
    password_hash text NOT NULL CHECK (length(password_hash) BETWEEN 1 AND 255),
    created_at bigint NOT NULL CHECK (created_at >= 0)
);

-- One row for each log-in that is still good. A refresh token is a family's name and a secret; both are
-- stored as SHA-256. The row holds the newest secret only: any other one that comes was used before.
CREATE TABLE refresh_tokens (
    family_hash text NOT NULL PRIMARY KEY CHECK (length(family_hash) = 43),
    token_hash text NOT NULL CHECK (length(token_hash) = 43),
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at bigint NOT NULL CHECK (created_at >= 0),
    expires_at bigint NOT NULL CHECK (expires_at > created_at)
);

CREATE INDEX refresh_tokens_by_user ON refresh_tokens (user_id);

CREATE INDEX refresh_tokens_by_end ON refresh_tokens (expires_at);

-- Keyed by the SHA-256 of the e-mail address and not by user, so that an address nobody has registered
-- behaves like any other.
CREATE TABLE login_failures (
    email_hash text NOT NULL PRIMARY KEY CHECK (length(email_hash) = 43),
    failures bigint NOT NULL CHECK (failures >= 0),
    last_failed_at bigint NOT NULL CHECK (last_failed_at >= 0)
);

CREATE INDEX login_failures_by_age ON login_failures (last_failed_at);
