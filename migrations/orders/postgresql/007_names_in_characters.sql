-- A user's name has at most 200 characters, not bytes. What is stored fits, so that it need not be read.
ALTER TABLE users
    DROP CONSTRAINT IF EXISTS users_name_check,
    ADD CONSTRAINT users_name_check CHECK (length(name) BETWEEN 1 AND 200) NOT VALID;
