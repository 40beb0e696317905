CREATE TABLE customers (id int PRIMARY KEY, email text NOT NULL);
INSERT INTO customers VALUES (1, 'ann@example.com'), (2, 'bo@example.org');
