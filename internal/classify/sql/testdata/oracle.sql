-- What the statements of oracle.jsonl are about. Made anew for each run.
CREATE ROLE app;
CREATE ROLE auditor;
CREATE SCHEMA archive;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE customers (
  id int PRIMARY KEY, name text NOT NULL, ssn text, email text, doc jsonb, tags text[], born date, feeling mood);
CREATE TABLE orders (
  id bigserial PRIMARY KEY, customer int REFERENCES customers DEFERRABLE, amount numeric DEFAULT 0, paid bool DEFAULT false,
  at timestamptz DEFAULT now(), note text, during tstzrange, place point, p pair);
CREATE TABLE staging (LIKE orders INCLUDING DEFAULTS);
CREATE TABLE measures (day date NOT NULL, value float8) PARTITION BY RANGE (day);
CREATE TABLE measures_2024 PARTITION OF measures FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE older (day date NOT NULL, value float8);
CREATE TABLE parent (id int, kept text);
CREATE TABLE child (more text) INHERITS (parent);
CREATE TABLE tree (id int PRIMARY KEY, above int, label text);
CREATE TABLE secrets (id int, word text);
CREATE TABLE watched (id int, word text);
CREATE TABLE ruled (id int, word text);
CREATE SEQUENCE ticket;
CREATE INDEX measures_day ON measures_2024 USING brin (day);
CREATE INDEX orders_customer ON orders (customer);
CREATE VIEW customer_names AS SELECT id, name FROM customers;
CREATE MATERIALIZED VIEW totals AS SELECT customer, sum(amount) AS total FROM orders GROUP BY customer;
CREATE UNIQUE INDEX totals_customer ON totals (customer);
CREATE FUNCTION writes(text) RETURNS int LANGUAGE sql AS $$ INSERT INTO watched VALUES (1, $1) RETURNING id $$;
CREATE FUNCTION computes(int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT $1 + 1 $$;
CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE FUNCTION hears() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
CREATE PROCEDURE proceed(int) LANGUAGE sql AS $$ INSERT INTO watched VALUES ($1, 'by a procedure') $$;
CREATE AGGREGATE adds(int) (SFUNC = int4pl, STYPE = int);
CREATE OPERATOR === (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq);
CREATE TRIGGER watch BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION fires();
CREATE RULE also AS ON INSERT TO ruled DO ALSO INSERT INTO watched VALUES (NEW.id, NEW.word);
CREATE STATISTICS orders_stat ON customer, paid FROM orders;
CREATE PUBLICATION feed FOR TABLE orders;
CREATE POLICY own ON secrets USING (word = current_user);
CREATE COLLATION plain FROM "C";
CREATE TEXT SEARCH CONFIGURATION words (COPY = simple);
CREATE TEXT SEARCH DICTIONARY stems (TEMPLATE = simple);
INSERT INTO customers SELECT g, 'name ' || g, '123-45-' || 6700 + g, 'c' || g || '@example.com',
  jsonb_build_object('ssn', g, 'list', jsonb_build_array(g, g + 1)), ARRAY['a', 'b'], date '2000-01-01' + g, 'ok' FROM generate_series(1, 20) AS g;
INSERT INTO orders (customer, amount, note) SELECT 1 + g % 20, g, 'note ' || g FROM generate_series(1, 100) AS g;
INSERT INTO measures SELECT date '2024-01-01' + g, g FROM generate_series(1, 50) AS g;
INSERT INTO parent VALUES (1, 'x');
INSERT INTO child VALUES (2, 'y', 'z');
INSERT INTO tree VALUES (1, NULL, 'root'), (2, 1, 'leaf'), (3, 1, 'leaf'), (4, 2, 'leaf');
INSERT INTO secrets VALUES (1, 'postgres'), (2, 'app');
SELECT lo_from_bytea(4711, 'some bytes');
SELECT nextval('ticket');
