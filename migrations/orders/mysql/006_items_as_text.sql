-- MySQL's JSON is no text: it sorts the members of objects and adds spaces. The items of an order are read as they
-- were written. MariaDB's JSON is a text.

SET @alter_items = IF(
    (SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE()
     AND table_name = 'orders' AND column_name = 'items' AND data_type = 'json') = 0,
    'DO 0',
    'ALTER TABLE orders MODIFY items LONGTEXT NOT NULL');

PREPARE alter_items FROM @alter_items;

EXECUTE alter_items;

DEALLOCATE PREPARE alter_items;
