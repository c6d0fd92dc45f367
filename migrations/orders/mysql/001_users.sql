-- Users, what keeps them logged in, and what slows down who guesses their passwords.
-- Times are milliseconds since 1970 in UTC. Only hashes of secrets are stored.

CREATE TABLE IF NOT EXISTS users (
    id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    name VARCHAR(200) NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 200),
    email VARCHAR(254) NOT NULL UNIQUE CHECK (octet_length(email) BETWEEN 3 AND 254),
    role VARCHAR(16) NOT NULL CHECK (role IN ('CUSTOMER', 'ADMIN', 'SERVICE')),
    password_hash VARCHAR(255) NOT NULL CHECK (char_length(password_hash) BETWEEN 1 AND 255),
    created_at BIGINT NOT NULL CHECK (created_at >= 0)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- One row for each log-in that is still good. A refresh token is a family's name and a secret; both are
-- stored as SHA-256. The row holds the newest secret only: any other one that comes was used before.
CREATE TABLE IF NOT EXISTS refresh_tokens (
    family_hash VARCHAR(43) NOT NULL PRIMARY KEY CHECK (char_length(family_hash) = 43),
    token_hash VARCHAR(43) NOT NULL CHECK (char_length(token_hash) = 43),
    user_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at BIGINT NOT NULL CHECK (created_at >= 0),
    expires_at BIGINT NOT NULL,
    -- Of the table, because in MySQL a column's own CHECK may name no other column.
    CONSTRAINT refresh_tokens_end CHECK (expires_at > created_at),
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    KEY refresh_tokens_by_user (user_id),
    KEY refresh_tokens_by_end (expires_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Keyed by the SHA-256 of the e-mail address and not by user, so that an address nobody has registered
-- behaves like any other.
CREATE TABLE IF NOT EXISTS login_failures (
    email_hash VARCHAR(43) NOT NULL PRIMARY KEY CHECK (char_length(email_hash) = 43),
    failures BIGINT NOT NULL CHECK (failures >= 0),
    last_failed_at BIGINT NOT NULL CHECK (last_failed_at >= 0),
    KEY login_failures_by_age (last_failed_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
