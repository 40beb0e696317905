package shell

import (
	"strings"
	"sync"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/classify/sql"
)

// grammar is shared: without cgo it takes a while to make.
var grammar = sync.OnceValue(func() *sql.Classifier { return sql.New(sql.Options{CacheEntries: -1}) })

// statements classifies SQL with PostgreSQL's grammar. strange: another dialect,
// whose text may mean something else.
func (c *call) statements(w word, dialect string) {
	text := strings.TrimSpace(w.text)
	if w.hole {
		c.cm.unknown("runs a statement that only the shell will know")
		text = strings.ReplaceAll(text, hole, "")
	}
	if dialect != "postgres" && (strings.Contains(text, "/*!") || strings.Contains(text, "/*M!") || strings.ContainsAny(text, "\\#`$") || strings.Contains(text, "--") && !strings.Contains(text, "-- ")) {
		c.cm.unknown("a statement that another dialect may read in another way")
	}
	r := grammar().Classify(text, sql.State{Database: "db", Role: "app"})
	for i := range r.Statements {
		st := &r.Statements[i]
		c.cm.add("a statement: "+st.Title, st.Kinds...)
		if st.Harmless != "" {
			c.cm.harmless = "a statement without effect"
		}
		if st.Copy != nil && st.Copy.Program {
			c.cm.unknown("a statement that runs a program")
		}
		if c.cm.target == "" {
			c.cm.target = st.Target
		}
	}
	if r.ParseError {
		c.cm.add("a statement that is not understood", action.Execute)
	}
}

// psqlReads are psql's own commands that only show.
var psqlReads = []string{"\\d", "\\l", "\\z", "\\conninfo", "\\x", "\\timing", "\\q", "\\?", "\\h", "\\pset", "\\encoding", "\\echo", "\\sf", "\\sv"}

// psqlText is text as psql reads it: statements and its own commands.
func (c *call) psqlText(w word, stdin bool) {
	text := strings.TrimSpace(w.text)
	if !strings.Contains(text, `\`) && !(stdin && strings.Contains(strings.ReplaceAll(text, "::", ""), ":")) {
		c.statements(w, "postgres")
		return
	}
	one := !strings.Contains(text, "\n") && strings.HasPrefix(text, `\`) && !strings.ContainsAny(text, "`|:;") && strings.Count(text, `\`) == 1 && !w.hole
	if name, _, _ := strings.Cut(text, " "); one {
		for _, r := range psqlReads {
			if name == r || r == "\\d" && strings.HasPrefix(name, "\\d") && len(name) <= 6 && strings.Trim(name[2:], "abcdefgilmnoprstuvxyEFST+") == "" {
				c.cm.add("shows what is in the database", action.DataRead)
				return
			}
		}
	}
	if stdin || strings.HasPrefix(text, `\`) || strings.Contains(text, `\`) && stdin {
		c.cm.unknown("commands of psql, which can run programs")
		return
	}
	c.statements(w, "postgres")
}

func psql(c *call) source {
	t := &tool{value: valueSet("c d f F h L o p P R T U v command dbname file field-separator host log-file output port pset record-separator table-attr username set variable")}
	opts, operands := t.args(c.argv[1:])
	c.opts = opts
	given := false
	for _, w := range c.argv[1:] {
		if w.maybeOption() && !strings.HasPrefix(w.text, "-") && w.multi {
			c.cm.unknown("an option that only the shell will know")
		}
	}
	for _, o := range opts {
		switch {
		case o.name == "c" || strings.HasPrefix("command", o.name) && len(o.name) > 2:
			given = true
			c.psqlText(o.value, false)
		case o.name == "f" || o.name == "file":
			if given = true; o.value.text == "-" {
				c.psqlIn()
			} else {
				c.read(o.value)
				c.cm.unknown("runs statements of a file")
			}
		case o.name == "l" || o.name == "list" || o.name == "V" || o.name == "version" || o.name == "help":
			given = true
			c.cm.add("shows what is in the database", action.DataRead)
		case o.name == "o" || o.name == "output" || o.name == "L" || o.name == "log-file":
			if c.write(o.value); strings.HasPrefix(o.value.text, "|") || o.value.hole {
				c.cm.unknown("gives its output to a program")
			}
		case o.name == "h" || o.name == "host":
			c.host(o.value.text)
		case o.name == "d" || o.name == "dbname":
			if strings.Contains(o.value.text, "://") {
				c.hostOf(o.value.text)
			}
		}
	}
	for _, w := range operands {
		if strings.Contains(w.text, "://") && !w.hole {
			c.hostOf(w.text)
		}
	}
	if !given {
		c.psqlIn()
	}
	return source{}
}

func (c *call) psqlIn() {
	switch {
	case c.in.known:
		c.psqlText(word{text: c.in.text}, true)
	case c.in.none:
		c.cm.add("opens a session with a database", action.SessionOpen, action.Execute)
	default:
		c.cm.unknown("runs statements that flow in")
	}
}

func sqlite(c *call) source {
	t := &tool{single: true, value: valueSet("cmd init separator newline nullvalue vfs mmap lookaside pagecache heap maxsize")}
	opts, operands := t.args(c.argv[1:])
	for _, o := range opts {
		switch o.name {
		case "cmd":
			c.sqliteText(o.value)
		case "version", "help":
			c.cm.harmless = "shows its version"
		case "header", "noheader", "csv", "json", "line", "list", "column", "box", "table", "markdown", "readonly", "batch", "bail", "separator", "newline", "nullvalue", "echo", "ascii", "html", "quote", "tabs", "safe", "stats":
		default:
			c.cm.unknown("an option that isn't on a list")
		}
	}
	switch {
	case len(operands) > 1:
		for _, w := range operands[1:] {
			c.sqliteText(w)
		}
	case c.in.known:
		c.sqliteText(word{text: c.in.text})
	case c.cm.harmless != "":
	default:
		c.cm.unknown("runs statements that flow in")
	}
	if len(operands) > 0 {
		c.read(operands[0])
	}
	return source{}
}

func (c *call) sqliteText(w word) {
	text := strings.TrimSpace(w.text)
	if strings.HasPrefix(text, ".") {
		name, _, _ := strings.Cut(text, " ")
		switch {
		case strings.Contains(text, "\n") || strings.Contains(text, "|") || w.hole:
			c.cm.unknown("commands of sqlite3, which can run programs")
		case name == ".tables" || name == ".schema" || name == ".databases" || name == ".indexes" || name == ".dbinfo" || name == ".fullschema" || name == ".headers" || name == ".mode" || name == ".quit":
			c.cm.add("shows what is in the database", action.DataRead)
		case name == ".dump":
			c.cm.add("prints the whole database", action.DataExport)
		default:
			c.cm.unknown("commands of sqlite3, which can run programs")
		}
		return
	}
	if strings.Contains(text, "\n.") {
		c.cm.unknown("commands of sqlite3, which can run programs")
	}
	c.statements(w, "sqlite")
}

func mysql(c *call) source {
	t := &tool{value: valueSet("e h u P D S execute host user port database socket defaults-file defaults-extra-file defaults-group-suffix init-command pager tee delimiter ssl-ca default-character-set plugin-dir")}
	opts, _ := t.args(c.argv[1:])
	given := false
	for _, o := range opts {
		switch o.name {
		case "e", "execute", "init-command":
			given = true
			if t := strings.TrimSpace(strings.ToLower(o.value.text)); t == "" || strings.HasPrefix(t, "system") || strings.HasPrefix(t, "source") || strings.HasPrefix(t, "tee") || strings.HasPrefix(t, "pager") || strings.HasPrefix(t, "edit") {
				c.cm.unknown("commands of mysql, which can run programs")
			}
			if t := strings.TrimRight(strings.TrimSpace(strings.ToLower(o.value.text)), ";"); t == "show databases" || t == "show tables" || t == "show processlist" {
				c.cm.add("shows what is in the database", action.DataRead)
				continue
			}
			c.statements(o.value, "mysql")
		case "h", "host":
			c.host(o.value.text)
		case "V", "version", "help", "?":
			given, c.cm.harmless = true, "shows its version"
		case "pager", "tee", "plugin-dir", "defaults-file", "defaults-extra-file":
			c.cm.unknown("an option that names a program or a file of options")
		}
	}
	switch {
	case given:
	case c.in.known:
		c.cm.unknown("statements as mysql's client reads them")
		c.statements(word{text: c.in.text}, "mysql")
	case c.in.none:
		c.cm.add("opens a session with a database", action.SessionOpen, action.Execute)
	default:
		c.cm.unknown("runs statements that flow in")
	}
	return source{}
}

// redisCommands by what they do; all others are unknown.
const redisCommands = `
read : GET MGET STRLEN EXISTS TTL PTTL TYPE KEYS SCAN HGET HGETALL HMGET HKEYS HVALS HLEN HSCAN HEXISTS LRANGE LLEN LINDEX SMEMBERS SCARD SISMEMBER SSCAN ZRANGE ZCARD ZSCORE ZRANK ZSCAN ZCOUNT DBSIZE INFO PING ECHO TIME MEMORY OBJECT XRANGE XLEN XINFO GETRANGE BITCOUNT PFCOUNT RANDOMKEY SLOWLOG LATENCY COMMAND DUMP
write : SET SETEX SETNX MSET APPEND INCR INCRBY DECR DECRBY HSET HMSET HINCRBY LPUSH RPUSH SADD ZADD XADD EXPIRE PEXPIRE PERSIST RENAME SETRANGE COPY RESTORE MOVE GETSET LSET LTRIM PFADD
delete : DEL UNLINK HDEL LREM SREM ZREM FLUSHALL FLUSHDB XDEL XTRIM GETDEL LPOP RPOP SPOP
exec : EVAL EVALSHA FCALL SCRIPT FUNCTION MODULE DEBUG
config : CONFIG ACL CLIENT REPLICAOF SLAVEOF CLUSTER SHUTDOWN SAVE BGSAVE BGREWRITEAOF FAILOVER MIGRATE
export : MONITOR SYNC PSYNC
msg : PUBLISH
`

func redis(c *call) source {
	t := &tool{first: true, value: valueSet("h p s a u n r i d D x X user pass pattern count eval rdb sni cacert cert key quoted-pattern intrinsic-latency cluster functions-rdb lru-test")}
	opts, operands := t.args(c.argv[1:])
	c.opts = opts
	for _, o := range opts {
		switch o.name {
		case "eval", "cluster", "x", "X", "pipe":
			c.cm.unknown("commands from elsewhere")
		case "rdb", "functions-rdb":
			c.cm.add("copies the whole database", action.DataExport)
			c.write(o.value)
		case "h", "u":
			c.hostOf(o.value.text)
		case "scan", "bigkeys", "memkeys", "hotkeys", "stat", "version", "help":
			c.cm.add("reads keys", action.DataRead)
		}
	}
	if len(operands) == 0 {
		if len(c.cm.kinds) == 0 {
			c.cm.unknown("runs commands that flow in")
		}
		return source{}
	}
	if !operands[0].known() {
		c.cm.unknown("a command that only the shell will know")
		return source{}
	}
	name := strings.ToUpper(operands[0].text)
	c.cm.verb += " " + strings.ToLower(name)
	for _, line := range strings.Split(strings.TrimSpace(redisCommands), "\n") {
		kind, names, _ := strings.Cut(line, " : ")
		if strings.Contains(" "+names+" ", " "+name+" ") {
			c.cm.add("", kindsOf([]string{kind})...)
			return source{}
		}
	}
	c.cm.unknown("a command of redis on no list")
	return source{}
}

func bq(c *call, ws []word) source {
	for _, w := range ws {
		c.statements(w, "bigquery")
	}
	if len(ws) == 0 {
		c.cm.unknown("runs statements that flow in")
	}
	return source{}
}
