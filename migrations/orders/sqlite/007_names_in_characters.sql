-- A user's name has at most 200 characters, not bytes. SQLite changes a CHECK only by a table in another's
-- place; what refers to it comes along, so that no row is taken for one without a user.
CREATE TABLE users_in_characters (
    id TEXT NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    email TEXT NOT NULL UNIQUE CHECK (length(CAST(email AS BLOB)) BETWEEN 3 AND 254),
    role TEXT NOT NULL CHECK (role IN ('CUSTOMER', 'ADMIN', 'SERVICE')),
    password_hash TEXT NOT NULL CHECK (length(password_hash) BETWEEN 1 AND 255),
    created_at BIGINT NOT NULL CHECK (created_at >= 0)
);

INSERT INTO users_in_characters SELECT id, name, email, role, password_hash, created_at FROM users;

CREATE TABLE refresh_tokens_kept (
    family_hash TEXT NOT NULL PRIMARY KEY CHECK (length(family_hash) = 43),
    token_hash TEXT NOT NULL CHECK (length(token_hash) = 43),
    user_id TEXT NOT NULL REFERENCES users_in_characters (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL CHECK (created_at >= 0),
    expires_at BIGINT NOT NULL CHECK (expires_at > created_at)
);

INSERT INTO refresh_tokens_kept SELECT family_hash, token_hash, user_id, created_at, expires_at
FROM refresh_tokens WHERE user_id IN (SELECT id FROM users);

DROP TABLE refresh_tokens;

DROP TABLE users;

ALTER TABLE users_in_characters RENAME TO users;

ALTER TABLE refresh_tokens_kept RENAME TO refresh_tokens;

CREATE INDEX refresh_tokens_by_user ON refresh_tokens (user_id);

CREATE INDEX refresh_tokens_by_end ON refresh_tokens (expires_at);
