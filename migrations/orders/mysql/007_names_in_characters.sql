-- A user's name has at most 200 characters, not bytes. MariaDB keeps a column's CHECK with the column; MySQL
-- gives it a name, of which this is the table's first.
SET @alter_users = IF(VERSION() LIKE '%MariaDB%',
    'ALTER TABLE users MODIFY name VARCHAR(200) NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200)',
    IF((SELECT COUNT(*) FROM information_schema.table_constraints WHERE table_schema = DATABASE()
        AND table_name = 'users' AND constraint_name = 'users_chk_1') = 0,
       'DO 0',
       'ALTER TABLE users DROP CHECK users_chk_1,
            ADD CONSTRAINT users_name_length CHECK (char_length(name) BETWEEN 1 AND 200)'));

PREPARE alter_users FROM @alter_users;

EXECUTE alter_users;

DEALLOCATE PREPARE alter_users;
